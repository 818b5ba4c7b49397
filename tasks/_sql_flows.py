"""Statements to flows: which table a statement writes, which of its columns, and the query that they come from.

INSERT, UPDATE and MERGE say where data goes in ways of their own. Here each becomes a target and a plain query whose
columns stand, one for one, for the target's: what `_sql_lineage` can trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

ROUTINES = {"FUNCTION", "PROCEDURE", "TRIGGER"}

_WORD_LENGTH = 40


@dataclass(frozen=True, slots=True)
class Flow:
    """Data that goes into a table."""

    target: exp.Table
    query: exp.Query
    columns: Sequence[str] | None = None
    """The target's columns, in the order of the query's; `None` where the target is written by position."""
    named_by_query: bool = False
    """Whether the target has the columns that the query has: it is made from the query, or matched by name."""
    by_definition: bool = False
    """Whether the statement makes the target, and so tells all of its columns."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A table's columns, as its own statement lists them."""

    table: exp.Table
    columns: Sequence[str]


@dataclass(frozen=True, slots=True)
class Alteration:
    """A table whose columns are no longer what was said of them."""

    table: exp.Table


@dataclass(frozen=True, slots=True)
class Untold:
    """Data that may be moved in a way that cannot be told."""

    reason: str


Effect = Flow | Definition | Alteration | Untold
"""One thing that a statement does."""


def effects(tree: exp.Expr) -> Iterator[Effect]:
    """What a statement moves and defines; nothing for one that moves no data."""
    try:
        yield from _effects(tree)
    except _UntoldError as error:
        yield Untold(str(error))


class _UntoldError(ValueError):
    """The way in which a statement moves data cannot be told; the message says why."""


def _effects(tree: exp.Expr) -> Iterator[Effect]:
    for kind, read in _READERS.items():
        if isinstance(tree, kind):
            yield from read(tree)


def _block(tree: exp.Block) -> Iterator[Effect]:
    for part in tree.expressions:
        yield from effects(part)


def _if(tree: exp.IfBlock) -> Iterator[Effect]:
    for branch in (tree.args.get("true"), tree.args.get("false")):
        if isinstance(branch, exp.Expr):
            yield from effects(branch)


def _alter(tree: exp.Alter) -> Iterator[Alteration]:
    if isinstance(tree.this, exp.Table):
        yield Alteration(tree.this)


def _unknown(tree: exp.Command | exp.Execute) -> Iterator[Untold]:
    word = "EXECUTE" if isinstance(tree, exp.Execute) else str(tree.this).upper()[:_WORD_LENGTH]
    yield Untold(f"what {word} does is not known")


def _create(tree: exp.Create) -> Iterator[Flow | Definition]:
    if tree.kind in ROUTINES:
        message = f"the body of a {str(tree.kind).lower()} is not traced"
        raise _UntoldError(message)
    table, columns = _target(tree.this)
    query = tree.expression
    if isinstance(query, exp.Query) and table is not None:
        yield Flow(table, query, columns, named_by_query=True, by_definition=True)
    elif columns and table is not None and tree.kind == "TABLE":
        yield Definition(table, columns)


def _insert(tree: exp.Insert) -> Iterator[Flow]:
    table, columns = _target(tree.this)
    source = tree.expression
    if table is None:
        message = "it inserts into something other than a table"
        raise _UntoldError(message)
    by_name = bool(tree.args.get("by_name"))
    for query in _rows(source) if isinstance(source, exp.Values) else [source]:
        if isinstance(query, exp.Query):
            yield Flow(table, _with(query, tree), columns, named_by_query=by_name)
    conflict = tree.args.get("conflict")
    if conflict is not None and conflict.expressions:
        message = "what it does ON CONFLICT is not traced"
        raise _UntoldError(message)


def _rows(values: exp.Values) -> Iterator[exp.Query]:
    """The rows that are more than constants, each as a query."""
    for row in values.expressions:
        if row.find(exp.Column, exp.Query):
            yield exp.select(*(row.expressions if isinstance(row, exp.Tuple) else [row]))


def _select_into(tree: exp.Query) -> Iterator[Flow]:
    """What `SELECT … INTO table` writes; in a UNION the first part names the table."""
    first: exp.Expr = tree
    while isinstance(first, exp.SetOperation | exp.Subquery):
        first = first.this
    into = first.args.get("into")
    if into is not None and isinstance(into.this, exp.Table):
        into.pop()
        yield Flow(into.this, tree, named_by_query=True, by_definition=True)


