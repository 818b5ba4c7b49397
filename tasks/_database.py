"""What a database says of itself: schemas, tables, columns, keys and views, read in one snapshot, changing nothing.

Messages never hold a URL's password or query.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, NullPool, bindparam, create_engine, inspect, text
from sqlalchemy.engine import URL, Inspector, make_url
from sqlalchemy.engine.reflection import ObjectKind, ObjectScope
from sqlalchemy.exc import ArgumentError, DBAPIError, SAWarning, SQLAlchemyError
from sqlalchemy.types import NullType

NAMES_SHOWN = 5
"""How many relations a message names."""

_KINDS = {
    "r": "table",
    "p": "partitioned table",
    "f": "foreign table",
    "v": "view",
    "m": "materialized view",
}
"""What PostgreSQL calls them, and what people do."""

_SCHEMAS = text("""
    SELECT nspname AS name, has_schema_privilege(oid, 'USAGE') AS readable
    FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
""")

_RELATIONS = text("""
    SELECT n.nspname AS schema, c.relname AS name, c.relkind::text AS kind, c.relispartition AS part,
           has_table_privilege(c.oid, 'SELECT') OR has_any_column_privilege(c.oid, 'SELECT') AS readable
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND n.nspname IN :schemas
""").bindparams(bindparam("schemas", expanding=True))

_TYPES = text("""
    SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND c.relname = :name AND a.attnum > 0 AND NOT a.attisdropped
""")

Key = tuple[str | None, str]
"""A relation's schema, where the database has such, and its name."""


class DatabaseError(Exception):
    """The database cannot be read, or not all of it; the message names it without its password."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a relation."""

    name: str
    type: str
    """In the words of the database."""
    nullable: bool
    comment: str | None


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """Columns whose values are those of another table's."""

    name: str | None
    columns: tuple[str, ...]
    to_table: Key
    to_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or a view."""

    schema: str | None
    name: str
    kind: str
    comment: str | None
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    primary_key_name: str | None
    foreign_keys: tuple[ForeignKey, ...]
    definition: str | None
    """A view's query; for SQLite, the statement that made it."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What there is in a database."""

    schemas: tuple[str, ...]
    """Empty where the database has none."""
    relations: tuple[Relation, ...]
    unreadable: tuple[str, ...]
    """Those whose rows the role may not read."""


def database_url(url: str, password: str | None) -> URL:
    """The URL of a database that can be scanned; the message of what it raises does not repeat it."""
    try:
        made = make_url(url)
        backend = made.get_backend_name()
    except (ArgumentError, ValueError):
        message = "`url` is no database's: postgresql://user@host/name, or sqlite:///path"
        raise ValueError(message) from None
    if backend not in {"postgresql", "sqlite"}:
        message = f"`url` begins with {backend}:, and only postgresql: and sqlite: can be scanned"
        raise ValueError(message)
    if backend == "sqlite":
        return _sqlite_url(made)
    if password is not None:
        made = made.set(password=password)
    return made.set(drivername="postgresql+psycopg")


def shown(url: URL) -> str:
    """A database for people: without its password, and without a query, which may hold one as well."""
    if url.get_backend_name() == "sqlite":
        return f"sqlite:///{(url.database or '').removeprefix('file:')}"
    return URL.create("postgresql", url.username, None, url.host, url.port, url.database).render_as_string()


def dialect_of(url: URL) -> str:
    """How the database spells SQL, in sqlglot's words."""
    return "postgres" if url.get_backend_name() == "postgresql" else "sqlite"


@contextmanager
def opened(url: URL, timeout: float, lock_timeout: float) -> Iterator[Connection]:
    """A connection that can only read, sees one snapshot, and waits no longer than so many seconds."""
    postgres = url.get_backend_name() == "postgresql"
    arguments: dict[str, Any] = {"timeout": lock_timeout}
    if postgres:
        arguments = {"connect_timeout": max(2, round(timeout)), "application_name": "tasker"}
    options: dict[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True} if postgres else {}
    try:
        with create_engine(url, poolclass=NullPool, connect_args=arguments).connect() as connection:
            connection.execution_options(**options)
            if postgres:
                connection.execute(text(f"SET LOCAL statement_timeout = {round(timeout * 1000)}"))
                connection.execute(text(f"SET LOCAL lock_timeout = {round(lock_timeout * 1000)}"))
                # What is not in the path is named with its schema, in definitions and keys.
                connection.execute(text("SET LOCAL search_path = ''"))
            else:
                connection.execute(text("PRAGMA query_only = ON"))
            yield connection
    except DatabaseError as error:
        message = f"{shown(url)}: {error}"
        raise DatabaseError(message) from None
    except SQLAlchemyError as error:
        message = f"{shown(url)}: {_in_words(error, url)}"
        raise DatabaseError(message) from None


