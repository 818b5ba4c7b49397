"""One run, in a process of its own, which this one looks after, while a thread of this one keeps what it tells."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tasker import linux
from tasker.facts import Event
from tasker.journal import Journal
from tasker.running.process import death
from tasker.running.stop import exit_status
from tasker.running.supervision import STOPPING, stopped_by_signals, supervised
from tasker.running.workspace import WorkspaceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tasker.facts import Fact
    from tasker.foreground.manner import Manner
    from tasker.foreground.place import Place
    from tasker.foreground.planned import Planned
    from tasker.foreground.recording import Recording
    from tasker.project import Project

_SIGNALLED = 128
"""An exit status is so much more than the number of the signal that it stands for."""


def run_single(project: Project, planned: Planned, manner: Manner, place: Place | None) -> tuple[int, bool, str]:
    """Carry out one run, kept in a place.

    Answers its exit status, whether the command is to stop, and why the run is not kept where it is not.
    """
    reading, writing = os.pipe()
    process = 0

    def cancel(_run_id: str, reason: str) -> None:
        with suppress(OSError):
            os.write(writing, reason.encode())
        linux.send(process, signal.SIGTERM)

    recording: Recording | None = None

    def on_begun(pid: int) -> None:
        nonlocal process, recording
        process = pid
        if place is not None:
            from tasker.foreground.recording import Recording  # noqa: PLC0415 - beside the run, and not before it

            recording = Recording(place, cancel)
            recording.begun(planned, pid, planned.commit())
            recording.start()

    def body() -> int:
        os.close(writing)
        return manner.guard(lambda: _run(project, planned, manner, place, reading))

    try:
        status, signals = supervised(body, on_begun=on_begun)
        if recording is not None:
            recording.ended(planned.id, death(_SIGNALLED - status if status > _SIGNALLED else status))
            recording.finish()
    finally:
        os.close(reading)
        os.close(writing)
    if not signals and status - _SIGNALLED in STOPPING:
        status = 1  # somebody has ended this run alone
    return status, bool(signals), (recording.error or recording.notice) if recording is not None else ""


def _run(project: Project, planned: Planned, manner: Manner, place: Place | None, reasons: int) -> int:
    """Carry it out in this process, which is its own."""
    with ExitStack() as around:
        stop = around.enter_context(stopped_by_signals(reasons))
        observers: list[Callable[[Fact], None]] = [around.enter_context(manner.audience([planned]))]
        code = None
        if place is not None:
            from tasker.launching.code_files import code_digest  # noqa: PLC0415 - only what is kept needs it

            code = code_digest
            with suppress(OSError):  # the disk may be full: the run matters more than its record
                # First: what is told has been written.
                observers.insert(0, around.enter_context(Journal(place.journal(planned.id), whole=True)).write)
        try:
            return exit_status(project.run(planned.loaded, observers=observers, stop=stop, code=code), stop)
        except WorkspaceError as error:
            if place is not None:
                # For the history; a person is told by what it raises.
                observers[0](planned.end(Event.RUN_FAILED, str(error), datetime.now(UTC)))
            raise
