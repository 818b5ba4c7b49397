"""What a run promises of its steps, read plainly: a judge that is told what happens, and complains of what may not be.

It knows no runner. It is told of each process that starts and ends, of requests to stop, and of the run's end, with the
moment of each; of earlier runs it knows what their journals tell.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf

from support.plans import FINALLY, ON_FAILURE, ON_SUCCESS, TASKS, Plan, PlannedStep

DONE, BAD, SKIPPED, RUNNING, WAITING = "done", "bad", "skipped", "running", "waiting"


@dataclass
class Past:
    """What earlier runs have left, by step."""

    ran_in: dict[str, int] = field(default_factory=dict)
    """The number of the run in which it was last started."""
    done_as: dict[str, int] = field(default_factory=dict)
    """The edition of the step that succeeded then, where what it handed on can be used."""


@dataclass
class Judge:
    """Follows one run; every method raises `AssertionError` where the contract is broken."""

    plan: Plan
    editions: dict[str, int]
    past: Past
    chosen: set[str] | None = None
    """The steps that a person wants done, and no others."""
    exact: bool = True
    """Whether moments are those of a machine on which nothing takes any time."""
    phase: str = TASKS
    now: float = 0.0
    state: dict[str, str] = field(default_factory=dict)
    spared: set[str] = field(default_factory=set)
    ends_by: dict[str, float] = field(default_factory=dict)
    """When each step that runs is to have ended at the latest; it is told to end before."""
    told_to_end: dict[str, float] = field(default_factory=dict)
    due: dict[str, float] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    stopped: bool = False
    """Whether nothing more starts in this phase."""
    over: bool = False
    """Whether this phase is to end: what runs in it is told to, and nothing is tried again."""
    halted_at: float = inf
    stops: int = 0
    gave_up: bool = False
    phase_ends: float = inf
    went_wrong: bool = False
    finished: bool = False

    def __post_init__(self) -> None:
        self._settle()

    # What it is told

    def starts(self, now: float, step_id: str, attempt: int) -> None:
        self._pass_time(now)
        step = self.plan.step(step_id)
        if attempt == 1:
            assert step_id in [each.id for each in self._startable()], f"{step_id} may not start"
            assert self._busy() < self.plan.max_parallel, f"{step_id} is one too many"
        else:
            assert self.state.get(step_id) == WAITING, f"{step_id} is not to be tried again"
            assert attempt == self.attempts[step_id] + 1 <= step.attempts, f"{step_id} is tried too often"
            assert not self.exact or now == self.due[step_id], f"{step_id} is tried again at the wrong moment"
        self.state[step_id], self.attempts[step_id] = RUNNING, attempt
        self.told_to_end[step_id] = now + step.timeout if step.timeout else inf
        self.ends_by[step_id] = self.told_to_end[step_id] + self.plan.grace

    def ends(self, now: float, step_id: str, *, well: bool) -> None:
        self._pass_time(now)
        step = self.plan.step(step_id)
        assert self.state.get(step_id) == RUNNING, f"{step_id} does not run"
        assert not self.exact or now <= self.ends_by[step_id], f"{step_id} was left running"
        if well and now < self.told_to_end[step_id]:
            self.state[step_id] = DONE
        elif self.attempts[step_id] < step.attempts and not self.over:
            self.state[step_id], self.due[step_id] = WAITING, now + step.delay * 2 ** (self.attempts[step_id] - 1)
        else:
            self._went_bad(step)
        self._settle()

    def asked_to_stop(self, now: float) -> None:
        self._pass_time(now)
        self.stops += 1
        if self.stops > 1:
            self.gave_up = True
            self._end_phase(0)
        elif self.halted_at == inf:
            self._halt(now)
        self._settle()

    def ended(self, now: float, *, well: bool) -> None:
        self._pass_time(now)
        assert self.finished, f"it ended in the middle of {self.phase}: {self.state}"
        assert well is not self.went_wrong, "it says something else than what became of it"

    def finishes(self) -> None:
        """`finally` has run; unless there was no time for it."""
        if not self.gave_up and self.halted_at == inf:
            steps = self.plan.phases[FINALLY]
            can = any(not step.needs and step.when for step in steps)
            assert not can or any(step.id in self.attempts for step in steps), "finally did not run"

    # What follows from it

    def _pass_time(self, now: float) -> None:
        """Nothing that could start has waited, and what is to happen at a certain moment has happened."""
        while self.exact and (moment := min(self.phase_ends, self._times_out())) <= now:
            self._has_not_idled(moment)
            self.now = moment
            if moment == self._times_out():
                self.went_wrong = self.went_wrong or not self.finished
                self._halt(moment)
            else:
                self._end_phase(self.plan.grace / 4)
            self._settle()
        self._has_not_idled(now)
        self.now = now

    def _times_out(self) -> float:
        return self.plan.timeout if self.plan.timeout and self.halted_at == inf and not self.finished else inf

    def _has_not_idled(self, now: float) -> None:
        idle = self._startable() if self._busy() < self.plan.max_parallel else []
        assert not self.exact or now == self.now or not idle, f"{[each.id for each in idle]} could have started"

    def _halt(self, now: float) -> None:
        self.halted_at = now
        if self.phase == TASKS:
            self.went_wrong = True
            self._end_phase(self.plan.grace)
        else:
            self.phase_ends = now + max(self.plan.grace, self._least_for_hooks())

    def _end_phase(self, grace: float) -> None:
        self.phase_ends, self.over, self.stopped = inf, True, True
        for step_id, state in self.state.items():
            if state == RUNNING:
                self.told_to_end[step_id] = min(self.told_to_end[step_id], self.now)
                self.ends_by[step_id] = min(self.ends_by[step_id], self.now + grace)
            elif state == WAITING:
                self._went_bad(self.plan.step(step_id))

    def _went_bad(self, step: PlannedStep) -> None:
        self.state[step.id], self.went_wrong = BAD, True
        self.stopped = self.stopped or step.stops

    def _settle(self) -> None:
        """Decide on the steps that do not start; where a phase has ended by that, on those of the next."""
        while not self.finished:
            while decided := {step.id: state for step in self._ready() if (state := self._passed(step))}:
                self.state |= decided
            if any(self.state.get(each.id) not in {DONE, BAD, SKIPPED} for each in self.plan.phases[self.phase]):
                return
            hooks = ON_FAILURE if self.went_wrong else ON_SUCCESS
            self.finished = self.phase == FINALLY
            self.phase = hooks if self.phase == TASKS else FINALLY
            self.stopped = self.over = self.gave_up
            if self.halted_at < inf and not self.gave_up and not self.finished:
                self.phase_ends = max(self.halted_at + self.plan.grace, self.now + self._least_for_hooks())
        self.phase_ends = inf

    def _ready(self) -> Iterable[PlannedStep]:
        for step in self.plan.phases[self.phase] if not self.finished else ():
            if step.id not in self.state and all(self.state.get(each) in {DONE, BAD, SKIPPED} for each in step.needs):
                yield step

    def _startable(self) -> list[PlannedStep]:
        return [step for step in self._ready() if not self._passed(step)]

    def _passed(self, step: PlannedStep) -> str:
        """What a step comes to without having started; nothing where it is to start."""
        if self.phase == TASKS and self.chosen is not None and step.id not in self.chosen:
            return DONE if step.id in self.past.done_as else SKIPPED
        unmet = not step.when or (step.reads and self.state[step.reads] != DONE)
        if self.phase == TASKS and self.chosen is None and not unmet and self._is_spared(step):
            self.spared.add(step.id)
            return DONE
        return SKIPPED if self.stopped or unmet else ""

    def _is_spared(self, step: PlannedStep) -> bool:
        """Whether it was done before, with the same code and arguments, and all that it needs stands as it did."""
        ran_in = self.past.ran_in
        return self.past.done_as.get(step.id) == self.editions[step.id] and all(
            ran_in[each] <= ran_in[step.id]
            if each in self.spared
            else self.state[each] == SKIPPED and each not in ran_in
            for each in step.needs
        )

    def _least_for_hooks(self) -> float:
        return max(self.plan.grace / 4, 1.0)

    def _busy(self) -> int:
        return sum(state in {RUNNING, WAITING} for state in self.state.values())
