"""Whatever a task logs or hands on, as JSON data: it never raises, and what it answers any JSON reader takes.

Not to be confused with `document.values.plain`, which unwraps the values of a document.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import date, time
from enum import Enum
from math import isfinite
from typing import Any

_DEEPEST = 64
"""Levels of lists and mappings that are kept: what nests deeper, or in itself, is cut off with an ellipsis."""
_LONGEST_INTEGER = 10_000
"""Bits up to which an integer is written in decimal: beyond, Python refuses, and nobody reads it."""


def jsonable(data: Any, depth: int = 0) -> Any:
    """The data as JSON knows it; what JSON has no form for goes as its `str()`."""
    if data is None or isinstance(data, bool | str):
        return data
    if isinstance(data, int | float):
        return _number(data)
    if isinstance(data, Enum):
        return jsonable(data.value, depth)
    if isinstance(data, date | time):
        return data.isoformat()
    return _collection(data, depth)


def _number(data: float) -> int | float | str:
    if isinstance(data, int):
        return data if data.bit_length() <= _LONGEST_INTEGER else f"{data:#x}"
    return data if isfinite(data) else str(data)


def _collection(data: Any, depth: int) -> Any:
    if depth == _DEEPEST:
        return "…"
    if is_dataclass(data) and not isinstance(data, type):
        data = {field.name: getattr(data, field.name, None) for field in fields(data)}
    if isinstance(data, Mapping):
        return {text(key): jsonable(item, depth + 1) for key, item in data.items()}
    if isinstance(data, list | tuple):
        return [jsonable(item, depth + 1) for item in data]
    if isinstance(data, AbstractSet):
        return sorted((jsonable(item, depth + 1) for item in data), key=text)
    return text(data)


def text(data: object) -> str:
    """The `str()` of an object, also of one whose `__str__` raises."""
    try:
        return str(data)
    except Exception:  # noqa: BLE001 - an author's `__str__` may raise anything
        return f"<{type(data).__name__} without a text>"
