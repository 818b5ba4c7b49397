"""A cron expression, a time zone, and the next slot after a moment: pure, and without a clock.

Not to be confused with a pipeline's `Schedule`, which says what becomes of a slot. The rules are those of Debian's
cron, daylight saving included. cronsim reads expressions and knows the calendar; what becomes of times when clocks are
changed is decided here, since cronsim 2.8 loses slots where that is not by whole hours, or happens at midnight.
"""

from __future__ import annotations

import re
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import takewhile
from typing import TYPE_CHECKING

from tasker.errors import TaskerError
from tasker.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

    from cronsim import CronSim

LONGEST = 500
"""Characters of an expression: the longest that says something, every minute of the hour in a list, has fewer."""

_SHOWN = 60
"""Characters of it that a message repeats."""

_ORDER = "minute, hour, day of month, month, day of week"

_FIELDS = (
    ("second", "0 to 59"),
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of month", "1 to 31, L or LW"),
    ("month", "1 to 12 or JAN to DEC"),
    ("day of week", "0 to 7 or SUN to SAT, FRI#2 or 5L"),
)
"""What each field is called, and what it takes."""

_SHORTHANDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_ANY_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
_WEEK = timedelta(weeks=1)
_AROUND = timedelta(hours=3)
"""How long before and after a change of clocks times are touched by it: none is by more than two hours today."""
_NONE = timedelta()


class CronError(TaskerError):
    """An expression cannot be read; `offset` and `length` tell the characters to blame, `hint` what would mend it."""

    def __init__(self, reason: str, offset: int, length: int, hint: str) -> None:
        self.offset = offset
        self.length = length
        self.hint = hint
        super().__init__(reason)


class UnknownTimezoneError(TaskerError):
    """No time zone has the name that was asked for; `nearest` is the one that was most likely meant."""

    def __init__(self, name: str, nearest: str | None) -> None:
        self.name = name
        self.nearest = nearest
        self.hint = f"did you mean {nearest!r}?" if nearest else "names are like Australia/Sydney and UTC"
        super().__init__(f"no time zone is named {_cut(name)!r}")


@dataclass(frozen=True, slots=True)
class Cron:
    """When something is due: five fields from minutes to days of the week, or six that begin with seconds."""

    expression: str
    """As it was written."""
    fields: str
    """The fields that it stands for."""

    @classmethod
    def parse(cls, expression: str) -> Cron:
        """Read an expression such as `15 2 * * 1-5` or `@daily`; raises `CronError`."""
        if len(expression) > LONGEST:
            reason = f"a cron expression has at most {LONGEST} characters"
            raise CronError(reason, 0, len(expression), "make several expressions of it")
        if expression.strip().startswith("@"):
            return cls(expression, _long_form(expression))
        words = list(re.finditer(r"\S+", expression))
        if len(words) not in (len(_FIELDS) - 1, len(_FIELDS)):
            reason = f"a cron expression has five fields, or six that begin with seconds, not {len(words)}"
            raise CronError(reason, 0, max(1, len(expression)), f"write {_ORDER}, as in 15 2 * * 1-5")
        for position, word in enumerate(words, start=len(_FIELDS) - len(words)):
            _check_field(position, word)
        return cls(expression, " ".join(word[0] for word in words))

    def next(self, after: datetime, timezone: ZoneInfo) -> datetime | None:
        """The first moment later than `after`, an aware one, that is due; `None` where none is within 50 years."""
        return next(self.moments(after, timezone), None)

    def moments(self, after: datetime, timezone: ZoneInfo) -> Iterator[datetime]:
        """The moments later than `after` that are due, in order."""
        from cronsim import CronSimError  # noqa: PLC0415 - what is only run, and not scheduled, needs no cron

        begin = after.astimezone(UTC).replace(microsecond=0) + _SECOND
        find = _by_the_clock if self._follows_the_clock else _by_the_day
        try:
            for moment in find(_calendar(self.fields), begin, timezone):
                yield moment.astimezone(timezone)
        except (CronSimError, OverflowError):  # the 31st of February; the year 10000
            return

    def mended(self, after: datetime, until: datetime, timezone: ZoneInfo) -> datetime | None:
        """The first change of clocks, between two moments, around which this is not due just when a clock shows it."""
        if self._follows_the_clock:
            return None
        return next((change for change in _changes(after, until, timezone) if self._is_mended(change, timezone)), None)

    def _is_mended(self, change: datetime, zone: ZoneInfo) -> bool:
        begin, end = change - _AROUND, change + _AROUND
        calendar = _calendar(self.fields)
        shown, mended = (
            list(takewhile(lambda moment: moment < end, find(calendar, begin, zone)))
            for find in (_by_the_clock, _by_the_day)
        )
        return shown != mended

    @property
    def _follows_the_clock(self) -> bool:
        """Whether it says how often, by a star, and not at which times of the day."""
        *times, _day, _month, _weekday = self.fields.split()
        return any(field.startswith("*") for field in times)


