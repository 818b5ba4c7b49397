"""tasker: a configuration-driven orchestrator. A HOCON file, a folder of tasks, one process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tasker.errors import ClassNotRegisteredException, TaskerError
from tasker.registry import TaskRegistry, registry
from tasker.sizes import Size
from tasker.task import WORKSPACE_MARKER, WORKSPACE_TEMPORARY, Context, Task

if TYPE_CHECKING:
    from tasker.settings import Settings
    from tasker.tasker import Tasker

__all__ = [
    "WORKSPACE_MARKER",
    "WORKSPACE_TEMPORARY",
    "ClassNotRegisteredException",
    "Context",
    "Settings",
    "Size",
    "Task",
    "TaskRegistry",
    "Tasker",
    "TaskerError",
    "registry",
]


def __getattr__(name: str) -> Any:
    """What runs pipelines is imported when it is asked for: a module of tasks needs none of what it brings."""
    if name == "Tasker":
        from tasker.tasker import Tasker  # noqa: PLC0415

        return Tasker
    if name == "Settings":
        from tasker.settings import Settings  # noqa: PLC0415

        return Settings
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
