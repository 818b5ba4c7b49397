"""The task `scan_database`: what is in a database, and where the columns of its views come from.

Reading the database is `_database`; tracing a view's query is what `scan_sql` does with a statement.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

from annotated_types import Ge, Gt, Le

from tasker import Task

from ._files import write_if_changed

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from ._database import Contents, Relation
    from ._sql_readings import Reader, Reading

SHOWN = 5
"""How many failures, and how many of the commonest reasons, the summary has."""

LOGGED_GAPS = 20
"""How many views that are not traced are logged one by one; the output lists all."""


class ScannedDatabase(TypedDict):
    """What the task hands on."""

    file: str
    """The JSON lines with everything that was found."""
    schemas: int
    tables: int
    """Tables of all kinds: partitions and foreign tables, too."""
    views: int
    """Views, materialized ones too."""
    views_failed: int
    """Those whose query could not be read, or in which nothing could be traced."""
    columns: int
    """Columns of all tables and views."""
    primary_keys: int
    foreign_keys: int
    edges: int
    """Records that lead from a column to a view's column."""
    untraced: int
    """Records of what could not be traced, each with its reason."""
    summary: str
    """All of that in a few lines for people."""


@dataclass(frozen=True, slots=True)
class _Lineage:
    """What views are made of, and the names that it is told in."""

    names: Mapping[tuple[str | None, str], str]
    """Each relation's name as edges have it."""
    readings: Mapping[str, Reading]
    """By the name of the view."""
    unnamed: str
    """What qualifies a table that a query names without its schema."""

    def facts(self, reading: Reading) -> list[dict[str, str | None]]:
        """What is known of a view, every table with its schema."""
        found = [dict(each) for each in reading.facts()]
        for each in found:
            table = each.get("from_table")
            if table and "." not in table:
                each["from_table"] = self.unnamed + table
        return found


class ScanDatabase(Task):
    """Read the catalogue of a database, and find the column-level lineage of its views."""

    task_name = "scan_database"
    requires = {  # noqa: RUF012 - `Task` says what it is
        "sqlalchemy": "sqlalchemy>=2.0.40",
        "sqlglot": "sqlglot>=30",
        "psycopg": "psycopg[binary]>=3.2",
    }

    def run(
        self,
        url: str,
        output: Path,
        *,
        password: str | None = None,
        schemas: list[str] | None = None,
        timeout: Annotated[timedelta, Gt(timedelta(0))] = timedelta(seconds=60),
        lock_timeout: Annotated[timedelta, Gt(timedelta(0))] = timedelta(seconds=5),
        view_timeout: Annotated[timedelta, Gt(timedelta(0))] = timedelta(seconds=10),
        minimum_relations: Annotated[int, Ge(1)] = 1,
        minimum_edges: Annotated[int, Ge(0)] = 0,
        minimum_readable: Annotated[float, Ge(0), Le(1)] = 1.0,
        minimum_share: Annotated[float, Ge(0), Le(1)] = 0.5,
    ) -> ScannedDatabase:
        """Read everything in one transaction that can only read; no row of a table is looked at.

        A database that is not all to be seen, or in which too little is found, is a failure, and leaves the last
        output as it was.

        Args:
            url: The database: postgresql://user@host/name, or sqlite:///path; a secret where it has a password.
            output: The file to write, a JSON object a line.
            password: In place of one in `url`, as `${secret.NAME}`.
            schemas: Which schemas are read; by default all but the database's own.
            timeout: How long the server may take for a statement, and for a connection to be made.
            lock_timeout: How long to wait for whoever is changing a table or view.
            view_timeout: How long tracing one view may take; one that takes longer is listed as untraced.
            minimum_relations: How many tables and views must be found.
            minimum_edges: How many edges must be found.
            minimum_readable: The part of the relations that the role must have the right to read, from 0 to 1.
            minimum_share: The part of the views that must be readable as SQL, from 0 to 1.
        """
        from ._database import contents, database_url, dialect_of, opened, shown

        place = database_url(url, password)
        with opened(place, timeout.total_seconds(), lock_timeout.total_seconds()) as connection:
            there = contents(connection, schemas)
        _require_rights(there, shown(place), minimum_readable)
        lineage = _lineage(there, dialect_of(place), view_timeout.total_seconds())
        self._log_gaps(lineage)
        found = _totals(output, there, lineage, place)
        _require_minimum(found, shown(place), minimum_relations, minimum_edges, minimum_share)
        write_if_changed(output, "".join(f"{_line(record)}\n" for record in _records(there, lineage)))
        self.logger.info("scan is done", **{name: value for name, value in found.items() if name != "summary"})
        return found

    def _log_gaps(self, lineage: _Lineage) -> None:
        failed = [reading for reading in lineage.readings.values() if reading.failed]
        for reading in failed[:LOGGED_GAPS]:
            self.logger.warning("view is not traced", view=reading.place, reason=reading.reasons()[0])
        if len(failed) > LOGGED_GAPS:
            self.logger.warning("more views are not traced; the output lists them", count=len(failed))


