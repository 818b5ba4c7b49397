"""Statements to what is known of them: edges between columns, tables that only filter, and gaps.

What is learned of one statement (the columns of the table that it makes) serves those that read the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sqlglot import exp
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers

from ._sql_catalogue import Catalogue, table_name
from ._sql_flows import Alteration, Definition, Flow, Untold, effects
from ._sql_lineage import UNKNOWN_COLUMNS, Column, Origin, Output, QueryLineage


@dataclass(frozen=True, slots=True)
class Gap:
    """What could not be traced, and why."""

    reason: str
    table: str | None = None
    """The table that is written, where that is known."""
    column: str | None = None


@dataclass(slots=True)
class Trace:
    """What is known of one statement."""

    writes: bool = False
    columns: int = 0
    """How many columns are written, as far as that can be told."""
    columns_traced: int = 0
    """How many of them have an origin that is known to be whole."""
    columns_constant: int = 0
    """How many of those come from no column at all."""
    edges: set[tuple[Column, Column]] = field(default_factory=set)
    """Where data comes from, and where it goes."""
    filters: set[tuple[str, str]] = field(default_factory=set)
    """A table that only filters or joins, and the table that is written."""
    gaps: list[Gap] = field(default_factory=list)


def trace(trees: Sequence[exp.Expr], file: str, catalogue: Catalogue, dialect: str) -> Trace:
    """What a statement does; the catalogue is read, and told of the tables that the statement makes."""
    found = Trace()
    for tree in trees:
        normalized = normalize_identifiers(tree.copy(), dialect=dialect)
        for effect in effects(normalized):
            match effect:
                case Flow():
                    _trace_flow(effect, file, catalogue, dialect, found)
                case Definition():
                    catalogue.learn(file, table_name(effect.table), effect.columns)
                case Alteration():
                    catalogue.unsettle(file, table_name(effect.table))
                case Untold():
                    found.gaps.append(Gap(effect.reason))
    return found


def _trace_flow(flow: Flow, file: str, catalogue: Catalogue, dialect: str, found: Trace) -> None:
    target = table_name(flow.target)
    lineage = QueryLineage(flow.query, lambda table: catalogue.columns(file, table), dialect)
    outputs = lineage.outputs()
    written = list(_written(flow, outputs, catalogue.columns(file, target)))
    if flow.by_definition and written and all(name for name, _ in written):
        catalogue.learn(file, target, [name for name, _ in written if name])
    found.writes = True
    for name, origin in written:
        _add(found, target, name, origin)
    givers = {source.table for source, _ in found.edges}
    found.filters |= {(table, target) for table in lineage.tables() - givers}


def _add(found: Trace, target: str, name: str | None, origin: Origin) -> None:
    found.columns += 1
    gaps = origin.gaps if name else origin.gaps or {"the name of the column that is written is not known"}
    if not gaps:
        found.columns_traced += 1
        found.columns_constant += not origin.columns
    if name:
        found.edges |= {(source, Column(target, name)) for source in origin.columns}
    found.gaps += [Gap(reason, target, name) for reason in sorted(gaps)]


def _written(flow: Flow, outputs: Sequence[Output], known: Sequence[str]) -> Iterator[tuple[str | None, Origin]]:
    """Each column that is written, by name where that can be told, and where its value comes from."""
    names = flow.columns or (None if flow.named_by_query else known)
    if names is None:
        for output in outputs:
            yield (output.name or None) if output.behind is None else None, output.origin
    elif not names:
        reason = f"the columns of {table_name(flow.target)} are not known, and the statement does not list them"
        for output in outputs:
            yield None, Origin(gaps=output.origin.gaps or frozenset({reason}))
    else:
        yield from _by_position(names, outputs, listed=bool(flow.columns))


def _by_position(
    names: Sequence[str], outputs: Sequence[Output], *, listed: bool
) -> Iterator[tuple[str | None, Origin]]:
    star = next((index for index, output in enumerate(outputs) if output.behind is not None), None)
    if star is None and (len(outputs) == len(names) or (len(outputs) < len(names) and not listed)):
        yield from zip(names, (output.origin for output in outputs), strict=False)
        return
    if star is None:
        gaps = frozenset({f"{len(outputs)} columns are selected for {len(names)}"})
    else:
        gaps = outputs[star].origin.gaps or frozenset({UNKNOWN_COLUMNS})
    for name, output in zip(names, outputs[:star] if star is not None else (), strict=False):
        yield name, output.origin
    for name in names[star or 0 :]:
        yield name, Origin(gaps=gaps)
