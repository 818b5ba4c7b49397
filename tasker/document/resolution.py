"""A syntax tree to the resolved tree: what each key's definitions come to, once merged and substituted.

Every key of an object is a `Cell`, which holds the definitions of that key in order and is evaluated when something
asks for it, once. An object is a `Shape`: its keys are known before any of their values are, so that objects may refer
into themselves. A substitution that reaches the cell it is written in, or an object around that cell, means what was
defined there before it: the cell, cut off before the definition that holds the substitution.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from tasker.document.cells import (
    UNASKED,
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
from tasker.document.limits import VALUE_WEIGHT
from tasker.document.syntax import Blank, Concatenation, Field, Fields, Include, Listing, Substitution
from tasker.document.values import (
    MASK,
    RUN_KEYS,
    Array,
    Late,
    Object,
    OutputReference,
    Reference,
    RunReference,
    Scalar,
    Span,
    Unknown,
    Value,
)
from tasker.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from tasker.document.limits import Limits
    from tasker.document.syntax import Node

Peek: TypeAlias = "Callable[[str], str | None]"
"""Asks for the text of another path of the document; `None` where there is none, or where it needs the asker."""

Variables: TypeAlias = "Callable[[str, Peek], str | None]"
"""Answers what a substitution means that the document does not define; `None` where nothing does."""

Secrets: TypeAlias = "Callable[[str], str | None]"
"""Answers a secret's value by its name."""

RUN_VARIABLES = ("CWD", "PLATFORM", "TODAY", "RUN_ID", "RUN_TIME", "PIPELINE", "WORKSPACE", "CONF_DIR")
"""The variables that every file may read, besides the environment."""


