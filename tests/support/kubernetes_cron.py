"""Kubernetes' cron, evaluated by brute force: every minute of a stretch of time is asked whether it is due.

It follows robfig/cron v3, which Kubernetes reads the schedules of CronJobs with, rule by rule; nothing is taken from
the code under test.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_MINUTE = timedelta(minutes=1)


class UnreadableError(ValueError):
    """Kubernetes would refuse the schedule."""


def due(expression: str, after: datetime, until: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """The moments later than `after` up to `until` at which a CronJob is due, in UTC."""
    minutes, hours, days, months, weekdays = (
        _field(text, number) for number, text in enumerate(_five(expression.lower().split()))
    )
    moment = after.astimezone(UTC).replace(second=0, microsecond=0)
    while (moment := moment + _MINUTE) <= until:
        local = moment.astimezone(zone)
        by_day = (local.day in days[0], local.isoweekday() % 7 in weekdays[0])
        on_day = all(by_day) if days[1] or weekdays[1] else any(by_day)
        if local.minute in minutes[0] and local.hour in hours[0] and on_day and local.month in months[0]:
            yield moment


def _five(words: list[str]) -> list[str]:
    if len(words) != len(_BOUNDS):
        raise UnreadableError(words)
    return words


def _field(text: str, number: int) -> tuple[set[int], bool]:
    """The numbers of a field, and whether it counts as a star."""
    found: set[int] = set()
    star = False
    for item in text.split(","):
        numbers, is_star = _item(item, number)
        found |= numbers
        star = star or is_star
    return found, star


def _item(item: str, number: int) -> tuple[set[int], bool]:
    least, most = _BOUNDS[number]
    body, slash, step_text = item.partition("/")
    low, dash, high = body.partition("-")
    star = low in {"*", "?"} and not dash
    if star:
        start, end = least, most
    else:
        start = _number(low, number)
        end = _number(high, number) if dash else start
    step = 1
    if slash:
        if not step_text.isdecimal() or not int(step_text):
            raise UnreadableError(item)
        step = int(step_text)
        end = end if dash or star else most
    if not least <= start <= end <= most:
        raise UnreadableError(item)
    return set(range(start, end + 1, step)), star and step == 1


def _number(text: str, number: int) -> int:
    names = {3: dict(zip(_MONTHS, range(1, 13), strict=True)), 4: dict(zip(_DAYS, range(7), strict=True))}
    if text in names.get(number, {}):
        return names[number][text]
    if not text.isdecimal():
        raise UnreadableError(text)
    return int(text)