def _by_the_clock(calendar: CronSim, begin: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """The moments from `begin` on at which a clock in the zone shows what is due."""
    while True:
        # Up to its next change the clock is ahead of UTC by as much as now.
        ahead, change = _ahead(begin, zone), _change(begin, begin + _DAY, zone)
        end = change or begin + _DAY
        for wall in _times(calendar, begin + ahead):
            if (moment := wall - ahead) >= end:
                # No clock is changed by over a day, so that nothing is due until two days before this.
                begin = change or max(end, moment - 2 * _DAY)
                break
            yield moment
        else:
            return


def _by_the_day(calendar: CronSim, begin: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """The moments from `begin` on that are a time of the day that is due.

    One that comes twice counts when it comes first, and those that the clock leaves out at once when it has, once.
    """
    last = begin - _SECOND
    for wall in _times(calendar, begin + _ahead(begin, zone)):
        if (moment := _moment(wall, zone)) > last:
            yield moment
            last = moment


def _moment(wall: datetime, zone: ZoneInfo) -> datetime:
    """When a clock in the zone first shows this, or has left it out."""
    before, after = (wall.replace(tzinfo=zone, fold=fold).utcoffset() or _NONE for fold in (0, 1))
    leaves_out = _change(wall - after, wall - before, zone) if after > before else None
    return leaves_out or wall - before


def _change(early: datetime, late: datetime, zone: ZoneInfo) -> datetime | None:
    """When between two moments the zone's clocks are changed, if they are."""
    ahead = _ahead(early, zone)
    if _ahead(late, zone) == ahead:
        return None
    while late - early > _SECOND:
        middle = (early + (late - early) / 2).replace(microsecond=0)
        early, late = (middle, late) if _ahead(middle, zone) == ahead else (early, middle)
    return late


def _changes(after: datetime, until: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """When between two moments the zone's clocks are changed: never twice in a week."""
    early = after.astimezone(UTC)
    while early < until:
        if change := _change(early, early + _WEEK, zone):
            yield change
        early += _WEEK


def _ahead(moment: datetime, zone: ZoneInfo) -> timedelta:
    """By how much the zone's clocks are ahead of UTC."""
    return moment.astimezone(zone).utcoffset() or _NONE


def _times(calendar: CronSim, wall: datetime) -> Iterator[datetime]:
    """The times from this one on that are due: what a clock shows, written as if it were UTC."""
    search = copy(calendar)
    search.dt = wall - _SECOND
    return search


@lru_cache(maxsize=4096)
def _calendar(fields: str) -> CronSim:
    """The times of years without end that are due: to be copied, and searched."""
    from cronsim import CronSim  # noqa: PLC0415 - as above

    return CronSim(fields, _ANY_MOMENT)


def timezone(name: str) -> ZoneInfo:
    """The time zone of this name; raises `UnknownTimezoneError`."""
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - what is only run, and not scheduled, needs no time zones

    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise UnknownTimezoneError(name, _nearest_timezone(name)) from None


def _nearest_timezone(name: str) -> str | None:
    """The zone whose city is called most like it: people know the city, and misspell or forget the continent."""
    from zoneinfo import available_timezones  # noqa: PLC0415 - reads a folder of hundreds of files

    cities = {_city(zone): zone for zone in sorted(available_timezones())}
    city = nearest(_city(name), cities, likeness=0.7)
    return cities[city] if city else None


def _city(zone: str) -> str:
    return zone.rpartition("/")[2]


def _long_form(expression: str) -> str:
    name = expression.strip()
    if name in _SHORTHANDS:
        return _SHORTHANDS[name]
    near = nearest(name, _SHORTHANDS)
    hint = f"did you mean {near}?" if near else f"there are {', '.join(_SHORTHANDS)}"
    reason = f"no cron expression is named {_cut(name)!r}"
    raise CronError(reason, expression.index("@"), len(name), hint)


def _check_field(position: int, word: re.Match[str]) -> None:
    """Try one field among five that are always right; raises `CronError`."""
    from cronsim import CronSim, CronSimError  # noqa: PLC0415 - as above

    fields = ["*"] * len(_FIELDS)
    fields[position] = word[0]
    try:
        CronSim(" ".join(fields), _ANY_MOMENT)
    except CronSimError:
        name, takes = _FIELDS[position]
        reason = f"the {name} {_cut(word[0])!r} cannot be read"
        hint = f"it takes {takes}, *, lists such as 1,3, ranges such as 1-5, steps such as */2"
        raise CronError(reason, word.start(), len(word[0]), hint) from None


def _cut(text: str) -> str:
    return f"{text[:_SHOWN]}…" if len(text) > _SHOWN else text
