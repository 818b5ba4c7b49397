"""The program that has the tasks imported, and forks whatever needs them: validations and runs.

It is started afresh, has no threads, and leads a session of its own. Not to be confused with `generation`, which is
what the daemon has of it, nor with `runner`, which carries a run out, in a process of its own below this one.
"""

from __future__ import annotations

import gc
import heapq
import itertools
import os
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasker import linux
from tasker.discovery import Catalogue
from tasker.launching.code_files import code_digest, code_files
from tasker.launching.examination import Examination
from tasker.launching.execution import execute
from tasker.launching.messages import (
    LARGEST,
    Begin,
    Broken,
    Importing,
    Ready,
    Retire,
    RunEnded,
    RunOrder,
    Stop,
    Validate,
    ValidationEnded,
    packed,
    unpacked,
)
from tasker.launching.snapshot import Snapshot, SnapshotFolder
from tasker.project import Project
from tasker.registry import registry
from tasker.run import longest_stop_s
from tasker.running.channel import Receiver, Sender
from tasker.running.process import Leftovers, signals_blocked
from tasker.running.stop import LONGEST_REASON, PARENT_DIED
from tasker.running.supervision import begun, stopped_by_signals
from tasker.signature import BrokenSignatureError, signature

if TYPE_CHECKING:
    from collections.abc import Callable

    from tasker.launching.examination import Batch
    from tasker.running.stop import StopRequest

_EXAMINERS = min(4, os.cpu_count() or 1)
"""Processes that one validation has at once."""
_LAST_GRACE_S = 1.5
"""Seconds beyond what a run has to end, hooks included, after which it is asked to end at once."""
_LAST_CALL_S = 5.0
"""Seconds after it is asked to stop at once that a run is killed: a step can keep its run from answering for ever."""
_FORK_AGAIN_S = 1.0
"""Seconds to wait where the machine has no more processes to give."""
_LONGEST_WAIT_S = 3600.0
_WARM_UP = {
    "warm-up.conf": """
include "_shared.conf"
name = ${PIPELINE}
params { days = 7 }
timeout = 2h
tasks = [
  { name = shell_script, args { command = "true", arguments = ["-"${params.days}] }, retries { delay = 10s } }
]
""",
    "_shared.conf": """
# shared
schedule { cron = "30 2 * * mon-fri", timezone = UTC }
""",
}
"""A document that needs most of what reading one imports and compiles."""


@dataclass(slots=True)
class _Run:
    """A run under way."""

    order: RunOrder
    pid: int = 0
    reasons: int = -1
    """The descriptor on which its process is told why it is to stop."""

    def stop(self, reason: str) -> None:
        """Ask it to stop in order."""
        with suppress(OSError):
            os.write(self.reasons, reason.encode()[:LONGEST_REASON])
        linux.send(self.pid, signal.SIGTERM)

    def hurry(self) -> None:
        """Ask it to stop at once; by another signal, as two of one kind may arrive as one."""
        linux.send(self.pid, signal.SIGINT)

    def kill(self) -> None:
        """End it, with everything below it."""
        for pid in (self.pid, *linux.descendants(self.pid)):
            linux.send(pid, signal.SIGKILL)


class _Signals:
    """How signals are dealt with, to be so again after a module was imported, which can change all of it."""

    def __init__(self) -> None:
        """Take note of how they are dealt with now; no timer is set."""
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        changeable = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
        self._handlers = {each: handler for each in changeable if (handler := signal.getsignal(each)) is not None}

    def restore(self) -> None:
        """Deal with them so again; a signal that was held back comes now."""
        for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
            signal.setitimer(timer, 0)
        for each, handler in self._handlers.items():
            signal.signal(each, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)


@dataclass(slots=True)
class _Child:
    """A process that was forked, and what is to be done with its exit status."""

    pid: int
    descriptor: int
    ended: Callable[[int], None] = field(repr=False)


