"""tasker: a configuration-driven orchestrator. A HOCON file, a folder of tasks, one process."""

from tasker.errors import ClassNotRegisteredException, TaskerError
from tasker.registry import TaskRegistry, registry
from tasker.sizes import Size
from tasker.task import Context, Task

__all__ = [
    "ClassNotRegisteredException",
    "Context",
    "Size",
    "Task",
    "TaskRegistry",
    "Tasker",
    "TaskerError",
    "registry",
]
