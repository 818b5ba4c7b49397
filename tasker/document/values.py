"""The resolved tree of a document: values that know where they were written.

A tree is made of `Scalar`, `Array`, `Object`, and of `Late` where a value is known only when steps have run.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tasker.faults import Place

EXCERPT_LIMIT = 200
"""Characters of a line that a fault repeats: enough for a terminal, and no more than that of a hostile line."""

MASK = "***"
"""What stands where a secret's value would."""


class Source:
    """A text that was read: its name as shown to people, and where its lines begin."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text

    @cached_property
    def _line_starts(self) -> list[int]:
        starts = [0]
        find = self.text.find
        at = find("\n")
        while at >= 0:
            starts.append(at + 1)
            at = find("\n", at + 1)
        return starts

    def place(self, start: int, end: int) -> Place:
        """The line, column and length (to the line's end at most) of the characters from `start` to `end`."""
        line = bisect_right(self._line_starts, start)
        begin = self._line_starts[line - 1]
        stop = self.text.find("\n", begin)
        text = self.text[begin : stop if stop >= 0 else None].rstrip("\r")
        length = max(1, min(end, begin + len(text)) - start)
        return Place(self.name, line, start - begin + 1, length, text[:EXCERPT_LIMIT])


class Typed(Source):
    """What somebody typed on a command line, where there are no lines and columns to tell."""

    def place(self, start: int, end: int) -> Place:  # noqa: ARG002 - whatever of it is meant, it is one word
        """The whole, by its name."""
        return Place(self.name, line=0)


@dataclass(frozen=True, slots=True)
class Span:
    """The characters of a source that a value or a key was written with."""

    source: Source
    start: int
    end: int

    @property
    def place(self) -> Place:
        """The span as file, line and column."""
        return self.source.place(self.start, self.end)


@dataclass(frozen=True, slots=True)
class Value:
    """Something that a document holds, and where it was written."""

    span: Span

    @property
    def place(self) -> Place:
        """Where the value was written."""
        return self.span.place


@dataclass(frozen=True, slots=True)
class Scalar(Value):
    """A string, number, boolean or null, with its spelling: `1.10` is a number that, as a string, is `1.10`."""

    data: str | int | float | bool | None
    text: str
    """What the value is as a string: a number's own spelling, a string decoded."""
    masked: str | None = None
    """The text with secrets masked, where secrets went into it."""
    lasting: str | None = None
    """The text as every run has it, where what tells of one run went into it: `log-${TODAY}`; secrets masked."""


@dataclass(frozen=True, slots=True)
class Array(Value):
    """An ordered list of values."""

    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Object(Value):
    """Values by key, in the order in which the keys first came."""

    fields: dict[str, Value]
    keys: dict[str, Span] = field(default_factory=dict)
    """Where each key was last written."""

    def key_place(self, key: str) -> Place:
        """Where `key` was written, or the object itself where it was not."""
        return self.keys.get(key, self.span).place


@dataclass(frozen=True, slots=True)
class Reference(Value):
    """A substitution of something that only a run finds out."""

    optional: bool = field(default=False, kw_only=True)

    @property
    def path(self) -> tuple[str, ...]:
        """The keys of the substitution."""
        raise NotImplementedError

    def __str__(self) -> str:
        return "${" + "?" * self.optional + ".".join(self.path) + "}"


@dataclass(frozen=True, slots=True)
class OutputReference(Reference):
    """`${outputs.STEP.KEY…}`: what a step hands on, known when that step has succeeded."""

    step: str
    keys: tuple[str, ...]

    @property
    def path(self) -> tuple[str, ...]:
        """The keys of the substitution."""
        return ("outputs", self.step, *self.keys)


@dataclass(frozen=True, slots=True)
class RunReference(Reference):
    """`${run.KEY}`: what the run has come to, known when the steps of `tasks` have ended."""

    key: str

    @property
    def path(self) -> tuple[str, ...]:
        """The keys of the substitution."""
        return ("run", self.key)


RUN_KEYS = ("status", "failed_step", "error", "duration")
"""What there is to know of a run."""


@dataclass(frozen=True, slots=True)
class Late(Value):
    """A value with references in it: one alone keeps the type of what it stands for, among other parts it is text."""

    parts: tuple[Scalar | Reference, ...]

    @property
    def references(self) -> tuple[Reference, ...]:
        """What the value is made of that only a run finds out."""
        return tuple(part for part in self.parts if isinstance(part, Reference))


@dataclass(frozen=True, slots=True)
class Unknown(Late):
    """A value that a fault, which has been told, keeps from being known; as of late ones, nothing is said of it."""

    parts: tuple[Scalar | Reference, ...] = ()


def plain(value: Value, *, masked: bool = False, lasting: bool = False) -> Any:
    """The value as Python data; late parts as they are written, secrets as `MASK` where `masked`.

    Where `lasting`, secrets are masked too, and variables that tell of one run stand as they are written.
    """
    match value:
        case Scalar():
            if lasting and value.lasting is not None:
                return value.lasting
            return value.masked if (masked or lasting) and value.masked is not None else value.data
        case Array():
            return [plain(item, masked=masked, lasting=lasting) for item in value.items]
        case Object():
            return {key: plain(item, masked=masked, lasting=lasting) for key, item in value.fields.items()}
        case Late():
            return "".join(str(plain(part, masked=masked, lasting=lasting)) for part in value.parts)
        case Reference():
            return str(value)
    message = f"not a value of a document: {value!r}"
    raise TypeError(message)
