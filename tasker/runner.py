"""One run: its steps in order, each in a process of its own, with retries and timeouts; each change is announced.

It knows no log, page or database: whoever wants to know observes.
"""

from __future__ import annotations

import heapq
import itertools
import os
import selectors
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tasker.attempt import Attempt, Verdict
from tasker.clock import Clock
from tasker.durations import format_duration
from tasker.facts import Event, Fact, Level
from tasker.masking import Masker
from tasker.order import Order, Pass
from tasker.process import Leftovers
from tasker.run import DEFAULT_GRACE_S, Run, Status, StepRun
from tasker.task import Context
from tasker.worker import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from tasker.pipeline import Pipeline, Step
    from tasker.registry import TaskRegistry

_LEFTOVER_POLL_S = 0.05
"""Seconds between looks at what a step that is being ended has left behind: nothing tells when these end."""
_LEVELS = {Event.STEP_FAILED: Level.ERROR, Event.RUN_FAILED: Level.ERROR} | dict.fromkeys(
    (Event.STEP_RETRYING, Event.STEP_SKIPPED, Event.RUN_INTERRUPTED), Level.WARNING
)
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
    resumed_from: str | None = None
    """The id of the run that broke off, and that this one takes up again."""
    late_s: float | None = None
    """Seconds from the slot to the start; `None` where nobody waited for the slot."""


