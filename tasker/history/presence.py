"""Which daemon this is, and which of the others are dead."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tasker import linux
from tasker.history import rows
from tasker.history.model import DaemonRecord
from tasker.history.times import stamp

if TYPE_CHECKING:
    from datetime import datetime

    from tasker.history.database import Database

BEAT_S = 5.0
"""Seconds between the signs of life of a daemon that shares its history."""
DEAD_AFTER = timedelta(seconds=60)
"""How long a daemon of another host may give none before it counts as dead."""


def this_daemon(now: datetime, *, foreground: bool = False) -> DaemonRecord:
    """The record of this process, with an id of its own; `foreground`: it is a command, and no daemon."""
    pid = os.getpid()
    return DaemonRecord(
        id=uuid.uuid4().hex,
        foreground=foreground,
        host=this_host(),
        pid=pid,
        pid_started=linux.started(pid) or 0,
        started_at=now,
        beat_at=now,
    )


def this_host() -> str:
    """Where a process id means the same process: the machine since its boot, and the namespace of process ids."""
    boot, namespace = "", ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    with suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - it is no path
    return f"{os.uname().nodename}/{boot}/{namespace}"


def show(database: Database, me: DaemonRecord, at: datetime) -> bool:
    """Show that this daemon lives; whether it was still listed."""
    known = database.change("UPDATE daemons SET beat_at = :at WHERE id = :id", at=stamp(at), id=me.id)
    if not known:
        database.change(
            f"INSERT INTO daemons ({rows.listed(rows.DAEMON)}) VALUES ({rows.given(rows.DAEMON)})"  # noqa: S608
            " ON CONFLICT DO NOTHING",
            **rows.written({**{name: getattr(me, name) for name in rows.DAEMON}, "beat_at": at}),
        )
    return bool(known)


def leave(database: Database, me: DaemonRecord) -> None:
    """This daemon is no longer listed."""
    database.change("DELETE FROM daemons WHERE id = :id", id=me.id)


def bury(database: Database, me: DaemonRecord, now: datetime, *, alone: bool) -> None:
    """Strike dead daemons off the list; for one that is alone every other one is dead, but for commands."""
    for each in _listed(database, foreground=False):
        if each.id != me.id and (alone or _is_dead(each, now)):
            leave(database, each)


def bury_commands(database: Database, now: datetime) -> None:
    """Strike commands in the foreground off the list whose processes are dead."""
    for each in dead_commands(database, now):
        leave(database, each)


def dead_commands(database: Database, now: datetime) -> list[DaemonRecord]:
    """The commands in the foreground that are listed, and whose processes are dead."""
    return [each for each in _listed(database, foreground=True) if _is_dead(each, now)]


def daemons_live(database: Database, now: datetime) -> bool:
    """Whether there is a daemon that has given a sign of life of late."""
    found = database.rows("SELECT * FROM daemons WHERE beat_at > :since", since=stamp(now - DEAD_AFTER))
    return not all(row.get("foreground") for row in found)  # an older tasker's table tells of daemons alone


def _listed(database: Database, *, foreground: bool) -> list[DaemonRecord]:
    statement = f"SELECT {rows.listed(rows.DAEMON)} FROM daemons WHERE foreground = :foreground"  # noqa: S608
    return [*map(rows.daemon, database.rows(statement, foreground=int(foreground)))]


def _is_dead(daemon: DaemonRecord, now: datetime) -> bool:
    if daemon.host == this_host():
        return linux.started(daemon.pid) != daemon.pid_started
    return now - daemon.beat_at > DEAD_AFTER
