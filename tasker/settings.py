"""What a person decides about this program rather than about a pipeline."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from tasker.errors import UsageError
from tasker.run import DEFAULT_GRACE_S
from tasker.variables import Variables

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

DEFAULT_SECRETS = Path("/run/secrets/tasker")
"""Where a Kubernetes Secret is mounted by the chart's default."""


def default_workspaces() -> Path:
    """The folder of workspaces where none is set: beneath the folder for temporary files, one a user."""
    return Path(tempfile.gettempdir()) / f"tasker-{os.getuid()}"


def default_cache() -> Path | None:
    """The folder of what may be found anew where none is set; `None` where the user has no home."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    home = Path(os.environ.get("HOME", ""))
    if given.is_absolute():
        return given / "tasker"
    return home / ".cache" / "tasker" if home.is_absolute() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options that every command shares."""

    tasks: tuple[Path, ...] = ()
    """Task folders beside those of tasker itself and `tasks/` of the folder one is in."""
    secrets: Path = DEFAULT_SECRETS
    """The folder of files that `${secret.NAME}` reads."""
    workspaces: Path = field(default_factory=default_workspaces)
    """The folder in which each run has its workspace."""
    keep_workspace: bool = False
    grace_s: float = DEFAULT_GRACE_S
    given: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    """Variables set by hand, for files and for steps."""
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType(dict(os.environ)), repr=False)
    secret_env: tuple[str, ...] = ()
    """Names of variables that are secrets: `${secret.NAME}` reads them, and steps do not inherit them."""
    conf_dir: Path | None = None
    """The folder that includes may not leave; the conf file's own folder where it is not set."""

    def __post_init__(self) -> None:
        """Refuse variables that no process can be given, and values where names belong: raises `UsageError`."""
        for name, value in self.given.items():
            if reason := _no_variable(name, value):
                message = f"the variable {name!r} cannot be set: {reason}"
                raise UsageError(message)
        for name in self.secret_env:
            if not name or "=" in name:
                message = f"--secret-env {name.partition('=')[0]}: it expects the name of a variable alone"
                raise UsageError(message)

    @property
    def task_folders(self) -> list[Path]:
        """Every folder in which tasks are looked for, in order."""
        from tasker.discovery import shipped_tasks  # noqa: PLC0415

        here = Path("tasks")
        return [shipped_tasks(), *([here] if here.is_dir() else []), *self.tasks]

    @property
    def secret_variables(self) -> Mapping[str, str]:
        """The variables that are secrets and that are set, with their values."""
        known = {**self.environment, **self.given}
        return {name: known[name] for name in self.secret_env if name in known}

    @property
    def handed_on(self) -> Mapping[str, str]:
        """The variables set by hand that steps find in their environment: those that are no secrets."""
        return {name: value for name, value in self.given.items() if name not in self.secret_env}

    def folder_of(self, path: Path) -> Path:
        """The conf folder of a file."""
        return self.conf_dir or path.parent

    def variables(self, path: Path, *, run_id: str, slot: datetime, workspace: Path) -> Variables:
        """What the file may read in this run."""
        return Variables(
            run_id=run_id,
            slot=slot,
            workspace=workspace,
            conf_dir=self.folder_of(path).absolute(),
            cwd=Path.cwd(),
            platform=os.uname().sysname,
            stem=path.stem,
            given=self.given,
            environment=self.environment,
        )


def _no_variable(name: object, value: object) -> str:
    """Why these cannot be a variable's name and value; empty where they can. The value may be a secret."""
    if not isinstance(name, str) or not name or "=" in name:
        return "a name is text, and not empty, without '='"
    if not isinstance(value, str):
        return f"its value is to be text, not {type(value).__name__}"
    try:
        usable = b"\0" not in os.fsencode(name) + os.fsencode(value)
    except UnicodeEncodeError:
        usable = False
    return "" if usable else "it holds a character that no variable can hold"
