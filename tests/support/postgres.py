"""A PostgreSQL server of the tests' own: Debian's, in a temporary folder, behind a socket there and nowhere else."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LIMIT_S = 60
"""Seconds after which a server that does not start or stop is a failed test."""
_USERS = ("postgres", "nobody")
"""Who may own the server: it refuses to be root's."""
_QUICK = ("-c", "fsync=off", "-c", "shared_buffers=32MB", "-c", "max_connections=40")


class Server:
    """A server, which can be stopped and started."""

    def __init__(self, folder: Path, binaries: Path, user: str | None, *, durable: bool = False) -> None:
        self.folder = folder
        """Where its files are, its log among them."""
        self._binaries = binaries
        self._user = user
        self._options = _QUICK[2:] if durable else _QUICK
        self._data = folder / "data"

    @property
    def url(self) -> str:
        """The URL of its database `postgres`."""
        return self.database("postgres")

    def database(self, name: str) -> str:
        """The URL of one of its databases."""
        return f"postgresql://tasker@/{name}?host={self.folder}"

    def make(self) -> None:
        """Make the files that it serves."""
        self._run("initdb", "--auth=trust", "--username=tasker", "--encoding=UTF8", "--no-sync", "-D", str(self._data))

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = " ".join((*self._options, "-c", "listen_addresses=", "-k", str(self.folder)))
        log = str(self.folder / "log")
        self._run("pg_ctl", "start", "-w", "-D", str(self._data), "-l", log, "-o", options)

    def stop(self, how: str = "immediate") -> None:
        """Stop it, as a crash or in order."""
        self._run("pg_ctl", "stop", "-w", "-m", how, "-D", str(self._data))

    def empty(self) -> None:
        """Drop what tasker keeps in its database."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA IF EXISTS tasker CASCADE")

    def _run(self, command: str, *arguments: str) -> None:
        words = [*_as(self._user), str(self._binaries / command), *arguments]
        # pg_ctl's server keeps the descriptors that it inherits: a pipe would never end.
        with (self.folder / "out").open("w+") as out:
            done = subprocess.run(
                words, check=False, cwd=self.folder, stdout=out, stderr=out, stdin=subprocess.DEVNULL, timeout=LIMIT_S
            )
            out.seek(0)
            assert done.returncode == 0, out.read()


@contextmanager
def server(*, durable: bool = False) -> Iterator[Server]:
    """A server for as long as the context lasts; what is missing for one is told by `missing()`."""
    binaries, user = _binaries(), _user()
    assert binaries is not None
    # A socket's path has room for hardly more than a hundred characters: pytest's folders are too deep.
    with tempfile.TemporaryDirectory(prefix="tasker-pg-") as name:
        folder = Path(name)
        if user is not None:
            shutil.chown(folder, user)
        made = Server(folder, binaries, user, durable=durable)
        made.make()
        made.start()
        try:
            yield made
        finally:
            made.stop()


def missing() -> str:
    """Why no server can be started here; empty where one can."""
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        return f"psycopg is not installed: {error}"
    if _binaries() is None:
        return "PostgreSQL is not installed: apt-get install postgresql"
    if os.getuid() == 0 and _user() is None:
        return f"PostgreSQL refuses to be root's, and there is none of the users {', '.join(_USERS)}"
    return ""


def _binaries() -> Path | None:
    """The folder of the newest server's binaries."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda path: int(path.parts[-3])).parent
    beside = shutil.which("initdb")
    return Path(beside).parent if beside else None


def _user() -> str | None:
    """Who is to own the server; `None` where that is whoever runs the tests, or nobody can."""
    if os.getuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((user for user in _USERS if user in known), None)


def _as(user: str | None) -> Sequence[str]:
    if user is None:
        return ()
    entry = pwd.getpwnam(user)
    return ("setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups", "--")
