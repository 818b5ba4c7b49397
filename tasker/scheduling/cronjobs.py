"""What a Kubernetes CronJob makes of a schedule, and where it cannot mean the same: pure, and without a clock.

Kubernetes reads cron expressions by robfig/cron: five fields, of which none knows `L` or `#`; day of month and day of
week are joined by AND where one of them is a whole star, else by OR; and what is due is what a clock in the zone
shows, so that a time which is left out when clocks go forward is not due, and one that comes twice is due twice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from tasker.pipeline import Catchup, Overlap
from tasker.scheduling.cron import Cron
from tasker.scheduling.timetable import Timetable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from tasker.pipeline import Schedule

CONCURRENCY = {Overlap.SKIP: "Forbid", Overlap.ALLOW: "Allow", Overlap.REPLACE: "Replace"}
"""What Kubernetes calls each `overlap` that it has."""
_NOT_MADE_UP_FOR = timedelta(minutes=1)
"""How late a slot may start with `catchup = none`: Kubernetes' controller may look away for a while."""
_LEAST_DEADLINE = timedelta(seconds=10)
"""Kubernetes looks at CronJobs every ten seconds, and may miss what has less time."""
_YEARS = timedelta(days=366 * 28)
"""In so many years each date falls on each day of the week."""
_SLOTS = 400
"""Slots among which the shortest time between two is looked for."""
_ITEM = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?P<step>/\d+)?")
_UTC = re.compile(r"^(Etc/)?(UTC|UCT|Zulu|Universal|GMT)$")
"""The names of the zone without a change of clocks and without a difference."""
_ANY_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_NONE = timedelta()
_WEEK = frozenset(range(7))
_MONTH = frozenset(range(1, 32))


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When, and when not, a CronJob starts its jobs, in the words of its `spec`."""

    schedule: str
    timezone: str
    concurrency: str
    deadline_s: int | None
    """How late a job may start; `None` where it may at any time."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that a schedule means otherwise in Kubernetes."""

    key: str
    """Of the schedule."""
    message: str
    hint: str
    bearable: bool = False
    """Whether each slot runs all the same, though not as it would by tasker."""


