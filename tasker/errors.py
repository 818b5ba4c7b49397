"""The one family of exceptions; it says what is wrong and what mends it, and imports nothing of ours but faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tasker.faults import Fault


class TaskerError(Exception):
    """Whatever tasker raises on purpose is one of these."""


class UsageError(TaskerError):
    """The command line, or a call from Python, asks for what cannot be."""


class InvalidFileError(TaskerError):
    """A file, or what it includes, has faults; all that were found are in `faults`."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults: Sequence[Fault] = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


class ClassNotRegisteredException(TaskerError, KeyError):  # noqa: N818 - the name is part of the public contract
    """No task is registered under the name that was asked for."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.known = tuple(sorted(known))
        super().__init__(name)

    def __str__(self) -> str:
        return f"no task is named {self.name!r}; the registered tasks are: {', '.join(self.known) or 'none'}"


class DuplicateTaskError(TaskerError):
    """Two tasks claim one name."""

    def __init__(self, name: str, first: str, second: str) -> None:
        self.name = name
        self.first = first
        self.second = second
        super().__init__(f"two tasks are named {name!r}: {first} and {second}; set `task_name` in one of them")
