"""`Tasker`: a conf file, run from Python."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from tasker.errors import InvalidFileError
from tasker.project import Project
from tasker.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tasker.pipeline import Pipeline
    from tasker.project import Loaded


class Tasker:
    """Runs a conf file with the tasks that are discovered and those that the calling program has defined itself."""

    def __init__(
        self, path: str | os.PathLike[str], env: Mapping[str, str] | None = None, *, settings: Settings | None = None
    ) -> None:
        """Take the file; `env` holds variables that win over tasker's own and over the environment."""
        self.path = Path(path)
        given = MappingProxyType(dict(env or {}))
        self._project = Project(settings or Settings(given=given))

    def validate(self) -> Pipeline:
        """The pipeline that the file describes. Raises `InvalidFileError` with every fault."""
        return _valid(self._project.load(self.path))

    def run(self) -> bool:
        """Run the file and say whether it worked. Raises `InvalidFileError`, before anything has run.

        The run has a process of its own, so that neither its steps nor what they leave behind meet the caller's
        own children and signal handlers. Its log goes to standard output, as JSON lines.
        """
        loaded = self._project.load(self.path)
        _valid(loaded)
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._run_in_child(loaded)
        return _wait(pid) == 0

    def _run_in_child(self, loaded: Loaded) -> None:
        """Carry out the run and end this process; the caller's code is never returned to."""
        try:
            from tasker.foreground import run_logged  # noqa: PLC0415 - validating alone needs no log

            os._exit(run_logged(self._project, loaded))
        except BaseException:  # noqa: BLE001 - a copy of the caller must not run on
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(1)


def _valid(loaded: Loaded) -> Pipeline:
    if loaded.pipeline is None:
        raise InvalidFileError(loaded.faults)
    return loaded.pipeline


def _wait(pid: int) -> int:
    while True:
        try:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        except KeyboardInterrupt:
            os.kill(pid, signal.SIGINT)
