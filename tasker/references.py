"""Late values: which references they are made of, and what they come to once a run knows what these stand for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tasker.document.values import Array, Late, Object, OutputReference, Reference, RunReference, Scalar, Span, Value
from tasker.errors import TaskerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class MissingOutputError(TaskerError):
    """A step did not hand on what another one reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a run knows when a step comes up that refers to it."""

    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))
    """What steps have handed on, by step id."""
    run: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """What the run has come to, by the keys of `${run.KEY}`."""


def references(value: Value) -> Iterator[Reference]:
    """Every reference in a value, however deep."""
    match value:
        case Late():
            yield from value.references
        case Array():
            for item in value.items:
                yield from references(item)
        case Object():
            for item in value.fields.values():
                yield from references(item)


def outputs_read(value: Value) -> Iterator[OutputReference]:
    """Every output that a value reads, however deep."""
    return (reference for reference in references(value) if isinstance(reference, OutputReference))


def resolved(value: Value, known: Known, mask: Callable[[str], str]) -> Value | None:
    """The value with all that it refers to in its place; raises `MissingOutputError`.

    As everywhere in HOCON, an optional reference to what is not there is left out: of a list, of an object, and alone
    it is nothing. `mask` hides secrets: a step may have handed on what another one reads.
    """
    match value:
        case Late(parts=(Reference() as reference,)):
            data = _data(reference, known)
            return None if data is _ABSENT else _wrapped(data, value.span, mask)
        case Late():
            text = "".join(_text(part, known) for part in value.parts)
            shown = "".join(_text(part, known, masked=True) for part in value.parts)
            of_a_run = any(isinstance(part, Scalar) and part.lasting is not None for part in value.parts)
            lasting = mask("".join(_text(part, known, lasting=True) for part in value.parts)) if of_a_run else None
            return replace(_scalar(value.span, text, text, mask(shown)), lasting=lasting)
        case Array():
            items = (resolved(item, known, mask) for item in value.items)
            return Array(value.span, tuple(item for item in items if item is not None))
        case Object():
            fields = {key: resolved(item, known, mask) for key, item in value.fields.items()}
            there = {key: item for key, item in fields.items() if item is not None}
            return Object(value.span, there, value.keys)
    return value


_ABSENT: Any = object()
"""Stands for what an optional reference does not find."""


def _wrapped(data: Any, span: Span, mask: Callable[[str], str]) -> Value:
    """Plain data, as a step hands it on, as a document's value written at `span`."""
    if isinstance(data, dict):
        return Object(span, {str(key): _wrapped(item, span, mask) for key, item in data.items()})
    if isinstance(data, list):
        return Array(span, tuple(_wrapped(item, span, mask) for item in data))
    text = _spelling(data)
    return _scalar(span, data, text, mask(text))


def _scalar(span: Span, data: str | float | bool | None, text: str, shown: str) -> Scalar:  # noqa: FBT001 - a value
    return Scalar(span, data, text, shown if shown != text else None)


def _data(reference: Reference, known: Known) -> Any:
    if isinstance(reference, RunReference):
        return known.run[reference.key]
    assert isinstance(reference, OutputReference)  # noqa: S101 - there is no third kind
    return _output(reference, known.outputs)


def _output(reference: OutputReference, outputs: Mapping[str, Mapping[str, Any]]) -> Any:
    data: Any = outputs.get(reference.step, {})
    for depth, key in enumerate(reference.keys):
        if not isinstance(data, dict) or key not in data:
            if reference.optional:
                return _ABSENT
            path = ".".join((reference.step, *reference.keys[: depth + 1]))
            known = ", ".join(sorted(data)) if isinstance(data, dict) and data else "nothing"
            message = f"there is no output '{path}': what was handed on there is {known}"
            raise MissingOutputError(message)
        data = data[key]
    return data


def _text(part: Scalar | Reference, known: Known, *, masked: bool = False, lasting: bool = False) -> str:
    if isinstance(part, Scalar):
        if lasting and part.lasting is not None:
            return part.lasting
        return part.masked if (masked or lasting) and part.masked is not None else part.text
    data = _data(part, known)
    if isinstance(data, dict | list):
        message = f"{part} is {'an object' if isinstance(data, dict) else 'a list'}, and cannot be part of a string"
        raise MissingOutputError(message)
    return "" if data is _ABSENT else _spelling(data)


def _spelling(data: Any) -> str:
    """How HOCON writes a scalar."""
    if data is None:
        return "null"
    return str(data).lower() if isinstance(data, bool) else str(data)
