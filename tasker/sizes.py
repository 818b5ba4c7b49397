"""Sizes in bytes, as HOCON spells them: `512`, `64k`, `10 MB`, `1 GiB`."""

from __future__ import annotations

import re

_PREFIXES = "kmgtpezy"
_SIZE = re.compile(r"\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[A-Za-z]*)\s*")


class Size(int):
    """A number of bytes; annotate a parameter with it to take sizes such as `10 MB` from a file."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Size:
        """Read a size; a bare letter or `…iB` counts by 1024, `…B` by 1000. Raises `ValueError`."""
        match = _SIZE.fullmatch(text)
        factor = _factor(match["unit"]) if match else None
        if match is None or factor is None:
            message = f"not a size: {text!r}"
            raise ValueError(message)
        number = match["number"]
        return cls(float(number) * factor if "." in number else int(number) * factor)


def _factor(unit: str) -> int | None:
    """The bytes in one `unit`, by the spellings that the HOCON specification lists; `None` for no unit of size."""
    if unit in {"", "B", "b", "byte", "bytes"}:
        return 1
    for power, letter in enumerate(_PREFIXES, start=1):
        if unit in {letter, letter.upper(), f"{letter.upper()}i", f"{letter.upper()}iB"}:
            return 1024**power
        if unit in {"kB" if letter == "k" else f"{letter.upper()}B"}:
            return 1000**power
    names = ("kilo", "mega", "giga", "tera", "peta", "exa", "zetta", "yotta")
    binary_names = ("kibi", "mebi", "gibi", "tebi", "pebi", "exbi", "zebi", "yobi")
    for power, (decimal, binary) in enumerate(zip(names, binary_names, strict=True), start=1):
        if unit in {f"{decimal}byte", f"{decimal}bytes"}:
            return 1000**power
        if unit in {f"{binary}byte", f"{binary}bytes"}:
            return 1024**power
    return None