class StopRequest:
    """How the world outside, such as a signal handler, tells a run to stop."""

    def __init__(self) -> None:
        self.signals: list[int] = []
        """The signals that asked for it, in order; the second one no longer waits for the grace period."""
        self.reason = ""
        """Why, in words, where whoever asked first gave them."""
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)

    def request(self, signum: int, reason: str = "") -> None:
        """Ask the run to stop, as a signal does; its error says the reason."""
        self.reason = self.reason or reason
        self.signals.append(signum)
        with suppress(BlockingIOError):  # so many requests that have not been heard are one
            os.write(self._write, b"!")

    def fileno(self) -> int:
        """The descriptor that is readable while a request has not been heard."""
        return self._read

    def hear(self) -> str:
        """Take note of a request; the reason that was given, or the name of its signal."""
        os.read(self._read, 1)
        if self.reason:
            return f"interrupted: {self.reason}"
        return f"interrupted by {signal.Signals(self.signals[-1]).name}"

    def close(self) -> None:
        """Let go of the descriptors."""
        os.close(self._read)
        os.close(self._write)


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
        clock: Clock | None = None,
        grace_s: float = DEFAULT_GRACE_S,
        done: Mapping[str, StepRun] | None = None,
    ) -> None:
        """Take the plan; steps that are `done`, with success, are not done again, and hand on the same."""
        self._pipeline = pipeline
        self._occasion = occasion
        self._tasks = tasks
        self._observers = list(observers)
        self._deaf: Exception | None = None
        """What an observer raised."""
        self._stop = stop
        self._clock = clock or Clock()
        self._grace_s = grace_s
        self._masker = Masker(pipeline.secrets)
        self._order = Order(pipeline, done)
        self._leftovers = Leftovers()
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._timer_numbers = itertools.count()
        self._running: dict[str, Attempt] = {}
        self._waiting: dict[str, StepRun] = {}
        """Steps between two attempts, with what they come to if there is no other."""
        self._first_started: dict[str, float] = {}
        self._halted = ""
        """Why no step goes on: the run was interrupted or timed out."""

    def run(self) -> Run:
        """Run every step that may run; what became of them. A step that fails raises nothing.

        An observer that raises is told nothing more, the run is stopped, and the error raised at the end: what runs
        unobserved would be lost.
        """
        started = self._clock.monotonic()
        self._selector.register(self._stop, selectors.EVENT_READ, self._on_stop)
        if self._pipeline.timeout:
            self._after(self._pipeline.timeout.total_seconds(), self._on_timeout)
        self._announce_start()
        try:
            self._launch()
            while not self._order.finished:
                self._turn()
        finally:
            self._abandon()
        run = self._finish(self._clock.monotonic() - started)
        if self._deaf:
            raise self._deaf
        return run

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
        """Start every step that may start now."""
        while len(self._running) + len(self._waiting) < self._pipeline.max_parallel:
            match self._order.next():
                case None:
                    return
                case Pass() as passed:
                    self._pass(passed)
                case step:
                    self._start(step, 1)

    def _pass(self, passed: Pass) -> None:
        """Let a step be over that does not start."""
        step_run = self._order.passed(passed)
        match passed.status:
            case Status.SUCCEEDED:
                reason = f"it succeeded in run {self._occasion.resumed_from}, which this one resumes"
                self._announce(Event.STEP_SKIPPED, passed.step, reason=reason, **self._handed_on(step_run.outputs))
            case Status.SKIPPED:
                self._announce(Event.STEP_SKIPPED, passed.step, reason=passed.reason)
            case _:
                self._announce(Event.STEP_FAILED, passed.step, error=passed.reason)
        self._order.end(step_run)

    def _handed_on(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """What to tell of outputs; those that a secret was masked in are of no use to another run."""
        if not outputs:
            return {}
        masked = self._masker.mask(dict(outputs)) != outputs
        return {"outputs": dict(outputs), **({"outputs_masked": True} if masked else {})}

    def _start(self, step: Step, number: int) -> None:
        now = self._clock.monotonic()
        self._first_started.setdefault(step.id, now)
        self._announce(Event.STEP_STARTED, step, number)
        try:
            attempt = Attempt(self._job(step, number), now, self._masker.cut)
        except OSError as error:
            self._judge(step, number, Verdict(error=f"no process can be started for it: {error.strerror or error}"))
            return
        self._running[step.id] = attempt
        self._watch(attempt)
        if step.timeout:
            reason = f"it timed out after {format_duration(step.timeout)}"
            self._after(step.timeout.total_seconds(), partial(self._end, attempt, reason))

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
            outputs=self._order.outputs_read(step),
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
            self._tell(self._masker.mask(event), level, attempt.step, attempt.number, details)

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
            told |= self._handed_on(verdict.outputs)
            self._announce(Event.STEP_SUCCEEDED, step, number, duration_s=step_run.duration_s, **told)
            self._order.end(step_run)
            return
        told |= {"error": verdict.error, **({"traceback": verdict.traceback} if verdict.traceback else {})}
        if number < step.retry.attempts and not self._halted:
            self._retry(step, step_run, told)
        else:
            self._announce(Event.STEP_FAILED, step, number, duration_s=step_run.duration_s, **told)
            self._order.end(step_run)

    def _step_run(self, step: Step, number: int, verdict: Verdict, ending: str) -> StepRun:
        interrupted = self._stop.signals and ending and ending == self._halted
        failed = Status.INTERRUPTED if interrupted else Status.FAILED
        return StepRun(
            step=step.id,
            task=step.task,
            status=Status.SUCCEEDED if verdict.error is None else failed,
            attempts=number,
            duration_s=round(self._clock.monotonic() - self._first_started[step.id], 3),
            error=self._masker.mask(verdict.error),
            outputs=verdict.outputs,
        )

    def _retry(self, step: Step, step_run: StepRun, told: dict[str, Any]) -> None:
        delay = step.retry.wait(step_run.attempts).total_seconds()
        self._announce(Event.STEP_RETRYING, step, step_run.attempts, delay_s=delay, **told)
        self._waiting[step.id] = step_run

        def start_again() -> None:
            if self._waiting.pop(step.id, None):
                self._start(step, step_run.attempts + 1)
                self._launch()

        self._after(delay, start_again)

    def _on_stop(self) -> None:
        reason = self._stop.hear()
        if self._halted:
            for attempt in self._running.values():
                self._kill(attempt)
        self._halt(reason)

    def _on_timeout(self) -> None:
        assert self._pipeline.timeout  # noqa: S101 - the timer is set only where there is one
        self._halt(f"the run timed out after {format_duration(self._pipeline.timeout)}")

    def _halt(self, reason: str) -> None:
        """Start nothing more, and end what runs."""
        self._halted = self._halted or reason
        self._order.stop(reason)
        for attempt in self._running.values():
            self._end(attempt, reason)
        for step_id, step_run in list(self._waiting.items()):
            del self._waiting[step_id]
            step, duration_s = self._pipeline.step(step_id), step_run.duration_s
            self._announce(Event.STEP_FAILED, step, step_run.attempts, duration_s=duration_s, error=step_run.error)
            self._order.end(step_run)
        self._launch()

    def _end(self, attempt: Attempt, reason: str) -> None:
        """Ask an attempt to end, and see to it that it does."""
        if attempt.ending or attempt.exit_status is not None:
            return
        attempt.ending = reason
        attempt.kill_at = self._clock.monotonic() + self._grace_s
        attempt.process.signal(signal.SIGTERM)
        self._after(self._grace_s, partial(self._kill, attempt))

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

    def _finish(self, duration_s: float) -> Run:
        steps = tuple(self._order.ended[step.id] for step in self._pipeline.steps)
        status = self._status(steps)
        error = self._halted or next((f"step '{step.step}': {step.error}" for step in steps if _failed(step)), None)
        duration_s = round(duration_s, 3)
        self._announce(_RUN_EVENTS[status], duration_s=duration_s, **({"error": error} if error else {}))
        return Run(
            id=self._occasion.run_id,
            pipeline=self._pipeline.name,
            revision=self._pipeline.revision,
            slot=self._occasion.slot,
            status=status,
            steps=steps,
            duration_s=duration_s,
        )

    def _status(self, steps: tuple[StepRun, ...]) -> Status:
        if self._stop.signals and self._halted:
            return Status.INTERRUPTED
        return Status.FAILED if self._halted or any(map(_failed, steps)) else Status.SUCCEEDED

    def _announce_start(self) -> None:
        occasion = self._occasion
        told = {"resumed_from": occasion.resumed_from, "late_s": occasion.late_s}
        self._announce(
            Event.RUN_STARTED,
            file=self._pipeline.file,
            slot=occasion.slot.isoformat(),
            workspace=str(occasion.workspace),
            **{name: value for name, value in told.items() if value is not None},
        )

    def _announce(self, event: Event, step: Step | None = None, number: int | None = None, /, **details: Any) -> None:
        told = {name: self._masker.mask(detail) for name, detail in details.items()}
        self._tell(event, _LEVELS.get(event, Level.INFO), step, number, told)

    def _tell(
        self, event: str, level: Level, step: Step | None, attempt: int | None, details: Mapping[str, Any]
    ) -> None:
        """Tell every observer; all of it is masked already."""
        fact = Fact(
            event=event,
            at=self._clock.now(),
            pipeline=self._pipeline.name,
            revision=self._pipeline.revision,
            run_id=self._occasion.run_id,
            level=level,
            step=step.id if step else None,
            task=step.task if step else None,
            attempt=attempt,
            details=details,
        )
        for observe in list(self._observers):
            try:
                observe(fact)
            except Exception as error:  # noqa: BLE001 - raised again when the run has been ended in order
                self._observers.remove(observe)
                self._deaf = self._deaf or error
                self._after(0, partial(self._halt, "whoever observes it failed"))


def _failed(step_run: StepRun) -> bool:
    return step_run.status in {Status.FAILED, Status.INTERRUPTED}
