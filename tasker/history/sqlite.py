"""The history in a state folder: SQLite with a write-ahead log, so that who reads waits for nobody."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tasker import linux
from tasker.history.errors import DamagedError, HeldError, HistoryError, UnfitError
from tasker.history.presence import this_host

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tasker.history.database import Row

FILE = "history.db"
LOCK = "lock"
BESIDE = ("-wal", "-shm")
"""What SQLite keeps beside its file, by the ends of the names."""
_BUSY_S = 2.0
"""Seconds to wait for another writer before this counts as trouble."""
_LOG_LEFT = 64 * 1024 * 1024
"""Bytes that the write-ahead log may keep once it has been worked off."""
_PAGES_GIVEN_BACK = 1000
"""Pages of 4 KiB that are given back to the file system at once."""
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_MOVED = sqlite3.SQLITE_READONLY_DBMOVED
_MOST_OF_A_HOLDER = 4096
"""Bytes of the lock file that are read."""
_PRIMARY = 0xFF
"""The bits of an extended result code that hold the primary one."""
_READS_PRIVATELY = "immutable=1"


class FolderLock:
    """Has a state folder for one daemon alone, until it is closed or its process ends."""

    def __init__(self, folder: Path) -> None:
        """Take it; the folder is made where it is not there. Raises `HeldError` where another daemon has it."""
        self._path = folder / LOCK
        with _translated(self._path):
            make_state_folder(folder)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                self._take()
            except BaseException:
                self.close()
                raise

    def _take(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HeldError(_held(self._path.parent, os.pread(self._descriptor, _MOST_OF_A_HOLDER, 0))) from None
        if not self.stands:  # it was deleted between the two, and somebody may have made another
            raise HeldError(_held(self._path.parent, b""))
        with suppress(OSError):  # on a full disk nobody learns who has it
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, _holder(os.getpid()).encode(errors="replace"), 0)

    @property
    def stands(self) -> bool:
        """Whether the file that is locked is still the folder's: whoever deletes it lets others in."""
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._descriptor))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)


