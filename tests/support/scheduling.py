"""A simulated daemon around a `Scheduler`: history, runs and clock, and what must hold at every step.

Operations on the history are queued and carried out in order, answers to claims are delivered whenever the test says,
and a crash loses what was not carried out: as it is with the real one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from tasker.pipeline import Overlap, Schedule
from tasker.run import Outcome, Slot
from tasker.scheduling.scheduler import MOST_QUEUED, ON_TIME, Claim, Decision, Scheduler, Settle, Start, Stop
from tasker.scheduling.timetable import Timetable

INSTANT = timedelta(microseconds=1)


def wakes_at(scheduler: Scheduler, names: Iterable[str] = ("crm",)) -> datetime | None:
    """The next moment at which `tick` has something to decide: a slot comes, or one that waits may start."""
    moments = (scheduler.turns_at, *map(scheduler.upcoming, names))
    return min((each for each in moments if each is not None), default=None)


@dataclass
class Row:
    """What the history knows of a slot."""

    outcome: Outcome
    mine: bool = True
    begun: bool = False
    """Its run has begun."""
    ended: bool = False


@dataclass
class History:
    """What outlives a crash."""

    rows: dict[Slot, Row] = field(default_factory=dict)
    schedules: dict[str, tuple[Schedule, datetime, int]] = field(default_factory=dict)
    """What was scheduled last, since when, and the number of the edit that asked for it."""
    numbers: set[int] = field(default_factory=set)
    """Of the edits that it knows of."""

    def since(self, name: str) -> datetime:
        """The moment up to which a pipeline's slots were decided on."""
        mine = [slot.at for slot, row in self.rows.items() if row.mine and slot.pipeline == name]
        return max([self.schedules[name][1], *mine])


