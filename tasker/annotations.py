"""What annotations say, and how people are told of it: names of types, bounds, the fields of shapes.

Not to be confused with `signature`, which reads the annotations of a task, and `conversion`, which obeys them.
"""

from __future__ import annotations

import collections.abc
import json
import operator
import pathlib
import re
import types
import typing
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import date, time, timedelta
from enum import Enum
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin

from tasker.durations import format_duration
from tasker.sizes import Size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

NoneType = type(None)

LISTS: Mapping[Any, Callable[[list[Any]], Any]] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    collections.abc.Collection: list,
    collections.abc.Iterable: list,
    collections.abc.MutableSequence: list,
    collections.abc.MutableSet: set,
    collections.abc.Sequence: list,
    collections.abc.Set: set,
}
"""The types that a list of a file is for, and what each is made with."""

OBJECTS = frozenset({dict, collections.abc.Mapping, collections.abc.MutableMapping})
"""The types that an object of a file is for, whatever its keys."""

_CHOICES_SHOWN = 12
"""Members of an enum or literal that a message lists: more than that are looked up in the documentation anyway."""

_NAMES = {
    NoneType: "null",
    Size: "size",
    timedelta: "duration",
    Any: "any",
    object: "any",
    pathlib.Path: "path",
    pathlib.PurePath: "path",
    re.Pattern: "regular expression",
}


def peeled(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """The type within `Annotated`, `NewType`, `Required` and aliases, and what `Annotated` says of it."""
    metadata: tuple[Any, ...] = ()
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            metadata = (*annotation.__metadata__, *metadata)
            annotation = annotation.__origin__
        elif origin in (Required, NotRequired):
            (annotation,) = get_args(annotation)
        elif isinstance(annotation, typing.NewType):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            return NoneType if annotation is None else annotation, metadata


def members(annotation: Any) -> tuple[Any, ...]:
    """The members of a union; of anything else, itself alone."""
    base, _ = peeled(annotation)
    return get_args(base) if get_origin(base) in (Union, types.UnionType) else (annotation,)


def origin_of(base: Any) -> Any:
    """`list` of `list[str]`, and of `list`; `None` of what can be no type, such as `[str]`."""
    return get_origin(base) or (base if isinstance(base, collections.abc.Hashable) else None)


def is_fixed(base: Any) -> bool:
    """Whether values are tuples of a fixed length, as `tuple[int, str]` is, and `tuple[int, ...]` is not."""
    return get_origin(base) is tuple and get_args(base)[-1:] != (...,)


def is_enum(base: Any) -> bool:
    """Whether values are the members of an enum."""
    return isinstance(base, type) and issubclass(base, Enum)


# Bounds


@dataclass(frozen=True, slots=True)
class Bound:
    """What `Annotated` asks of a value beside its type: `must be …`."""

    words: str
    holds: Callable[[Any], bool]


_BOUNDS: Mapping[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "ge": ("at least", operator.le),
    "gt": ("more than", operator.lt),
    "le": ("at most", operator.ge),
    "lt": ("less than", operator.gt),
    "multiple_of": ("a multiple of", lambda factor, value: value % factor == 0),
    "min_length": ("of length at least", lambda length, value: length <= len(value)),
    "max_length": ("of length at most", lambda length, value: length >= len(value)),
}
"""The attributes that tell the vocabulary of `annotated_types`, without importing it: words, limit against value."""


def bounds(metadata: tuple[Any, ...]) -> Iterator[Bound]:
    """The bounds among what `Annotated` says, whether each stands alone or in a group such as `Interval`."""
    for said in metadata:
        for attribute, (words, holds) in _BOUNDS.items():
            limit = getattr(said, attribute, None)
            if limit is not None and (attribute, limit) != ("min_length", 0):
                yield Bound(f"{words} {spelled(limit)}", partial(holds, limit))


# Shapes


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a shape."""

    annotation: Any
    required: bool


def is_shape(base: Any) -> bool:
    """Whether values are objects with named fields: a TypedDict or a dataclass."""
    return typing.is_typeddict(base) or (isinstance(base, type) and is_dataclass(base))


@lru_cache(maxsize=256)
def shape(base: type) -> Mapping[str, Field]:
    """The fields of a TypedDict or dataclass; raises what its annotations raise where they cannot be resolved."""
    hints = typing.get_type_hints(base, include_extras=True)
    if typing.is_typeddict(base):
        return {name: Field(hint, _is_required(base, name, hint)) for name, hint in hints.items()}
    return {
        field.name: Field(hints[field.name], field.default is MISSING and field.default_factory is MISSING)
        for field in fields(base)
        if field.init
    }


def _is_required(base: Any, name: str, hint: Any) -> bool:
    # `__required_keys__` misses a `NotRequired` that is written in a module whose annotations are strings.
    origin = get_origin(hint)
    return origin is not NotRequired and (origin is Required or name in base.__required_keys__)


# Words


def type_name(annotation: Any) -> str:
    """What a value of the annotation is called: `str`, `duration`, `list of int (at least 1)`."""
    if type(annotation).__name__ == "TypeAliasType":  # it may name itself
        return str(annotation.__name__)
    base, metadata = peeled(annotation)
    name = " | ".join(map(type_name, members(base))) if members(base) != (base,) else _base_name(base)
    limits = ", ".join(bound.words for bound in bounds(metadata))
    return f"{name} ({limits})" if limits else name


def _base_name(base: Any) -> str:
    origin, arguments = origin_of(base), get_args(base)
    if origin is Literal or is_enum(base):
        return " | ".join(choices(base))
    if is_fixed(base):
        return f"[{', '.join(map(type_name, arguments))}]"
    if origin in LISTS:
        return _of("list", arguments[:1])
    if origin in OBJECTS:
        return _of("object", arguments[1:])
    if is_shape(base):
        return _shape_name(base)
    return _NAMES.get(origin) or getattr(base, "__name__", None) or str(base)


def _of(container: str, content: tuple[Any, ...]) -> str:
    if not content or content[0] is Any:
        return container
    name = type_name(content[0])
    return f"{container} of ({name})" if " | " in name else f"{container} of {name}"


def _shape_name(base: Any) -> str:
    try:
        known = shape(base)
    except Exception:  # noqa: BLE001 - an annotation is code of the author's, and may raise anything
        return str(base.__name__)
    return f"{{{', '.join(name if field.required else f'{name}?' for name, field in known.items())}}}"


def choices(base: Any) -> list[str]:
    """The members of an enum or a literal, as a file spells them; many are cut short."""
    named = [plainly(member) for member in (base if is_enum(base) else get_args(base))]
    return [*named[:_CHOICES_SHOWN], "…"] if len(named) > _CHOICES_SHOWN else named


def plainly(value: Any) -> str:
    """A value as a file may spell it, strings without quotes."""
    if isinstance(value, Enum):
        return plainly(value.value) if isinstance(value.value, (str, int, float)) else value.name
    return value if isinstance(value, str) else spelled(value)


def spelled(value: Any) -> str:
    """A value as a file spells it: `"text"`, `null`, `true`, `1h 5m`, `[1, 2]`."""
    match value:
        case Enum():
            return plainly(value)
        case timedelta():
            return format_duration(value)
        case date() | time():
            return value.isoformat()
        case str() | bool() | None:
            return json.dumps(value, ensure_ascii=False)
        case list() | tuple() | set() | frozenset():
            return f"[{', '.join(map(spelled, value))}]"
        case _:
            return str(value)
