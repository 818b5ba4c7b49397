"""What can still be read of a damaged file: slots above all, so that none that had its outcome gets another."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tasker.history import rows
from tasker.history.schema import NEWEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from tasker.history.database import Database, Row

_MOST = 200_000
"""Rows of a table that are looked at, the newest first: what matters is not long ago."""
_TABLES: dict[str, Callable[[Row], object] | None] = {
    "pipelines": rows.pipeline,
    "snapshots": None,
    "configs": None,
    "slots": rows.slot,
    "runs": rows.run,
    "step_runs": rows.step_run,
}
"""The tables, each with what makes sure that a row is one."""
_LACKING: dict[str, Row] = {
    "runs": dict.fromkeys(("workspace", "git_commit", "config_id", "overrides", "chosen", "cancel_at", "cancel_by"))
    | {"foreground": 0},
    "step_runs": {"fingerprint": ""},
}
"""What the rows of an older tasker have not."""


def salvage(damaged: Path, database: Database) -> int:
    """Copy what can be read into a new history; how many rows that were."""
    with closing(_opened(damaged)) as connection:
        version = [*_read(connection, "SELECT version FROM schema_version")]
        if len(version) != 1 or not 1 <= version[0]["version"] <= NEWEST:
            return 0
        return sum(_copy(connection, table, database) for table in _TABLES)


def _opened(damaged: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{quote(os.fsencode(damaged.absolute()))}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    connection.text_factory = lambda text: text.decode(errors="replace")
    return connection


def _copy(connection: sqlite3.Connection, table: str, database: Database) -> int:
    """Copy the rows of a table from the newest back, and from the oldest on, until the damage."""
    found: dict[tuple[Any, ...], Row] = {}
    for order in ("DESC", "ASC"):
        statement = f"SELECT * FROM {table} ORDER BY rowid {order} LIMIT {_MOST}"  # noqa: S608
        read = ({**_LACKING.get(table, {}), **row} for row in map(dict, _read(connection, statement)))
        found |= {tuple(row.values()): row for row in read if _is_one(table, row)}
    return _write(database, table, found.values())


def _read(connection: sqlite3.Connection, statement: str) -> Iterator[sqlite3.Row]:
    """The rows of a statement up to where it cannot go on."""
    try:
        yield from connection.execute(statement)
    except sqlite3.Error:
        return


def _is_one(table: str, row: Row) -> bool:
    """Whether a row of a damaged file is what it is to be."""
    check = _TABLES[table]
    try:
        return check is None or bool(check(row))
    except (ValueError, TypeError, KeyError, AttributeError):
        return False


def _write(database: Database, table: str, found: Iterable[Row]) -> int:
    """Write rows, but for those whose keys are there and those that lack what they must have."""
    written = 0
    for row in found:
        statement = f"INSERT OR IGNORE INTO {table} ({rows.listed(row)}) VALUES ({rows.given(row)})"  # noqa: S608
        written += database.change(statement, **row)
    return written
