"""What a key of a document comes to: its definitions, merged, joined and with their substitutions made.

Every key of an object is a `Cell`, which holds the definitions of that key in order and is evaluated when something
asks for it, once. An object is a `Shape`: its keys are known before any of their values are, so that objects may refer
into themselves. A substitution that reaches the cell it is written in, or an object around that cell, means what was
defined there before it: the cell, cut off before the definition that holds the substitution.

It evaluates what it is asked for and no more. That a whole tree is wanted, and of which instance, `resolution` knows;
what the document does not define, `surroundings`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasker.document.cells import (
    Broken,
    Cell,
    Definition,
    Layer,
    Layers,
    Origin,
    Piece,
    Result,
    Row,
    Scope,
    Shape,
    Unasked,
    kind,
    layered,
)
from tasker.document.surroundings import ENTRY_KEY, FOR_EACH, ITEM, LATE_ROOTS
from tasker.document.syntax import Blank, Concatenation, Field, Fields, Include, Listing, Substitution
from tasker.document.values import Array, Late, Object, Reference, Scalar, Span, Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tasker.document.account import Account
    from tasker.document.surroundings import Surroundings
    from tasker.document.syntax import Node


class Evaluation:
    """The cells of one document, and what they come to."""

    def __init__(
        self,
        roots: Sequence[Object | Fields],
        included: Mapping[Include, Object | Fields],
        surroundings: Surroundings,
        account: Account,
    ) -> None:
        """Take the roots, later ones over earlier ones, and what they include."""
        self.root = Shape(roots[0].span, {})
        self.item: Cell | Unasked | None = None
        """What `${item}` means: nothing without `for_each`, and nothing that is known before there is an entry."""
        self._roots = roots
        self._included = included
        self._surroundings = surroundings
        self._account = account
        self._links = 0

    def begin(self) -> None:
        """Find the keys of the document."""
        self._merge(self.root, (), [Layer(root, None, None) for root in self._roots], self.root)

    # Cells

    def value(self, cell: Cell, asker: Span) -> Result:
        """What the cell's definitions come to; `asker` is the substitution or the key that asks."""
        if not isinstance(cell.result, Unasked):
            self._account.again(cell)
            return cell.result
        if cell.busy:
            self._account.tell("substitution-cycle", asker, f"'{'.'.join(cell.path)}' needs its own value")
            return Broken(asker)
        varied, told = self._account.varied, len(self._account.faults)
        cell.busy = True
        self._deepen(asker)
        cell.result = self._combined(cell)
        self._links -= 1
        cell.busy = False
        self._account.note(cell, varied, told)
        return cell.result

    def _deepen(self, span: Span) -> None:
        """Begin one evaluation within another; who has ended it takes it off the links."""
        self._links += 1
        if self._links > (most := self._account.limits.links):
            self._account.stop("too-deep", span, f"over {most} substitutions and arrays lead one to the next")

    def _combined(self, cell: Cell) -> Result:
        """The definitions from the last to the first that counts: objects merge, anything else ends the search."""
        objects: list[Layers] = []
        added: list[Result] = []
        count = len(cell.definitions) if cell.limit < 0 else cell.limit
        base: Result = None
        for index in range(count - 1, -1, -1):
            definition = cell.definitions[index]
            scope = Scope(cell, index, definition.outer, definition.origin)
            if definition.adds:
                if objects:
                    self._refuse_replaced(cell, count, definition)
                    break
                added.append(self._element(definition.node, scope))
                continue
            piece = self._piece(definition.node, scope, definition.span)
            if piece is None:
                continue
            if isinstance(piece, Layers) and not added:
                self._account.count(len(piece), definition.span)
                objects.append(piece)
                continue
            if added and definition.outer is None and cell.home is not self.root:
                base = self._unreachable(cell.definitions[count - 1].span)
                break
            if objects and isinstance(piece, Array | Row):
                self._refuse_replaced(cell, count, definition)
            base = self._shaped(piece)
            break
        if added:
            return self._appended(base, added[::-1], cell, count)
        if objects:
            together = Layers(layer for layers in reversed(objects) for layer in layers)
            return self._merged(together, cell.path, cell.home)
        return base

    def _refuse_replaced(self, cell: Cell, count: int, definition: Definition) -> None:
        """An object takes the place of a list, as HOCON has it; that would drop entries, and is hardly meant."""
        if cell is self.root.cells.get(FOR_EACH):
            message = (
                f"'for_each' is an object here, and a list at {definition.span.place}, whose entries it would drop"
            )
            hint = "write all entries in one of the two ways; 'for_each = null' between them drops the list"
            self._account.tell("bad-value", cell.definitions[count - 1].span, message, hint)

    def _unreachable(self, span: Span) -> Broken:
        """Other readers start anew there, and silently: whoever wrote it meant either, and must say which."""
        message = "'+=' within an array does not add to what another object beside it holds"
        self._account.tell(
            "mixed-concatenation", span, message, "write the whole: key = ${path.to.the.other} [element]"
        )
        return Broken(span)

    def _appended(self, base: Result, added: list[Result], cell: Cell, count: int) -> Result:
        """What `+=` makes of the array before it."""
        span = cell.definitions[count - 1].span
        if isinstance(base, Broken):
            return base
        if base is not None and not isinstance(base, Array | Row):
            message = f"'+=' adds to an array, but '{'.'.join(cell.path)}' is {kind(base)}"
            self._account.tell("mixed-concatenation", span, message)
            return Broken(span)
        items = list(base.items) if base is not None else []
        self._account.count(len(items) + len(added), span)
        return Row(base.span if base is not None else span, items + [item for item in added if item is not None])

    # Objects

    def _merged(self, layers: Layers, path: tuple[str, ...], home: Shape | None) -> Shape | Object:
        """The layers as one object, to which `path` leads from `home`, or which is the home of its own keys."""
        if len(layers) == 1 and not isinstance(layers[0].content, Fields):
            return layers[0].content
        shape = Shape(layers[-1].content.span, {})
        self._merge(shape, path, layers, home or shape)
        return shape

    def _merge(self, shape: Shape, path: tuple[str, ...], layers: Iterable[Layer], home: Shape) -> None:
        """Fill `shape` with a cell for each key of `layers`."""
        count = self._account.count
        for content, scope, origin in layers:
            for definition, key in self._definitions(content, scope, origin, home, path):
                count(1, definition.span)
                cell = shape.cells.get(key)
                if cell is None:
                    shape.cells[key] = Cell(home, (*path, key), [definition])
                else:
                    cell.definitions.append(definition)

    def _definitions(
        self,
        content: Fields | Object | Shape,
        scope: Scope | None,
        origin: Origin | None,
        home: Shape,
        path: tuple[str, ...],
    ) -> Iterable[tuple[Definition, str]]:
        if isinstance(content, Object):
            for key, value in content.fields.items():
                yield Definition(value, content.keys.get(key, content.span)), key
        elif isinstance(content, Shape):
            for key, cell in content.cells.items():
                yield Definition(cell, cell.span), key
        else:
            for entry in content.entries:
                if isinstance(entry, Field):
                    yield Definition(entry.node, entry.span, entry.adds, scope, origin), entry.key
                else:
                    included = self._included[entry]
                    yield from self._definitions(included, scope, Origin(home, path), home, path)

    # Nodes

    def _piece(self, node: Node | Cell | Blank, scope: Scope, asker: Span) -> Piece:
        """What a node comes to, objects still as layers to merge."""
        if isinstance(node, Cell):
            return layered(self.value(node, asker))
        if isinstance(node, Value):
            return layered(node)
        if isinstance(node, Substitution):
            return layered(self._substituted(node, scope))
        if isinstance(node, Fields):
            return Layers([Layer(node, scope, scope.origin)])
        if isinstance(node, Blank):
            return Scalar(node.span, node.text, node.text)
        self._deepen(node.span)
        piece = self._listed(node, scope) if isinstance(node, Listing) else self._concatenated(node, scope)
        self._links -= 1
        return piece

    def _listed(self, node: Listing, scope: Scope) -> Row:
        row = Row(node.span, [])
        for item in node.items:
            element = self._element(item, scope)
            if element is not None:
                row.items.append(element)
        return row

    def _element(self, node: Node | Cell, scope: Scope) -> Result:
        """What an element of an array comes to."""
        return self._shaped(self._piece(node, scope, node.span))

    def _shaped(self, piece: Piece) -> Result:
        """Layers as an object of their own, that no path leads to."""
        return self._merged(piece, (), None) if isinstance(piece, Layers) else piece

    def _concatenated(self, node: Concatenation, scope: Scope) -> Piece:
        pieces = [(part, self._piece(part, scope, part.span)) for part in node.parts]
        there = [(part, piece) for part, piece in pieces if piece is not None]
        solid = [(part, piece) for part, piece in there if not isinstance(part, Blank)]
        for _, piece in solid:
            if isinstance(piece, Broken):
                return piece
        if not there:
            return None
        kinds = {kind(piece) for _, piece in solid}
        if not kinds & {"an array", "an object"}:
            return self._joined([piece for _, piece in there], node.span)
        if len(kinds) > 1:
            return self._mixed(solid)
        if kinds == {"an array"}:
            return self._chained([piece for _, piece in solid], node.span)
        return Layers(layer for _, piece in solid if isinstance(piece, Layers) for layer in piece)

    def _mixed(self, solid: Sequence[tuple[Node | Blank, Piece]]) -> Broken:
        """Tell of the first part that does not go with the one before it."""
        first = kind(solid[0][1])
        part, piece = next((part, piece) for part, piece in solid if kind(piece) != first)
        message = f"{kind(piece)} stands beside {first}, and they cannot be joined"
        self._account.tell(
            "mixed-concatenation", part.span, message, "a comma or a new line may be missing between them"
        )
        return Broken(part.span)

    def _chained(self, pieces: list[Piece], span: Span) -> Row:
        """Arrays side by side."""
        items: list[Result] = []
        for piece in pieces:
            if isinstance(piece, Array | Row):
                self._account.count(len(piece.items), span)
                items.extend(piece.items)
        return Row(span, items)

    def _joined(self, pieces: list[Piece], span: Span) -> Scalar | Late:
        """Strings side by side; with references among them they are joined when a run knows what these stand for."""
        parts: list[Scalar | Reference] = []
        for piece in pieces:
            if isinstance(piece, Late):
                parts.extend(piece.parts)
            elif isinstance(piece, Scalar):
                parts.append(piece)
        if sum(len(part.text) if isinstance(part, Scalar) else 1 for part in parts) > self._account.limits.weight:
            self._account.stop(
                "too-large", span, f"a string grows over {self._account.limits.weight >> 20} million characters"
            )
        if any(isinstance(part, Reference) for part in parts):
            return Late(span, tuple(parts))
        scalars = [part for part in parts if isinstance(part, Scalar)]
        text = "".join(part.text for part in scalars)
        if all(part.masked is None and part.lasting is None for part in scalars):
            return Scalar(span, text, text)
        shown = [part.text if part.masked is None else part.masked for part in scalars]
        masked = "".join(shown) if any(part.masked is not None for part in scalars) else None
        of_a_run = any(part.lasting is not None for part in scalars)
        lasting = [each if part.lasting is None else part.lasting for part, each in zip(scalars, shown, strict=True)]
        return Scalar(span, text, text, masked, "".join(lasting) if of_a_run else None)

    # Substitutions

    def _substituted(self, node: Substitution, scope: Scope) -> Result:
        late = LATE_ROOTS.get(node.path[0])
        if late is not None:
            return late(self._surroundings, node)
        result = self._looked_up(node, scope)
        if result is None and self.item is not None and node.path[0] == ITEM:
            return self._no_field(node, self.item)
        if result is None:
            result = self._surroundings.variable(node, self._peek)
        if result is None and not node.optional:
            from tasker.document.missing import nothing_named  # noqa: PLC0415 - a document without faults does not pay for it

            return self._missing(node, nothing_named(node, self.root, self._surroundings.variables))
        return result

    def _no_field(self, node: Substitution, item: Cell | Unasked) -> Broken | None:
        """What `${item…}` means where the entry has no such field, or where there is no entry yet."""
        if node.optional and isinstance(item, Cell):
            return None
        from tasker.document.missing import no_entry_yet, no_field  # noqa: PLC0415 - as above

        if isinstance(item, Unasked):
            return self._missing(node, no_entry_yet(node))
        entry = item.result
        fields = [*entry.cells] if isinstance(entry, Shape) else [ENTRY_KEY]
        return self._missing(node, no_field(node, fields, item.span.place))

    def _missing(self, node: Substitution, told: tuple[str, str]) -> Broken:
        """Tell a message of `missing`, and its hint."""
        message, hint = told
        self._account.tell("unresolved-substitution", node.span, message, hint)
        return Broken(node.span)

    def _looked_up(self, node: Substitution, scope: Scope) -> Result:
        """The value in the document: beneath the object that the file was included into, else at the top."""
        if scope.origin is not None and (scope.origin.path or scope.origin.home is not self.root):
            home, path = scope.origin
            result = self._found(home, path + node.path, node.span, scope)
            if result is not None:
                return result
        return self._found(self.root, node.path, node.span, scope)

    def _found(self, home: Shape, path: tuple[str, ...], asker: Span, scope: Scope) -> Result:
        if home is self.root:
            self._account.reads.add(path)
        result: Result = home
        for depth, key in enumerate(path, start=1):
            if isinstance(result, Shape):
                cell = result.cells.get(key)
                if cell is None:
                    return None
                meant = scope.meant(cell, last=depth == len(path)) if cell.home is home else cell
                result = self.value(meant, asker)
            elif isinstance(result, Object):
                result = result.fields.get(key)
            else:
                return result if isinstance(result, Broken) else None
        return result

    def _peek(self, path: str) -> str | None:
        keys = tuple(path.split("."))
        self._account.reads.add(keys)
        result: Result = self.root
        for key in keys:
            if isinstance(result, Shape):
                cell = result.cells.get(key)
                result = None if cell is None or cell.busy else self.value(cell, cell.span)
            else:
                result = result.fields.get(key) if isinstance(result, Object) else None
        return result.text if isinstance(result, Scalar) and result.data is not None else None
