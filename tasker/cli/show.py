"""`tasker show FILE`: the pipeline that a file comes to, secrets masked."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasker.cli import options
from tasker.cli.formats import FORMATS, written
from tasker.document.values import Array, Object, Scalar
from tasker.errors import UsageError
from tasker.masking import Masker
from tasker.pipeline import LateArgument

if TYPE_CHECKING:
    import argparse

    from tasker.document.values import Value
    from tasker.pipeline import Retry, Schedule, Step
    from tasker.project import Loaded

_VARIABLE = "TASKER_SHOW_FORMAT"
"""Not `TASKER_FORMAT`, which says how faults are told, and knows other words."""
_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
    "us": timedelta(microseconds=1),
}


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("show", help="the resolved pipeline, secrets masked", description=__doc__)
    parser.add_argument("file", metavar="FILE", help="a conf file")
    words = f"one of {', '.join(FORMATS)}; default: hocon on a terminal, json in a pipe [{_VARIABLE}]"
    parser.add_argument("--format", metavar="FORMAT", default=os.environ.get(_VARIABLE), help=words)
    options.add_file_options(parser)
    options.add_params(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Show the pipeline, or every fault of its file."""
    terminal = sys.stdout.isatty()
    form = arguments.format or ("hocon" if terminal else "json")
    if form not in FORMATS:
        message = f"no format is named '{form}'; there are {', '.join(FORMATS)}"
        raise UsageError(message)
    project = options.project(arguments)
    loaded = project.load(Path(arguments.file), options.pairs(arguments.set, "--set"))
    if loaded.pipeline is None:
        from tasker.reports import report  # noqa: PLC0415 - only faults need it

        for line in report(loaded.faults, colour=sys.stderr.isatty()):
            print(line, file=sys.stderr)  # noqa: T201 - a command line speaks by printing
        return 2
    print(written(shown(loaded), form, indent=2 if terminal else None))  # noqa: T201 - the answer of the command
    return 0


def shown(loaded: Loaded) -> dict[str, Any]:
    """The pipeline in the words of a conf file, secrets masked; what is not set is left out, except for steps' ids."""
    pipeline, document = loaded.pipeline, loaded.document
    assert pipeline is not None and document is not None  # noqa: S101, PT018 - there are no faults
    data = {
        "name": pipeline.name,
        "description": pipeline.description,
        "owner": pipeline.owner,
        "schedule": _schedule(pipeline.schedule) if pipeline.schedule else None,
        "params": _masked(document.root.fields["params"]) if pipeline.params else None,
        "timeout": _duration(pipeline.timeout),
        "max_parallel": pipeline.max_parallel,
        "resume": str(pipeline.resume),
        "tasks": [_step(step) for step in pipeline.steps],
        **{str(phase): [_step(step) for step in steps] for phase, steps in pipeline.hooks.items() if steps},
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


def _step(step: Step) -> dict[str, Any]:
    return _set(
        {
            "id": step.id,
            "name": step.task,
            "needs": list(step.needs),
            "when": _masked(step.when.value) if isinstance(step.when, LateArgument) else step.when,
            "timeout": _duration(step.timeout),
            "retries": _retries(step.retry) if step.retry.attempts > 1 else None,
            "on_failure": str(step.on_failure),
            "args": _masked(step.given) if step.given is not None else {},
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


def _masked(value: Value) -> Any:
    """The value as Python data; numbers, which keep their spelling, and what waits for outputs stay as they are."""
    match value:
        case Object():
            return {key: _masked(item) for key, item in value.fields.items()}
        case Array():
            return [_masked(item) for item in value.items]
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
