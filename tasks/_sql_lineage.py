"""Queries to column lineage: which columns of which tables each column of a result comes from.

sqlglot finds the scopes of a query: its subqueries, common table expressions and what each of them can see. Its own
`lineage()` is not used: it gives up a whole statement for one name that it cannot resolve, and makes a `*` that it
cannot expand a column of that name. Here what cannot be told is said to be so, column by column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, build_scope, find_all_in_scope

from ._sql_catalogue import table_name

FORWARD_ALIASES = frozenset(
    {"bigquery", "clickhouse", "databricks", "duckdb", "redshift", "snowflake", "spark", "teradata"}
)
"""Dialects in which a column of a SELECT may be used in the columns after it."""


@dataclass(frozen=True, slots=True, order=True)
class Column:
    """A column of a table."""

    table: str
    name: str


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from, as far as that can be told."""

    columns: frozenset[Column] = frozenset()
    gaps: frozenset[str] = frozenset()
    """Why some of it cannot be told."""


@dataclass(frozen=True, slots=True)
class Output:
    """A column of a query's result, or a `*` that stands for columns that are not known."""

    name: str
    origin: Origin
    behind: tuple[Source, ...] | None = None
    """For a `*`: the sources whose columns it stands for."""


Source = exp.Table | Scope

_NOTHING = Origin()

NAMES_SHOWN = 5
"""How many tables a reason names."""

UNKNOWN_COLUMNS = "a `*` stands for columns that are not known"


def _gap(reason: str) -> Origin:
    return Origin(gaps=frozenset({reason}))


def _merged(origins: Iterable[Origin]) -> Origin:
    columns: set[Column] = set()
    gaps: set[str] = set()
    for origin in origins:
        columns |= origin.columns
        gaps |= origin.gaps
    return Origin(frozenset(columns), frozenset(gaps))


