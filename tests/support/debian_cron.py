"""Debian's cron, evaluated by brute force: every moment of a stretch of time is asked whether it is due.

Nothing here searches, and nothing is taken from the code under test: expressions are made up from what they mean.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from itertools import pairwise
from operator import or_
from random import Random
from zoneinfo import ZoneInfo

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field: what is written, and what it means."""

    text: str
    values: frozenset[int]
    special: frozenset[tuple[str, int]] = frozenset()
    """Days that depend on the month: `L`, `LW`, `FRI#2`, `5L`."""

    @property
    def has_star(self) -> bool:
        """Whether it begins with one, which is all that cron looks at."""
        return self.text.startswith("*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """Six fields, of which the first, the seconds, may be left out in writing."""

    second: Field
    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field
    has_seconds: bool

    def __str__(self) -> str:
        fields = [self.second, self.minute, self.hour, self.day, self.month, self.weekday]
        return " ".join(each.text for each in fields[0 if self.has_seconds else 1 :])

    @property
    def is_frequent(self) -> bool:
        """Whether it tells how often, so that it follows the clock whatever the clock does."""
        return self.second.has_star or self.minute.has_star or self.hour.has_star

    def is_on(self, day: date) -> bool:
        """Whether it is due on a day at all."""
        if day.month not in self.month.values:
            return False
        last = calendar.monthrange(day.year, day.month)[1]
        weekdays = [date(day.year, day.month, each) for each in range(1, last + 1)]
        last_weekday = max(each.day for each in weekdays if each.weekday() < 5)
        of_month = day.day in self.day.values or any(
            day.day == {"L": last, "LW": last_weekday}[kind] for kind, _ in self.day.special
        )
        number = day.isoweekday() % 7
        of_week = number in self.weekday.values or any(
            number == which % 7 and (day.day + 7 > last if kind == "L" else (day.day - 1) // 7 + 1 == int(kind))
            for kind, which in self.weekday.special
        )
        if self.day.has_star or self.weekday.has_star:
            return of_month and of_week
        return of_month or of_week


@dataclass(slots=True)
class Stretch:
    """A stretch of time in a zone, every moment of it; sets of moments are bits of one large number."""

    zone: ZoneInfo
    begin: datetime
    moments: int
    step: timedelta
    _masks: dict[str, dict[object, int]] = field(default_factory=dict)
    _first: int = 0
    _gaps: list[tuple[int, list[datetime]]] = field(default_factory=list)
    """Moments at which the clock was put forward, with the times that it left out."""

    def __post_init__(self) -> None:
        self._masks = {unit: {} for unit in ("second", "minute", "hour", "date")}
        before = (self.begin - self.step).astimezone(self.zone).replace(tzinfo=None)
        for index in range(self.moments):
            here = self.at(index).astimezone(self.zone)
            wall = here.replace(tzinfo=None)
            for unit, value in (
                ("second", wall.second),
                ("minute", wall.minute),
                ("hour", wall.hour),
                ("date", wall.date()),
            ):
                self._masks[unit][value] = self._masks[unit].get(value, 0) | 1 << index
            self._first |= (here.fold == 0) << index
            if wall - before > self.step:
                left_out = int((wall - before) / self.step) - 1
                self._gaps.append((index, [before + self.step * (each + 1) for each in range(left_out)]))
            before = wall

    def at(self, index: int) -> datetime:
        """A moment, in UTC."""
        return self.begin + self.step * index

    @property
    def end(self) -> datetime:
        """The moment after the last one."""
        return self.at(self.moments)

    def due(self, expression: Expression) -> list[datetime]:
        """Every moment at which the expression is due."""
        bits = self._matching(expression)
        if not expression.is_frequent:
            bits &= self._first
            for index, left_out in self._gaps:
                if any(matches(expression, wall) for wall in left_out):
                    bits |= 1 << index
        return [self.at(index) for index in _set_bits(bits)]

    def _matching(self, expression: Expression) -> int:
        """The moments at which the clock shows a time that matches."""
        bits = -1
        for unit, wanted in (("second", expression.second), ("minute", expression.minute), ("hour", expression.hour)):
            bits &= reduce(or_, (mask for value, mask in self._masks[unit].items() if value in wanted.values), 0)
        days = (mask for day, mask in self._masks["date"].items() if isinstance(day, date) and expression.is_on(day))
        return bits & reduce(or_, days, 0)


def matches(expression: Expression, wall: datetime) -> bool:
    """Whether a time that a clock may show is one that is due."""
    return (
        wall.second in expression.second.values
        and wall.minute in expression.minute.values
        and wall.hour in expression.hour.values
        and expression.is_on(wall.date())
    )


def around(change: datetime, zone: ZoneInfo, reach: timedelta, step: timedelta) -> Stretch:
    """What lies around the moment at which a zone's clocks are changed."""
    begin = (change - reach).astimezone(UTC)
    return Stretch(zone, begin, int(2 * reach / step), step)


def clock_changes(zone: ZoneInfo, year: int) -> list[datetime]:
    """The moments of a year at which a zone's clocks are changed."""
    quarters = (datetime(year, 1, 1, tzinfo=UTC) + timedelta(minutes=15) * each for each in range(366 * 96))
    offsets = [(moment, moment.astimezone(zone).utcoffset()) for moment in quarters]
    return [moment for (_, before), (moment, after) in pairwise(offsets) if before != after]


def expressions(seed: int, count: int, *, has_seconds: bool = False) -> Iterator[Expression]:
    """So many made-up expressions: the same ones for the same seed."""
    random = Random(seed)
    for _ in range(count):
        yield Expression(
            second=_any_field(random, 0, 59, stars=0.1) if has_seconds else Field(text="0", values=frozenset({0})),
            minute=_any_field(random, 0, 59, stars=0.1),
            hour=_any_field(random, 0, 23, stars=0.3),
            day=_day(random),
            month=_any_field(random, 1, 12, stars=0.8, names=MONTHS),
            weekday=_weekday(random),
            has_seconds=has_seconds,
        )


def _day(random: Random) -> Field:
    if random.random() < 0.1:
        kind = random.choice(["L", "LW"])
        return Field(text=kind, values=frozenset(), special=frozenset({(kind, 0)}))
    return _any_field(random, 1, 31, stars=0.6)


def _weekday(random: Random) -> Field:
    if random.random() < 0.1:
        which, number = random.randint(0, 7), random.randint(1, 5)
        kind = random.choice(["L", str(number)])
        text = f"{which}L" if kind == "L" else f"{which}#{number}"
        return Field(text=text, values=frozenset(), special=frozenset({(kind, which)}))
    found = _any_field(random, 0, 7, stars=0.6, names=DAYS)
    return Field(text=found.text, values=frozenset(value % 7 for value in found.values))


def _any_field(random: Random, low: int, high: int, *, stars: float, names: Sequence[str] = ()) -> Field:
    """A list of one to three terms."""
    if random.random() < stars / 2:
        return Field(text="*", values=frozenset(range(low, high + 1)))
    terms = [_term(random, low, high, stars / 2, names) for _ in range(random.choice([1, 1, 1, 2, 3]))]
    values = frozenset(value for _, values in terms for value in values)
    return Field(text=",".join(text for text, _ in terms), values=values)


def _term(random: Random, low: int, high: int, stars: float, names: Sequence[str]) -> tuple[str, range]:
    step = random.randint(1, max(2, (high - low) // 2))
    if random.random() < stars:
        return f"*/{step}", range(low, high + 1, step)
    first, last = sorted((random.randint(low, high), random.randint(low, high)))
    match random.choice(["one", "one", "range", "steps", "steps from"]):
        case "one":
            return _name(random, first, low, names), range(first, first + 1)
        case "range":
            return f"{_name(random, first, low, names)}-{_name(random, last, low, names)}", range(first, last + 1)
        case "steps" if first != last:
            return f"{first}-{last}/{step}", range(first, last + 1, step)
        case _:
            return f"{first}/{step}", range(first, high + 1, step)


def _name(random: Random, value: int, low: int, names: Sequence[str]) -> str:
    if value - low < len(names) and random.random() < 0.5:
        return random.choice([str.lower, str.upper])(names[value - low])
    return str(value)


def _set_bits(bits: int) -> Iterator[int]:
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