def _update(tree: exp.Update) -> Iterator[Flow]:
    target = tree.this
    if not isinstance(target, exp.Table):
        message = "it updates something other than a table"
        raise _UntoldError(message)
    origin = tree.args.get("from_")
    tables = [origin.this, *_joined(origin.this), *_joined(target)] if origin else []
    # T-SQL and MySQL may name the target by the alias that it has in FROM.
    real = next((table for table in tables if _names(target, table)), None)
    names, values = _assignments(tree.expressions)
    query = exp.select(*values)
    if real is None:
        query = query.from_(target.copy())
        if origin is not None:
            query = query.join(origin.this.copy(), join_type="cross")
    elif origin is not None:
        query.set("from_", origin.copy())
    if tree.args.get("where"):
        query.set("where", tree.args["where"].copy())
    yield Flow(real if real is not None else target, _with(query, tree), names)


def _joined(table: exp.Expr) -> Iterator[exp.Expr]:
    for join in table.args.get("joins") or ():
        yield join.this


def _names(target: exp.Table, table: exp.Expr) -> bool:
    return isinstance(table, exp.Table) and target.alias_or_name in {table.alias_or_name, table.name}


def _assignments(pairs: Sequence[exp.Expr]) -> tuple[list[str], list[exp.Expr]]:
    """The columns that are set, and the expression that each is set to."""
    names: list[str] = []
    values: list[exp.Expr] = []
    for pair in pairs:
        if not isinstance(pair, exp.EQ):
            message = "it sets columns in a way that is not known"
            raise _UntoldError(message)
        left = pair.this.expressions if isinstance(pair.this, exp.Tuple) else [pair.this]
        right = _parts(pair.expression, len(left)) if isinstance(pair.this, exp.Tuple) else [pair.expression]
        settable = [(one, value) for one, value in zip(left, right, strict=True) if isinstance(one, exp.Column)]
        names += [one.name for one, _ in settable]
        values += [value.copy() for _, value in settable]
    return names, values


def _parts(value: exp.Expr, count: int) -> list[exp.Expr]:
    """The values that a tuple or a subquery gives to `count` columns."""
    if isinstance(value, exp.Tuple) and len(value.expressions) == count:
        return value.expressions
    if isinstance(value, exp.Subquery) and isinstance(value.this, exp.Select) and len(value.selects) == count:
        parts = [value.copy() for _ in range(count)]
        for part, selected in zip(parts, value.selects, strict=True):
            part.this.set("expressions", [selected.copy()])
        return list(parts)
    message = f"it sets {count} columns at once from something else than {count} values"
    raise _UntoldError(message)


def _merge(tree: exp.Merge) -> Iterator[Flow]:
    target = tree.this
    for when in tree.args["whens"].expressions:
        then = when.args.get("then")
        if isinstance(then, exp.Update) and then.expressions:
            columns, values = _assignments(then.expressions)
        elif isinstance(then, exp.Insert) and isinstance(then.expression, exp.Tuple):
            columns = [each.name for each in then.this.expressions] if isinstance(then.this, exp.Tuple) else []
            values = [each.copy() for each in then.expression.expressions]
        elif isinstance(then, exp.Insert | exp.Update):
            message = "it merges whole rows without naming their columns"
            raise _UntoldError(message)
        else:
            continue
        condition = tree.args.get("on")
        query = (
            exp.select(*values).from_(target.copy()).join(tree.args["using"].copy(), on=condition and condition.copy())
        )
        yield Flow(target, _with(query, tree), columns or None)


def _target(this: exp.Expr | None) -> tuple[exp.Table | None, list[str] | None]:
    """The table that is written, and its columns where they are listed."""
    if isinstance(this, exp.Schema):
        table, _ = _target(this.this)
        listed = [each for each in this.expressions if isinstance(each, exp.Identifier | exp.ColumnDef | exp.Column)]
        return table, [each.name for each in listed] or None
    return (this, None) if isinstance(this, exp.Table) else (None, None)


def _with(query: exp.Query, statement: exp.Expr) -> exp.Query:
    """The query with the common table expressions that stand before the whole statement."""
    above = statement.args.get("with_")
    if above is None:
        return query
    own = query.args.get("with_")
    above = above.copy()
    if own is not None:
        above.set("expressions", above.expressions + own.expressions)
    query.set("with_", above)
    return query


_READERS: Mapping[type[exp.Expr], Callable[[Any], Iterator[Effect]]] = {
    exp.Alter: _alter,
    exp.Block: _block,
    exp.Command: _unknown,
    exp.Create: _create,
    exp.Execute: _unknown,
    exp.IfBlock: _if,
    exp.Insert: _insert,
    exp.Merge: _merge,
    exp.Query: _select_into,
    exp.Update: _update,
}
"""How each kind of statement is read; a kind that is not here moves no data."""