class QueryLineage:
    """The lineage of one query, whose identifiers are normalized."""

    def __init__(self, query: exp.Expr, columns_of: Callable[[str], Sequence[str]], dialect: str) -> None:
        self._columns_of = columns_of
        self._forward_aliases = dialect in FORWARD_ALIASES
        for select in query.find_all(exp.Select):
            select.set("locks", None)  # sqlglot takes the tables that FOR UPDATE OF names for further ones
        self._root = build_scope(query)
        self._scopes = {id(scope.expression): scope for scope in self._root.traverse()} if self._root else {}
        self._known: dict[int, list[Output]] = {}
        self._homes = {
            id(source): scope for scope in self._scopes.values() for _, source in scope.selected_sources.values()
        }

    def outputs(self) -> list[Output]:
        """The columns of the result, in their order."""
        return self._outputs(self._root) if self._root else []

    def tables(self) -> set[str]:
        """Every table that is read, also those that only filter or join."""
        scopes = self._root.traverse() if self._root else ()
        sources = [source for scope in scopes for _, source in scope.selected_sources.values()]
        tables = {source for source in sources if isinstance(source, exp.Table)}
        return {table_name(table) for table in tables if not _is_function(table)}

    # Results of queries

    def _outputs(self, scope: Scope) -> list[Output]:
        """The columns of a query's result; what a recursive query reads of itself is what its first part answers."""
        place = self._scopes.get(id(scope.expression), scope)
        if id(place) not in self._known:
            self._known[id(place)] = []
            self._known[id(place)] = _renamed(list(self._found_outputs(place)), _names_given_outside(place))
        outputs = self._known[id(place)]
        return outputs if place is scope else _renamed(outputs, _names_given_to_recursion(scope))

    def _found_outputs(self, scope: Scope) -> Iterator[Output]:
        match scope.expression:
            case exp.SetOperation():
                yield from self._united(scope)
            case exp.Select() as select:
                for projection in select.expressions:
                    yield from self._projected(projection, scope)
            case exp.Subquery() | exp.Lateral(this=exp.Subquery()) if scope.subquery_scopes:
                yield from self._outputs(scope.subquery_scopes[0])
            case exp.UDTF() as function:
                yield from self._returned(function, scope)
            case other:
                yield Output("*", _gap(f"what {other.key.upper()} answers is not traced"), ())

    def _united(self, scope: Scope) -> Iterator[Output]:
        """The results of UNION and its like: the first part gives the names, both give the values."""
        first, second = (self._outputs(part) for part in scope.set_operation_scopes)
        if scope.expression.args.get("by_name"):
            others = {output.name: output.origin for output in second}
            for output in first:
                yield Output(output.name, _merged([output.origin, others.get(output.name, _NOTHING)]), output.behind)
        elif any(output.behind is not None for output in (*first, *second)) or len(first) != len(second):
            yield from self._united_stars(first, second)
        else:
            for one, other in zip(first, second, strict=True):
                yield Output(one.name, _merged([one.origin, other.origin]))

    def _united_stars(self, first: Sequence[Output], second: Sequence[Output]) -> Iterator[Output]:
        """What can be told where the parts of a UNION have a `*` in them: the columns before it, and its sources."""
        for one, other in zip(first, second, strict=False):
            if one.behind is not None or other.behind is not None:
                break
            yield Output(one.name, _merged([one.origin, other.origin]))
        stars = [output for output in (*first, *second) if output.behind is not None]
        gaps = _merged(star.origin for star in stars).gaps or {
            UNKNOWN_COLUMNS if stars else "the parts of a UNION differ in width"
        }
        yield Output("*", Origin(gaps=frozenset(gaps)), ())

    def _projected(self, projection: exp.Expr, scope: Scope) -> Iterator[Output]:
        star = projection.this if isinstance(projection, exp.Column) else projection
        if isinstance(star, exp.Star):
            yield from self._expanded(projection, star, scope)
        else:
            yield Output(projection.output_name, self._origin(projection, scope))

    def _returned(self, function: exp.UDTF, scope: Scope) -> Iterator[Output]:
        """The columns of VALUES, UNNEST and functions in FROM: each may come from any column that is put in."""
        origin = self._origin(function, scope.parent or scope)
        names = function.alias_column_names
        if not names:
            yield Output("*", origin, ())
        for name in names:
            yield Output(name, origin)

    # Stars

    def _expanded(self, projection: exp.Expr, star: exp.Star, scope: Scope) -> Iterator[Output]:
        qualifier = projection.table if isinstance(projection, exp.Column) else ""
        if star.args.get("replace") or star.args.get("rename") or _has_natural_join(scope):
            yield Output("*", _gap("a `*` with REPLACE, RENAME or a natural join is not expanded"), ())
            return
        sources = [source for name, (_, source) in scope.selected_sources.items() if qualifier in {"", name}]
        left_out = {each.name for each in star.args.get("except_") or ()}
        merged = _using(scope) if not qualifier else set()
        seen: set[str] = set()
        for source in sources:
            for output in self._columns(source):
                if output.name not in left_out and output.name not in merged & seen:
                    yield output
                seen.add(output.name)
        if not sources:
            yield Output("*", _gap(f"`{qualifier}.*` names nothing in FROM"), ())

    def _columns(self, source: Source) -> list[Output]:
        """Every column of a source, or a `*` where they are not known."""
        if isinstance(source, Scope):
            return self._outputs(source)
        if source.args.get("pivots"):
            return [Output("*", _gap("what a PIVOT makes is not traced"), ())]
        table = table_name(source)
        names = self._columns_of(table)
        if not names:
            return [Output("*", _gap(f"a `*` stands for the columns of {table}, which are not known"), (source,))]
        return [Output(name, Origin(frozenset({Column(table, name)}))) for name in names]

    # Expressions

    def _origin(self, expression: exp.Expr, scope: Scope) -> Origin:
        """Where the value of an expression comes from, subqueries in it included."""
        own = [self._column(column, scope) for column in find_all_in_scope(expression, exp.Column)]
        subqueries = {id(each.expression): each for each in scope.subquery_scopes}
        nested = find_all_in_scope(expression, exp.Query)
        inner = [subqueries[id(query)] for query in nested if id(query) in subqueries]
        return _merged([*own, *(output.origin for each in inner for output in self._outputs(each))])

    def _column(self, column: exp.Column, scope: Scope) -> Origin:
        if isinstance(column.this, exp.Star):
            return self._whole_row(column, scope)
        if not column.table:
            return self._unqualified(column, scope)
        place: Scope | None = scope
        while place is not None:
            if column.table in place.sources:
                return self._pulled(place.sources[column.table], column.name)
            place = place.parent
        return _gap(f"nothing in FROM is named {column.table}, of which `{column.name}` is read")

    def _whole_row(self, star: exp.Column, scope: Scope) -> Origin:
        """Where a row as one value comes from, as in `t.*::text`; COUNT reads no column."""
        if isinstance(star.parent, exp.Count) or star.table not in scope.sources:
            return _NOTHING
        return _merged(output.origin for output in self._columns(scope.sources[star.table]))

    def _unqualified(self, column: exp.Column, scope: Scope) -> Origin:
        """The column of a bare name: what is known to have it, else the one source whose columns are not known."""
        name = column.name
        place: Scope | None = scope
        while place is not None:
            sources = [source for _, source in place.selected_sources.values()]
            having = [source for source in sources if self._has(source, name)]
            unknown = [source for source in sources if self._has(source, name) is None]
            alias = self._forward_alias(column, place) if place is scope and not having else None
            if alias is not None:
                return self._origin(alias, place)
            if having or len(unknown) == 1 or name in _using(place):
                return _merged(self._pulled(source, name) for source in having or unknown)
            if unknown:
                return _gap(f"`{name}` may be a column of {_one_of(unknown)}")
            place = place.parent
        return _gap(f"nothing that is read has a column `{name}`")

    def _forward_alias(self, column: exp.Column, scope: Scope) -> exp.Expr | None:
        """The expression of an earlier column of the same SELECT that goes by this name, where the dialect has that."""
        if not self._forward_aliases or not isinstance(scope.expression, exp.Select):
            return None
        for projection in scope.expression.expressions:
            if column is projection or column in find_all_in_scope(projection, exp.Column):
                return None
            if isinstance(projection, exp.Alias) and projection.alias == column.name:
                expression: exp.Expr = projection.this
                return expression
        return None

    def _has(self, source: Source, name: str) -> bool | None:
        """Whether a source has a column; `None` where that is not known."""
        names = [output.name for output in self._columns(source)]
        if name in names:
            return True
        return None if "*" in names else False

    def _pulled(self, source: Source, name: str) -> Origin:
        """Where a column of a source comes from."""
        if isinstance(source, exp.Table):
            if source.args.get("pivots"):
                return _gap("what a PIVOT makes is not traced")
            if _is_function(source):
                return self._put_in(source)
            return Origin(frozenset({Column(table_name(source), name)}))
        outputs = self._outputs(source)
        for output in outputs:
            if output.name == name and output.behind is None:
                return output.origin
        stars = [output for output in outputs if output.behind is not None]
        if len(stars) == 1 and stars[0].behind and len(stars[0].behind) == 1:
            return self._pulled(stars[0].behind[0], name)
        return _merged(star.origin for star in stars) if stars else _gap(f"no column `{name}` is found in a subquery")

    def _put_in(self, function: exp.Table) -> Origin:
        """What goes into a function in FROM: each of its columns may come from any of that."""
        home = self._homes.get(id(function))
        parts = [function.this, *(function.args.get("rows_from") or ())]
        return _merged(self._origin(part, home) for part in parts if part is not None and home is not None)


