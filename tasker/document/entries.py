"""What `for_each` comes to: the entries that a document is resolved for, each of which makes one instance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from tasker.document.cells import Broken, Cell, Row, Shape, kind
from tasker.document.surroundings import ENTRY_KEY
from tasker.document.values import Array, Object, Scalar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tasker.document.account import Account
    from tasker.document.cells import Result
    from tasker.document.values import Span, Value
    from tasker.faults import Fault


@dataclass(frozen=True, slots=True)
class Entries:
    """What `for_each` has, as far as it is known before any of it is resolved."""

    span: Span
    keys: Mapping[str, Span]
    """Where each entry is named, by its key, in order."""
    faults: tuple[Fault, ...]
    """What is wrong with the file whatever its entries are, as far as that is known by now."""


class Entry(NamedTuple):
    """One of them."""

    node: Cell | Value
    span: Span
    """Where it is named."""


def read_entries(cell: Cell, value: Callable[[Cell, Span], Result], account: Account) -> dict[str, Entry]:
    """The entries by their keys, and faults; `value` tells what a cell comes to."""
    found = value(cell, cell.span)
    if isinstance(found, Array | Row):
        return _named(found.items, account)
    given: Iterable[tuple[str, Cell | Value, Result, Span]] = ()
    if isinstance(found, Shape):
        given = ((key, each, value(each, each.span), each.span) for key, each in found.cells.items())
    elif isinstance(found, Object):
        given = ((key, each, each, found.keys.get(key, each.span)) for key, each in found.fields.items())
    elif not isinstance(found, Broken):
        message = f"'for_each' is an object or a list of strings, and not {_kind(found)}"
        account.tell("bad-value", cell.span, message, "for_each { crm { path = /data/crm } }")
    return {key: Entry(node, span) for key, node, result, span in given if _is_entry(key, result, span, account)}


def _is_entry(key: str, entry: Result, span: Span, account: Account) -> bool:
    """Whether this is an entry, and not one that was taken out with `null`."""
    if entry is None or isinstance(entry, Broken) or (isinstance(entry, Scalar) and entry.data is None):
        return False
    if not isinstance(entry, Object | Shape):
        message = f"the entry '{key}' of 'for_each' is an object, and not {_kind(entry)}"
        account.tell("bad-value", span, message, f"{key} {{}} for one without fields, {key} = null for none")
        return False
    fields = entry.fields if isinstance(entry, Object) else entry.cells
    if ENTRY_KEY in fields:
        place = entry.keys.get(ENTRY_KEY, span) if isinstance(entry, Object) else entry.cells[ENTRY_KEY].span
        account.tell("bad-value", place, "'key' cannot be a field of an entry: ${item.key} is its key in 'for_each'")
    return True


def _named(items: Iterable[Result], account: Account) -> dict[str, Entry]:
    """The entries of a list of strings, which have no fields."""
    entries: dict[str, Entry] = {}
    for each in items:
        if not isinstance(each, Scalar) or each.data is None:
            if each is not None and not isinstance(each, Broken):
                message = f"'for_each' is an object or a list of strings, and {_kind(each)} stands in it"
                account.tell("bad-value", each.span, message)
        elif each.masked is not None or each.lasting is not None:
            what = "a secret" if each.masked is not None else "what tells of one run"
            account.tell("bad-value", each.span, f"an entry of 'for_each' cannot be named by {what}")
        elif each.text in entries:
            place = entries[each.text].span.place
            account.tell("bad-value", each.span, f"'{each.text}' is named twice", f"the first one is at {place}")
        else:
            entries[each.text] = Entry(Object(each.span, {}), each.span)
    return entries


def _kind(result: Result) -> str:
    if isinstance(result, Scalar) and not isinstance(result.data, str):
        return "null" if result.data is None else "a boolean" if isinstance(result.data, bool) else "a number"
    return "nothing" if result is None else kind(result)
