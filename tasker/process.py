"""One attempt's process: started by a fork, ended with everything that it started."""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from tasker import channel, linux

if TYPE_CHECKING:
    from collections.abc import Callable

_KILL_ROUNDS = 200
"""How often the processes of a step are looked for and killed: a fork bomb outruns the first rounds, not all."""

_CAUGHT = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGCHLD,
    signal.SIGPIPE,
    signal.SIGWINCH,
    signal.SIGALRM,
)
"""Signals that the program around the runner may handle in ways that a step must not inherit."""


class StepProcess:
    """A process of its own for one attempt, in a session of its own, with its output and messages as descriptors."""

    def __init__(self, body: Callable[[channel.Sender], None]) -> None:
        """Fork, and run `body` in the child; it need not return, and nothing runs after it."""
        self.messages, sender = channel.pair()
        self.stdout, stdout = os.pipe()
        self.stderr, stderr = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            _child(body, sender, stdout, stderr, parent)
        self.pidfd = os.pidfd_open(self.pid)
        sender.close()
        os.close(stdout)
        os.close(stderr)
        for descriptor in (self.stdout, self.stderr):
            os.set_blocking(descriptor, False)

    def signal(self, signum: int) -> None:
        """Send a signal to the process and to everything below it."""
        for pid in (*linux.descendants(self.pid), self.pid):
            linux.send(pid, signum)

    def wait(self) -> int:
        """Reap the process, which has ended; its exit status, negative for the signal that ended it."""
        _, status = os.waitpid(self.pid, 0)
        os.close(self.pidfd)
        return os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        """Let go of the descriptors."""
        self.messages.close()
        os.close(self.stdout)
        os.close(self.stderr)


class Leftovers:
    """Processes that outlived the step that started them: the kernel makes them children of this process."""

    def __init__(self) -> None:
        linux.adopt_orphans()
        self._not_ours = set(linux.children(os.getpid()))
        """Children that the program around the runner already had."""

    def find(self, living: set[int]) -> list[int]:
        """The leftovers there are now, those that ended reaped; `living` are the processes of steps that still run."""
        own = [pid for pid in linux.children(os.getpid()) if pid not in living and pid not in self._not_ours]
        return [pid for pid in own if not _reaped(pid)]

    def kill(self, living: set[int]) -> int:
        """Kill and reap every leftover; how many there were, with all that was below them."""
        killed: set[int] = set()
        for _ in range(_KILL_ROUNDS):
            found = self.find(living)
            if not found:
                break
            for pid in found:
                for each in (pid, *linux.descendants(pid)):
                    linux.send(each, signal.SIGKILL)
                    killed.add(each)
            for pid in found:
                os.waitpid(pid, 0)
        return len(killed)


def _reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def _child(body: Callable[[channel.Sender], None], sender: channel.Sender, out: int, err: int, parent: int) -> NoReturn:
    """Become a step's process and run `body`; whatever happens, the parent's code is never returned to."""
    try:
        gc.freeze()
        os.setsid()
        for signum in _CAUGHT:
            signal.signal(signum, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        linux.die_with_parent(parent)
        linux.adopt_orphans()
        linux.offer_to_oom_killer()
        _redirect(out, err)
        body(sender)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    finally:
        os._exit(1)


def _redirect(out: int, err: int) -> None:
    """Let standard output and error be the two pipes, a line at a time, and standard input be empty."""
    null = os.open(os.devnull, os.O_RDONLY)
    for descriptor, standard in ((null, 0), (out, 1), (err, 2)):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: PTH123, SIM115 - a descriptor, for the process's life
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: PTH123, SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: PTH123, SIM115
