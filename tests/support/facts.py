"""Facts of a run that never was, and a pipeline of steps that do nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tasker.facts import Fact, Level
from tasker.pipeline import Pipeline, Retry, Step


def pipeline(*ids: str, attempts: int = 3) -> Pipeline:
    """A pipeline named `p` with a step of each id."""
    return Pipeline(name="p", steps=tuple(Step(id=each, task="noop", retry=Retry(attempts=attempts)) for each in ids))


def fact(
    event: str, step: str | None = None, *, attempt: int | None = None, level: Level = Level.INFO, **details: Any
) -> Fact:
    """A fact of a run of that pipeline."""
    return Fact(
        event=event,
        at=datetime(2026, 11, 22, tzinfo=UTC),
        pipeline="p",
        revision="r",
        run_id="run-1",
        level=level,
        step=step,
        task="noop" if step else None,
        attempt=attempt,
        details=details,
    )
