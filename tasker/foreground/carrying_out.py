"""Runs carried out in the foreground, one file after the other, told and kept as a command wants it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING

from tasker.facts import Event, Fact, Level
from tasker.run import Status
from tasker.running.workspace import prune

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasker.foreground.manner import Manner
    from tasker.foreground.place import Place
    from tasker.foreground.planned import Planned
    from tasker.project import Project

_PRUNED_WITHIN_S = 2.0
"""Seconds that a command takes for it: nobody waits for more."""


def carry_out(project: Project, files: Sequence[Sequence[Planned]], manner: Manner) -> int:
    """Carry out the runs of one file after the other, until a signal stops the command; the highest exit status.

    The runs of one file go on together, as many at a time as it says in `max_parallel`. `tasker once` plans them from
    files as they are, `tasker rerun` from what the history has kept: `Planned` says what is to run, and `Manner` who
    is told and where it is kept. In the end old workspaces are removed. For a program's own process, in its main
    thread.
    """
    place, highest, told = _place(manner), 0, False
    for number, runs in enumerate(files, 1):
        status, stopped, unkept = _carried_out(project, runs, manner, place)
        if unkept and not told:
            _tell_unkept(manner, unkept)
            told = True
        highest = max(highest, status)
        if stopped:
            _leave_out([*chain.from_iterable(files[number:])], manner, place)
        if stopped or status in manner.unheard:
            break
    prune(project.settings.workspaces, datetime.now(UTC), within_s=_PRUNED_WITHIN_S)
    return highest


def _carried_out(
    project: Project, runs: Sequence[Planned], manner: Manner, place: Place | None
) -> tuple[int, bool, str]:
    """The exit status of runs that go on together, whether a signal has stopped them, and why they are not kept."""
    if len(runs) == 1:
        from tasker.foreground.single import run_single  # noqa: PLC0415 - either needs what the other does not

        return run_single(project, runs[0], manner, place)
    from tasker.foreground.several import Several  # noqa: PLC0415 - as above
    from tasker.running.supervision import stopped_by_signals  # noqa: PLC0415

    with stopped_by_signals() as stop, manner.audience(runs) as observe:
        several = Several(project.settings, runs, observe, place)
        status = several.run(stop)
    return status, bool(stop.signals), several.unkept


def _leave_out(runs: Sequence[Planned], manner: Manner, place: Place | None) -> None:
    """Tell of runs that never begin, and keep them, so that `--resume` knows that they are to be done."""
    if not runs:
        return
    error = "interrupted before it began: the command was stopped"
    for run in runs:
        manner.tell(run.end(Event.RUN_INTERRUPTED, error, datetime.now(UTC)))
    if place is not None:
        from tasker.foreground.recording import Recording  # noqa: PLC0415 - few commands are stopped

        recording = Recording(place, lambda _run_id, _reason: None)
        recording.planned(runs)
        for run in runs:
            recording.ended(run.id, error, Status.INTERRUPTED)
        recording.start()
        recording.finish()


def _place(manner: Manner) -> Place | None:
    """Where the runs are kept: nowhere where there can be no journals, which is told."""
    place = manner.place
    if place is None:
        return None
    try:
        place.journals.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.journals.mkdir(mode=0o700, exist_ok=True)
        if not os.access(place.journals, os.W_OK | os.X_OK):
            raise PermissionError(None, "it may not be written to")
    except OSError as error:
        _tell_unkept(manner, f"{place.journals}: {error.strerror}")
        return None
    return place


def _tell_unkept(manner: Manner, error: str) -> None:
    details = {"error": error}
    manner.tell(Fact(event=Event.HISTORY_UNAVAILABLE, at=datetime.now(UTC), level=Level.WARNING, details=details))
