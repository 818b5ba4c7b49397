"""Sizes in bytes, as HOCON spells them: `512`, `64k`, `10 MB`, `1 GiB`."""

from __future__ import annotations

import re

_PREFIXES = {
    "k": ("kilo", "kibi"),
    "m": ("mega", "mebi"),
    "g": ("giga", "gibi"),
    "t": ("tera", "tebi"),
    "p": ("peta", "pebi"),
    "e": ("exa", "exbi"),
    "z": ("zetta", "zebi"),
    "y": ("yotta", "yobi"),
}
"""The letter of each power, and its names by 1000 and by 1024."""

_SIZE = re.compile(r"\s*(?P<whole>[0-9]{1,30})(?:\.(?P<fraction>[0-9]{1,30}))?\s*(?P<unit>[A-Za-z]*)\s*")


def _units() -> dict[str, int]:
    """The bytes in one of each unit that the HOCON specification lists."""
    units = dict.fromkeys(("", "B", "b", "byte", "bytes"), 1)
    for power, (letter, (decimal, binary)) in enumerate(_PREFIXES.items(), start=1):
        upper, by_thousands = letter.upper(), "kB" if letter == "k" else f"{letter.upper()}B"
        units |= dict.fromkeys((by_thousands, f"{decimal}byte", f"{decimal}bytes"), 10 ** (3 * power))
        names = (letter, upper, f"{upper}i", f"{upper}iB", f"{binary}byte", f"{binary}bytes")
        units |= dict.fromkeys(names, 1 << (10 * power))
    return units


_UNITS = _units()


class Size(int):
    """A number of bytes; annotate a parameter with it to take sizes such as `10 MB` from a file."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Size:
        """Read a size, cut to whole bytes; a bare letter or `…iB` counts by 1024, `…B` by 1000. Raises `ValueError`."""
        match = _SIZE.fullmatch(text)
        unit = _UNITS.get(match["unit"]) if match else None
        if match is None or unit is None or (match["fraction"] and unit == 1):
            message = f"not a size: {text!r}"
            raise ValueError(message)
        fraction = match["fraction"] or ""
        return cls(int(match["whole"] + fraction) * unit // 10 ** len(fraction))
