"""Values as a document would hold them, made from Python data."""

from __future__ import annotations

from typing import Any

from tasker.document.values import Array, Late, Object, OutputReference, Scalar, Source, Span, Value

SPAN = Span(Source("a.conf", "x = 1"), 4, 5)

_WORDS = {None: "null", True: "true", False: "false"}


def value(data: Any) -> Value:
    """The value that reads like `data`; values within it stay what they are."""
    if isinstance(data, Value):
        return data
    if isinstance(data, list):
        return Array(SPAN, tuple(map(value, data)))
    if isinstance(data, dict):
        return Object(SPAN, {key: value(item) for key, item in data.items()})
    return Scalar(SPAN, data, _WORDS[data] if data is None or isinstance(data, bool) else str(data))


def number(spelling: str) -> Scalar:
    """A number that is spelled in a way of its own."""
    return Scalar(SPAN, float(spelling), spelling)


def secret(text: str) -> Scalar:
    """A string that a secret went into."""
    return Scalar(SPAN, text, text, "***")


def output(step: str, *keys: str) -> Late:
    """`${outputs.STEP.KEY}`, alone."""
    return Late(SPAN, (OutputReference(SPAN, step, keys),))
