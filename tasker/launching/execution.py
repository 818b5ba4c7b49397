"""A run in its own process, as a launcher's order has it: read from its snapshot, carried out, and told.

Not to be confused with `foreground`, which does the same for a person who watches.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasker import linux
from tasker.clock import Clock
from tasker.commits import commit_of
from tasker.errors import TaskerError
from tasker.journal import Journal
from tasker.launching.code_files import code_digest
from tasker.launching.messages import Broken, Configured, Refused, RunBegan, Told
from tasker.launching.snapshot import SnapshotFolder
from tasker.running.stop import StopRequest, exit_status
from tasker.running.supervision import heeded_signals
from tasker.shown import kept

if TYPE_CHECKING:
    from collections.abc import Callable

    from tasker.facts import Fact
    from tasker.launching.messages import RunOrder
    from tasker.project import Project

REFUSED = 2
"""The exit status of a run that did not start since its file is not valid."""
BROKEN = 70
"""The exit status of a run that could not go on."""


def execute(project: Project, order: RunOrder, tell: Callable[[Any], None], reasons: int) -> int:
    """Carry out a run; the exit status of its process. Why it is to stop comes from the descriptor `reasons`."""
    stop = _stop_request(reasons)
    try:
        tell(RunBegan(run_id=order.run_id, pid=os.getpid(), pid_started=linux.started(os.getpid()) or 0))
        return _executed(project, order, tell, stop)
    except TaskerError as error:
        tell(Broken(run_id=order.run_id, error=str(error)))
    except Exception as error:  # noqa: BLE001 - the process's own boundary
        sys.excepthook(type(error), error, error.__traceback__)
        tell(Broken(run_id=order.run_id, error=f"{type(error).__name__}: {error}"))
    return BROKEN


def _executed(project: Project, order: RunOrder, tell: Callable[[Any], None], stop: StopRequest) -> int:
    project = project.within(Path(order.snapshot.folder))
    late_s = None if order.earlier or order.foreground else round((Clock().now() - order.slot).total_seconds(), 3)
    snapshot = order.snapshot.id
    occasion = project.occasion(
        order.run_id, order.slot, earlier=order.earlier, chosen=order.chosen, late_s=late_s, snapshot=snapshot
    )
    folder = SnapshotFolder(order.snapshot)
    loaded = project.load(
        Path(order.snapshot.path), order.overrides, folder=folder, occasion=occasion, instance=order.instance
    )
    if loaded.pipeline is None:
        tell(Refused(run_id=order.run_id, faults=loaded.faults))
        return REFUSED
    if not order.foreground:
        commit = commit_of(Path(order.snapshot.folder), order.snapshot.files)
        tell(Configured(run_id=order.run_id, config=kept(loaded), commit=commit))
    with ExitStack() as open_files:
        observers: list[Callable[[Fact], None]] = [lambda fact: tell(Told(fact=fact))]
        journal = _journal(order.journal, whole=order.foreground) if order.journal is not None else None
        if journal is not None:
            # First: what is told has been written.
            observers.insert(0, open_files.enter_context(journal).write)
        return exit_status(project.run(loaded, observers=observers, stop=stop, code=code_digest), stop)


def _journal(path: Path, *, whole: bool) -> Journal | None:
    """The journal of a run; `None` where none can be had, as on a full disk: the work matters more than its record."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return Journal(path, whole=whole)
    except OSError as error:
        print(f"tasker: a run goes on without its journal {path}: {error.strerror or error}", file=sys.stderr)  # noqa: T201 - the run's own log is not the place
        return None


def _stop_request(reasons: int) -> StopRequest:
    """A request to stop that signals make from now on, with the reason that is there by then."""
    stop = StopRequest(reasons=reasons)
    # The launcher's two signals are heeded also where the daemon was started to ignore one, as with `&` in a script.
    for signum in {signal.SIGTERM, signal.SIGINT, *heeded_signals()}:
        signal.signal(signum, lambda number, _frame: stop.request(number))
    return stop
