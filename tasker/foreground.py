"""A run in the foreground: signals stop it, and its log goes to standard output."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tasker.facts import Level, config_loaded
from tasker.logs import JsonLog, Output
from tasker.run import Status
from tasker.running.stop import StopRequest
from tasker.running.supervision import heeded_signals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tasker.project import Loaded, Project
    from tasker.run import Run


@contextmanager
def stopped_by_signals() -> Iterator[StopRequest]:
    """A request to stop that the signals of a terminal, of `kill` and of Kubernetes make."""
    stop = StopRequest()
    before = {signum: signal.signal(signum, lambda number, _frame: stop.request(number)) for signum in heeded_signals()}
    try:
        yield stop
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
        stop.close()


def run_logged(project: Project, loaded: Loaded, level: Level = Level.INFO) -> int:
    """Run, with JSON lines on standard output; the exit status."""
    with stopped_by_signals() as stop, Output(os.dup(1)) as output:
        log = JsonLog(output, level=level)
        if loaded.pipeline is not None:
            plan = loaded.pipeline
            log.observe(config_loaded(plan.name, plan.revision, plan.file, datetime.now(UTC)))
        return exit_status(project.run(loaded, observers=[log.observe], stop=stop), stop)


def exit_status(run: Run, stop: StopRequest) -> int:
    """What a run comes to as an exit status: 0 worked, 1 a step failed, 128 and the signal where one was to stop it."""
    if stop.signals:
        return 128 + stop.signals[0]
    return 0 if run.status is Status.SUCCEEDED else 1
