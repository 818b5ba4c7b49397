"""What an author of tasks writes against: `Task`, and the `Context` that it finds itself in."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from tasker.registry import registry

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path


WORKSPACE_MARKER = ".tasker-workspace"
"""The file that makes a folder a workspace: what has none, tasker never clears."""
WORKSPACE_TEMPORARY = ".tmp"
"""The folder in a workspace that steps find as theirs for temporary files: beside the marker, it is nobody's data."""


class Logger(Protocol):
    """What `self.logger` answers to: structlog's way, an event and the facts that go with it."""

    def debug(self, event: str, *args: object, **facts: object) -> None:
        """Log what helps to find a fault in the task itself."""

    def info(self, event: str, *args: object, **facts: object) -> None:
        """Log what happened."""

    def warning(self, event: str, *args: object, **facts: object) -> None:
        """Log what someone should look at some day."""

    def error(self, event: str, *args: object, **facts: object) -> None:
        """Log what went wrong."""

    def exception(self, event: str, *args: object, **facts: object) -> None:
        """Log what went wrong, with the traceback of the exception being handled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The run that a task is part of."""

    run_id: str
    pipeline: str
    step: str
    """The id of the step."""
    attempt: int
    """Which try at the step this is, from one."""
    slot: datetime
    """The moment that the run stands for, in the schedule's time zone."""
    workspace: Path
    """A folder of this run's own."""
    params: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


class _LoggerOutsideOfRuns:
    """Gives an instance that no runner made, as in an author's own test, structlog's default logger."""

    def __get__(self, task: object, owner: type) -> Logger:
        import structlog  # noqa: PLC0415 - whoever runs a task has it loaded already

        logger: Logger = structlog.get_logger()
        return logger


class Task:
    """A kind of work. Subclass it, write `run()`, put the file into a task folder: that is all.

    The parameters of `run()` are the arguments that a step gives: one without a default is mandatory, and
    annotations are checked and converted before anything runs. `run()` answers `True` or `None` where it worked,
    `False` where it failed, or a mapping: it worked, and these are its outputs. An exception is a failure.
    """

    task_name: ClassVar[str]
    """The name in conf files; the class's name in lower case where it is not set."""

    requires: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Modules that `run()` imports and may lack, each with what to install: `{"sqlglot": "sqlglot>=30"}`."""

    logger: Logger = _LoggerOutsideOfRuns()  # type: ignore[assignment]  # mypy does not see instances through it
    """Logs with the names of the run, pipeline and step bound."""

    context: Context
    """The run that the task is part of; set by the runner, before `__init__`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Enter the class into the registry, unless it is only a base for others and has no `run()`."""
        super().__init_subclass__(**kwargs)
        if cls.run is not Task.run:
            registry.register(cls)

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Do the work; every task writes its own."""
        raise NotImplementedError