def _is_function(table: exp.Table) -> bool:
    return not isinstance(table.this, exp.Identifier | exp.Parameter)


def _names_given_outside(scope: Scope) -> Sequence[str]:
    """The names that `x (a, b) AS (…)` or `(…) AS x (a, b)` gives to the columns of a query."""
    parent = scope.expression.parent
    named = parent if isinstance(parent, exp.CTE | exp.Subquery) else scope.expression
    return named.alias_column_names if isinstance(named, exp.CTE | exp.Subquery | exp.Lateral) else ()


def _names_given_to_recursion(scope: Scope) -> Sequence[str]:
    """The names that `WITH RECURSIVE x (a, b)` gives, for the first part of the query in it."""
    parent = scope.expression.find_ancestor(exp.CTE)
    return parent.alias_column_names if parent else ()


def _renamed(outputs: list[Output], names: Sequence[str]) -> list[Output]:
    if not names:
        return outputs
    if any(output.behind is not None for output in outputs) or len(names) != len(outputs):
        reasons = _merged(output.origin for output in outputs if output.behind is not None)
        gaps = reasons.gaps or frozenset({"a list of column names is not as long as the columns"})
        return [Output(name, Origin(gaps=gaps)) for name in names]
    return [Output(name, output.origin) for name, output in zip(names, outputs, strict=True)]


def _using(scope: Scope) -> set[str]:
    """The columns that joins merge into one."""
    joins = scope.expression.args.get("joins") or ()
    return {each.name for join in joins for each in join.args.get("using") or ()}


def _has_natural_join(scope: Scope) -> bool:
    return any(join.method.upper() == "NATURAL" for join in scope.expression.args.get("joins") or ())


def _one_of(sources: Sequence[Source]) -> str:
    names = sorted({table_name(source) if isinstance(source, exp.Table) else "a subquery" for source in sources})
    more = f" or {len(names) - NAMES_SHOWN} others" if len(names) > NAMES_SHOWN else ""
    return " or ".join(names[:NAMES_SHOWN]) + more
