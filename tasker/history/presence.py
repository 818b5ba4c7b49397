"""Which daemon this is, and which of the others are dead."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tasker import linux
from tasker.history.model import DaemonRecord

if TYPE_CHECKING:
    from datetime import datetime


def this_daemon(now: datetime) -> DaemonRecord:
    """The record of this process, with an id of its own."""
    pid = os.getpid()
    return DaemonRecord(
        id=uuid.uuid4().hex,
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


def lives(daemon: DaemonRecord) -> bool:
    """Whether the process of a daemon of this host lives."""
    return linux.started(daemon.pid) == daemon.pid_started
