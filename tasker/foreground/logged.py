"""One run in this process, for programs in Python: signals stop it, and its log goes to standard output."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tasker.facts import Level, config_loaded
from tasker.logs import JsonLog, Output
from tasker.running.stop import exit_status
from tasker.running.supervision import stopped_by_signals

if TYPE_CHECKING:
    from tasker.project import Loaded, Project


def run_logged(project: Project, loaded: Loaded, level: Level = Level.INFO) -> int:
    """Run, with JSON lines on standard output; the exit status."""
    with stopped_by_signals() as stop, Output(os.dup(1)) as output:
        log = JsonLog(output, level=level)
        if loaded.pipeline is not None:
            plan = loaded.pipeline
            log.observe(config_loaded(plan.name, plan.revision, plan.file, datetime.now(UTC)))
        return exit_status(project.run(loaded, observers=[log.observe], stop=stop), stop)