def _lineage(there: Contents, dialect: str, timeout: float) -> _Lineage:
    """Trace every view, with the columns of all relations known beforehand."""
    from sqlglot import Dialect, exp
    from sqlglot.optimizer.normalize_identifiers import normalize_identifiers

    from ._sql_catalogue import Catalogue, table_name
    from ._sql_readings import Reader, quiet_parser

    catalogue = Catalogue()
    names: dict[tuple[str | None, str], str] = {}
    for relation in there.relations:
        table = exp.table_(relation.name, db=relation.schema, quoted=True)
        name = names[relation.schema, relation.name] = table_name(normalize_identifiers(table, dialect=dialect))
        names.setdefault((relation.schema, name), name)  # a key may refer to it in another case, where that is all one
        catalogue.learn("", name, [column.name for column in relation.columns])
    spelling = Dialect.get_or_raise(dialect)
    reader = Reader(spelling, dialect, timeout)
    with quiet_parser():
        views = [(names[each.schema, each.name], each) for each in there.relations if _is_view(each)]
        readings = {name: _reading(name, view, spelling, dialect, reader) for name, view in views}
        reader.trace(list(readings.values()), catalogue)
    # The search path is empty but for what is always in it.
    return _Lineage(names, readings, "pg_catalog." if dialect == "postgres" else "")


def _reading(name: str, view: Relation, spelling: Any, dialect: str, reader: Reader) -> Reading:
    """The statement that makes a view, parsed where that can be done."""
    from ._sql_readings import Reading
    from ._sql_statements import statements

    if not view.definition:
        return Reading(name, 1, failure="the database does not tell its query")
    found = list(statements(_statement(view, dialect), spelling))
    if len(found) != 1:
        return Reading(name, 1, failure="its query cannot be told from what follows it")
    return reader.parsed(name, found[0])


def _statement(view: Relation, dialect: str) -> str:
    """The statement that makes a view. PostgreSQL tells the query alone, and SQLite the statement as it was written."""
    from sqlglot import exp

    if dialect == "sqlite":
        return view.definition or ""
    table = exp.table_(view.name, db=view.schema, quoted=True)
    columns = ", ".join(exp.to_identifier(column.name, quoted=True).sql(dialect) for column in view.columns)
    return f"CREATE VIEW {table.sql(dialect)} ({columns}) AS {view.definition}"


def _is_view(relation: Relation) -> bool:
    return relation.kind in {"view", "materialized view"}


def _records(there: Contents, lineage: _Lineage) -> Iterator[Mapping[str, object]]:
    """What the output says: the schemas, then relation after relation, by name."""
    for schema in there.schemas:
        yield {"record": "schema", "schema": schema}
    for relation in sorted(there.relations, key=lambda each: lineage.names[each.schema, each.name]):
        name = lineage.names[relation.schema, relation.name]
        yield from _of_relation(relation, name, lineage.names)
        reading = lineage.readings.get(name)
        if reading is not None:
            facts = sorted(lineage.facts(reading), key=_line)
            yield from ({"record": each.pop("record"), "view": name, **each} for each in facts)


