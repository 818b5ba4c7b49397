"""`Tasker`: a conf file, run from Python."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tasker.errors import InvalidFileError
from tasker.project import Project
from tasker.running.supervision import forked, supervised
from tasker.settings import Settings

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from tasker.pipeline import Pipeline
    from tasker.project import Loaded


class Tasker:
    """Runs a conf file with the tasks that are discovered and those that the calling program has defined itself."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        env: Mapping[str, str] | None = None,
        *,
        instance: str | None = None,
        settings: Settings | None = None,
    ) -> None:
        """Take the file; `env` holds variables that win over tasker's own and over the environment.

        Of a file with `for_each`, `instance` is the key of one of its pipelines. Raises `UsageError` where one of
        `env` cannot be a variable.
        """
        self.path = Path(path)
        self.instance = instance
        settings = settings or Settings()
        self._project = Project(replace(settings, given=MappingProxyType({**settings.given, **(env or {})})))

    def validate(self) -> Pipeline:
        """The pipeline that the file describes. Raises `InvalidFileError` with every fault.

        Of a file with `for_each` that is one of them, and the instance must be given.
        """
        return _valid(self._project.load(self.path, instance=self.instance))

    def pipelines(self) -> tuple[Pipeline, ...]:
        """All that `run` would run. Raises `InvalidFileError` with every fault."""
        return tuple(map(_valid, self._load()))

    @property
    def config(self) -> Any:
        """The file, resolved, as a `pyhocon.ConfigTree`, secrets masked. Raises `InvalidFileError`."""
        loaded = self._project.load(self.path, instance=self.instance)
        if loaded.document is None:
            raise InvalidFileError(loaded.faults)
        return loaded.document.to_config()

    def run(self) -> bool:
        """Run the file and say whether it worked. Raises `InvalidFileError`, before anything has run.

        Of a file with `for_each`, one pipeline runs after the other, whether those before it worked or not.

        The run has a process of its own, so that neither its steps nor what they leave behind meet the caller's
        own children. Its log goes to standard output, as JSON lines. A signal that stopped it is then the caller's:
        after Ctrl-C, this raises `KeyboardInterrupt`.
        """
        all_loaded = self._load()
        for loaded in all_loaded:
            _valid(loaded)
        status, signals = forked(lambda: supervised(lambda: self._run(all_loaded))[0])
        for signum in signals:
            signal.raise_signal(signum)
        return status == 0

    def _load(self) -> tuple[Loaded, ...]:
        """What is to run."""
        if self.instance is not None:
            return (self._project.load(self.path, instance=self.instance),)
        return self._project.load_file(self.path).loaded

    def _run(self, all_loaded: Iterable[Loaded]) -> int:
        from tasker import linux  # noqa: PLC0415
        from tasker.foreground.logged import run_logged  # noqa: PLC0415 - validating alone needs no log

        for name in self._project.settings.secret_env:
            linux.forget(name)
        worst = 0
        for loaded in all_loaded:
            worst = max(worst, run_logged(self._project, loaded))
            if worst > 1:
                # A signal has stopped this one, and the others with it.
                break
        return worst


def _valid(loaded: Loaded) -> Pipeline:
    if loaded.pipeline is None:
        raise InvalidFileError(loaded.faults)
    return loaded.pipeline
