"""Several runs at a time, below a launcher, as the daemon has them: the instances of a file."""

from __future__ import annotations

import selectors
import signal
from collections import deque
from contextlib import closing
from typing import TYPE_CHECKING

from tasker.clock import Clock
from tasker.facts import Event, config_invalid
from tasker.foreground.recording import Recording
from tasker.launching.generation import Generation
from tasker.launching.messages import Gone, Lost, Refused, RunBegan, RunEnded, RunOrder, Told
from tasker.run import Status
from tasker.running.channel import TooLargeError
from tasker.running.process import death

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tasker.facts import Fact
    from tasker.foreground.place import Place
    from tasker.foreground.planned import Planned
    from tasker.launching.messages import Message
    from tasker.running.stop import StopRequest
    from tasker.settings import Settings

_LOOK_S = 0.5
"""Seconds between two looks after the launcher, and for runs that are to be cancelled."""
_SIGNALLED = 128
"""An exit status is so much more than the number of the signal that it stands for."""
_NEVER_BEGUN = {
    Status.FAILED: (Event.RUN_FAILED, "it never began"),
    Status.INTERRUPTED: (Event.RUN_INTERRUPTED, "interrupted before it began"),
}
"""How the end of a run is told that has not begun."""


class Several:
    """Carries out runs, some at a time."""

    def __init__(
        self, settings: Settings, runs: Sequence[Planned], observe: Callable[[Fact], None], place: Place | None
    ) -> None:
        """Take the runs, who is told what happens in them, and where they are kept."""
        self._settings = settings
        self._clock = Clock()
        self._runs = {run.id: run for run in runs}
        self._waiting = deque(self._runs)
        """The ids of those that have not begun."""
        self._most = min(run.pipeline.max_parallel for run in runs)
        self._observe = observe
        self._place = place
        self._commit = runs[0].commit() if place is not None else None
        self._statuses: dict[str, int] = {}
        """The exit statuses of those that have ended."""
        self._running: set[str] = set()
        self._ending = False
        """Whether no others are to start."""
        self._retired = False
        """Whether the launcher is to end with what it has."""
        self._gone = False
        self._unheard: Exception | None = None
        """What was raised by who is told: nobody hears any more."""
        self._recording: Recording | None = None
        self._to_cancel: deque[tuple[str, str]] = deque()
        """Runs that somebody wants ended, with the reasons: from another thread."""

    @property
    def unkept(self) -> str:
        """Why the runs are not kept, where they are not."""
        return (self._recording.error or self._recording.notice) if self._recording is not None else ""

    def run(self, stop: StopRequest) -> int:
        """Run all of them, or until they are stopped; the highest exit status.

        Raises at the end what whoever is told has raised: then all of them are stopped.
        """
        if self._place is not None:
            self._recording = Recording(self._place, lambda run_id, reason: self._to_cancel.append((run_id, reason)))
            # From the start: a command that is killed leaves those behind, too, that have not begun.
            self._recording.planned(self._runs.values())
            self._recording.start()
        try:
            self._carry_out(stop)
        finally:
            if self._recording is not None:
                self._recording.finish()
        if self._unheard is not None:
            raise self._unheard
        return _SIGNALLED + stop.signals[0] if stop.signals else max(self._statuses.values(), default=1)

    def _carry_out(self, stop: StopRequest) -> None:
        self._generation = Generation(1, self._settings)
        with closing(self._generation), selectors.DefaultSelector() as selector:
            selector.register(self._generation, selectors.EVENT_READ, self._receive)
            selector.register(stop, selectors.EVENT_READ, lambda: self._on_stop(stop))
            self._start_some()
            while not self._gone:
                for key, _ in selector.select(_LOOK_S):
                    key.data()
                while self._to_cancel:
                    self._cancel(*self._to_cancel.popleft())
                self._generation.mind()

    def _receive(self) -> None:
        for message in self._generation.receive():
            self._hear(message)
        self._start_some()

    def _start_some(self) -> None:
        """Start as many as there may be at a time; once none is left, there is nothing more to come."""
        while self._waiting and not self._ending and len(self._running) < self._most:
            self._order(self._runs[self._waiting.popleft()])
        if not self._running and (self._ending or not self._waiting) and not self._retired:
            self._retired = True
            self._generation.retire()

    def _order(self, planned: Planned) -> None:
        occasion = planned.loaded.occasion
        order = RunOrder(
            run_id=planned.id,
            snapshot=planned.snapshot,
            slot=occasion.slot,
            instance=planned.loaded.instance,
            overrides=planned.overrides,
            journal=self._place.journal(planned.id) if self._place is not None else None,
            foreground=True,
            earlier=occasion.earlier,
            chosen=occasion.chosen,
        )
        self._running.add(planned.id)
        try:
            self._generation.run(order)
        except TooLargeError as error:
            words = f"what its steps had handed on comes to {error} bytes, too much to go on with"
            self._on_end(planned.id, 1, words)

    # What is heard

    def _hear(self, message: Message) -> None:
        match message:
            case RunBegan():
                if self._recording is not None:
                    self._recording.begun(self._runs[message.run_id], message.pid, self._commit)
            case Told():
                self._tell(message.fact)
            case RunEnded():
                self._on_end(message.run_id, message.status, message.error)
            case Refused():
                for fault in message.faults:
                    self._tell(config_invalid(fault, self._clock.now(), run_id_=message.run_id))
                self._on_end(message.run_id, 1, f"the file is not valid now: {message.faults[0]}")
            case Lost():
                self._leave_out(f"the program that it was to run under has ended: {death(message.status)}")
            case Gone():
                self._gone = True

    def _on_end(self, run_id: str, status: int, error: str | None) -> None:
        """A run's process is gone, or there is none to be had; `error` is what it could not say itself."""
        self._running.discard(run_id)
        self._statuses[run_id] = int(status != 0 or error is not None)
        if error is not None:
            self._tell(self._runs[run_id].end(Event.RUN_FAILED, error, self._clock.now()))
        if self._recording is not None:
            self._recording.ended(run_id, error or death(status))

    def _never_begins(self, run_id: str, status: Status, reason: str) -> None:
        """A run that waits is left out, as one that failed or was interrupted."""
        event, words = _NEVER_BEGUN[status]
        error = f"{words}: {reason}"
        self._statuses[run_id] = 1
        self._tell(self._runs[run_id].end(event, error, self._clock.now()))
        if self._recording is not None:
            self._recording.ended(run_id, error, status)

    def _tell(self, fact: Fact) -> None:
        """Tell who listens; where that fails, stop all: what runs unobserved would be lost."""
        if self._unheard is not None:
            return
        try:
            self._observe(fact)
        except Exception as error:  # noqa: BLE001 - the runs are ended in order, and this raised again at the end
            self._unheard = error
            self._stop("whoever observes them failed")

    # The end

    def _on_stop(self, stop: StopRequest) -> None:
        stop.hear()
        if self._ending:
            for run_id in self._running:
                self._generation.kill(run_id)
        else:
            self._stop(f"stopped by {signal.Signals(stop.signals[-1]).name}")

    def _stop(self, reason: str) -> None:
        """Stop all of them in order, and start no others."""
        self._leave_out(reason, Status.INTERRUPTED)
        for run_id in list(self._running):
            self._generation.stop(run_id, reason)
        self._start_some()

    def _leave_out(self, reason: str, status: Status = Status.FAILED) -> None:
        """Start no others."""
        self._ending = True
        while self._waiting:
            self._never_begins(self._waiting.popleft(), status, reason)

    def _cancel(self, run_id: str, reason: str) -> None:
        """End one run, and go on with the others."""
        if run_id in self._waiting:
            self._waiting.remove(run_id)
            self._never_begins(run_id, Status.INTERRUPTED, reason)
            self._start_some()
        else:
            self._generation.stop(run_id, reason)