class World:
    """Carries out what a scheduler decides, and checks each decision."""

    def __init__(self, now: datetime, most_at_once: int) -> None:
        self.now = now
        self.most_at_once = most_at_once
        self.rewound = False
        """Whether slots may come later than others that the history knows of."""
        self.history = History()
        self.wanted: dict[str, Schedule] = {}
        """What the conf files ask for."""
        self.owed: dict[Slot, int] = {}
        """Every slot that was in a timetable when its moment came, and the number of the edit that asks for it."""
        self.edits = 0
        self.edit: dict[str, int] = {}
        self.covered: dict[str, datetime] = {}
        """The moment up to which `owed` has a pipeline's slots."""
        self._begin()

    def _begin(self) -> None:
        self.scheduler = Scheduler(self.most_at_once)
        self.operations: deque[Callable[[], object]] = deque()
        self.answers: list[tuple[Slot, bool]] = []
        self.unanswered: set[Slot] = set()
        self.held: dict[Slot, datetime | None] = {}
        """Slots that wait, from their claim to their end, and their deadlines."""
        self.running: set[Slot] = set()
        self.stopped: set[Slot] = set()
        self.schedules: dict[str, Schedule] = {}
        """By which each pipeline was scheduled last."""
        self.before: dict[str, Schedule] = {}
        """What is being replaced at this very moment."""

    # What happens to it

    def advance(self, to: datetime) -> None:
        """Let time go on, without a tick."""
        self.now = max(self.now, to)

    def set_back(self, to: datetime) -> None:
        self.now = min(self.now, to)
        self.rewound = True
        for name in self.covered:
            self.covered[name] = min(self.covered[name], self.now)
        self.scheduler.rewind(self.now)
        self._check_counts()

    def tick(self) -> None:
        for name in self.wanted:
            self._owe(name)
        self._ask(lambda: self.scheduler.tick(self.now))
        moment = wakes_at(self.scheduler, self.wanted)
        assert moment is None or moment > self.now, "it would wake again and again"

    def put(self, name: str, schedule: Schedule) -> None:
        self._owe(name)
        if name in self.wanted:
            self.before[name] = self.wanted[name]
        if self.wanted.get(name) != schedule:
            self.edits += 1
            self.edit[name] = self.edits
        self.wanted[name] = self.schedules[name] = schedule
        self.covered[name] = self.now
        self._ask(lambda: self.scheduler.put(name, schedule, self.now))
        self.before.clear()
        # After the claims of what its last schedule still asked for, so that a crash loses none of them.
        self.operations.append(partial(self._keep, name, schedule, self.now, self.edit[name]))

    def _keep(self, name: str, schedule: Schedule, since: datetime, number: int) -> None:
        if number not in self.history.numbers:
            self.history.schedules[name] = (schedule, since, number)
            self.history.numbers.add(number)

    def remove(self, name: str) -> None:
        self._owe(name)
        self._ask(lambda: self.scheduler.remove(name, "it is gone", self.now))
        if self.wanted.pop(name, None):
            self.covered.pop(name)
            self.operations.append(partial(self.history.schedules.pop, name, None))

    def work(self, count: int = 1) -> None:
        """Let the history carry out so many operations."""
        for _ in range(min(count, len(self.operations))):
            self.operations.popleft()()

    def answer(self, index: int, *, busy: bool = False) -> None:
        """Deliver the answer to a claim that was carried out."""
        slot, won = self.answers.pop(index)
        self.unanswered.discard(slot)
        if not won:
            self.held.pop(slot, None)
        self._ask(lambda: self.scheduler.claimed(slot, self.now, won=won, busy=busy))

    def end(self, slot: Slot) -> None:
        self.running.discard(slot)
        self.stopped.discard(slot)
        self.history.rows[slot].ended = True
        self._ask(lambda: self.scheduler.ended(slot, self.now))

    def intrude(self, slot: Slot) -> None:
        """Another daemon claims a slot, and those before it, first."""
        for each in (*self.owed, slot):
            if each.pipeline == slot.pipeline:
                self.history.rows.setdefault(each, Row(Outcome.RAN, mine=False))

    def restart(self, *, resume: bool) -> None:
        """Crash, and begin again with what the history knows."""
        self._begin()
        for name in [name for name in self.wanted if name not in self.history.schedules]:
            del self.wanted[name]
            del self.covered[name]
        known = self.history.numbers
        self.owed = {slot: edit for slot, edit in self.owed.items() if slot in self.history.rows or edit in known}
        for name, (schedule, _, number) in self.history.schedules.items():
            self.wanted[name] = self.schedules[name] = schedule
            self.edit[name] = number
            since = self.history.since(name)
            if self.rewound:
                self._forgive(name, since)
            self.covered[name] = min(since, self.now)
            self._owe(name)
            self._ask(partial(self.scheduler.put, name, schedule, self.now, since))
        self.rewound = any(self.history.since(name) > self.now for name in self.wanted)
        for slot in sorted(self.history.rows):
            self._restore(slot, self.history.rows[slot], resume=resume)

    def _forgive(self, name: str, since: datetime) -> None:
        """The history does not know that the clock was set back: a claim that was under way then is lost with it.

        What was claimed in the time to come, and lost, comes again.
        """
        lost = [slot for slot in self.owed if slot.pipeline == name and slot not in self.history.rows]
        for slot in lost:
            if slot.at <= since or slot.at > self.now:
                del self.owed[slot]

    def _restore(self, slot: Slot, row: Row, *, resume: bool) -> None:
        if not row.mine or row.ended or row.outcome not in {Outcome.WAITING, Outcome.RAN}:
            return
        if slot.pipeline not in self.wanted or (row.begun and not resume):
            row.ended = True
            row.outcome = Outcome.RAN if row.begun else Outcome.SKIPPED
            return
        deadline = self.schedules[slot.pipeline].deadline
        self.held[slot] = slot.at + deadline if deadline is not None and not row.begun else None
        self._ask(lambda: self.scheduler.restore(slot, self.now, begun=row.begun))

    def _owe(self, name: str) -> None:
        """Its slots up to now are to come to something."""
        if name not in self.wanted:
            return
        after, self.covered[name] = self.covered[name], max(self.covered[name], self.now)
        backlog = Timetable.of(self.wanted[name]).between(after, self.now)
        assert backlog.before is None, "the test goes too far at once"
        for at in backlog.slots:
            self.owed.setdefault(Slot(name, at), self.edit[name])

    # What it is told to do

    def _ask(self, question: Callable[[], list[Decision]]) -> None:
        """Carry out what the scheduler answers; a tick right after it has nothing to add unless it wakes for that."""
        self._carry_out(question())
        moment = wakes_at(self.scheduler, self.wanted)
        if moment is None or moment > self.now:
            told = self.scheduler.tick(self.now)
            assert told == [], "it had something to decide, and would not have woken for it"
        self._check_counts()

    def _check_counts(self) -> None:
        assert self.scheduler.running == len(self.running) <= self.most_at_once
        assert self.scheduler.waiting == len(self.held), (self.scheduler.waiting, self.held)

    def _carry_out(self, decisions: Iterable[Decision]) -> None:
        for decision in decisions:
            match decision:
                case Claim():
                    self._claim(decision)
                case Settle():
                    self._settle(decision)
                case Start():
                    self._start(decision.slot)
                case Stop():
                    self._stop(decision.slot)

    def _claim(self, claim: Claim) -> None:
        slot = claim.slot
        assert slot.at.tzinfo is UTC
        assert slot.at <= self.now, "it is not due yet"
        assert slot in self.owed
        schedule = self.before.get(slot.pipeline, self.schedules[slot.pipeline])
        late = self.now - slot.at
        active = [each for each in (*self.held, *self.running) if each.pipeline == slot.pipeline]
        match claim.outcome:
            case Outcome.WAITING:
                assert slot not in self.held
                assert slot not in self.unanswered
                assert slot not in self.running
                assert schedule.deadline is None or late <= schedule.deadline
                self.unanswered.add(slot)
                self.held[slot] = slot.at + schedule.deadline if schedule.deadline is not None else None
            case Outcome.SKIPPED:
                assert active
                assert schedule.overlap is Overlap.SKIP or len(active) >= MOST_QUEUED
            case Outcome.MISSED:
                too_late = schedule.deadline is not None and late > schedule.deadline
                assert too_late or late >= ON_TIME or claim.reason.startswith("nothing was running")
            case _:
                raise AssertionError(claim)
        self.operations.append(lambda: self._record(claim))

    def _record(self, claim: Claim) -> None:
        won = claim.slot not in self.history.rows
        if won:
            self.history.rows[claim.slot] = Row(claim.outcome)
        if claim.outcome is Outcome.WAITING:
            self.answers.append((claim.slot, won))

    def _settle(self, settle: Settle) -> None:
        slot = settle.slot
        assert slot not in self.unanswered, "it is not known whether the slot is ours"
        deadline = self.held.pop(slot)
        match settle.outcome:
            case Outcome.MISSED:
                assert deadline is not None
                assert self.now > deadline
            case Outcome.SUPERSEDED:
                assert Overlap.REPLACE in self._overlaps(slot.pipeline)
                assert any(each.pipeline == slot.pipeline and each > slot for each in self.owed)
            case Outcome.SKIPPED:
                pass
            case _:
                raise AssertionError(settle)
        self.operations.append(lambda: self._decide(settle))

    def _decide(self, settle: Settle) -> None:
        row = self.history.rows[settle.slot]
        assert row.mine
        assert not row.ended
        assert row.begun or row.outcome is Outcome.WAITING
        row.ended = True
        if not row.begun:
            row.outcome = settle.outcome

    def _start(self, slot: Slot) -> None:
        deadline = self.held.pop(slot)
        row = self.history.rows[slot]
        assert row.mine
        assert not row.ended
        assert slot not in self.running
        assert slot not in self.unanswered, "nothing starts before it is claimed"
        assert deadline is None or self.now <= deadline
        assert len(self.running) < self.most_at_once
        mine = [each for each in self.running if each.pipeline == slot.pipeline]
        assert not mine or self.schedules[slot.pipeline].overlap is Overlap.ALLOW
        assert not [each for each in self.held if each.pipeline == slot.pipeline and each < slot], "out of order"
        self.running.add(slot)
        row.begun, row.outcome = True, Outcome.RAN

    def _stop(self, slot: Slot) -> None:
        assert slot in self.running
        assert slot not in self.stopped, "it was asked to stop before"
        assert self.schedules[slot.pipeline].overlap is Overlap.REPLACE
        self.stopped.add(slot)

    def _overlaps(self, name: str) -> set[Overlap]:
        return {by[name].overlap for by in (self.before, self.schedules) if name in by}

    # What it comes to

    def come_to_rest(self) -> None:
        """Answer everything, end everything, and let time go on: then nothing may be stuck."""
        while self.operations or self.answers or self.running or self.held:
            self.work(len(self.operations))
            if self.answers:
                self.answer(0)
            elif self.running:
                self.end(min(self.running))
            elif self.held:
                moment = wakes_at(self.scheduler, self.wanted)
                assert moment is not None, f"stuck: {self.held}"
                self.advance(moment)
                self.tick()
        for slot in self.owed:
            row = self.history.rows.get(slot)
            assert row is not None, f"{slot} of {slot.pipeline} is lost"
            assert row.outcome is not Outcome.WAITING
        assert {slot for slot, row in self.history.rows.items() if row.mine} <= set(self.owed)
