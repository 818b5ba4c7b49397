"""Names to tasks."""

from __future__ import annotations

import inspect
import os
import sys
from typing import TYPE_CHECKING, Any

from tasker.errors import ClassNotRegisteredException, DuplicateTaskError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tasker.task import Task


class TaskRegistry:
    """The tasks that there are, each under one name."""

    def __init__(self) -> None:
        self._tasks: dict[str, type[Task]] = {}

    def register(self, task: type[Task]) -> type[Task]:
        """Take a task in under its name; raises `DuplicateTaskError` where another class has that name.

        The same class written anew, as when its module is reloaded, replaces the old one; so does that of a file
        which is imported once more under another name. Raises `TypeError` where the name is no text.
        """
        name: Any = task_name(task)
        if not isinstance(name, str):
            message = f"the `task_name` of {task.__qualname__} is {name!r}, and not text"
            raise TypeError(message)
        known = self._tasks.get(name)
        if known is not None and _identity(known) != _identity(task):
            raise DuplicateTaskError(name, where_defined(known), where_defined(task))
        self._tasks[name] = task
        return task

    def registered(self) -> list[str]:
        """The names of all tasks, sorted."""
        return sorted(self._tasks)

    def has(self, name: str) -> bool:
        """Whether a task is registered under `name`."""
        return name in self._tasks

    def get(self, name: str) -> type[Task]:
        """The class registered under `name`; raises `ClassNotRegisteredException`."""
        try:
            return self._tasks[name]
        except KeyError:
            raise ClassNotRegisteredException(name, self._tasks) from None

    def create(self, name: str) -> Task:
        """A new instance of the task; raises `ClassNotRegisteredException`."""
        return self.get(name)()

    def __iter__(self) -> Iterator[type[Task]]:
        return (self._tasks[name] for name in self.registered())

    def __len__(self) -> int:
        return len(self._tasks)


def task_name(task: type[Task]) -> str:
    """The name that a class goes by in conf files: its own `task_name`, or the class's name in lower case."""
    return task.__dict__.get("task_name") or task.__name__.lower()


def where_defined(task: type[Task]) -> str:
    """The file and line of the class, for people."""
    try:
        return f"{inspect.getsourcefile(task)}:{inspect.getsourcelines(task)[1]}"
    except (OSError, TypeError):
        return f"{task.__module__}.{task.__qualname__}"


def _identity(task: type[Task]) -> tuple[str, str]:
    """The file of the class, or its module where there is none, and its name there."""
    file = getattr(sys.modules.get(task.__module__), "__file__", None)
    return os.path.realpath(file) if file else task.__module__, task.__qualname__


registry = TaskRegistry()
"""The registry that every subclass of `Task` enters by itself."""