class _UnlikeError(Exception):
    """Kubernetes cannot say what an expression says."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.difference = Difference("cron", message, hint)


def timing(schedule: Schedule) -> Timing:
    """What a CronJob is to say, of a schedule that has no difference but bearable ones."""
    latest = [schedule.deadline] if schedule.deadline is not None else []
    if schedule.catchup is Catchup.NONE:
        latest.append(_NOT_MADE_UP_FOR)
    return Timing(
        schedule=_expression(Cron.parse(schedule.cron[0])),
        timezone=schedule.timezone,
        concurrency=CONCURRENCY[schedule.overlap],
        deadline_s=int(min(latest).total_seconds()) if latest else None,
    )


def is_said_by(cron: str, timezone: str, schedule: Schedule) -> bool:
    """Whether a CronJob that says this starts what the schedule says; raises `CronError`."""
    theirs = Cron.parse(cron)
    try:
        same = [_expression(theirs)] == [_expression(Cron.parse(each)) for each in schedule.cron]
    except _UnlikeError:
        return False
    return same and _UTC.sub("UTC", timezone) == _UTC.sub("UTC", schedule.timezone)


def differences(schedule: Schedule, *, timeout: timedelta | None, now: datetime) -> Iterator[Difference]:
    """All that Kubernetes cannot do as the schedule says; `timeout` is how long a run may take."""
    if len(schedule.cron) > 1:
        message = f"a CronJob has one expression, and here are {len(schedule.cron)}"
        yield Difference("cron", message, "make a file for each of them, that includes what they share")
    for cron in map(Cron.parse, schedule.cron):
        try:
            _expression(cron)
        except _UnlikeError as unlike:
            yield unlike.difference
    yield from _at_clock_changes(schedule, now)
    yield from _of_late_slots(schedule)
    yield from _of_overlap(schedule, timeout, now)


def _expression(cron: Cron) -> str:
    """The five fields that mean the same in Kubernetes; raises `_UnlikeError`."""
    from cronsim import CronSim  # noqa: PLC0415 - whoever asks for help needs no cron

    *seconds, minute, hour, day, month, weekday = cron.fields.upper().split()
    calendar = CronSim(cron.fields, _ANY_MOMENT)
    if seconds and calendar.seconds != {0}:
        message = "Kubernetes knows no seconds"
        raise _UnlikeError(message, "write five fields, that begin with minutes")
    days, weekdays = _numbers(calendar.days, "day of month", day), _numbers(calendar.weekdays, "day of week", weekday)
    weekdays = {number % 7 for number in weekdays}
    if not calendar.day_and and (days == _MONTH or weekdays == _WEEK):
        day = weekday = "*"  # one of both is enough, and one always is
    day = "*" if days == _MONTH else _field(day, days)
    weekday = "*" if weekdays == _WEEK else _field(weekday, weekdays, highest=6)
    if calendar.day_and and "*" not in (day, weekday):
        message = "day of month and day of week must both fit here, and in Kubernetes one of them is enough"
        raise _UnlikeError(message, "leave one of them open, or look at the date in the pipeline")
    minutes, hours, months = (
        _field(minute, calendar.minutes),
        _field(hour, calendar.hours),
        _field(month, calendar.months),
    )
    return f"{minutes} {hours} {day} {months} {weekday}"


def _numbers(items: Collection[object], name: str, field: str) -> set[int]:
    """What a field stands for, if that is the same in each month; raises `_UnlikeError`."""
    numbers = {item for item in items if isinstance(item, int) and item >= 0}
    if len(numbers) < len(items):
        message = f"Kubernetes cannot read the {name} {field!r}"
        raise _UnlikeError(message, "write numbers, names, ranges and steps, or look at the date in the pipeline")
    return numbers


def _field(text: str, numbers: Collection[int], highest: int = 59) -> str:
    """A field as it was written, where Kubernetes reads it the same; else as a list."""
    if all(_is_plain(item, highest) for item in text.split(",")):
        return text
    return ",".join(map(str, sorted(numbers)))


def _is_plain(item: str, highest: int) -> bool:
    """Whether an item means the same to both: 7 as a day of the week does not, nor each step from a number on."""
    if not (matched := _ITEM.fullmatch(item)):
        return False
    ends = [end for end in (matched["first"], matched["last"]) if end]
    numbers = [int(end) for end in ends if end.isdecimal()]
    if matched["step"] and ends:
        return len(numbers) == 2 and numbers[0] < numbers[1] <= highest  # noqa: PLR2004 - both ends of a range
    return all(number <= highest for number in numbers)


def _at_clock_changes(schedule: Schedule, now: datetime) -> Iterator[Difference]:
    timetable = Timetable.of(schedule)
    for cron in timetable.crons:
        if (change := cron.mended(now, now + _YEARS, timetable.zone)) is None:
            continue
        local, before = (moment.astimezone(timetable.zone) for moment in (change, change - _SECOND))
        forward = (local.utcoffset() or _NONE) > (before.utcoffset() or _NONE)
        does = "leaves out the slot that tasker runs" if forward else "runs twice what tasker runs once"
        message = f"when clocks in {schedule.timezone} are changed, as on {local:%Y-%m-%d}, Kubernetes {does}"
        hint = "choose a time of the day that is never left out and never comes twice, or timezone = UTC"
        yield Difference("cron", message, hint)


def _of_late_slots(schedule: Schedule) -> Iterator[Difference]:
    if schedule.catchup is Catchup.ALL:
        yield Difference("catchup", "Kubernetes makes up for the latest missed slot alone", "write catchup = latest")
    if schedule.jitter:
        yield Difference("jitter", "Kubernetes starts each job at its time", "leave it out")
    if schedule.deadline is not None and schedule.deadline < _LEAST_DEADLINE:
        message = "Kubernetes looks every ten seconds, and may miss what has less time"
        yield Difference("deadline", message, "write a deadline of 10s or more, or none")


def _of_overlap(schedule: Schedule, timeout: timedelta | None, now: datetime) -> Iterator[Difference]:
    if schedule.overlap is Overlap.QUEUE:
        yield Difference("overlap", "Kubernetes has no queue of jobs", "write overlap = skip, allow or replace")
    if schedule.overlap is Overlap.REPLACE:
        message = "Kubernetes starts the next run while the last one is still being stopped"
        yield Difference("overlap", message, "see that the steps bear it, or write overlap = skip", bearable=True)
    if schedule.overlap is Overlap.SKIP and (timeout is None or timeout >= _shortest_gap(schedule, now)):
        message = (
            "a slot that comes while the last run goes on is not skipped: Kubernetes starts it when that has ended"
        )
        hint = "write a timeout that is shorter than the time between two slots"
        yield Difference("overlap", message, hint, bearable=True)


def _shortest_gap(schedule: Schedule, now: datetime) -> timedelta:
    timetable, slots = Timetable.of(schedule), [now]
    while len(slots) < _SLOTS and (slot := timetable.next(slots[-1])):
        slots.append(slot)
    return min((later - slot for slot, later in pairwise(slots[1:])), default=timedelta.max)
