"""Lengths of time, as HOCON spells them: `350ms`, `10 minutes`, and, as people do, `1h 30m`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNITS = {
    7 * 24 * 3600 * 10**9: ("w", "week", "weeks"),
    24 * 3600 * 10**9: ("d", "day", "days"),
    3600 * 10**9: ("h", "hour", "hours"),
    60 * 10**9: ("m", "minute", "minutes"),
    10**9: ("s", "second", "seconds"),
    10**6: ("ms", "milli", "millis", "millisecond", "milliseconds"),
    10**3: ("us", "micro", "micros", "microsecond", "microseconds"),
    1: ("ns", "nano", "nanos", "nanosecond", "nanoseconds"),
}
"""Nanoseconds, and the names of the unit that lasts so long."""

_NANOSECONDS = {name: nanoseconds for nanoseconds, names in _UNITS.items() for name in names}
_PART = re.compile(r"\s*(?P<whole>[0-9]{1,18})(?:\.(?P<fraction>[0-9]{1,18}))?\s*(?P<unit>[a-z]+)\s*")


def parse_duration(text: str) -> timedelta:
    """Read a duration, to the nearest microsecond; raises `ValueError`.

    Only zero goes without a unit: no reader can tell whether `30` means seconds or, as HOCON has it, milliseconds.
    """
    if text.strip() == "0":
        return timedelta()
    try:
        return timedelta(microseconds=(sum(_nanoseconds(text)) + 500) // 1000)
    except (LookupError, OverflowError):
        message = f"not a duration: {text!r}"
        raise ValueError(message) from None


def _nanoseconds(text: str) -> Iterator[int]:
    """What each part of `text` lasts, units descending; raises `LookupError` at what is no part."""
    position, longest = 0, float("inf")
    while position < len(text) or not position:
        match = _PART.match(text, position)
        unit = _NANOSECONDS[match["unit"]] if match else longest
        if match is None or unit >= longest:
            raise LookupError(position)
        fraction = match["fraction"] or ""
        yield int(match["whole"] + fraction) * unit // 10 ** len(fraction)
        position, longest = match.end(), unit


def format_duration(duration: timedelta) -> str:
    """The duration for people, in at most two units, cut and not rounded: `1h 5m`, `2.4s`, `350ms`."""
    if duration < timedelta():
        return f"-{format_duration(-duration)}"
    microseconds = duration // timedelta(microseconds=1)
    if microseconds >= _MINUTE:
        return _two_units(microseconds // _SECOND)
    if microseconds >= _SECOND or not microseconds:
        return f"{microseconds // (_SECOND // 10) / 10:g}s"
    return f"{microseconds // _MILLISECOND}ms" if microseconds >= _MILLISECOND else f"{microseconds}us"


_MILLISECOND = 1000
_SECOND = 1000 * _MILLISECOND
_MINUTE = 60 * _SECOND


def _two_units(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    counts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")]
    while not counts[0][0]:
        del counts[0]
    return " ".join(f"{count}{unit}" for count, unit in counts[:2] if count)
