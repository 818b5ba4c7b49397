"""Why a substitution means nothing, and what was most likely meant: the message and the hint of each such fault."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from tasker.document.cells import Cell, Shape
from tasker.document.surroundings import ITEM, RUN_VARIABLES
from tasker.document.values import Object
from tasker.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tasker.document.syntax import Substitution
    from tasker.faults import Place

_KNOWN_NAMES = 500
"""Names among which the nearest is sought; comparing takes its time."""
_SHOWN_FIELDS = 30
"""Fields of an entry that a hint lists."""


def nothing_named(node: Substitution, root: Shape, variables: Mapping[str, str | None]) -> tuple[str, str]:
    """Neither the document nor a variable has that name."""
    name = node.name
    there = [variable for variable, value in variables.items() if value is not None]
    near = get_close_matches(name, [*_known(root), *RUN_VARIABLES, *there], 1)
    hint = f"did you mean '{near[0]}'?" if near else f"define it, or write ${{?{name}}} where it may be absent"
    if node.path[0] == ITEM:
        hint = "${item.…} means an entry of 'for_each', and this file has none"
    return f"nothing is named '{name}', here or in the environment", hint


def no_entry_yet(node: Substitution) -> tuple[str, str]:
    """It reads the entry of `for_each` in what says which entries there are."""
    message = f"${{{'?' * node.optional}{node.name}}} is known only when it is known which entries 'for_each' has"
    return message, "'for_each' and 'name' are read before; each pipeline is named NAME/KEY by itself"


def no_field(node: Substitution, fields: Sequence[str], place: Place) -> tuple[str, str]:
    """The entry of `for_each` that is named at `place` has these fields, and not that one."""
    shown = fields[:_SHOWN_FIELDS]
    near = nearest(node.path[1], shown)
    hint = f"did you mean '{ITEM}.{near}'?" if near else f"it has: {', '.join(shown)};"
    hint = f"{hint} an entry without it is at {place.file}:{place.line}"
    return f"the entry of 'for_each' has no '{'.'.join(node.path[1:])}'", hint


def _known(root: Shape) -> list[str]:
    """Some paths of the document, as far as they are known without evaluating anything for it."""
    names: list[str] = []
    pending: list[tuple[str, Shape | Object]] = [("", root)]
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