def main() -> int:
    """Serve the daemon whose process and channel the arguments name; the exit status."""
    parent, reading, writing = map(int, sys.argv[1:])
    linux.name("tasker-launcher")
    linux.die_with_parent(parent, signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # what the daemon holds back is for it alone
    for descriptor in (reading, writing):
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - the standard library's own
    down = Receiver(socket.socket(fileno=reading), LARGEST)
    up = Sender(socket.socket(fileno=writing), LARGEST)
    begin = _first(down)
    return Launcher(up, down, begin).serve() if begin else 1


def _first(down: Receiver) -> Begin | None:
    """How to work; `None` where the daemon is gone already."""
    with selectors.DefaultSelector() as selector:
        selector.register(down, selectors.EVENT_READ)
        while not down.ended:
            selector.select()
            for data in down.receive(1):
                if isinstance(begin := unpacked(data), Begin):
                    return begin
    return None


class Launcher:
    """Carries out what the daemon asks for."""

    def __init__(self, up: Sender, down: Receiver, begin: Begin) -> None:
        """Import the tasks; each module is told of before, as it may end this process."""
        self._daemon = os.getppid()
        self._up = up
        self._down = down
        self._bounds = begin.bounds
        self._forking = False
        os.register_at_fork(after_in_child=self._let_go)
        sys.path[:] = begin.path
        folders = begin.settings.task_folders
        # By its bytecode, a module that is edited twice in a second, to the same length, would be what it was before.
        sys.dont_write_bytecode = True
        catalogue = Catalogue(registry, folders, refused=begin.refused, importing=self._on_importing)
        self._project = Project(begin.settings, catalogue=catalogue)
        self._importing = ""
        self._import(catalogue)
        self._leftovers = Leftovers()
        self._selector = selectors.DefaultSelector()
        self._children: dict[int, _Child] = {}
        self._runs: dict[str, _Run] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._timer_numbers = itertools.count()
        self._stop: StopRequest | None = None
        self._retiring = False
        self._ending = False

    def serve(self) -> int:
        """Do what is asked for, until nothing more is to come; the exit status."""
        with stopped_by_signals() as stop:
            self._stop = stop
            self._selector.register(self._down, selectors.EVENT_READ, self._on_messages)
            self._selector.register(stop, selectors.EVENT_READ, self._on_signal)
            self._tell(Ready(faults=tuple(self._project.catalogue.discovery.faults), task_modules=self._task_modules()))
            while self._children or not (self._retiring or self._ending):
                self._turn()
        return 0

    def _task_modules(self) -> dict[str, tuple[str, ...]]:
        """Of each task that can be used, the files that hold its code."""
        lost = self._project.catalogue.discovery.lost
        return {name: code_files(registry.get(name)) for name in registry.registered() if name not in lost}

    def _import(self, catalogue: Catalogue) -> None:
        """Import the tasks, and do what every run and validation would have to do otherwise."""
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        self._signals = _Signals()
        import_module("tasker.structured")  # which each run would import for itself
        catalogue.load_all()
        if self._importing:
            self._on_importing(self._importing)  # what a signature is made of may be code of a module, too
        for name in registry.registered():
            code_digest(registry.get(name))
            with suppress(BrokenSignatureError):
                signature(registry.get(name))
        self._signals.restore()
        snapshot = Snapshot(path="warm-up.conf", folder=".", files=_WARM_UP)
        self._project.within(Path(snapshot.folder)).load(Path(snapshot.path), folder=SnapshotFolder(snapshot))
        gc.collect()
        gc.freeze()

    def _on_importing(self, module: str) -> None:
        self._signals.restore()
        self._importing = module
        self._tell(Importing(module=module))
        signal.setitimer(signal.ITIMER_REAL, self._bounds.importing_s)

    def _turn(self) -> None:
        """Wait for the next thing to happen, and act on it."""
        wait = self._timers[0][0] - time.monotonic() if self._timers else _LONGEST_WAIT_S
        for key, _ in self._selector.select(min(max(0.0, wait), _LONGEST_WAIT_S)):
            key.data()
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._timer_numbers), action))

    # What the daemon asks for

    def _on_messages(self) -> None:
        for data in self._down.receive():
            self._act(unpacked(data))
        if self._down.ended:
            self._selector.unregister(self._down)
            self._end(PARENT_DIED)

    def _act(self, message: object) -> None:
        match message:
            case Validate():
                self._examine(Examination(message.number, message.candidates, self._bounds))
            case RunOrder() if message.run_id in self._runs:
                pass  # it is under way
            case RunOrder() if self._ending:
                self._decline(message, "its launcher is ending")
            case RunOrder():
                self._start(message)
            case Stop() if message.run_id in self._runs:
                run = self._runs[message.run_id]
                self._hurry(run) if message.at_once else self._stop_run(run, message.reason)
            case Retire():
                self._retiring = True

    def _on_signal(self) -> None:
        assert self._stop is not None  # noqa: S101 - it is what has been heard
        self._stop.hear()
        signum = signal.Signals(self._stop.signals[-1])
        self._end(f"its launcher was ended by {signum.name}" if linux.has_parent(self._daemon) else PARENT_DIED)

    def _end(self, reason: str) -> None:
        """Stop every run in order, and end when they have."""
        if self._ending:
            return
        self._ending = True
        for run in self._runs.values():
            self._stop_run(run, reason)

    # Validations

    def _examine(self, examination: Examination) -> None:
        """Start what can be started of a validation, and tell where it has ended."""
        while examination.running < _EXAMINERS and (batch := examination.next()):
            reading, writing = os.pipe()
            body = partial(batch.look_at, self._project, self._tell, writing)
            try:
                self._fork("tasker-check", body, partial(self._on_examined, examination, batch, reading))
            except OSError:
                os.close(reading)
                examination.put_off(batch)
                self._after(_FORK_AGAIN_S, partial(self._examine, examination))
                return
            finally:
                os.close(writing)
            examination.running += 1
        if examination.ended:
            self._tell(ValidationEnded(number=examination.number))

    def _on_examined(self, examination: Examination, batch: Batch, progress: int, status: int) -> None:
        done = len(os.read(progress, len(batch.files)))
        os.close(progress)
        examination.running -= 1
        if found := examination.over(batch, done, status):
            self._tell(found)
        self._examine(examination)

    # Runs

    def _start(self, order: RunOrder) -> None:
        reading, writing = os.pipe()
        run = _Run(order=order, reasons=writing)
        try:
            body = partial(execute, self._project, order, self._tell, reading)
            run.pid = self._fork("tasker-run", body, partial(self._on_run_over, run))
        except OSError as error:
            os.close(writing)
            self._decline(order, f"no process can be started for it: {error.strerror or error}")
            return
        finally:
            os.close(reading)
        self._runs[order.run_id] = run

    def _decline(self, order: RunOrder, reason: str) -> None:
        self._tell(Broken(run_id=order.run_id, error=reason))
        self._tell(RunEnded(run_id=order.run_id, status=1))

    def _stop_run(self, run: _Run, reason: str) -> None:
        """Stop it in order, and at once where it has not ended when any would have."""
        run.stop(reason)
        self._after(longest_stop_s(self._project.settings.grace_s) + _LAST_GRACE_S, partial(self._hurry, run))

    def _hurry(self, run: _Run) -> None:
        if self._is_under_way(run):
            run.hurry()
            self._after(_LAST_CALL_S, partial(self._kill, run))

    def _kill(self, run: _Run) -> None:
        if self._is_under_way(run):
            run.kill()

    def _is_under_way(self, run: _Run) -> bool:
        return self._runs.get(run.order.run_id) is run

    def _on_run_over(self, run: _Run, status: int) -> None:
        os.close(run.reasons)
        self._runs.pop(run.order.run_id, None)
        self._tell(RunEnded(run_id=run.order.run_id, status=status))

    # Processes

    def _fork(self, title: str, body: Callable[[], int], ended: Callable[[int], None]) -> int:
        """Carry out `body` in a process of its own; its id. Raises `OSError` where none can be had."""
        self._forking = True
        try:
            with signals_blocked():
                pid = begun(partial(self._forked, title, body))
        finally:
            self._forking = False
        child = _Child(pid, os.pidfd_open(pid), ended)
        self._children[pid] = child
        self._selector.register(child.descriptor, selectors.EVENT_READ, partial(self._on_exit, child))
        return pid

    def _forked(self, title: str, body: Callable[[], int]) -> int:
        self._forking = False
        linux.name(title)
        self._up = self._up.fork()
        for descriptor in [child.descriptor for child in self._children.values()]:
            os.close(descriptor)
        for run in self._runs.values():
            os.close(run.reasons)
        self._selector.close()
        if self._stop is not None:
            self._stop.close()
        return body()

    def _let_go(self) -> None:
        """In a process that was forked from here or from a run: keep its hands off what is not its own."""
        self._down.close()
        if not self._forking:
            self._up.close()

    def _on_exit(self, child: _Child) -> None:
        self._selector.unregister(child.descriptor)
        os.close(child.descriptor)
        status = _exit_status(child.pid)
        self._children.pop(child.pid, None)
        # What a run leaves behind becomes this process's own once it is dead; while it lives, it is the run's.
        self._leftovers.kill(set(self._children))
        child.ended(status)

    def _tell(self, message: Any) -> None:
        """Tell the daemon, if it is still there: where it is not, everything is about to end in order."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._up.send(packed(message))


def _exit_status(pid: int) -> int:
    """The exit status of a child that has ended; 1 where code of a module has asked for it first."""
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return 1


if __name__ == "__main__":
    sys.exit(main())
