"""The history on a PostgreSQL server, which several daemons may share."""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tasker.history import presence
from tasker.history.errors import HistoryError, UnfitError
from tasker.history.urls import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from types import ModuleType

    from tasker.history.database import Row

SCHEMA = "tasker"
"""Where the tables are, apart from what else the database holds."""
_TURNS = 0x7461736B6572
"""The key of the lock under which daemons take turns: `tasker`, in hexadecimal."""
_DEFAULTS = {
    "application_name": "tasker",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
_SETTINGS = {
    "search_path": SCHEMA,
    "default_transaction_isolation": "read\\ committed",
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
}
"""A server, or another daemon, that hangs is to be trouble, and not to be waited for in silence."""
_PASSING = ("08", "25", "28", "3D", "3F", "40", "42501", "42P01", "53", "54000", "55", "57", "58", "XX")
"""How the SQLSTATEs begin of what another time, or somebody's care for the server, mends."""
_SCHEME = re.compile("postgres(ql)?://")
_NAMED = re.compile(r"(?<![:\w]):([a-z]\w*)")


class PostgresDatabase:
    """A connection to a server."""

    text = 'TEXT COLLATE "C"'
    exclusive = False

    def __init__(self, url: str, *, writes: bool) -> None:
        """Connect. Raises `UnfitError` where the URL is none, or psycopg is not there."""
        self._psycopg = _psycopg()
        self._url = url
        self.upgradable = writes
        given = self._given(url)
        settings = _SETTINGS if writes else {**_SETTINGS, "default_transaction_read_only": "on"}
        told = [str(given.pop("options", "") or ""), *(f"-c {name}={value}" for name, value in settings.items())]
        try:
            self._connection = self._psycopg.connect(
                **{**_DEFAULTS, **given, "options": " ".join(told).strip()},
                autocommit=True,
                row_factory=self._psycopg.rows.dict_row,
            )
        except self._psycopg.Error as error:
            raise self._meaning(error) from None

    def _given(self, url: str) -> dict[str, Any]:
        """What a URL says, by the names of psycopg's parameters. Raises `UnfitError`."""
        with suppress(self._psycopg.ProgrammingError):
            if _SCHEME.match(url):
                return dict(self._psycopg.conninfo.conninfo_to_dict(url))
        message = f"{shown(url)} is no URL that PostgreSQL knows: postgresql://USER@HOST:PORT/DATABASE"
        raise UnfitError(message)

    @property
    def usable(self) -> bool:
        """Whether the connection stands, as far as is known."""
        return not (self._connection.closed or self._connection.broken)

    def rows(self, statement: str, **given: Any) -> Sequence[Row]:
        """What a statement answers."""
        try:
            found: list[Row] = self._connection.execute(_rewritten(statement), given).fetchall()
        except self._psycopg.Error as error:
            raise self._meaning(error) from error
        return found

    def change(self, statement: str, **given: Any) -> int:
        """Carry a statement out; how many rows it changed."""
        try:
            changed: int = self._connection.execute(_rewritten(statement), given).rowcount
        except self._psycopg.Error as error:
            raise self._meaning(error) from error
        return changed

    def change_many(self, statement: str, given: Sequence[Row]) -> int:
        """Carry a statement out once with each of what is given, without waiting for each; how many rows changed."""
        try:
            with self._connection.cursor() as cursor:
                cursor.executemany(_rewritten(statement), given)
                return int(cursor.rowcount)
        except self._psycopg.Error as error:
            raise self._meaning(error) from error

    def begin(self) -> None:
        """Begin a transaction."""
        self.change("BEGIN")

    def commit(self) -> None:
        """Write what the transaction changed."""
        self.change("COMMIT")

    def rollback(self) -> None:
        """Take back what the transaction changed."""
        with suppress(self._psycopg.Error):
            self._connection.rollback()

    def take_turns(self) -> None:
        """Wait until no other daemon's transaction has called this."""
        self.rows("SELECT pg_advisory_xact_lock(:key)", key=_TURNS)

    def now(self) -> datetime:
        """The server's time."""
        now: datetime = self.rows("SELECT clock_timestamp() AS now")[0]["now"]
        return now

    def found(self) -> None:
        """Make the schema, unless somebody with more rights has."""
        if not self.rows("SELECT 1 FROM pg_namespace WHERE nspname = :name", name=SCHEMA):
            self.change(f"CREATE SCHEMA {SCHEMA}")

    def has(self, table: str) -> bool:
        """Whether there is such a table, by the catalogue itself: `to_regclass` may answer from before a lock."""
        statement = "SELECT 1 FROM pg_tables WHERE schemaname = :schema AND tablename = :table"
        return bool(self.rows(statement, schema=SCHEMA, table=table))

    @contextmanager
    def without_daemon(self) -> Iterator[bool]:
        """Whether no daemon has given a sign of life of late."""
        yield not presence.daemons_live(self, self.now())

    def tidy(self) -> None:
        """The server does that by itself."""

    def close(self) -> None:
        """End the connection."""
        with suppress(self._psycopg.Error):
            self._connection.close()

    def _meaning(self, error: Any) -> Exception:
        """What an error of psycopg's comes to; without the password, should the words have it."""
        state = error.sqlstate
        lost = isinstance(error, self._psycopg.OperationalError | self._psycopg.InterfaceError) and state is None
        if lost or (state and state.startswith(_PASSING)):
            return HistoryError(f"{shown(self._url)}: {_words(error)}")
        fault: Exception = error
        return fault


def _words(error: Exception) -> str:
    """What psycopg says, in one line."""
    return shown(" ".join(str(error).split())) or type(error).__name__


@lru_cache(maxsize=256)
def _rewritten(statement: str) -> str:
    """The statement with its parameters as psycopg writes them."""
    return _NAMED.sub(r"%(\1)s", statement)


def _psycopg() -> ModuleType:
    try:
        import psycopg  # noqa: PLC0415 - only who has a server needs it
        import psycopg.rows  # noqa: PLC0415
    except ImportError as error:
        message = f"a history on a PostgreSQL server needs psycopg ({error}): pip install 'psycopg[binary]'"
        raise UnfitError(message) from None
    return psycopg
