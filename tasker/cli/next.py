"""`tasker next [FILE or DIR…]`: the coming slots, in order."""

from __future__ import annotations

import heapq
import json
import sys
from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tasker.cli import options
from tasker.cli.files import named_files
from tasker.cli.reporting import faults_of, pipelines_of, report_faults, report_unscheduled
from tasker.durations import format_duration
from tasker.scheduling.timetable import Timetable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from tasker.pipeline import Pipeline

_OF_ONE = 5
"""Slots that are told of a pipeline alone."""
_OF_EACH = 1
"""Slots that are told of each of several, so that those of every minute do not hide those of every night."""
_UTC = ZoneInfo("UTC")
_SECOND = timedelta(seconds=1)


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("next", help="the coming slots", description=__doc__)
    parser.add_argument("paths", metavar="FILE or DIR", nargs="*", default=["conf.d"], help="default: conf.d")
    words = f"how many slots of each pipeline; default: {_OF_ONE} of one, {_OF_EACH} of each of several"
    options.add(parser, "--count", metavar="N", type=_count, help=words)
    options.add_file_options(parser)
    options.add_params(parser)
    parser.set_defaults(command=run)


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        message = f"{text!r} is no count, such as 10"
        raise ArgumentTypeError(message)
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Tell the slots of all valid files, and the faults of the others; 2 where there are such."""
    project = options.project(arguments)
    overrides = options.pairs(arguments.set, "--set")
    files = [project.load_file(file, overrides) for file in named_files(arguments.paths)]
    pipelines = list(pipelines_of(files))
    count = arguments.count or (_OF_ONE if len(files) == 1 and len(pipelines) == 1 else _OF_EACH)
    now = datetime.now(UTC)
    _tell(heapq.merge(*(islice(slots(each, now), count) for each in pipelines), key=_moment))
    report_unscheduled([each.name for each in pipelines if each.schedule is None])
    return report_faults(faults_of(files))


def slots(pipeline: Pipeline, after: datetime) -> Iterator[dict[str, Any]]:
    """The slots of a pipeline that come after a moment, told in full; none where it has no schedule."""
    schedule = pipeline.schedule
    if schedule is None:
        return
    timetable = Timetable.of(schedule)
    slot = timetable.next(after)
    while slot is not None:
        local = slot.astimezone(timetable.zone)
        yield {
            "slot": slot.isoformat().replace("+00:00", "Z"),
            "local": local.isoformat(),
            "timezone": schedule.timezone,
            "pipeline": pipeline.name,
            "file": pipeline.file,
            **({"jitter_s": schedule.jitter.total_seconds()} if schedule.jitter else {}),
            **({"note": note} if (note := clock_change(timetable, local)) else {}),
        }
        slot = timetable.next(slot)


def clock_change(timetable: Timetable, slot: datetime) -> str:
    """What there is to say of a slot in the night in which clocks are changed; `slot` in the timetable's zone."""
    if slot.replace(fold=1 - slot.fold).utcoffset() != slot.utcoffset():
        which = "second" if slot.fold else "first"
        return f"the {which} of two {_time(slot)}: clocks go back"
    earlier = (slot.astimezone(UTC) - _SECOND).astimezone(timetable.zone)
    gap = (slot.utcoffset() or timedelta()) - (earlier.utcoffset() or timedelta())
    # What the expressions ask for where no clock is ever changed.
    unchanged, shown = Timetable(timetable.crons, _UTC), slot.replace(tzinfo=UTC)
    meant = unchanged.next(shown - gap - _SECOND)
    if gap <= timedelta() or unchanged.next(shown - _SECOND) == shown or meant is None:
        return ""
    return f"for {_time(meant)}, which is skipped: clocks go forward"


def _time(moment: datetime) -> str:
    return f"{moment:%H:%M:%S}" if moment.second else f"{moment:%H:%M}"


def _moment(told: dict[str, Any]) -> str:
    return str(told["slot"])


def _tell(coming: Iterable[dict[str, Any]]) -> None:
    """A table on a terminal, JSON lines in a pipe."""
    if not sys.stdout.isatty():
        for slot in coming:
            print(json.dumps(slot, ensure_ascii=False))  # noqa: T201 - the answer of the command
        return
    if rows := [_row(slot) for slot in coming]:
        from tasker.cli.tables import print_slots  # noqa: PLC0415 - nothing of it is needed in a pipe

        print_slots(rows)


def _row(slot: dict[str, Any]) -> dict[str, Any]:
    """A slot as people read it."""
    local, utc = datetime.fromisoformat(slot["local"]), datetime.fromisoformat(slot["slot"])
    jitter = f"up to {format_duration(timedelta(seconds=slot['jitter_s']))} later" if "jitter_s" in slot else ""
    return {
        "pipeline": slot["pipeline"],
        "timezone": slot["timezone"],
        "local_time": f"{local:%a %Y-%m-%d} {_time(local)}",
        "utc": f"{utc:%a} {_time(utc)}",
        "note": "; ".join(filter(None, (slot.get("note"), jitter))),
    }
