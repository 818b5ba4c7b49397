"""What a document is while it is resolved: objects whose keys are known before their values are.

A key is a `Cell`, an object a `Shape`, an array a `Row`; `evaluation` tells what they come to, and
`resolution` makes the tree of that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from tasker.document.values import Array, Late, Object

if TYPE_CHECKING:
    from tasker.document.syntax import Fields, Node
    from tasker.document.values import Span, Value
    from tasker.faults import Fault


class Broken:
    """Stands for a value that has a fault, which has been told: whatever is made of it is broken, too."""

    def __init__(self, span: Span) -> None:
        self.span = span


@dataclass(eq=False, slots=True)
class Row:
    """An array whose elements may hold shapes."""

    span: Span
    items: list[Result]
    made: Value | Unasked | None = field(default_factory=lambda: UNASKED)
    """The value that was made of it."""
    varies: bool = False
    """Whether that may be another one in the next instance."""
    faults: tuple[Fault, ...] = ()
    """What was found wrong in making it."""


@dataclass(eq=False, slots=True)
class Shape:
    """An object whose values are still to be evaluated."""

    span: Span
    cells: dict[str, Cell]
    made: Value | Unasked | None = field(default_factory=lambda: UNASKED)
    """The value that was made of it."""
    varies: bool = False
    """Whether that may be another one in the next instance."""
    faults: tuple[Fault, ...] = ()
    """What was found wrong in making it."""


class Origin(NamedTuple):
    """The object that a file was included into: where the substitutions of that file look first."""

    home: Shape
    path: tuple[str, ...]


class Definition(NamedTuple):
    """One of the values that a key was given."""

    node: Node | Cell
    span: Span
    """The key, where this definition wrote it."""
    adds: bool = False
    outer: Scope | None = None
    origin: Origin | None = None


class Cell:
    """A key of an object, with its definitions in order."""

    __slots__ = ("before", "busy", "definitions", "faults", "home", "limit", "path", "result", "varies")

    def __init__(self, home: Shape, path: tuple[str, ...], definitions: list[Definition], limit: int = -1) -> None:
        self.home = home
        self.path = path
        self.definitions = definitions
        self.limit = limit
        """How many of the definitions count; all of them where it is negative."""
        self.before: dict[int, Cell] = {}
        self.busy = False
        self.result: Result | Unasked = UNASKED
        self.varies = False
        """Whether the result may be another one in the next instance."""
        self.faults: tuple[Fault, ...] = ()
        """What was found wrong in evaluating it."""

    def cut(self, limit: int) -> Cell:
        """The cell as it was before its definition number `limit`."""
        if limit not in self.before:
            self.before[limit] = Cell(self.home, self.path, self.definitions, limit)
        return self.before[limit]

    @property
    def span(self) -> Span:
        """Where the key was last written."""
        return self.definitions[-1].span


class Unasked:
    """Stands for a result that nobody has asked for yet."""


UNASKED: Unasked = Unasked()


class Scope(NamedTuple):
    """Where a node stands: in which definition of which cell, and in which file."""

    cell: Cell
    number: int
    """Which of the cell's definitions, from nought."""
    outer: Scope | None
    origin: Origin | None

    def meant(self, cell: Cell, *, last: bool) -> Cell:
        """The cell that a substitution here means where it reaches `cell`: what was before, where it is within it."""
        scope: Scope | None = self
        while scope is not None:
            if scope.cell.home is cell.home and scope.cell.path == cell.path:
                return scope.cell.cut(scope.number)
            scope = scope.outer if last else None
        return cell


class Layer(NamedTuple):
    """One object among those that are merged."""

    content: Fields | Object | Shape
    scope: Scope | None
    origin: Origin | None


class Layers(list[Layer]):
    """Objects to merge, later ones over earlier ones."""


Result: TypeAlias = "Value | Row | Shape | Broken | None"
Piece: TypeAlias = "Value | Row | Layers | Broken | None"


def layered(result: Result) -> Piece:
    """The result as something to merge, where it is an object."""
    if isinstance(result, Object | Shape):
        return Layers([Layer(result, None, None)])
    return result


def kind(piece: Piece | Result) -> str:
    """What people call it."""
    if isinstance(piece, Layers | Shape | Object):
        return "an object"
    if isinstance(piece, Array | Row):
        return "an array"
    return "what only a run finds out" if isinstance(piece, Late) else "a string"
