"""One attempt's process: started by a fork, ended with everything that it started."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

from tasker import linux
from tasker.running import channel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PATIENCE_S = 10.0
"""Seconds that killed processes get to be gone: one that hangs within the kernel must not hang the run."""

_HANDLED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGALRM,
    signal.SIGCHLD,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTSTP,
    signal.SIGCONT,
    signal.SIGWINCH,
)
"""Signals that programs handle; not all that there are, since Python takes its time over each."""


class StepProcess:
    """A process of its own for one attempt, in a session of its own, with its output and messages as descriptors."""

    def __init__(self, body: Callable[[channel.Sender], None]) -> None:
        """Fork, and run `body` in the child; it need not return, and nothing runs after it. Raises `OSError`."""
        parent = os.getpid()
        with ExitStack() as ours, ExitStack() as theirs:
            self.messages, sender = channel.pair()
            ours.callback(self.messages.close)
            theirs.callback(sender.close)
            self.stdout, stdout = _pipe(ours, theirs)
            self.stderr, stderr = _pipe(ours, theirs)
            with signals_blocked():
                self.pid = os.fork()
                if self.pid == 0:
                    _child(body, sender, stdout, stderr, parent)
            self.pidfd = os.pidfd_open(self.pid)
            ours.pop_all()

    def signal(self, signum: int) -> None:
        """Send a signal to the process and to everything below it."""
        for pid in (*linux.descendants(self.pid), self.pid):
            linux.send(pid, signum)

    def exit_status(self) -> int:
        """Wait for the process to end; its exit status, negative for the signal that ended it.

        It is not reaped, so that its id, which is that of its process group, is nobody else's.
        """
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        assert ended is not None  # noqa: S101 - only with WNOHANG there may be nothing
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def close(self) -> None:
        """Reap the process, which has ended, and let go of the descriptors."""
        os.waitpid(self.pid, 0)
        for descriptor in (self.pidfd, self.stdout, self.stderr):
            os.close(descriptor)
        self.messages.close()


class Leftovers:
    """Processes that outlived the step that started them: the kernel makes them children of this process."""

    def __init__(self) -> None:
        linux.adopt_orphans()
        self._not_ours = set(linux.children(os.getpid()))
        """Children that the program around the runner already had."""
        self._claims: dict[int, set[int]] = {}
        """By the process of each step whose leftovers have time to end: the ids of these, and of their sessions."""

    def claim(self, living: set[int], step: int) -> bool:
        """Keep what a step that ended has left behind from being killed with another's; whether there is any."""
        found = [each for pid in self._find(living, step) for each in (pid, *linux.descendants(pid))]
        self._claims[step] = {*found, *map(_session, found)}
        return bool(found)

    def kill(self, living: set[int], step: int | None = None) -> int:
        """Kill and reap every leftover, or those of one step; how many there were, with all that was below them.

        `living` are the processes of steps that are not reaped. Such a step is a process group as well: the kernel
        kills one at one go, so that not even a fork bomb outruns it.
        """
        killed: set[int] = set()
        give_up = time.monotonic() + _PATIENCE_S
        while (found := self._find(living, step)) and time.monotonic() < give_up:
            targets = {each for pid in found for each in (pid, *linux.descendants(pid))}
            if step is not None:
                linux.send_group(step, signal.SIGKILL)
            for pid in targets:
                linux.send(pid, signal.SIGKILL)
            killed |= targets
            linux.wait(found[0], give_up - time.monotonic())
        if step is not None:
            self._claims.pop(step, None)
        return len(killed)

    def _find(self, living: set[int], step: int | None) -> list[int]:
        """The leftovers there are now, those that ended reaped; of one step: those that are not known as another's."""
        own = [pid for pid in linux.children(os.getpid()) if pid not in living and pid not in self._not_ours]
        left = [pid for pid in own if not _reaped(pid)]
        if step is None:
            return left
        # A step leads a session of its own: what two that end at once have left is told apart by that.
        others = (living - {step}).union(*(claim for each, claim in self._claims.items() if each != step))
        return [pid for pid in left if others.isdisjoint((pid, _session(pid)))]


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Hold signals back, as around a fork: a child must not act on one by its parent's handlers."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def death(exit_status: int) -> str:
    """How a process ended that gave no answer, or did not end well after it."""
    if exit_status >= 0:
        return f"its process ended without an answer (exit status {exit_status})"
    if -exit_status == signal.SIGKILL:
        return "its process was killed by SIGKILL, as the kernel does when memory runs out"
    return f"its process was killed by {_signal_name(-exit_status)}"


def _signal_name(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"


def _pipe(ours: ExitStack, theirs: ExitStack) -> tuple[int, int]:
    """A pipe from the child to here, of which this end never blocks."""
    reading, writing = os.pipe()
    ours.callback(os.close, reading)
    theirs.callback(os.close, writing)
    os.set_blocking(reading, False)
    return reading, writing


def _session(pid: int) -> int:
    """The session of a process; its own id where it is gone."""
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return pid


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
        linux.die_with_parent(parent)
        linux.adopt_orphans()
        linux.offer_to_oom_killer()
        linux.name("tasker-step")
        _redirect(out, err)
        _default_signals()
        body(sender)
        _flush()
        os._exit(0)
    finally:
        os._exit(1)


def _default_signals() -> None:
    """Handle signals as a Python program does, whatever the program around the runner made of them."""
    signal.set_wakeup_fd(-1)
    for signum in _HANDLED:
        if callable(signal.getsignal(signum)):
            signal.signal(signum, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _redirect(out: int, err: int) -> None:
    """Let standard output and error be the two pipes, a line at a time, and standard input be empty."""
    null = os.open(os.devnull, os.O_RDONLY)
    for descriptor, standard in ((null, 0), (out, 1), (err, 2)):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - a descriptor, for the process's life
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115


def _flush() -> None:
    """Print what is still held back; a task may have closed or replaced the streams."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
