"""Runs within the program of a test: tasks made of functions, someone who watches, and a way to stop."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tasker import Task, TaskRegistry
from tasker.pipeline import Pipeline, Step
from tasker.running.runner import Occasion, Runner
from tasker.running.stop import StopRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tasker.facts import Fact
    from tasker.run import Run
    from tasker.running.chosen import Chosen
    from tasker.running.earlier import Earlier

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Tasks:
    """Tasks of one test, each made from what its `run()` is to do."""

    def __init__(self, **bodies: Callable[[Task], Any]) -> None:
        self.registry = TaskRegistry()
        for name, body in bodies.items():
            self.add(name, lambda task, body=body: body(task))

    def add(self, name: str, run: Callable[..., Any]) -> Tasks:
        """One more, whose arguments are those of `run`."""
        self.registry.register(type(name, (Task,), {"task_name": name, "run": run}))
        return self


class Watcher:
    """Keeps the facts of a run, and does something at one."""

    def __init__(self, *, at: str = "", do: Callable[[], Any] = lambda: None) -> None:
        self.facts: list[Fact] = []
        self._at, self._do = at, do

    def __call__(self, fact: Fact) -> None:
        self.facts.append(fact)
        if fact.event == self._at:
            self._do()

    def events(self) -> list[str]:
        return [fact.event for fact in self.facts]


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    stop = StopRequest()
    yield stop
    stop.close()


def run(
    folder: Path,
    tasks: Tasks,
    *steps: Step,
    watcher: Watcher | None = None,
    stop: StopRequest | None = None,
    grace_s: float = 10,
    secret: str = "",
    environment: dict[str, str] | None = None,
    earlier: Earlier | None = None,
    chosen: Chosen | None = None,
    files_lost: bool = False,
    code: str = "code",
    **more: Any,
) -> Run:
    """Run a pipeline of these steps; `more` are other fields of it."""
    pipeline = Pipeline(name="p", steps=steps, secrets=frozenset({secret}), **more)
    occasion = Occasion(
        run_id="r",
        slot=NOON,
        workspace=folder,
        environment=environment or {},
        earlier=earlier,
        chosen=chosen,
        files_lost=files_lost,
    )
    observers = [watcher] if watcher else []
    with stop_request() as own:
        runner = Runner(
            pipeline,
            occasion,
            tasks=tasks.registry,
            stop=stop or own,
            observers=observers,
            grace_s=grace_s,
            code=lambda _task: code,
        )
        return runner.run()


def step(name: str, **more: Any) -> Step:
    return Step(id=more.pop("id", name), task=name, **more)
