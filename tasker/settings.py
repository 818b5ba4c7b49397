"""What a person decides about this program rather than about a pipeline."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from tasker.runner import DEFAULT_GRACE_S

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_SECRETS = Path("/run/secrets/tasker")
"""Where a Kubernetes Secret is mounted by the chart's default."""


def default_workspaces() -> Path:
    """The folder of workspaces where none is set: beneath the folder for temporary files, one a user."""
    return Path(tempfile.gettempdir()) / f"tasker-{os.getuid()}"


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
    given: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Variables set by hand, for files and for steps."""
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType(dict(os.environ)))
    conf_dir: Path | None = None
    """The folder that includes may not leave; the conf file's own folder where it is not set."""

    @property
    def task_folders(self) -> list[Path]:
        """Every folder in which tasks are looked for, in order."""
        from tasker.discovery import shipped_tasks  # noqa: PLC0415

        here = Path("tasks")
        return [shipped_tasks(), *([here] if here.is_dir() else []), *self.tasks]
