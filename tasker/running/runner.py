"""One run: its steps in order, each in a process of its own, with retries and timeouts; each change is announced.

What comes next is decided in `course`, and told by `announcer`; here is what takes time.

It knows no log, page or database: whoever wants to know observes.
"""

from __future__ import annotations

import heapq
import itertools
import selectors
import signal
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tasker.durations import format_duration
from tasker.facts import Event, Level
from tasker.masking import Masker
from tasker.pipeline import Phase
from tasker.run import DEFAULT_GRACE_S, Run, Status, StepRun, hooks_end_s, hooks_have_s
from tasker.running.announcer import Announcer
from tasker.running.attempt import Attempt, Verdict
from tasker.running.course import Course
from tasker.running.machine import Machine
from tasker.running.order import Pass
from tasker.running.reuse import Reuse, fingerprint
from tasker.running.worker import Job
from tasker.task import Context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from tasker.facts import Fact
    from tasker.pipeline import Pipeline, Step
    from tasker.references import Known
    from tasker.registry import TaskRegistry
    from tasker.running.chosen import Chosen
    from tasker.running.earlier import Earlier
    from tasker.running.stop import StopRequest
    from tasker.task import Task

_LEFTOVER_POLL_S = 0.05
"""Seconds between looks at what a step that is being ended has left behind: nothing tells when these end."""
_LOG_LEVELS = {str(level): level for level in Level}
_EVENT_NAMES = frozenset(map(str, Event))
_LONGEST_WAIT_S = 3600.0
"""Seconds to wait at once: the kernel takes no more than 24 days, and timeouts may be longer."""
_PACKETS_AT_ONCE = 64
"""Packets taken from one step before others have their turn."""
_RUN_EVENTS = {
    Status.SUCCEEDED: Event.RUN_SUCCEEDED,
    Status.FAILED: Event.RUN_FAILED,
    Status.INTERRUPTED: Event.RUN_INTERRUPTED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """What sets one run of a pipeline apart from another."""

    run_id: str
    slot: datetime
    workspace: Path
    """A folder that is there already, and this run's own."""
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Variables that steps find beside those of the program."""
    earlier: Earlier | None = None
    """The run that this one resumes."""
    chosen: Chosen | None = None
    """The steps to do, where not all are."""
    files_lost: bool = False
    """Whether what the earlier run has left in the workspace is not there any more."""
    late_s: float | None = None
    """Seconds from the slot to the start; `None` where nobody waited for the slot."""
    snapshot: str | None = None
    """The id of what it is read from, where that is kept."""


class Runner:
    """Carries out one pipeline once."""

    def __init__(
        self,
        pipeline: Pipeline,
        occasion: Occasion,
        *,
        tasks: TaskRegistry,
        stop: StopRequest,
        observers: Iterable[Callable[[Fact], None]] = (),
        machine: Machine | None = None,
        grace_s: float = DEFAULT_GRACE_S,
        code: Callable[[type[Task]], str] | None = None,
    ) -> None:
        """Take the plan; `code` answers a digest of a task's code, and is given where somebody records the run."""
        self._pipeline = pipeline
        self._occasion = occasion
        self._tasks = tasks
        self._stop = stop
        self._machine = machine or Machine()
        self._clock = self._machine.clock
        self._grace_s = grace_s
        self._masker = Masker(pipeline.secrets)
        self._announcer = Announcer(
            pipeline,
            occasion.run_id,
            observers,
            clock=self._clock,
            masker=self._masker,
            on_error=lambda: self._after(0, partial(self._halt, Status.FAILED, "whoever observes it failed")),
        )
        self._announce = self._announcer.announce
        self._code = code
        self._fingerprints: dict[str, str] = {}
        self._reuse = Reuse(
            pipeline,
            earlier=occasion.earlier,
            chosen=occasion.chosen,
            lost=occasion.workspace if occasion.files_lost else None,
            fingerprint=self._fingerprint,
            mask=self._masker.mask,
        )
        self._course = Course(pipeline, mask=self._masker.mask, reuse=self._reuse)
        self._leftovers = self._machine.leftovers()
        self._selector = self._machine.selector()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._timer_numbers = itertools.count()
        self._running: dict[str, Attempt] = {}
        self._waiting: dict[str, StepRun] = {}
        """Steps between two attempts, with what they come to if there is no other."""
        self._first_started: dict[str, float] = {}
        self._started = self._clock.monotonic()
        self._stops = 0
        """How often the run was asked to stop."""
        self._halted = ""
        """Why the run is to end before its time: it was interrupted or timed out."""
        self._grace_ends = 0.0
        """When the grace period is over that began then, in monotonic seconds."""
        self._phase_ended: tuple[Status, str] | None = None
        """What the steps of this phase that are ended come to, and why."""

    def run(self) -> Run:
        """Run every step that may run; what became of them. A step that fails raises nothing.

        An observer that raises is told nothing more, the run is stopped, and the error raised at the end: what runs
        unobserved would be lost.
        """
        self._started = self._clock.monotonic()
        self._selector.register(self._stop, selectors.EVENT_READ, self._on_stop)
        if self._pipeline.timeout:
            self._after(self._pipeline.timeout.total_seconds(), self._on_timeout)
        self._announce_start()
        try:
            self._launch()
            self._look_at_code()
            while not self._course.finished:
                self._turn()
        finally:
            self._abandon()
        run = self._finish()
        if self._announcer.error:
            raise self._announcer.error
        return run

    @property
    def _duration_s(self) -> float:
        return round(self._clock.monotonic() - self._started, 3)

    def _turn(self) -> None:
        """Wait for the next thing to happen, and act on it."""
        wait = self._timers[0][0] - self._clock.monotonic() if self._timers else _LONGEST_WAIT_S
        happened = [key for key, _ in self._selector.select(min(max(0.0, wait), _LONGEST_WAIT_S))]
        # A request to stop goes first: who signals a whole group has ended steps by it that must not be tried again.
        for key in sorted(happened, key=lambda key: key.fileobj is not self._stop):
            key.data()
        while self._timers and self._timers[0][0] <= self._clock.monotonic():
            heapq.heappop(self._timers)[2]()

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (self._clock.monotonic() + seconds, next(self._timer_numbers), action))

    def _launch(self) -> None:
        """Start every step that may start now; where a phase has ended, those of the next one."""
        while len(self._running) + len(self._waiting) < self._pipeline.max_parallel:
            match self._course.next():
                case None:
                    if not self._course.phase_ended or not self._proceed():
                        return
                case Pass() as passed:
                    self._pass(passed)
                case step:
                    self._start(step, 1)

    def _proceed(self) -> bool:
        """Go on to the next phase; whether there is one."""
        self._phase_ended = None
        more = self._course.proceed(self._duration_s)
        if more and self._halted:
            self._limit_hooks()
        return more

    def _pass(self, passed: Pass) -> None:
        """Let a step be over that does not start."""
        step_run = self._course.passed(passed)
        if passed.status is Status.FAILED:
            self._announce(Event.STEP_FAILED, passed.step, error=passed.reason)
        else:
            told = self._announcer.handed_on(step_run.outputs) if passed.status is Status.SUCCEEDED else {}
            level = Level.INFO if passed.wanted else Level.WARNING
            self._announce(Event.STEP_SKIPPED, passed.step, None, level, reason=passed.reason, **told)
        self._course.end(step_run)

    def _start(self, step: Step, number: int) -> None:
        now = self._clock.monotonic()
        self._first_started.setdefault(step.id, now)
        again = self._reuse.again.get(step.id)
        self._announce(Event.STEP_STARTED, step, number, **({"again": again} if again and number == 1 else {}))
        try:
            job = self._job(step, number)
            attempt = Attempt(job, self._machine.process(job), now, self._masker.cut)
        except OSError as error:
            self._judge(step, number, Verdict(error=f"no process can be started for it: {error.strerror or error}"))
            return
        self._running[step.id] = attempt
        self._watch(attempt)
        if step.id not in self._fingerprints and self._course.phase is Phase.TASKS:
            self._fingerprints[step.id] = self._fingerprint(step, self._course.known(step))
        if step.timeout:
            reason = f"it timed out after {format_duration(step.timeout)}"
            self._after(step.timeout.total_seconds(), partial(self._end, attempt, reason, self._grace_s))

    def _watch(self, attempt: Attempt) -> None:
        """Have what the attempt does acted on."""
        process = attempt.process
        self._selector.register(process.pidfd, selectors.EVENT_READ, partial(self._on_exit, attempt))
        self._selector.register(process.messages, selectors.EVENT_READ, partial(self._on_messages, attempt))
        for descriptor in attempt.streams:
            self._selector.register(descriptor, selectors.EVENT_READ, partial(self._on_output, attempt, descriptor))

    def _job(self, step: Step, number: int) -> Job:
        context = Context(
            run_id=self._occasion.run_id,
            pipeline=self._pipeline.name,
            step=step.id,
            attempt=number,
            slot=self._occasion.slot,
            workspace=self._occasion.workspace,
            params=self._pipeline.params,
        )
        return Job(
            step=step,
            task=self._tasks.get(step.task),
            context=context,
            known=self._course.known(step),
            environment={**self._occasion.environment, "TASKER_STEP": step.id, "TASKER_ATTEMPT": str(number)},
            masker=self._masker,
        )

    def _on_messages(self, attempt: Attempt) -> None:
        if attempt.closed:
            return
        self._announce_logged(attempt, _PACKETS_AT_ONCE)
        if attempt.process.messages.ended:
            self._selector.unregister(attempt.process.messages)

    def _announce_logged(self, attempt: Attempt, packets: int | None = None) -> None:
        for log in attempt.logged(packets):
            level = _LOG_LEVELS.get(str(log.get("level")), Level.ERROR)
            words, facts = str(log.get("event", "")), log.get("facts")
            # A task's words are never taken for an event of the run's own.
            event = f"{words}_" if words in _EVENT_NAMES else words
            details = self._masker.mask(facts if isinstance(facts, dict) else {})
            self._announcer.tell(self._masker.mask(event), level, attempt.step, attempt.number, details)

    def _on_output(self, attempt: Attempt, descriptor: int) -> None:
        if attempt.closed:
            return
        lines, ended = attempt.read(descriptor)
        self._announce_output(attempt, descriptor, lines)
        if ended:
            self._selector.unregister(descriptor)

    def _announce_output(self, attempt: Attempt, descriptor: int, lines: list[str]) -> None:
        for line in lines:
            stream = attempt.streams[descriptor]
            self._announce(Event.STEP_OUTPUT, attempt.step, attempt.number, line=line, stream=stream)

    def _on_exit(self, attempt: Attempt) -> None:
        self._selector.unregister(attempt.process.pidfd)
        attempt.exit_status = attempt.process.exit_status()
        self._settle(attempt)

    def _settle(self, attempt: Attempt) -> None:
        """End what the attempt left behind, at once or when its grace is over, and judge it."""
        waits = attempt.ending and self._clock.monotonic() < attempt.kill_at
        if waits and self._leftovers.claim(self._processes(), attempt.process.pid):
            self._after(_LEFTOVER_POLL_S, partial(self._settle, attempt))
            return
        killed = self._leftovers.kill(self._processes(), attempt.process.pid)
        self._hear_out(attempt)
        attempt.close()
        del self._running[attempt.step.id]
        self._judge(attempt.step, attempt.number, attempt.verdict(), ending=attempt.ending, killed=killed)
        self._launch()

    def _hear_out(self, attempt: Attempt) -> None:
        """Announce what there still is of an attempt whose processes have all ended."""
        self._announce_logged(attempt)
        registered = self._selector.get_map()
        for descriptor in attempt.streams:
            if descriptor in registered:
                self._announce_output(attempt, descriptor, attempt.read_rest(descriptor))
                self._selector.unregister(descriptor)
        if attempt.process.messages in registered:
            self._selector.unregister(attempt.process.messages)

    def _processes(self) -> set[int]:
        return {attempt.process.pid for attempt in self._running.values()}

    def _judge(self, step: Step, number: int, verdict: Verdict, *, ending: str = "", killed: int = 0) -> None:
        told: dict[str, Any] = {"leftover_processes": killed} if killed else {}
        step_run = self._step_run(step, number, verdict, ending)
        if verdict.error is None:
            told |= {"fingerprint": step_run.fingerprint} if step_run.fingerprint else {}
            told |= self._announcer.handed_on(verdict.outputs)
            self._announce(Event.STEP_SUCCEEDED, step, number, duration_s=step_run.duration_s, **told)
            self._course.end(step_run)
            return
        told |= {"error": verdict.error, **({"traceback": verdict.traceback} if verdict.traceback else {})}
        told |= {"interrupted": True} if step_run.status is Status.INTERRUPTED else {}
        if number < step.retry.attempts and not self._phase_ended:
            self._retry(step, step_run, told)
        else:
            self._announce(Event.STEP_FAILED, step, number, duration_s=step_run.duration_s, **told)
            self._course.end(step_run)

    def _step_run(self, step: Step, number: int, verdict: Verdict, ending: str) -> StepRun:
        status, reason = self._phase_ended or (Status.FAILED, "")
        failed = status if ending and ending == reason else Status.FAILED
        return StepRun(
            step=step.id,
            task=step.task,
            status=Status.SUCCEEDED if verdict.error is None else failed,
            attempts=number,
            duration_s=round(self._clock.monotonic() - self._first_started[step.id], 3),
            error=self._masker.mask(verdict.error),
            outputs=verdict.outputs,
            fingerprint=self._fingerprints.get(step.id, ""),
        )

    def _look_at_code(self) -> None:
        """Have digests of all code made now: it was imported just before, and steps may come up hours later."""
        if self._code is not None:
            for step in self._pipeline.steps:
                self._code(self._tasks.get(step.task))

    def _fingerprint(self, step: Step, known: Known) -> str:
        """A digest of what the step's outcome depends on; empty where nobody would compare it."""
        code = self._code(self._tasks.get(step.task)) if self._code is not None else ""
        return fingerprint(step, code, known, self._masker.mask, self._occasion.slot) if code else ""

    def _retry(self, step: Step, step_run: StepRun, told: dict[str, Any]) -> None:
        delay = step.retry.wait(step_run.attempts).total_seconds()
        self._announce(Event.STEP_RETRYING, step, step_run.attempts, delay_s=delay, **told)
        self._waiting[step.id] = step_run

        def start_again() -> None:
            if self._waiting.pop(step.id, None):
                self._start(step, step_run.attempts + 1)
                self._launch()

        self._after(delay, start_again)

    # Ending before the time

    def _on_stop(self) -> None:
        reason = self._stop.hear()
        self._stops += 1
        if self._stops == 1:
            self._halt(Status.INTERRUPTED, reason)
        else:
            self._give_up("the run was asked twice to stop")

    def _on_timeout(self) -> None:
        assert self._pipeline.timeout  # noqa: S101 - the timer is set only where there is one
        self._halt(Status.FAILED, f"the run timed out after {format_duration(self._pipeline.timeout)}")

    def _halt(self, status: Status, reason: str) -> None:
        """End the steps that run, and start no others; hooks have the grace period."""
        if self._halted:
            return
        self._halted = reason
        self._grace_ends = self._clock.monotonic() + self._grace_s
        self._course.halt(status, reason)
        if self._course.phase is Phase.TASKS:
            self._end_phase(status, reason, self._grace_s)
        else:
            self._limit_hooks()

    def _limit_hooks(self) -> None:
        """Let the hooks of this phase have what is left of the grace period, and a fair part of it in any case."""
        phase, now = self._course.phase, self._clock.monotonic()
        reason = f"its grace period was over: {self._halted}"

        def end_hooks() -> None:
            if self._course.phase is phase:
                status = Status.INTERRUPTED if self._stops else Status.FAILED
                self._end_phase(status, reason, hooks_end_s(self._grace_s))

        self._after(max(self._grace_ends - now, hooks_have_s(self._grace_s)), end_hooks)

    def _give_up(self, reason: str) -> None:
        """End everything at once."""
        self._course.give_up(reason)
        self._end_phase(Status.INTERRUPTED, reason, 0)

    def _end_phase(self, status: Status, reason: str, grace_s: float) -> None:
        """End the steps of this phase, and start no others of it; what then runs on is killed after `grace_s`."""
        self._phase_ended = self._phase_ended or (status, reason)
        self._course.stop(reason)
        for attempt in self._running.values():
            self._end(attempt, reason, grace_s)
        for step_id, step_run in list(self._waiting.items()):
            del self._waiting[step_id]
            step, duration_s = self._pipeline.step(step_id), step_run.duration_s
            self._announce(Event.STEP_FAILED, step, step_run.attempts, duration_s=duration_s, error=step_run.error)
            self._course.end(step_run)
        self._launch()

    def _end(self, attempt: Attempt, reason: str, grace_s: float) -> None:
        """Ask an attempt to end, and see to it that it does; who was asked before may get less time than then."""
        kill_at = self._clock.monotonic() + grace_s
        if attempt.closed or (attempt.ending and attempt.kill_at <= kill_at):
            return
        attempt.kill_at = kill_at
        if not attempt.ending:
            attempt.ending = reason
            attempt.process.signal(signal.SIGTERM)
        self._after(grace_s, partial(self._kill, attempt))

    def _kill(self, attempt: Attempt) -> None:
        attempt.kill_at = self._clock.monotonic()
        if attempt.exit_status is None:
            attempt.process.signal(signal.SIGKILL)

    def _abandon(self) -> None:
        """Leave nothing running, whatever happened to the runner itself."""
        for attempt in self._running.values():
            self._kill(attempt)
            attempt.close()
        self._leftovers.kill(set())
        self._selector.close()

    def _finish(self) -> Run:
        standing, duration_s = self._course.standing, self._duration_s
        told = {"error": standing.error} if standing.error else {}
        told |= self._told_of_workspace(standing.status)
        self._announce(_RUN_EVENTS[standing.status], duration_s=duration_s, **told)
        ended = self._course.ended
        return Run(
            id=self._occasion.run_id,
            pipeline=self._pipeline.name,
            revision=self._pipeline.revision,
            slot=self._occasion.slot,
            status=standing.status,
            steps=tuple(
                ended[step.id] for steps in self._pipeline.phases.values() for step in steps if step.id in ended
            ),
            duration_s=duration_s,
        )

    def _told_of_workspace(self, status: Status) -> Mapping[str, str]:
        """How long the workspace is kept, of a run that ended badly: for whoever wants to look into it."""
        keeping = self._pipeline.workspace
        until = keeping.until(self._clock.now()) if status.is_bad and keeping.keeps(bad=True) else None
        return {"workspace_kept_until": until.isoformat()} if until is not None else {}

    def _announce_start(self) -> None:
        occasion = self._occasion
        resumed_from = occasion.earlier.run_id if occasion.earlier else None
        chosen = str(occasion.chosen) if occasion.chosen else None
        told = {
            "resumed_from": resumed_from,
            "workspace_lost": occasion.files_lost or None,
            "chosen": chosen,
            "late_s": occasion.late_s,
            "snapshot": occasion.snapshot,
        }
        self._announce(
            Event.RUN_STARTED,
            file=self._pipeline.file,
            slot=occasion.slot.isoformat(),
            workspace=str(occasion.workspace),
            **{name: value for name, value in told.items() if value is not None},
        )
