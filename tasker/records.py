"""Frozen records of ours as JSON data, and back, by the annotations of their fields.

Not to be confused with `conversion`, which makes what people write into what tasks ask for, and tells them of slips.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

_Record = TypeVar("_Record")

_NAMES = {each.__name__: each for each in (Mapping, Path, datetime, timedelta)}
"""What the annotations of records name that their modules import for the checker of types alone."""


def to_json(value: Any) -> Any:
    """A record, or what may stand in one, as JSON data."""
    if is_dataclass(value):
        return {each.name: to_json(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value) if isinstance(value, StrEnum | Path) else value


def from_json(kind: type[_Record], data: Any) -> _Record:
    """The record that `to_json` told of. Raises `KeyError`, `TypeError` or `ValueError` where it is none."""
    made = _made(kind, data)
    if not isinstance(made, kind):
        message = f"this is no {kind.__name__}"
        raise TypeError(message)
    return made


def _made(kind: Any, data: Any) -> Any:
    if kind is Any:
        return data
    if get_origin(kind) in (Union, types.UnionType):
        made_of = next(each for each in get_args(kind) if each is not types.NoneType)
        return None if data is None else _made(made_of, data)
    if get_origin(kind) is not None:
        return _collection(kind, data)
    if is_dataclass(kind):
        return _record(kind, data)
    make = _MAKERS.get(kind) or (kind if issubclass(kind, StrEnum) else None)
    return make(data) if make else _as_is(kind, data)


def _as_is(kind: Any, data: Any) -> Any:
    if isinstance(data, kind) or (kind is float and isinstance(data, int)):
        return data
    message = f"this is no {kind.__name__}"
    raise TypeError(message)


def _collection(kind: Any, data: Any) -> Any:
    if get_origin(kind) is Mapping and isinstance(data, Mapping):
        return {key: _made(get_args(kind)[-1], value) for key, value in data.items()}
    if get_origin(kind) is not Mapping and isinstance(data, list | tuple):
        return tuple(_made(get_args(kind)[0], value) for value in data)
    message = f"this is no {kind}"
    raise TypeError(message)


def _record(kind: Any, data: Any) -> Any:
    if not isinstance(data, Mapping):
        message = f"this is no {kind.__name__}"
        raise TypeError(message)
    return kind(**{name: _made(each, data[name]) for name, each in _fields(kind).items() if name in data})


_MAKERS: dict[Any, Callable[[Any], Any]] = {
    datetime: datetime.fromisoformat,
    timedelta: lambda seconds: timedelta(seconds=seconds),
    Path: Path,
}


@cache
def _fields(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind, localns=_NAMES)
    return {each.name: hints[each.name] for each in fields(kind)}