class SqliteDatabase:
    """A connection to the file of a state folder."""

    text = "TEXT"
    exclusive = True
    _synchronous = "FULL"
    """Whether each transaction is to outlast a loss of power, or only to leave a sound file behind: NORMAL."""

    def __init__(self, folder: Path, lock: FolderLock | None = None) -> None:
        """Open it to write, under a lock of the folder that outlasts it, or else under one of its own.

        Raises `HeldError` where another daemon has the folder.
        """
        self._lock = FolderLock(folder) if lock is None else None
        self._connect(folder)

    def _connect(self, folder: Path) -> None:
        self.path = folder / FILE
        self.upgradable = True
        try:
            with _translated(self.path):
                self._connection = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)
        except BaseException:
            self._unlock()
            raise
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        self._connection.row_factory = sqlite3.Row
        for pragma in (
            "auto_vacuum = INCREMENTAL",
            "journal_mode = WAL",
            f"synchronous = {self._synchronous}",
            f"journal_size_limit = {_LOG_LEFT}",
        ):
            self.rows(f"PRAGMA {pragma}")
        self._inode = self.path.stat().st_ino

    @property
    def usable(self) -> bool:
        """Whether the file is still where it was."""
        try:
            return self.path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def rows(self, statement: str, **given: Any) -> Sequence[Row]:
        """What a statement answers."""
        with _translated(self.path):
            return self._connection.execute(statement, given).fetchall()

    def change(self, statement: str, **given: Any) -> int:
        """Carry a statement out; how many rows it changed."""
        with _translated(self.path):
            return self._connection.execute(statement, given).rowcount

    def change_many(self, statement: str, given: Sequence[Row]) -> int:
        """Carry a statement out once with each of what is given; how many rows that changed in all."""
        with _translated(self.path):
            return self._connection.executemany(statement, given).rowcount

    def begin(self) -> None:
        """Begin a transaction that will write: nobody else can until it ends."""
        self.change("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Write what the transaction changed."""
        self.change("COMMIT")

    def rollback(self) -> None:
        """Take back what the transaction changed."""
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def take_turns(self) -> None:
        """A transaction that writes is alone already."""

    def now(self) -> datetime:
        """The machine's time: nobody else's counts."""
        return datetime.now(UTC)

    def found(self) -> None:
        """The file is there."""

    def has(self, table: str) -> bool:
        """Whether there is such a table."""
        return bool(self.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = :table", table=table))

    @contextmanager
    def without_daemon(self) -> Iterator[bool]:
        """Whether no daemon has the folder, which none gets meanwhile."""
        try:
            lock = FolderLock(self.path.parent)
        except HeldError:
            yield False
            return
        try:
            yield True
        finally:
            lock.close()

    def tidy(self) -> None:
        """Give pages that are free back to the file system."""
        self.rows(f"PRAGMA incremental_vacuum({_PAGES_GIVEN_BACK})")

    def close(self) -> None:
        """Close the file, and let go of a lock of its own."""
        with suppress(sqlite3.Error):
            self._connection.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


class SqliteGuest(SqliteDatabase):
    """A connection of a command, which writes beside the daemon that may have the folder, and claims nothing."""

    exclusive = False
    _synchronous = "NORMAL"

    def __init__(self, folder: Path) -> None:
        """Open the file; the folder is made where it is not there."""
        self._lock = None
        with _translated(folder):
            make_state_folder(folder)
        self._connect(folder)


class SqliteReader(SqliteDatabase):
    """A connection that only reads, and needs no right to write, neither to the file nor to its folder."""

    exclusive = False

    def __init__(self, folder: Path) -> None:
        """Open the file of a state folder."""
        self.path = folder / FILE
        self.upgradable = False
        self._lock = None
        with _translated(self.path):
            if not self.path.exists():
                raise UnfitError(_not_there(folder))
            self._inode = self.path.stat().st_ino
            self._connection = self._connected()
        self._connection.row_factory = sqlite3.Row

    def _connected(self) -> sqlite3.Connection:
        """The connection; where the log beside the file cannot be made, and hence nobody writes, one without."""
        try:
            return _opened(self.path, "mode=ro")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & _PRIMARY not in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}:
                raise
            if _size(Path(f"{self.path}-wal")):
                raise UnfitError(_unread(self.path)) from None
            return _opened(self.path, f"mode=ro&{_READS_PRIVATELY}")


def move_aside(folder: Path, now: datetime) -> Path | None:
    """Move a damaged file, and what is beside it, out of the way; where to. `None` where it is gone already."""
    file = folder / FILE
    aside = folder / f"{FILE}.damaged-{now:%Y%m%dT%H%M%S%fZ}"
    try:
        file.rename(aside)
    except FileNotFoundError:
        return None
    for end in BESIDE:
        with suppress(FileNotFoundError):
            Path(f"{file}{end}").rename(f"{aside}{end}")
    return aside


def _opened(path: Path, how: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(path.absolute()))}?{how}", uri=True, timeout=_BUSY_S, isolation_level=None
    )
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def make_state_folder(folder: Path) -> None:
    """Make a state folder, its owner's alone, unless it is there; then its rights are left as they are."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    ignored = folder / ".gitignore"
    if not ignored.exists():
        ignored.write_text("*\n", encoding="ascii")


def _holder(pid: int) -> str:
    """A process as the lock file tells it: where its number holds, the number, and when it started."""
    return f"{this_host()} {pid} {linux.started(pid)}\n"


def _held(folder: Path, told: bytes) -> str:
    """That another daemon has a folder, and which one, where what the lock file tells of it holds here."""
    _, _, pid = told.rpartition(b" ")[0].rpartition(b" ")
    known = pid.isdigit() and _holder(int(pid)).encode(errors="replace") == told
    process = f" (process {pid.decode()})" if known else ""
    return f"another daemon{process} has the state folder {folder}; this one waits for it to end"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _unread(path: Path) -> str:
    return (
        f"{path}: what was written last is in {path.name}-wal, which nobody can read who may not write beside it; "
        "copy both to where you may"
    )


def _not_there(folder: Path) -> str:
    return (
        f"there is no history in {folder}; `tasker watch` and `tasker once` keep one: name its folder by --state, or a "
        "URL by --history"
    )


class _translated:  # noqa: N801 - used as a function, and quicker than a generator's: it is around every statement
    """Turns what SQLite and the file system raise into errors of the history."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, sqlite3.DatabaseError):
            raise _meaning(self._path, error) from error
        if isinstance(error, OSError):
            message = f"{self._path}: {error.strerror or error}"
            raise HistoryError(message) from error


def _meaning(path: Path, error: sqlite3.DatabaseError) -> Exception:
    code = getattr(error, "sqlite_errorcode", None)
    message = f"{path}: {error}"
    if code is None:  # the module's own, such as a wrong number of parameters
        return error
    if code & _PRIMARY in _DAMAGED:
        return DamagedError(message)
    return error if code & _PRIMARY in _OURS else HistoryError(message)


_OURS = {
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_MISUSE,
    sqlite3.SQLITE_RANGE,
    sqlite3.SQLITE_TOOBIG,
}
"""What is wrong with the statement, and not with the database: it will be so the next time, too."""
