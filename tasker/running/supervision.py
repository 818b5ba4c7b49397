"""Work in a process of its own that this one looks after: neither can die and leave the other's processes behind.

Not to be confused with `process`, which does the same for a step. Of two processes, one survives even a SIGKILL and
tidies up: the run, when the program around it is killed; that program, when the run is.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from tasker import linux
from tasker.running.process import Leftovers, signals_blocked
from tasker.running.stop import StopRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals by which a terminal, `kill` and Kubernetes ask a program to stop."""

_LOOK_S = 0.5
"""Seconds after which a signal is passed on at the latest."""
_KILLED = 128 + signal.SIGKILL
"""The exit status that stands for an end by SIGKILL."""


def heeded_signals() -> list[int]:
    """Those of `STOPPING` that this program was not started to ignore, as `nohup` does."""
    return [signum for signum in STOPPING if signal.getsignal(signum) is not signal.SIG_IGN]


@contextmanager
def stopped_by_signals(reasons: int | None = None) -> Iterator[StopRequest]:
    """A request to stop that the signals of a terminal, of `kill` and of Kubernetes make.

    Who sends one may have written why to the pipe that ends in the descriptor `reasons`.
    """
    stop = StopRequest(reasons=reasons)
    before = {signum: signal.signal(signum, lambda number, _frame: stop.request(number)) for signum in heeded_signals()}
    try:
        yield stop
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
        stop.close()


def supervised(
    body: Callable[[], int], *, on_begun: Callable[[int], None] = lambda _pid: None
) -> tuple[int, list[int]]:
    """Carry out `body` in a process of its own, and end what it leaves. For a program's own process.

    Answers its exit status, and the signals that were passed on to it. `on_begun` is told the id of the process.
    What the body leaves behind becomes this process's own, so it must not have other children that come and go.
    """
    leftovers = Leftovers()
    try:
        status, signals = forked(body, on_begun)
    finally:
        leftovers.kill(set())
    if status == _KILLED:
        print("tasker: the process of the run was killed by SIGKILL", file=sys.stderr)  # noqa: T201 - it cannot say so
    return status, signals


def forked(body: Callable[[], int], on_begun: Callable[[int], None] = lambda _pid: None) -> tuple[int, list[int]]:
    """Carry out `body` in a process of its own; its exit status, and the signals that were passed on to it meanwhile.

    The process has a session of its own, so that a terminal's Ctrl-C reaches it once: from here. If this one dies, it
    is sent SIGTERM. Signals are passed on only from the main thread; Python handles them nowhere else.
    """
    linux.hold_standard_streams()
    sys.stdout.flush()
    sys.stderr.flush()
    with signals_blocked():
        pid = begun(body)
        passed = _Passed(pid)
    try:
        on_begun(pid)
        _await_end(pid)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        passed.restore()
    return (status if status >= 0 else 128 - status), passed.signals


def _await_end(pid: int) -> None:
    """Wait for a child, waking now and then: what Python is told just before it waits, it heeds only after."""
    pidfd = os.pidfd_open(pid)
    try:
        while not select.select([pidfd], [], [], _LOOK_S)[0]:
            pass
    finally:
        os.close(pidfd)


def begun(body: Callable[[], int]) -> int:
    """Fork a process that carries out `body`, as `forked`, and go on; its id. Raises `OSError`.

    For a process without threads, while signals are blocked.
    """
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _child(body, parent)
    return pid


class _Passed:
    """Passes signals on to a child."""

    def __init__(self, pid: int) -> None:
        self.signals: list[int] = []
        self._pid = pid
        main = threading.current_thread() is threading.main_thread()
        self._before = {signum: signal.signal(signum, self._pass) for signum in (heeded_signals() if main else ())}

    def restore(self) -> None:
        """Let the handlers that were there before be there again."""
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _pass(self, signum: int, _frame: object) -> None:
        self.signals.append(signum)
        linux.send(self._pid, signum)


def _child(body: Callable[[], int], parent: int) -> NoReturn:
    """Carry out `body`; whatever happens, the parent's code is never returned to."""
    status = 1
    try:
        os.setsid()
        linux.die_with_parent(parent, signal.SIGTERM)
        for signum in heeded_signals():
            signal.signal(signum, signal.SIG_DFL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        status = body()
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001 - a copy of the parent must not run on
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)