class Resolver:
    """Evaluates one document. `faults` are what it found wrong, `reads` what substitutions asked for."""

    def __init__(
        self,
        roots: Sequence[Object | Fields],
        included: Mapping[Include, Object | Fields],
        secrets: Secrets,
        limits: Limits,
        *,
        secret_variables: Collection[str] = (),
        of_a_run: Collection[str] = (),
    ) -> None:
        """Take the roots, later ones over earlier ones, and what they include.

        Of variables that are secrets, `secrets` answers the values. The variables `of_a_run` have other values in
        each run.
        """
        self.reads: set[tuple[str, ...]] = set()
        self.variables: dict[str, str | None] = {}
        self.secrets: dict[str, str] = {}
        self._faults: dict[Fault, None] = {}
        self._roots = roots
        self._included = included
        self._ask_variable: Variables = _no_variable
        self._ask_secret = secrets
        self._secret_variables = secret_variables
        self._of_a_run = of_a_run
        self._limits = limits
        self._merges = 0
        self._most_merges = limits.merges
        self._links = 0
        self._making: set[int] = set()
        self._root = Shape(roots[0].span, {})
        self._entries: dict[str, tuple[Cell | Object, Span]] | None = None
        self._instance: str | None = None
        self._varied = 0
        self._varying: list[Cell | Shape | Row] = []
        self._first_faults: dict[Fault, None] = {}
        self._stopped = False
        self._trees: list[Value] = []
        self._weights: dict[int, tuple[int, int]] = {}
        self._weight = 0

    @property
    def faults(self) -> list[Fault]:
        """What was found wrong, each fault once."""
        return list(self._faults)

    # The whole

    def look(self, variables: Variables) -> Entries | None:
        """The entries of `for_each`, where there is one, before anything else is evaluated; to be called first."""
        self._ask_variable = variables
        with suppress(_StopError):
            self._merge(self._root, (), [Layer(root, None, None) for root in self._roots])
            self._refuse_late_roots()
            if FOR_EACH in self._root.cells:
                self._entries = {}
                self._look_at_entries(self._root.cells[FOR_EACH])
        self._first_faults = self._faults
        if self._entries is None:
            return None
        self._most_merges += self._limits.instance_merges * len(self._entries)
        places = {key: span for key, (_, span) in self._entries.items()}
        return Entries(self._root.cells[FOR_EACH].span, places, tuple(self._first_faults))

    def _look_at_entries(self, cell: Cell) -> None:
        if ITEM in self._root.cells:
            message = "'item' cannot be a key of a document with 'for_each': it means the entry"
            self._tell("bad-value", self._root.cells[ITEM].span, message, "choose another name")
        self._entries = self._read_entries(cell)
        if (name := self._root.cells.get("name")) is not None:
            self._value(name, name.span)

    def resolve(self, variables: Variables, instance: str | None = None) -> Object | None:
        """The tree that the roots come to, for that entry of `for_each`; `None` where too much is wrong."""
        if self._stopped:
            return None
        try:
            self._begin(variables)
            given = self._place_item(instance) if instance is not None else None
            made = self._make(self._root, self._root.span, 0)
            self._weigh(made)
            self._weigh(given)
        except _StopError:
            return None
        return made if isinstance(made, Object) else None

    # Instances

    def _read_entries(self, cell: Cell) -> dict[str, tuple[Cell | Object, Span]]:
        """What `for_each` comes to: its keys, each with the entry and where it is named."""
        found = self._value(cell, cell.span)
        entries: dict[str, tuple[Cell | Object, Span]] = {}
        if isinstance(found, Shape):
            for key, each in found.cells.items():
                if self._is_entry(key, self._value(each, each.span), each.span):
                    entries[key] = each, each.span
            return entries
        if isinstance(found, Object):
            for key, value in found.fields.items():
                if self._is_entry(key, value, span := found.keys.get(key, value.span)):
                    entries[key] = value, span  # type: ignore[assignment] # an entry is an object
            return entries
        if isinstance(found, Array | Row):
            return self._named_entries(found)
        if not isinstance(found, Broken):
            message = f"'for_each' is an object or a list of strings, and not {_kind(found)}"
            self._tell("bad-value", cell.span, message, "for_each { crm { path = /data/crm } }")
        return {}

    def _is_entry(self, key: str, entry: Result, span: Span) -> bool:
        """Whether this is an entry, and not one that was taken out with `null`."""
        if entry is None or isinstance(entry, Broken) or (isinstance(entry, Scalar) and entry.data is None):
            return False
        if not isinstance(entry, Object | Shape):
            message = f"the entry '{key}' of 'for_each' is an object, and not {_kind(entry)}"
            self._tell("bad-value", span, message, f"{key} {{}} for one without fields, {key} = null for none")
            return False
        fields = entry.fields if isinstance(entry, Object) else entry.cells
        if _KEY in fields:
            place = entry.keys.get(_KEY, span) if isinstance(entry, Object) else entry.cells[_KEY].span
            self._tell("bad-value", place, "'key' cannot be a field of an entry: ${item.key} is its key in 'for_each'")
        return True

    def _named_entries(self, found: Array | Row) -> dict[str, tuple[Cell | Object, Span]]:
        """The entries of a list of strings, which have no fields."""
        entries: dict[str, tuple[Cell | Object, Span]] = {}
        for each in found.items:
            if not isinstance(each, Scalar) or each.data is None:
                if each is not None and not isinstance(each, Broken):
                    message = f"'for_each' is an object or a list of strings, and {_kind(each)} stands in it"
                    self._tell("bad-value", each.span, message)
            elif each.masked is not None or each.lasting is not None:
                what = "a secret" if each.masked is not None else "what tells of one run"
                self._tell("bad-value", each.span, f"an entry of 'for_each' cannot be named by {what}")
            elif each.text in entries:
                place = entries[each.text][1].place
                self._tell("bad-value", each.span, f"'{each.text}' is named twice", f"the first one is at {place}")
            else:
                entries[each.text] = Object(each.span, {}), each.span
        return entries

    def _begin(self, variables: Variables) -> None:
        """Forget what may be otherwise in the next instance, and no more."""
        for each in self._varying:
            each.varies = False
            each.faults = ()
            if isinstance(each, Cell):
                each.result = UNASKED
            else:
                each.made = UNASKED
        self._varying.clear()
        for name in _OF_AN_INSTANCE:
            self.variables.pop(name, None)
        self._ask_variable = variables
        self._faults = dict(self._first_faults)

    def _place_item(self, instance: str) -> Value | None:
        """Let `${item}` mean an entry, all of which is made: what is wrong with it is told even if nothing reads it."""
        assert self._entries is not None  # noqa: S101 - an instance is the entry of something
        entry, span = self._entries[instance]
        key = Object(span, {_KEY: Scalar(span, instance, instance)}, {_KEY: span})
        cell = Cell(self._root, (ITEM,), [Definition(entry, span), Definition(key, span)])
        self._root.cells[ITEM] = cell
        self._instance = instance
        result = self._value(cell, span)
        cell.varies = True
        return self._make(result, span, 1)

    def _note(self, of: Cell | Shape | Row, varied: int, told: int) -> None:
        """Note of what was just evaluated whether it may come to something else in the next instance, and its faults.

        `varied` and `told` are what was counted before.
        """
        if self._varied != varied:
            of.varies = True
            self._varying.append(of)
        if len(self._faults) > told:
            of.faults = tuple(self._faults)[told:]

    def _again(self, of: Cell | Shape | Row) -> None:
        """What was evaluated before is asked for again: it varies as it did, and has the same faults."""
        self._varied += of.varies
        if of.faults:
            self._faults.update(dict.fromkeys(of.faults))

    def _refuse_late_roots(self) -> None:
        for root in LATE_ROOTS:
            if root in self._root.cells:
                message = f"'{root}' cannot be a key of the document: ${{{root}....}} means something else"
                self._tell("bad-value", self._root.cells[root].span, message, "choose another name")

    # Cells

    def _value(self, cell: Cell, asker: Span) -> Result:
        """What the cell's definitions come to; `asker` is the substitution or the key that asks."""
        if not isinstance(cell.result, Unasked):
            self._again(cell)
            return cell.result
        if cell.busy:
            self._tell("substitution-cycle", asker, f"'{_dotted(cell.path)}' needs its own value")
            return Broken(asker)
        varied, told = self._varied, len(self._faults)
        cell.busy = True
        with self._deeper(asker):
            cell.result = self._combined(cell)
        cell.busy = False
        self._note(cell, varied, told)
        return cell.result

    @contextmanager
    def _deeper(self, span: Span) -> Iterator[None]:
        """One evaluation within another."""
        self._links += 1
        if self._links > self._limits.links:
            self._stop("too-deep", span, f"over {self._limits.links} substitutions and arrays lead one to the next")
        yield
        self._links -= 1

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
                    break
                added.append(self._element(definition.node, scope))
                continue
            piece = self._piece(definition.node, scope, definition.span)
            if piece is None:
                continue
            if isinstance(piece, Layers) and not added:
                self._count(len(piece), definition.span)
                objects.append(piece)
                continue
            if added and definition.outer is None and cell.home is not self._root:
                base = self._unreachable(cell.definitions[count - 1].span)
                break
            base = self._shaped(piece)
            break
        if added:
            return self._appended(base, added[::-1], cell, count)
        if objects:
            return self._merged([layer for layers in reversed(objects) for layer in layers], cell)
        return base

    def _unreachable(self, span: Span) -> Broken:
        """Other readers start anew there, and silently: whoever wrote it meant either, and must say which."""
        message = "'+=' within an array does not add to what another object beside it holds"
        self._tell("mixed-concatenation", span, message, "write the whole: key = ${path.to.the.other} [element]")
        return Broken(span)

    def _appended(self, base: Result, added: list[Result], cell: Cell, count: int) -> Result:
        """What `+=` makes of the array before it."""
        span = cell.definitions[count - 1].span
        if isinstance(base, Broken):
            return base
        if base is not None and not isinstance(base, Array | Row):
            message = f"'+=' adds to an array, but '{_dotted(cell.path)}' is {kind(base)}"
            self._tell("mixed-concatenation", span, message)
            return Broken(span)
        items = list(base.items) if base is not None else []
        self._count(len(items) + len(added), span)
        return Row(base.span if base is not None else span, items + [item for item in added if item is not None])

    def _merged(self, layers: list[Layer], cell: Cell) -> Shape | Object:
        only = layers[0]
        if len(layers) == 1 and not isinstance(only.content, Fields):
            return only.content
        shape = Shape(layers[-1].content.span, {})
        self._merge(shape, cell.path, layers, cell.home)
        return shape

    # Objects

    def _merge(self, shape: Shape, path: tuple[str, ...], layers: Iterable[Layer], home: Shape | None = None) -> None:
        """Fill `shape` with a cell for each key of `layers`."""
        for content, scope, origin in layers:
            for definition, key in self._definitions(content, scope, origin, home or shape, path):
                self._count(1, definition.span)
                cell = shape.cells.get(key)
                if cell is None:
                    shape.cells[key] = Cell(home or shape, (*path, key), [definition])
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
            return layered(self._value(node, asker))
        if isinstance(node, Value):
            return layered(node)
        if isinstance(node, Substitution):
            return layered(self._substituted(node, scope))
        if isinstance(node, Fields):
            return Layers([Layer(node, scope, scope.origin)])
        if isinstance(node, Blank):
            return Scalar(node.span, node.text, node.text)
        with self._deeper(node.span):
            return self._listed(node, scope) if isinstance(node, Listing) else self._concatenated(node, scope)

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
        if not isinstance(piece, Layers):
            return piece
        if len(piece) == 1 and not isinstance(piece[0].content, Fields):
            return piece[0].content
        shape = Shape(piece[-1].content.span, {})
        self._merge(shape, (), piece)
        return shape

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
        self._tell("mixed-concatenation", part.span, message, "a comma or a new line may be missing between them")
        return Broken(part.span)

    def _chained(self, pieces: list[Piece], span: Span) -> Row:
        """Arrays side by side."""
        items: list[Result] = []
        for piece in pieces:
            if isinstance(piece, Array | Row):
                self._count(len(piece.items), span)
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
        if sum(len(part.text) if isinstance(part, Scalar) else 1 for part in parts) > self._limits.weight:
            self._stop("too-large", span, f"a string grows over {self._limits.weight >> 20} million characters")
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
            return late(self, node)
        result = self._looked_up(node, scope)
        if result is None and self._entries is not None and node.path[0] == ITEM:
            return self._no_field(node)
        if result is None:
            result = self._variable(node)
        if result is None and not node.optional:
            self._unresolved(node)
            return Broken(node.span)
        return result

    def _no_field(self, node: Substitution) -> Broken | None:
        """What `${item…}` means where the entry has no such field, or where there is no entry yet."""
        if self._instance is None:
            message = f"{_written(node)} is known only when it is known which entries 'for_each' has"
            hint = "'for_each' and 'name' are read before; each pipeline is named NAME/KEY by itself"
            self._tell("unresolved-substitution", node.span, message, hint)
            return Broken(node.span)
        if node.optional:
            return None
        from tasker.nearest import nearest  # noqa: PLC0415 - a document without faults does not pay for it

        item = self._root.cells[ITEM].result
        fields = list(item.cells)[:_SHOWN_FIELDS] if isinstance(item, Shape) else [_KEY]
        near = nearest(node.path[1], fields)
        hint = f"did you mean '{ITEM}.{near}'?" if near else f"it has: {', '.join(fields)}"
        self._tell(
            "unresolved-substitution", node.span, f"the entry of 'for_each' has no '{_dotted(node.path[1:])}'", hint
        )
        return Broken(node.span)

    def _looked_up(self, node: Substitution, scope: Scope) -> Result:
        """The value in the document: beneath the object that the file was included into, else at the top."""
        if scope.origin is not None and (scope.origin.path or scope.origin.home is not self._root):
            home, path = scope.origin
            result = self._found(home, path + node.path, node.span, scope)
            if result is not None:
                return result
        return self._found(self._root, node.path, node.span, scope)

    def _found(self, home: Shape, path: tuple[str, ...], asker: Span, scope: Scope | None) -> Result:
        if home is self._root:
            self.reads.add(path)
        result: Result = home
        for depth, key in enumerate(path, start=1):
            if isinstance(result, Shape):
                cell = result.cells.get(key)
                if cell is None:
                    return None
                meant = scope.meant(cell, last=depth == len(path)) if scope and cell.home is home else cell
                result = self._value(meant, asker)
            elif isinstance(result, Object):
                result = result.fields.get(key)
            else:
                return result if isinstance(result, Broken) else None
        return result

    def _variable(self, node: Substitution) -> Scalar | None:
        name = ".".join(node.path)
        if name in self._secret_variables:
            return self._secret(name, node.span)
        if name not in self.variables:
            self.variables[name] = self._ask_variable(name, self._peek)
        value = self.variables[name]
        self._varied += name in _OF_AN_INSTANCE
        if value is None:
            return None
        return Scalar(node.span, value, value, lasting=f"${{{name}}}" if name in self._of_a_run else None)

    def _peek(self, path: str) -> str | None:
        keys = tuple(path.split("."))
        self.reads.add(keys)
        result: Result = self._root
        for key in keys:
            if isinstance(result, Shape):
                cell = result.cells.get(key)
                result = None if cell is None or cell.busy else self._value(cell, cell.span)
            else:
                result = result.fields.get(key) if isinstance(result, Object) else None
        return result.text if isinstance(result, Scalar) and result.data is not None else None

    def _unresolved(self, node: Substitution) -> None:
        from difflib import get_close_matches  # noqa: PLC0415 - a document without faults does not pay for it

        name = _dotted(node.path)
        near = get_close_matches(name, [*self._known(), *RUN_VARIABLES, *_set(self.variables)], 1)
        hint = f"did you mean '{near[0]}'?" if near else f"define it, or write ${{?{name}}} where it may be absent"
        if node.path[0] == ITEM:
            hint = "${item.…} means an entry of 'for_each', and this file has none"
        self._tell("unresolved-substitution", node.span, f"nothing is named '{name}', here or in the environment", hint)

    def _known(self) -> list[str]:
        """Some paths of the document, as far as they are known without evaluating anything for it."""
        names: list[str] = []
        pending: list[tuple[str, Shape | Object]] = [("", self._root)]
        for prefix, owner in pending:
            keys = owner.cells if isinstance(owner, Shape) else owner.fields
            for key, child in keys.items():
                names.append(prefix + key)
                if len(names) >= _KNOWN_NAMES:
                    return names
                value = child.result if isinstance(child, Cell) else child
                if isinstance(value, Shape | Object):
                    pending.append((f"{prefix}{key}.", value))
        return names

    def output(self, node: Substitution) -> Late | Broken:
        """`${outputs.STEP.KEY}`."""
        if len(node.path) == 1:
            self._tell("unresolved-substitution", node.span, "this names no step", "write ${outputs.STEP.KEY}")
            return Broken(node.span)
        reference = OutputReference(node.span, node.path[1], node.path[2:], optional=node.optional)
        return Late(node.span, (reference,))

    def run(self, node: Substitution) -> Late | Broken:
        """`${run.KEY}`."""
        key = _dotted(node.path[1:])
        if key not in RUN_KEYS:
            hint = f"write one of {', '.join(f'${{run.{known}}}' for known in RUN_KEYS)}"
            self._tell("unresolved-substitution", node.span, "this names nothing that a run tells", hint)
            return Broken(node.span)
        return Late(node.span, (RunReference(node.span, key, optional=node.optional),))

    def secret(self, node: Substitution) -> Scalar | Broken | None:
        """`${secret.NAME}`."""
        name = ".".join(node.path[1:])
        value = self._secret(name, node.span)
        if value is not None or node.optional:
            return value
        hint = "a secret is a file in the folder that --secrets names, or a variable that --secret-env names"
        self._tell("unresolved-substitution", node.span, f"there is no secret named '{name}'", hint)
        return Broken(node.span)

    def _secret(self, name: str, span: Span) -> Scalar | None:
        self.reads.add(("secret", name))
        if name not in self.secrets:
            value = self._ask_secret(name) if name else None
            if value is None:
                return None
            self.secrets[name] = value
        return Scalar(span, self.secrets[name], self.secrets[name], MASK)

    # The tree

    def _make(self, result: Result, span: Span, depth: int) -> Value | None:
        """The result with everything in it evaluated; `span` is what led to it."""
        if isinstance(result, Value):
            return result
        if isinstance(result, Broken):
            return Unknown(result.span)
        if result is None:
            return None
        if id(result) in self._making:
            self._tell("substitution-cycle", span, "this holds itself, and would never end")
            return Unknown(span)
        if depth > self._limits.nesting:
            self._too_deep(span)
        if not isinstance(result.made, Unasked):
            self._again(result)
            return result.made
        varied, told = self._varied, len(self._faults)
        self._making.add(id(result))
        made = self._make_object(result, depth) if isinstance(result, Shape) else self._make_array(result, depth)
        result.made = made
        self._making.discard(id(result))
        self._note(result, varied, told)
        return made

    def _make_object(self, shape: Shape, depth: int) -> Object:
        fields: dict[str, Value] = {}
        keys: dict[str, Span] = {}
        for key, cell in shape.cells.items():
            if shape is self._root and self._entries is not None and key in (FOR_EACH, ITEM):
                # The tree is that of one pipeline, as if the entry were written into it.
                continue
            value = self._make(self._value(cell, cell.span), self._led_by(cell), depth + 1)
            if value is not None:
                fields[key] = value
                keys[key] = cell.span
        return Object(shape.span, fields, keys)

    def _make_array(self, row: Row, depth: int) -> Array:
        items = (self._make(item, row.span, depth + 1) for item in row.items)
        return Array(row.span, tuple(item for item in items if item is not None))

    @staticmethod
    def _led_by(cell: Cell) -> Span:
        node = cell.definitions[-1].node
        return cell.span if isinstance(node, Cell) else node.span

    def _weigh(self, tree: Value | None) -> None:
        """Refuse a tree that weighs too much, by itself or with those of other instances.

        It is kept, so that what the next instance shares with it need not be weighed again.
        """
        if tree is not None:
            self._trees.append(tree)
            self._weighed(tree)

    def _weighed(self, value: Value) -> tuple[int, int]:
        """What the value weighs, shared parts counted each time, and its levels; the innermost part over it is told."""
        if isinstance(value, Scalar):
            return VALUE_WEIGHT + len(value.text), 0
        if not isinstance(value, Object | Array):
            return VALUE_WEIGHT, 0
        if id(value) not in self._weights:
            weight, levels = VALUE_WEIGHT, 0
            for child in value.items if isinstance(value, Array) else value.fields.values():
                more, below = self._weighed(child)
                weight += more
                levels = max(levels, below)
                self._weight += more if isinstance(child, Scalar) else VALUE_WEIGHT
            if weight > self._limits.weight:
                self._stop("too-large", value.span, "with its substitutions made, this grows over the limit")
            if self._weight > self._limits.weight:
                span = self._root.cells[FOR_EACH].span if FOR_EACH in self._root.cells else value.span
                self._stop("too-large", span, "what the file comes to for all entries grows over the limit together")
            if levels > self._limits.nesting:
                self._too_deep(value.span)
            self._weights[id(value)] = weight, levels + 1
        return self._weights[id(value)]

    # Faults

    def _count(self, merges: int, span: Span) -> None:
        self._merges += merges
        if self._merges > self._most_merges:
            self._stop("too-large", span, f"over {self._most_merges} fields and elements come together by merging")

    def _tell(self, code: str, span: Span, message: str, hint: str = "") -> None:
        self._faults[Fault(code, span.place, message, hint)] = None
        if len(self._faults) >= self._limits.faults:
            self._stopped = True
            raise _StopError

    def _too_deep(self, span: Span) -> NoReturn:
        self._stop("too-deep", span, f"objects and arrays come to be nested over {self._limits.nesting} levels")

    def _stop(self, code: str, span: Span, message: str) -> NoReturn:
        self._tell(code, span, message)
        self._stopped = True
        raise _StopError


