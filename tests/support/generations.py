"""A generation as a daemon would have it, without a daemon: what it says is waited for, kept and looked through."""

from __future__ import annotations

import select
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from tasker.launching.generation import Generation
from tasker.launching.messages import (
    Bounds,
    Candidate,
    Gone,
    Message,
    RunEnded,
    RunOrder,
    Told,
    Validated,
    ValidationEnded,
)
from tasker.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tasker.facts import Fact

LIMIT_S = 60
"""Seconds after which a message that does not come is a failed test."""
SLOT = datetime(2026, 11, 22, 2, 15, tzinfo=UTC)
_Kind = TypeVar("_Kind")


class Listener:
    """Hears a generation out."""

    def __init__(self, folder: Path, bounds: Bounds | None = None, **settings: Any) -> None:
        """Start a generation for the `conf.d` of a folder, which is the working one."""
        chosen = {"conf_dir": Path("conf.d"), "workspaces": folder / "workspaces", "secrets": folder / "secrets"}
        self.generation = Generation(1, Settings(**{**chosen, **settings}), bounds=bounds)
        self.heard: list[Message] = []
        self._looked_at = 0
        self._poll = select.poll()
        self._poll.register(self.generation, select.POLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.generation.close()

    def until(self, kind: type[_Kind], **facts: Any) -> _Kind:
        """The next message of this kind and with these facts."""
        found: _Kind = self._next(lambda each: isinstance(each, kind) and _has(each, facts))
        return found

    def until_fact(self, event: str, **facts: Any) -> Fact:
        """The next such fact of a run."""
        told: Told = self._next(
            lambda each: isinstance(each, Told) and each.fact.event == event and _has(each.fact, facts)
        )
        return told.fact

    def facts(self, run_id: str = "run-1") -> list[Fact]:
        """The facts of a run that have been heard."""
        return [each.fact for each in self.heard if isinstance(each, Told) and each.fact.run_id == run_id]

    def validated(self, *files: str, number: int = 1, **snapshots: Any) -> dict[str, Validated]:
        """What the files of `conf.d` are found to be, by name."""
        candidates = [Candidate(path=Path("conf.d") / file, snapshot=snapshots.get(Path(file).stem)) for file in files]
        self.generation.validate(number, candidates)
        self.until(ValidationEnded, number=number)
        return {each.path.name: each for each in self.heard if isinstance(each, Validated) and each.number == number}

    def valid(self, file: str) -> Validated:
        """What a valid file is found to be."""
        found = self.validated(file)[file]
        assert found.versions, found.faults
        return found

    def order(self, valid: Validated, run_id: str = "run-1", **more: Any) -> None:
        """Order a run."""
        assert valid.snapshot is not None
        self.generation.run(RunOrder(run_id=run_id, snapshot=valid.snapshot, slot=SLOT, **more))

    def ended(self, run_id: str = "run-1") -> RunEnded:
        """The end of a run."""
        return self.until(RunEnded, run_id=run_id)

    def gone(self) -> Gone:
        """The end of the generation."""
        return self.until(Gone)

    def _next(self, holds: Callable[[Message], bool]) -> Any:
        give_up = time.monotonic() + LIMIT_S
        while time.monotonic() < give_up:
            for message in self.heard[self._looked_at :]:
                self._looked_at += 1
                if holds(message):
                    return message
            self._poll.poll(1000)
            self.heard += self.generation.receive()
            self.generation.mind()
        error = f"it did not come: {self.heard}"
        raise AssertionError(error)


def _has(record: Any, facts: dict[str, Any]) -> bool:
    return all(getattr(record, name) == value for name, value in facts.items())