def contents(connection: Connection, schemas: Sequence[str] | None) -> Contents:
    """What there is in the schemas, or in all of them; raises `DatabaseError` where the catalogue holds more."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # a type that SQLAlchemy does not know is told in the server's words
        if connection.dialect.name == "postgresql":
            return _postgres(connection, schemas)
        return _sqlite(connection, schemas)


def _postgres(connection: Connection, schemas: Sequence[str] | None) -> Contents:
    there = {row.name: row.readable for row in connection.execute(_SCHEMAS)}
    chosen = sorted(set(schemas)) if schemas is not None else sorted(there)
    if missing := [name for name in chosen if name not in there]:
        message = f"there is no schema {', '.join(missing)}; there are {', '.join(sorted(there)) or 'none'}"
        raise DatabaseError(message)
    if closed := [name for name in chosen if not there[name]]:
        message = f"the role may not read the schema {listed(closed)}: grant it USAGE, or choose other `schemas`"
        raise DatabaseError(message)
    rows = list(connection.execute(_RELATIONS, {"schemas": chosen or [""]}))
    kinds: dict[Key, str] = {(row.schema, row.name): _kind(row) for row in rows}
    inspector = inspect(connection)
    found = [relation for schema in chosen for relation in _relations(inspector, schema, kinds)]
    if unseen := sorted(kinds.keys() - {(relation.schema, relation.name) for relation in found}):
        message = f"{len(found)} of {len(kinds)} relations could be read, and not {listed([*map(_dotted, unseen)])}"
        raise DatabaseError(message)
    hidden = sorted((row.schema, row.name) for row in rows if not row.readable)
    return Contents(tuple(chosen), tuple(_typed(connection, found)), tuple(map(_dotted, hidden)))


def _kind(row: Any) -> str:
    return "partition" if row.part else _KINDS[row.kind]


def _typed(connection: Connection, relations: Sequence[Relation]) -> Iterator[Relation]:
    """The relations, with the server's words for types that SQLAlchemy has none for."""
    for relation in relations:
        if all(column.type for column in relation.columns):
            yield relation
            continue
        rows = connection.execute(_TYPES, {"schema": relation.schema, "name": relation.name})
        types = {row.name: row.type for row in rows}
        columns = (replace(column, type=column.type or types[column.name]) for column in relation.columns)
        yield replace(relation, columns=tuple(columns))


def _sqlite(connection: Connection, schemas: Sequence[str] | None) -> Contents:
    if schemas is not None:
        message = "SQLite has no schemas: leave `schemas` out"
        raise DatabaseError(message)
    inspector = inspect(connection)
    kinds: dict[Key, str] = {(None, name): "table" for name in inspector.get_table_names()}
    kinds |= {(None, name): "view" for name in inspector.get_view_names()}
    found = tuple(_relations(inspector, None, kinds))
    return Contents((), found, ())


def _relations(inspector: Inspector, schema: str | None, kinds: Mapping[Key, str]) -> Iterator[Relation]:
    """The relations of a schema, by name."""
    every: dict[str, Any] = {"schema": schema, "kind": ObjectKind.ANY, "scope": ObjectScope.DEFAULT}
    columns = inspector.get_multi_columns(**every)
    primary: Mapping[Any, Any] = inspector.get_multi_pk_constraint(**every)
    foreign = inspector.get_multi_foreign_keys(**every)
    comments: Mapping[Any, Any] = (
        inspector.get_multi_table_comment(**every) if inspector.dialect.supports_comments else {}
    )
    for key in sorted(columns, key=lambda each: each[1]):
        name = key[1]
        kind = kinds.get((schema, name), "table")
        yield Relation(
            schema=schema,
            name=name,
            kind=kind,
            comment=comments.get(key, {}).get("text"),
            columns=tuple(_column(each, inspector) for each in columns[key]),
            primary_key=_spelt(primary.get(key, {}).get("constrained_columns", ()), inspector),
            primary_key_name=primary.get(key, {}).get("name"),
            foreign_keys=tuple(_foreign_key(each, schema, inspector) for each in foreign.get(key, ())),
            definition=inspector.get_view_definition(name, schema) if kind in {"view", "materialized view"} else None,
        )


def _column(said: Any, inspector: Inspector) -> Column:
    known = said["type"]
    spelt = "" if isinstance(known, NullType) else known.compile(dialect=inspector.dialect)
    if not spelt and inspector.dialect.name == "sqlite":
        spelt = "ANY"  # a column of SQLite may have no type
    (name,) = _spelt([said["name"]], inspector)
    return Column(name, spelt, bool(said["nullable"]), said.get("comment"))


def _spelt(columns: Sequence[str], inspector: Inspector) -> tuple[str, ...]:
    """Columns as all that reads them is to spell them: SQLite takes no notice of case."""
    return tuple(name.lower() for name in columns) if inspector.dialect.name == "sqlite" else tuple(columns)


def _foreign_key(said: Any, schema: str | None, inspector: Inspector) -> ForeignKey:
    return ForeignKey(
        said["name"],
        _spelt(said["constrained_columns"], inspector),
        (said["referred_schema"] or schema, said["referred_table"]),
        _spelt(said["referred_columns"], inspector),
    )


def listed(names: Sequence[str]) -> str:
    """Names for a message, not all of many."""
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more


def _dotted(key: Key) -> str:
    return ".".join(part for part in key if part)


def _sqlite_url(url: URL) -> URL:
    """The URL of a file that is there, to be opened for reading alone: SQLite would make one that is missing."""
    if not url.database or url.database == ":memory:" or url.query or url.database.startswith("file:"):
        message = "`url` names no file: sqlite:///path, with a fourth slash for a path from the root"
        raise ValueError(message)
    file = Path(url.database)
    if not file.is_file():
        message = f"there is no database at {file}"
        raise FileNotFoundError(message)
    return URL.create("sqlite", database=f"file:{quote(str(file.absolute()))}", query={"mode": "ro", "uri": "true"})


def _in_words(error: SQLAlchemyError, url: URL) -> str:
    """What went wrong: SQLAlchemy's own words repeat the statement; the server's may hold what it was given."""
    original = error.orig if isinstance(error, DBAPIError) else None
    diagnosis = getattr(getattr(original, "diag", None), "message_primary", None)
    said = str(diagnosis or original or type(error).__name__).strip().partition("\n")[0]
    return said.replace(str(url.password), "***") if url.password else said