def _of_relation(
    relation: Relation, name: str, names: Mapping[tuple[str | None, str], str]
) -> Iterator[Mapping[str, object]]:
    yield {
        "record": "relation",
        "table": name,
        "schema": relation.schema,
        "name": relation.name,
        "kind": relation.kind,
        "comment": relation.comment,
    }
    for position, column in enumerate(relation.columns, start=1):
        yield {
            "record": "column",
            "table": name,
            "column": column.name,
            "position": position,
            "type": column.type,
            "nullable": column.nullable,
            "comment": column.comment,
        }
    if relation.primary_key:
        yield {
            "record": "primary_key",
            "table": name,
            "name": relation.primary_key_name,
            "columns": relation.primary_key,
        }
    for key in sorted(relation.foreign_keys, key=lambda each: (each.name or "", each.columns, each.to_columns)):
        yield {
            "record": "foreign_key",
            "table": name,
            "name": key.name,
            "columns": key.columns,
            "to_table": _named(key.to_table, names),
            "to_columns": key.to_columns,
        }
    if relation.definition is not None:
        yield {"record": "view", "table": name, "definition": relation.definition}


def _named(key: tuple[str | None, str], names: Mapping[tuple[str | None, str], str]) -> str:
    """The name of a relation, which may be in a schema that is not read."""
    schema, name = key
    return names.get(key) or names.get((schema, name.lower())) or (f"{schema}.{name}" if schema else name)


def _line(record: Mapping[str, object]) -> str:
    return json.dumps(record, ensure_ascii=False)


def _totals(output: Path, there: Contents, lineage: _Lineage, place: URL) -> ScannedDatabase:
    from ._database import shown

    readings = list(lineage.readings.values())
    facts = [each for reading in readings for each in lineage.facts(reading)]
    records = Counter(each["record"] for each in facts)
    found: ScannedDatabase = {
        "file": str(output),
        "schemas": len(there.schemas),
        "tables": sum(not _is_view(each) for each in there.relations),
        "views": len(readings),
        "views_failed": sum(reading.failed for reading in readings),
        "columns": sum(len(each.columns) for each in there.relations),
        "primary_keys": sum(bool(each.primary_key) for each in there.relations),
        "foreign_keys": sum(len(each.foreign_keys) for each in there.relations),
        "edges": records["edge"],
        "untraced": records["untraced"],
        "summary": "",
    }
    found["summary"] = "\n".join(_summary(found, shown(place), readings))
    return found


def _summary(found: ScannedDatabase, place: str, readings: Sequence[Reading]) -> Iterator[str]:
    yield f"database    {place}"
    yield f"tables      {found['tables']}, with {found['foreign_keys']} foreign keys; {found['schemas']} schemas"
    yield f"columns     {found['columns']}, those of views included"
    yield f"views       {found['views']}, {found['views_failed']} of them not traced"
    yield f"edges       {found['edges']} between columns"
    failed = [reading for reading in readings if reading.failed]
    for reading in failed[:SHOWN]:
        yield f"failed      {reading.place}: {reading.reasons()[0]}"
    gaps = Counter(reason for reading in readings if not reading.failed for reason in reading.reasons())
    for reason, count in gaps.most_common(SHOWN):
        yield f"untraced    {count} times: {reason}"
    if len(failed) > SHOWN or len(gaps) > SHOWN:
        yield "            and more, all of it listed in the output"


def _require_rights(there: Contents, place: str, share: float) -> None:
    """Raise `DatabaseError` where the role is kept from more of what there is than it may be."""
    from ._database import DatabaseError, listed

    whole = len(there.relations)
    readable = whole - len(there.unreadable)
    if readable >= share * whole:
        return
    message = (
        f"{place}: the role may read {readable} of {whole} relations, and not {listed(there.unreadable)}: "
        "grant it SELECT, choose other `schemas`, or lower `minimum_readable`"
    )
    raise DatabaseError(message)


def _require_minimum(found: ScannedDatabase, place: str, relations: int, edges: int, share: float) -> None:
    """Raise `DatabaseError` where too little was found: green and empty is worse than red."""
    from ._database import DatabaseError

    there, traced = found["tables"] + found["views"], found["views"] - found["views_failed"]
    shortages = []
    if there < relations:
        shortages.append(f"{there} tables and views, and `minimum_relations` is {relations}")
    if traced < share * found["views"]:
        shortages.append(f"{traced} of {found['views']} views are traced, and `minimum_share` is {share:g}")
    if found["edges"] < edges:
        shortages.append(f"{found['edges']} edges, and `minimum_edges` is {edges}")
    if shortages:
        message = f"{place}: too little was found: {'; '.join(shortages)}"
        raise DatabaseError(message)
