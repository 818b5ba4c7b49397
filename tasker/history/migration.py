"""Brings the tables of a history up to date, each step of `schema` in one transaction, one daemon at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasker.history.errors import UnfitError
from tasker.history.schema import MIGRATIONS, NEWEST

if TYPE_CHECKING:
    from tasker.history.database import Database


def bring_up_to_date(database: Database) -> None:
    """Carry out the steps that are missing. Raises `UnfitError` where the tables are a newer tasker's."""
    version = version_of(database)
    while version < NEWEST:
        version = _step(database)
    check(version)


def bring_up_to_date_beside(database: Database) -> None:
    """Do so as a command: a daemon of an older tasker keeps its tables as they are. Raises `UnfitError`."""
    version = version_of(database)
    if 0 < version < NEWEST:
        with database.without_daemon() as alone:
            if not alone:
                message = (
                    f"the history is of an older tasker (version {version}; this one writes {NEWEST}), whose daemon "
                    "has it: stop that, and start this one's"
                )
                raise UnfitError(message)
            bring_up_to_date(database)
    else:
        bring_up_to_date(database)


def check(version: int) -> None:
    """Raise `UnfitError` unless these are the tables of this tasker."""
    if version > NEWEST:
        message = f"the history is of a newer tasker (version {version}; this one knows {NEWEST}): update this one"
        raise UnfitError(message)
    if version == 0:
        message = "there is no history yet: `tasker watch` and `tasker once` begin one"
        raise UnfitError(message)
    if version < NEWEST:
        message = (
            f"the history is of an older tasker (version {version}; this one reads {NEWEST}): "
            "start `tasker watch` of this one on it, which brings it up to date"
        )
        raise UnfitError(message)


def version_of(database: Database) -> int:
    """The version of the tables; nought where there are none."""
    if not database.has("schema_version"):
        return 0
    return int(database.rows("SELECT version FROM schema_version")[0]["version"])


def _step(database: Database) -> int:
    """One step, unless somebody else was quicker; the version after it."""
    database.begin()
    try:
        database.take_turns()
        version = version_of(database)
        if version < NEWEST:
            _carry_out(database, version)
        database.commit()
    except BaseException:
        database.rollback()
        raise
    return version_of(database)


def _carry_out(database: Database, version: int) -> None:
    if version == 0:
        database.found()
        database.change("CREATE TABLE schema_version (version BIGINT NOT NULL)")
        database.change("INSERT INTO schema_version (version) VALUES (0)")
    for statement in MIGRATIONS[version]:
        database.change(statement.format(text=database.text))
    database.change("UPDATE schema_version SET version = :version", version=version + 1)
