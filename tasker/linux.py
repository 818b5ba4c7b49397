"""What the kernel offers for looking after processes and the standard library does not: a few calls, no policy."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
from contextlib import suppress

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_EXITING = 0x4
"""PF_EXITING, among the flags of a process."""
_OOM_SCORE_OF_A_STEP = b"500"
"""Between the daemon's nought and the 1000 that asks to be killed first: out of memory, a step goes before tasker."""

_libc = ctypes.CDLL(None, use_errno=True)


def hold_standard_streams() -> None:
    """Put /dev/null where standard input, output or error is closed, so that no other file takes their numbers."""
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the kernel gives the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - for good


def name(title: str) -> None:
    """Give this process the name that `ps` and `top` show; the kernel keeps 15 bytes of it."""
    _libc.prctl(_PR_SET_NAME, title.encode(), 0, 0, 0)


def adopt_orphans() -> None:
    """Make this process the parent of descendants that lose theirs, so that none escapes by forking twice."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent(parent: int, signum: int = signal.SIGKILL) -> None:
    """Send this process a signal when `parent`, which forked it, ends; end it at once where that has ended already."""
    _libc.prctl(_PR_SET_PDEATHSIG, signum, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def offer_to_oom_killer() -> None:
    """Have the kernel, where memory runs out, end this process before the one that started it."""
    with suppress(OSError):
        descriptor = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(descriptor, _OOM_SCORE_OF_A_STEP)
        os.close(descriptor)


def children(pid: int) -> list[int]:
    """The ids of the processes whose parent is `pid`; none where there is no such process any more."""
    found: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", "rb") as file:  # noqa: PTH123 - on every step's path: a Path costs more than the read
                found.extend(map(int, file.read().split()))
    return found


def descendants(pid: int) -> list[int]:
    """The ids of all processes below `pid`, parents before their children."""
    found = children(pid)
    for child in found:
        found.extend(children(child))
    return found


def started(pid: int) -> int | None:
    """When a process started, in ticks since the machine did: with its id, it is one process and no other."""
    with suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - on every run's path
        # The name before the numbers is in brackets, and may have some of its own.
        return int(file.read().rpartition(b")")[2].split()[19])
    return None


def has_parent(pid: int) -> bool:
    """Whether a process is this one's parent, and not about to end: its threads end one by one, and signal before."""
    if os.getppid() != pid:
        return False
    with suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - as above
        return not int(file.read().rpartition(b")")[2].split()[6]) & _EXITING
    return True


def send(pid: int, signum: int) -> None:
    """Signal a process, which may have ended meanwhile."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signum)


def send_group(group: int, signum: int) -> None:
    """Signal every process of a group, at one go."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signum)


def wait(pid: int, seconds: float) -> None:
    """Wait until a process has ended, but not for longer than so many seconds."""
    with suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            poll.poll(max(0.0, seconds) * 1000)
        finally:
            os.close(descriptor)


def forget(variable: str) -> str | None:
    """Take a variable from this process's environment, and from what `/proc` shows of it; its value, if it was set.

    The kernel shows the memory in which a program found its environment as it started.
    """
    value = os.environ.get(variable)
    if value is not None:
        _libc.getenv.restype = ctypes.c_void_p
        while there := _libc.getenv(os.fsencode(variable)):
            ctypes.memset(there, ord("*"), len(ctypes.string_at(there)))
            os.unsetenv(variable)
        del os.environ[variable]
    return value


def marked(variable: str) -> list[int]:
    """The ids of the processes, but this one, that were started with this `NAME=VALUE` in their environment."""
    found = []
    for name in os.listdir("/proc"):
        with suppress(OSError):
            if name.isdecimal() and int(name) != os.getpid() and variable.encode() in _environment(name):
                found.append(int(name))
    return found


def _environment(pid: str) -> list[bytes]:
    with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 - of every process there is
        return file.read().split(b"\0")


def reap(pid: int) -> None:
    """Let go of a child that has ended; one that has not is left alone."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