@dataclass(frozen=True, slots=True)
class Entries:
    """What `for_each` has, as far as it is known before any of it is resolved."""

    span: Span
    keys: Mapping[str, Span]
    """Where each entry is named, by its key, in order."""
    faults: tuple[Fault, ...]
    """What is wrong with the file whatever its entries are, as far as that is known by now."""


class _StopError(Exception):
    """The document is over a limit; the fault has been told, and nothing more is looked for."""


LATE_ROOTS: Mapping[str, Callable[[Resolver, Substitution], Value | Broken | None]] = {
    "outputs": Resolver.output,
    "run": Resolver.run,
    "secret": Resolver.secret,
}
"""What substitutions mean that no document defines, by the first key of their path."""

FOR_EACH = "for_each"
ITEM = "item"
"""What `${item.…}` begins with: the entry of `for_each` that a document is resolved for."""
_KEY = "key"
_SHOWN_FIELDS = 30
"""Fields of an entry that a hint lists."""
_OF_AN_INSTANCE = ("TODAY", "RUN_ID", "RUN_TIME", "PIPELINE", "WORKSPACE")
"""Variables that may mean something else in each instance of a file."""

_KNOWN_NAMES = 500
"""Names among which the nearest is sought; comparing takes its time."""


def _set(variables: Mapping[str, str | None]) -> list[str]:
    return [name for name, value in variables.items() if value is not None]


def _no_variable(name: str, peek: Peek) -> None:
    """Stands for the variables of a document that is not resolved yet."""


def _kind(result: Result) -> str:
    if isinstance(result, Scalar) and not isinstance(result.data, str):
        return "null" if result.data is None else "a boolean" if isinstance(result.data, bool) else "a number"
    return "nothing" if result is None else kind(result)


def _written(node: Substitution) -> str:
    return "${" + "?" * node.optional + _dotted(node.path) + "}"


def _dotted(path: Iterable[str]) -> str:
    return ".".join(path)
