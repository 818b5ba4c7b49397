"""Daemons, claims and runs as a history is told of them."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tasker import linux
from tasker.facts import Event, Fact
from tasker.history import Claim, DaemonRecord, History, Retention
from tasker.history.presence import this_host
from tasker.run import Outcome, Slot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEEP = Retention()
LIMIT_S = 60
"""Seconds after which what does not happen is a failed test."""


def slot(minute: int = 0, pipeline: str = "crm") -> Slot:
    """A slot so many minutes after noon."""
    return Slot(pipeline, NOON + timedelta(minutes=minute))


def claim(run_id: str = "run-1", minute: int = 0, pipeline: str = "crm", **rest: Any) -> Claim:
    """A claim for a run."""
    return Claim(slot=slot(minute, pipeline), outcome=Outcome.WAITING, at=NOON, run_id=run_id, revision="r1", **rest)


def daemon(
    name: str = "me", *, pid: int | None = None, host: str | None = None, beat_at: datetime = NOON
) -> DaemonRecord:
    """A daemon; this process, where no other is given."""
    pid = os.getpid() if pid is None else pid
    return DaemonRecord(
        id=name,
        host=this_host() if host is None else host,
        pid=pid,
        pid_started=linux.started(pid) or 0,
        started_at=beat_at,
        beat_at=beat_at,
    )


def opened(where: str | Path, name: str = "me", **rest: Any) -> History:
    """The history, as a daemon opens it."""
    history = History.open(where)
    history.enrol(daemon(name, **rest))
    return history


def fact(event: str, run_id: str = "run-1", *, at: datetime = NOON, **rest: Any) -> Fact:
    """A fact of a run of `crm`."""
    names: dict[str, Any] = {name: rest.pop(name) for name in ("step", "attempt", "pipeline") if name in rest}
    task = {"task": "shellscript"} if "step" in names else {}
    told: dict[str, Any] = {"pipeline": "crm", "revision": "r1", **names, **task}
    return Fact(event=event, at=at, run_id=run_id, details=rest, **told)


def whole_run(run_id: str = "run-1", *, end: Event = Event.RUN_SUCCEEDED, at: datetime = NOON) -> Iterator[Fact]:
    """The facts of a run with one step that prints a line, a second each."""
    told: list[tuple[Event, dict[str, Any]]] = [
        (Event.RUN_STARTED, {"slot": at.isoformat()}),
        (Event.STEP_STARTED, {"step": "scan", "attempt": 1}),
        (Event.STEP_OUTPUT, {"step": "scan", "attempt": 1, "line": "hello"}),
        (Event.STEP_SUCCEEDED, {"step": "scan", "attempt": 1, "duration_s": 2.0, "outputs": {"file": "a.json"}}),
        (end, {"duration_s": 4.0}),
    ]
    for number, (event, details) in enumerate(told):
        yield fact(event, run_id, at=at + timedelta(seconds=number), **details)


class Post:
    """What a recorder posts; answers are handed on at once, as a main loop does."""

    def __init__(self) -> None:
        self.messages: list[object] = []
        self._came = threading.Condition()

    def __call__(self, message: object) -> None:
        with self._came:
            self.messages.append(message)
            self._came.notify_all()

    def wait_for(self, kind: type[Any], where: Callable[[Any], bool] = lambda _: True) -> Any:
        """The first message of a kind that has not been taken; it is then."""
        found: list[object] = []

        def came() -> bool:
            found[:] = [each for each in self.messages if isinstance(each, kind) and where(each)]
            return bool(found)

        with self._came:
            assert self._came.wait_for(came, LIMIT_S), f"no {kind.__name__}: {self.messages}"
            self.messages.remove(found[0])
        return found[0]

    def kinds(self) -> list[str]:
        """The kinds of what has come and was not taken."""
        with self._came:
            return [type(each).__name__ for each in self.messages]
