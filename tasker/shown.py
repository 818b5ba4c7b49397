"""A pipeline in the words of a conf file, secrets masked: what `tasker show` shows, and what is kept of a run."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tasker.document.values import Array, Object, Scalar, plain
from tasker.masking import Masker
from tasker.pipeline import LateArgument

if TYPE_CHECKING:
    from tasker.document.values import Value
    from tasker.pipeline import Retry, Schedule, Step
    from tasker.project import Loaded

LARGEST = 4 * 1024 * 1024
"""Characters of a configuration that is kept; what a document may come to is without bound, nearly."""
_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
    "us": timedelta(microseconds=1),
}


def kept(loaded: Loaded) -> str | None:
    """The pipeline as JSON: the same for all runs of it, as what tells of one run alone stands as it is written.

    `None` where that is too large to be kept.
    """
    text = json.dumps(shown(loaded, lasting=True), default=_as_json)
    return text if len(text) <= LARGEST else None


def _as_json(value: Any) -> Any:
    return plain(value, lasting=True)


def shown(loaded: Loaded, *, lasting: bool = False) -> dict[str, Any]:
    """The pipeline in the words of a conf file, secrets masked; what is not set is left out, except for steps' ids.

    With `lasting`, variables that tell of one run stand as they are written.
    """
    pipeline, document = loaded.pipeline, loaded.document
    assert pipeline is not None and document is not None  # noqa: S101, PT018 - there are no faults
    data = {
        "name": pipeline.name,
        "description": _text(document.root.fields.get("description"), lasting=lasting),
        "owner": _text(document.root.fields.get("owner"), lasting=lasting),
        "schedule": _schedule(pipeline.schedule) if pipeline.schedule else None,
        "params": _masked(document.root.fields["params"], lasting=lasting) if pipeline.params else None,
        "timeout": _duration(pipeline.timeout),
        "max_parallel": pipeline.max_parallel,
        "resume": str(pipeline.resume),
        "tasks": [_step(step, lasting=lasting) for step in pipeline.steps],
        **{
            str(phase): [_step(step, lasting=lasting) for step in steps]
            for phase, steps in pipeline.hooks.items()
            if steps
        },
    }
    return Masker(pipeline.secrets).mask(_set(data))  # type: ignore[no-any-return]  # a mapping stays a mapping


def _schedule(schedule: Schedule) -> dict[str, Any]:
    return _set(
        {
            "cron": list(schedule.cron),
            "timezone": schedule.timezone,
            "overlap": str(schedule.overlap),
            "catchup": str(schedule.catchup),
            "deadline": _duration(schedule.deadline),
            "jitter": _duration(schedule.jitter),
        }
    )


def _step(step: Step, *, lasting: bool) -> dict[str, Any]:
    return _set(
        {
            "id": step.id,
            "name": step.task,
            "needs": list(step.needs),
            "when": _masked(step.when.value, lasting=lasting) if isinstance(step.when, LateArgument) else step.when,
            "timeout": _duration(step.timeout),
            "retries": _retries(step.retry) if step.retry.attempts > 1 else None,
            "on_failure": str(step.on_failure),
            "args": _masked(step.given, lasting=lasting) if step.given is not None else {},
        }
    )


def _retries(retry: Retry) -> dict[str, Any]:
    return {
        "attempts": retry.attempts,
        "delay": _duration(retry.delay),
        "backoff": retry.backoff,
        "max_delay": _duration(retry.max_delay),
    }


def _set(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if value not in (None, "")}


def _text(value: Value | None, *, lasting: bool) -> Any:
    return _masked(value, lasting=lasting) if value is not None else None


def _masked(value: Value, *, lasting: bool) -> Any:
    """The value as Python data; numbers, which keep their spelling, and what waits for outputs stay as they are."""
    match value:
        case Object():
            return {key: _masked(item, lasting=lasting) for key, item in value.fields.items()}
        case Array():
            return [_masked(item, lasting=lasting) for item in value.items]
        case Scalar() if lasting and value.lasting is not None:
            return value.lasting
        case Scalar() if value.masked is not None:
            return value.masked
        case Scalar() if isinstance(value.data, bool) or not isinstance(value.data, int | float):
            return value.data
    return value


def _duration(duration: timedelta | None) -> str | None:
    return None if duration is None else spelled_duration(duration)


def spelled_duration(duration: timedelta) -> str:
    """The duration as HOCON has it, in the largest unit that it is a whole number of; nothing is rounded."""
    if not duration:
        return "0s"
    unit, length = next((unit, length) for unit, length in _UNITS.items() if not duration % length)
    return f"{duration // length}{unit}"
