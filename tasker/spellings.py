"""How the text of a scalar is read as a boolean, a number, a path: strict, and raising `ValueError` without a word.

Not to be confused with `conversion`, which chooses the reading that an annotation asks for, and finds the words.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WHOLE = re.compile(r"[+-]?[0-9]+")
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def boolean(text: str) -> bool:
    """A truth value, by the words that HOCON has for it."""
    if text not in _BOOLEANS:
        raise ValueError
    return _BOOLEANS[text]


def whole(text: str) -> int:
    """A whole number; `3.0` is none."""
    return int(_matching(_WHOLE, text))


def number(text: str) -> float:
    """A number, and a finite one."""
    read = float(_matching(_NUMBER, text))
    if math.isinf(read):
        raise ValueError
    return read


def decimal(text: str) -> object:
    """A `Decimal` that keeps the digits that were written."""
    from decimal import Decimal, InvalidOperation  # noqa: PLC0415 - few tasks ask for one

    try:
        return Decimal(_matching(_NUMBER, text))
    except InvalidOperation:  # an exponent beyond every bound
        raise ValueError from None


def uuid(text: str) -> object:
    """A `UUID`."""
    from uuid import UUID  # noqa: PLC0415 - few tasks ask for one

    return UUID(text)


def path(text: str) -> Path:
    """A path; not the empty one, which would be the working directory wherever a variable is not set."""
    if not text or "\0" in text:
        raise ValueError
    return Path(text)


def pattern(text: str) -> re.Pattern[str]:
    """A compiled regular expression."""
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError):
        raise ValueError from None


def _matching(shape: re.Pattern[str], text: str) -> str:
    if shape.fullmatch(text) is None:
        raise ValueError
    return text
