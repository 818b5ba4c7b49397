"""What the reader makes of a text: values where nothing is left to resolve, and these nodes where something is.

Not to be confused with `values`, the resolved tree: a `Value` may stand wherever a node may, a node never in a `Value`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from tasker.document.values import Span, Value


@dataclass(frozen=True, slots=True)
class Substitution:
    """`${path}`, or `${?path}` where it is optional."""

    span: Span
    path: tuple[str, ...]
    optional: bool

    @property
    def name(self) -> str:
        """The path as it is written."""
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class Blank:
    """The white space between two parts of a concatenation: kept among strings, nothing among arrays and objects."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Concatenation:
    """Parts that stand side by side on one line."""

    span: Span
    parts: tuple[Node | Blank, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """An array with something to resolve in it."""

    span: Span
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Fields:
    """An object with something to resolve in it, or with a key that comes again."""

    span: Span
    entries: tuple[Field | Include, ...]


class Field(NamedTuple):
    """One definition of a key; `adds` where it was written with `+=`."""

    key: str
    span: Span
    node: Node
    adds: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Include:
    """`include "name"`, which stands for the fields of that file."""

    span: Span
    name: str


Node: TypeAlias = Value | Substitution | Concatenation | Listing | Fields
