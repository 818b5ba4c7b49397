"""The document as a whole: a syntax tree to the resolved tree, once, or for each entry of its `for_each` anew.

It asks `evaluation` for what each key comes to, makes the tree of it, and weighs that; what is the same in all
instances is made once.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from tasker.document.account import Account, StopError
from tasker.document.cells import UNASKED, Broken, Cell, Definition, Row, Shape, Unasked
from tasker.document.entries import Entries, read_entries
from tasker.document.evaluation import Evaluation
from tasker.document.limits import VALUE_WEIGHT
from tasker.document.surroundings import ENTRY_KEY, FOR_EACH, ITEM, LATE_ROOTS, Surroundings
from tasker.document.values import Array, Object, Scalar, Span, Unknown, Value

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from tasker.document.cells import Result
    from tasker.document.entries import Entry
    from tasker.document.limits import Limits
    from tasker.document.surroundings import Secrets, Variables
    from tasker.document.syntax import Fields, Include
    from tasker.faults import Fault


class Resolver:
    """Resolves one document."""

    def __init__(
        self,
        roots: Sequence[Object | Fields],
        included: Mapping[Include, Object | Fields],
        secrets: Secrets,
        limits: Limits,
        *,
        secrets_at: str = "",
        secret_variables: Collection[str] = (),
        of_a_run: Collection[str] = (),
    ) -> None:
        """Take the roots, later ones over earlier ones, and what they include.

        Of variables that are secrets, `secrets` answers the values, too; people know the folder as `secrets_at`.
        The variables `of_a_run` have other values in each run.
        """
        self._account = account = Account(limits)
        self._surroundings = Surroundings(
            secrets, account, secrets_at=secrets_at, secret_variables=secret_variables, of_a_run=of_a_run
        )
        self._evaluation = Evaluation(roots, included, self._surroundings, account)
        self._root = self._evaluation.root
        self._entries: dict[str, Entry] | None = None
        self._making: set[int] = set()
        self._trees: list[Value] = []
        self._weights: dict[int, tuple[int, int]] = {}
        self._weight = 0

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What was found wrong, each fault once."""
        return tuple(self._account.faults)

    @property
    def reads(self) -> AbstractSet[tuple[str, ...]]:
        """What substitutions asked for."""
        return self._account.reads

    @property
    def variables(self) -> Mapping[str, str | None]:
        """The variables that were asked for."""
        return self._surroundings.variables

    @property
    def secrets(self) -> Mapping[str, str]:
        """The secrets that were used."""
        return self._surroundings.secrets

    def look(self, variables: Variables) -> Entries | None:
        """The entries of `for_each`, where there is one, before anything else is evaluated; to be called first."""
        self._surroundings.begin(variables)
        with suppress(StopError):
            self._evaluation.begin()
            for root in LATE_ROOTS:
                self._refuse_key(
                    root, f"'{root}' cannot be a key of the document: ${{{root}....}} means something else"
                )
            if FOR_EACH in self._root.cells:
                self._entries = {}
                self._look_at_entries(self._root.cells[FOR_EACH])
        entries = self._entries
        self._account.expect_instances(len(entries or ()))
        if entries is None:
            return None
        return Entries(self._root.cells[FOR_EACH].span, {key: each.span for key, each in entries.items()}, self.faults)

    def _look_at_entries(self, cell: Cell) -> None:
        self._refuse_key(ITEM, "'item' cannot be a key of a document with 'for_each': it means the entry")
        self._evaluation.item = UNASKED
        self._entries = read_entries(cell, self._evaluation.value, self._account)
        if (name := self._root.cells.get("name")) is not None:
            self._evaluation.value(name, name.span)

    def _refuse_key(self, key: str, message: str) -> None:
        if key in self._root.cells:
            self._account.tell("bad-value", self._root.cells[key].span, message, "choose another name")

    def resolve(self, variables: Variables, instance: str | None = None) -> Object | None:
        """The tree that the roots come to, for that entry of `for_each`; `None` where too much is wrong."""
        if self._account.stopped:
            return None
        try:
            self._account.begin_instance()
            self._surroundings.begin(variables)
            item = self._place_item(instance) if instance is not None else None
            tree = self._make(self._root, self._root.span, 0)
            self._weigh(tree)
            self._weigh(item)
        except StopError:
            return None
        return tree if isinstance(tree, Object) else None

    def _place_item(self, instance: str) -> Value | None:
        """Let `${item}` mean an entry, all of which is made: what is wrong with it is told even if nothing reads it."""
        assert self._entries is not None  # noqa: S101 - an instance is the entry of something
        entry, span = self._entries[instance]
        key = Object(span, {ENTRY_KEY: Scalar(span, instance, instance)}, {ENTRY_KEY: span})
        item = Cell(self._root, (ITEM,), [Definition(entry, span), Definition(key, span)])
        self._root.cells[ITEM] = self._evaluation.item = item
        result = self._evaluation.value(item, span)
        item.varies = True
        return self._make(result, span, 1)

    # The tree

    def _make(self, result: Result, span: Span, depth: int) -> Value | None:
        """The result with everything in it evaluated; `span` is what led to it."""
        if isinstance(result, Value):
            return result
        if isinstance(result, Broken):
            return Unknown(result.span)
        if result is None:
            return None
        account = self._account
        if id(result) in self._making:
            account.tell("substitution-cycle", span, "this holds itself, and would never end")
            return Unknown(span)
        if depth > account.limits.nesting:
            account.stop_nesting(span)
        if not isinstance(result.made, Unasked):
            account.again(result)
            return result.made
        varied, told = account.varied, len(account.faults)
        self._making.add(id(result))
        made = self._make_object(result, depth) if isinstance(result, Shape) else self._make_array(result, depth)
        result.made = made
        self._making.discard(id(result))
        account.note(result, varied, told)
        return made

    def _make_object(self, shape: Shape, depth: int) -> Object:
        fields: dict[str, Value] = {}
        keys: dict[str, Span] = {}
        # The tree is that of one pipeline, as if the entry were written into it.
        left_out = (FOR_EACH, ITEM) if shape is self._root and self._entries is not None else ()
        for key, cell in shape.cells.items():
            if key not in left_out:
                value = self._make(self._evaluation.value(cell, cell.span), self._led_by(cell), depth + 1)
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
            if weight > self._account.limits.weight:
                self._account.stop("too-large", value.span, "with its substitutions made, this grows over the limit")
            if self._weight > self._account.limits.weight:
                span = self._root.cells[FOR_EACH].span if FOR_EACH in self._root.cells else value.span
                self._account.stop(
                    "too-large", span, "what the file comes to for all entries grows over the limit together"
                )
            if levels > self._account.limits.nesting:
                self._account.stop_nesting(value.span)
            self._weights[id(value)] = weight, levels + 1
        return self._weights[id(value)]
