"""`tasker runs [PIPELINE]`: the runs in the history, newest first; with --slots, what became of each slot."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tasker.cli import options
from tasker.cli.named import settle_seen
from tasker.errors import UsageError
from tasker.run import Outcome

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Sequence
    from enum import StrEnum

    from tasker.history import History, RunRecord, SlotRecord

_LIMIT = 50
_TOLD = (
    "run_id",
    "pipeline",
    "slot",
    "status",
    "revision",
    "claimed_at",
    "started_at",
    "ended_at",
    "duration_s",
    "late_s",
    "error",
    "resumed_from",
    "resumption",
    "foreground",
    "overrides",
    "chosen",
    "commit",
    "workspace",
    "cancel_at",
    "cancel_by",
    "lines_dropped",
)
"""What is told of a run, in this order."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("runs", help="the history", description=__doc__)
    parser.add_argument("pipeline", metavar="PIPELINE", nargs="?", help="of this pipeline and its instances alone")
    parser.add_argument("--slots", action="store_true", help="tell of slots, also of those that came to no run")
    parser.add_argument(
        "--status",
        metavar="STATUS",
        action="append",
        default=[],
        help="only those of this status (of slots: outcome), such as failed; again for more",
    )
    options.add(parser, "--limit", metavar="N", type=options.count, default=_LIMIT, help=f"default: {_LIMIT}")
    options.add_history(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Tell of runs or slots: a table on a terminal, JSON lines in a pipe."""
    from tasker.history import History  # noqa: PLC0415 - `tasker --help` needs none of it

    place = options.history(arguments)
    with History.read(place) as history:
        settle_seen(history, place, arguments)
        told = [*(_slots if arguments.slots else _runs)(history, arguments)]
        if not told and arguments.pipeline is not None:
            _check_known(history, arguments.pipeline)
    _tell(told, slots=arguments.slots)
    return 0


def _runs(history: History, arguments: argparse.Namespace) -> Iterable[dict[str, Any]]:
    from tasker.history import RunStatus  # noqa: PLC0415

    known = [status for status in RunStatus if status is not RunStatus.SKIPPED]
    statuses = [RunStatus(each) for each in _chosen(arguments.status, known)]
    found = history.runs(arguments.pipeline, statuses=statuses, limit=arguments.limit, instances=True)
    return map(told_of, found)


def _slots(history: History, arguments: argparse.Namespace) -> Iterable[dict[str, Any]]:
    outcomes = [Outcome(each) for each in _chosen(arguments.status, Outcome)]
    found = history.slots(arguments.pipeline, outcomes=outcomes, limit=arguments.limit, instances=True)
    return map(_slot, found)


def _chosen(given: Sequence[str], known: Iterable[StrEnum]) -> Sequence[str]:
    names = [*map(str, known)]
    for each in given:
        if each not in names:
            message = f"--status {each}: it is one of {', '.join(names)}"
            raise UsageError(message)
    return given


def _check_known(history: History, name: str) -> None:
    """Raise `UsageError` where nothing is known of a pipeline: its name is misspelt, or it has not had a slot yet."""
    from tasker.nearest import nearest  # noqa: PLC0415
    from tasker.pipeline import base_name  # noqa: PLC0415

    names = [each.name for each in history.pipelines()]
    bases = [base_name(each) for each in names]
    if name in (*names, *bases):
        return
    if not history.runs(name, limit=1, instances=True) and not history.slots(name, limit=1, instances=True):
        close = nearest(name, [*names, *bases])
        message = f"the history knows no pipeline named '{name}'{f'; did you mean {close!r}?' if close else ''}"
        raise UsageError(message)


def told_of(record: RunRecord) -> dict[str, Any]:
    """What is told of a run, as JSON data."""
    told = {**asdict(record), "run_id": record.id, "commit": record.git_commit}
    return _plain({name: told[name] for name in _TOLD if told[name] not in (None, 0, "", {}) or name in _NUMBERS})


_NUMBERS = ("duration_s", "late_s")
"""Of which nought is something to tell."""


def _slot(record: SlotRecord) -> dict[str, Any]:
    told = {"pipeline": record.slot.pipeline, **asdict(record), "slot": record.slot.at}
    return _plain({name: value for name, value in told.items() if name != "daemon"})


def _plain(told: dict[str, Any]) -> dict[str, Any]:
    """What there is to tell, as JSON data."""
    return {name: _text(value) for name, value in told.items() if value is not None}


def _text(value: Any) -> Any:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value


def _tell(told: Sequence[dict[str, Any]], *, slots: bool) -> None:
    if not sys.stdout.isatty():
        for each in told:
            print(json.dumps(each))  # noqa: T201 - the answer of the command
        return
    from tasker.cli import tables  # noqa: PLC0415 - nothing of it is needed in a pipe

    show: Callable[[Sequence[dict[str, Any]]], None] = tables.print_outcomes if slots else tables.print_runs
    show(told)
