"""Shipped tasks as the runner would make them, without a runner: an instance with a context and a listening logger."""

from __future__ import annotations

import importlib
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from tasker import Context, Task, registry

TASKS = Path(__file__).parents[2] / "tasks"
PACKAGE = "tasks_under_test"
SLOT = datetime(2026, 11, 22, 2, 15, tzinfo=UTC)


class RecordingLogger:
    """Keeps what a task logs, as (level, event, facts)."""

    def __init__(self) -> None:
        self.records: list[tuple[str, str, dict[str, object]]] = []

    def debug(self, event: str, *_args: object, **facts: object) -> None:
        self.records.append(("debug", event, facts))

    def info(self, event: str, *_args: object, **facts: object) -> None:
        self.records.append(("info", event, facts))

    def warning(self, event: str, *_args: object, **facts: object) -> None:
        self.records.append(("warning", event, facts))

    def error(self, event: str, *_args: object, **facts: object) -> None:
        self.records.append(("error", event, facts))

    def exception(self, event: str, *_args: object, **facts: object) -> None:
        self.records.append(("exception", event, facts))

    def __str__(self) -> str:
        return "\n".join(map(str, self.records))


def module(stem: str) -> ModuleType:
    """A module of the shipped tasks' folder, which is a package only while it is loaded.

    The registry of the whole process is left as it was, so that tests of discovery find it untouched.
    """
    if PACKAGE not in sys.modules:
        package = ModuleType(PACKAGE)
        package.__path__ = [str(TASKS)]
        sys.modules[PACKAGE] = package
    registered, registry._tasks = registry._tasks, {}
    try:
        return importlib.import_module(f"{PACKAGE}.{stem}")
    finally:
        registry._tasks = registered


def make(stem: str, workspace: Path, **context: Any) -> Any:
    """The task that the module `stem` defines, made as a step of a run in `workspace`; `logger` is a recording one."""
    loaded = module(stem)
    (task,) = [
        each
        for each in vars(loaded).values()
        if isinstance(each, type) and issubclass(each, Task) and each.__module__ == loaded.__name__
    ]
    facts = {
        "run_id": "r1",
        "pipeline": "p",
        "step": stem,
        "attempt": 1,
        "slot": SLOT,
        "workspace": workspace,
        **context,
    }
    instance = task()
    instance.logger = RecordingLogger()
    instance.context = Context(**facts)
    return instance
