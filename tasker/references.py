"""Late values: which outputs they are made of, and what they come to once these are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tasker.document.values import Array, Late, Object, OutputReference, Scalar, Span, Value
from tasker.errors import TaskerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class MissingOutputError(TaskerError):
    """A step did not hand on what another one reads."""


def references(value: Value) -> Iterator[OutputReference]:
    """Every output that a value reads, however deep."""
    match value:
        case Late():
            yield from value.references
        case Array():
            for item in value.items:
                yield from references(item)
        case Object():
            for item in value.fields.values():
                yield from references(item)


def resolved(value: Value, outputs: Mapping[str, Mapping[str, Any]], mask: Callable[[str], str]) -> Value:
    """The value with every output in its place; raises `MissingOutputError`.

    `mask` hides secrets: a step may have handed on what another one reads.
    """
    match value:
        case Late(parts=(OutputReference() as reference,)):
            return _wrapped(_output(reference, outputs), value.span, mask)
        case Late():
            text = "".join(_text(part, outputs) for part in value.parts)
            shown = "".join(_text(part, outputs, masked=True) for part in value.parts)
            return _scalar(value.span, text, text, mask(shown))
        case Array():
            return Array(value.span, tuple(resolved(item, outputs, mask) for item in value.items))
        case Object():
            fields = {key: resolved(item, outputs, mask) for key, item in value.fields.items()}
            return Object(value.span, fields, value.keys)
    return value


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


def _output(reference: OutputReference, outputs: Mapping[str, Mapping[str, Any]]) -> Any:
    data: Any = outputs.get(reference.step, {})
    for depth, key in enumerate(reference.keys):
        if not isinstance(data, dict) or key not in data:
            if reference.optional:
                return None
            path = ".".join((reference.step, *reference.keys[: depth + 1]))
            known = ", ".join(sorted(data)) if isinstance(data, dict) and data else "nothing"
            message = f"there is no output '{path}': what was handed on there is {known}"
            raise MissingOutputError(message)
        data = data[key]
    return data


def _text(part: Scalar | OutputReference, outputs: Mapping[str, Mapping[str, Any]], *, masked: bool = False) -> str:
    if isinstance(part, Scalar):
        return part.masked if masked and part.masked is not None else part.text
    data = _output(part, outputs)
    if isinstance(data, dict | list):
        message = f"{part} is {'an object' if isinstance(data, dict) else 'a list'}, and cannot be part of a string"
        raise MissingOutputError(message)
    return "" if data is None and part.optional else _spelling(data)


def _spelling(data: Any) -> str:
    """How HOCON writes a scalar."""
    if data is None:
        return "null"
    return str(data).lower() if isinstance(data, bool) else str(data)
