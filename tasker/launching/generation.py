"""The daemon's side of a launcher: `Generation`.

Not to be confused with `launcher`, the program at the other end.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tasker import linux
from tasker.facts import Event
from tasker.launching.messages import (
    LARGEST,
    Begin,
    Bounds,
    Broken,
    Configured,
    Gone,
    Importing,
    Lost,
    Message,
    Ready,
    Refused,
    Retire,
    RunBegan,
    RunEnded,
    Stop,
    Told,
    Validate,
    Validated,
    ValidationEnded,
    packed,
    unpacked,
)
from tasker.running.channel import Outbox, Receiver
from tasker.running.process import death

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tasker.launching.messages import Candidate, RunOrder
    from tasker.settings import Settings

_PACKETS_AT_ONCE = 256
"""Packets that are taken at once: a run that floods must let the daemon turn to others."""
_PATIENCE_S = 1.0
"""Seconds that a killed launcher gets to be gone."""
_OVERDUE_S = 5.0
"""Seconds beyond what a module may take to be imported after which its launcher is killed: most end themselves."""
_STATUSES = {Event.RUN_SUCCEEDED: 0, Event.RUN_FAILED: 1, Event.RUN_INTERRUPTED: 128 + signal.SIGTERM}
"""What a run that told of its end by one of these would have ended with."""


class _Ordered:
    """A run that was ordered and has not ended, and what was heard of it."""

    def __init__(self) -> None:
        self.process: tuple[int, int] | None = None
        self.told_end: int | None = None
        """The exit status that its last fact stands for."""
        self.error = ""
        self.reason = ""
        """Why it was to stop."""
        self.refused: Refused | None = None

    def ended(self, run_id: str, status: int) -> RunEnded | Refused:
        """What to tell of its end."""
        if self.refused is not None:
            return self.refused
        error = self.error or (None if self.told_end is not None else self._death(status))
        return RunEnded(run_id=run_id, status=status, error=error)

    def _death(self, status: int) -> str:
        return f"interrupted: {self.reason}; {death(status)}" if self.reason else death(status)


class Generation:
    """One generation of the tasks' code: a launcher, which has it imported. No call here waits for anything.

    Wait for `fileno()` to be readable (it stays the same, and covers what there is to send as well), then take every
    message of `receive()`. The thread that makes it must live as long as it does: the launcher dies with that thread.
    After `Gone` nothing that is asked for is answered any more.
    """

    def __init__(
        self,
        number: int,
        settings: Settings,
        *,
        bounds: Bounds | None = None,
        refused: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Start the launcher, which does not import what is `refused`. Raises `OSError` where no process can be had."""
        self.number = number
        self._settings = settings
        self._bounds = bounds or Bounds()
        self._refused = dict(refused)
        self._importing: str | None = None
        self._imported_by: float | None = None
        """When the module that is being imported is to be, at the latest."""
        self._overdue = False
        self._ready = False
        self._lost: int | None = None
        """The exit status of a launcher that is gone."""
        self._retired = False
        self._gone = False
        self._kept: list[Any] = []
        """What is asked for before the launcher is ready."""
        self._runs: dict[str, _Ordered] = {}
        self._validations: set[int] = set()
        self._epoll = select.epoll()
        self._watches_outbox = False
        self._start()

    def fileno(self) -> int:
        """The descriptor that is readable while there is something to do for `receive`."""
        return self._epoll.fileno()

    @property
    def pid(self) -> int:
        """The process of the launcher."""
        return self._process.pid

    @property
    def refused(self) -> Mapping[str, str]:
        """The modules that are left out since they have ended a launcher, and how; known for good once it is ready."""
        return MappingProxyType(self._refused)

    @property
    def busy(self) -> bool:
        """Whether runs or validations are still to end."""
        return bool(self._runs or self._validations)

    def validate(self, number: int, candidates: Sequence[Candidate]) -> None:
        """Have files validated: a `Validated` for each, as it is found, then `ValidationEnded`.

        A file that takes long is told of after the others. Validations go on side by side: of two answers on one
        file, that with the larger number is the newer one.
        """
        self._validations.add(number)
        self._send(Validate(number=number, candidates=tuple(candidates)))

    def run(self, order: RunOrder) -> None:
        """Start a run: `RunBegan`, `Told` …, and `RunEnded` or `Refused`. Raises `TooLargeError`, and no run starts."""
        self._send(order)
        self._runs[order.run_id] = _Ordered()

    def stop(self, run_id: str, reason: str) -> None:
        """Stop a run in order; its error tells the reason. A run that has ended is left alone."""
        if run_id in self._runs:
            self._runs[run_id].reason = self._runs[run_id].reason or reason
            self._send(Stop(run_id=run_id, reason=reason))

    def kill(self, run_id: str) -> None:
        """Stop a run that is stopping already, without waiting any longer."""
        if run_id in self._runs:
            self._send(Stop(run_id=run_id, reason="", at_once=True))

    def retire(self) -> None:
        """End the launcher once its runs and validations have ended; nothing more is to be asked of it."""
        self._retired = True
        self._send(Retire())
        if not self._ready and not self.busy:
            self._process.kill()

    def receive(self) -> Iterator[Message]:
        """What has come, and a start on what is still to be sent; `Ready` is first, `Gone` is last."""
        if self._gone:
            return
        self._flush()
        exited = self._process.poll() is not None
        for data in self._up.receive(_PACKETS_AT_ONCE):
            yield from self._heard(unpacked(data))
        if exited and self._lost is None:
            yield from self._on_exit()
        if self._lost is not None and self._up.ended:
            yield from self._on_end(self._lost)

    def mind(self) -> None:
        """Kill a launcher that a module keeps for longer than it may, and from ending itself. To be called each second.

        What it has told may not have been received when this finds it late, so it is killed only the next time.
        """
        if self._imported_by is None or time.monotonic() < self._imported_by:
            return
        if self._overdue and self._process.poll() is None:
            for pid in (*linux.descendants(self.pid), self.pid):
                linux.send(pid, signal.SIGKILL)
        self._overdue = True

    def close(self) -> None:
        """Kill what there still is, and let go of the descriptors."""
        if self._process.poll() is None:
            self._process.kill()
            linux.wait(self._process.pid, _PATIENCE_S)
            self._process.poll()
        for ordered in self._runs.values():
            if ordered.process and linux.started(ordered.process[0]) == ordered.process[1]:
                for pid in (*linux.descendants(ordered.process[0]), ordered.process[0]):
                    linux.send(pid, signal.SIGKILL)
        self._gone = True
        self._let_go()
        self._epoll.close()

    # The launcher

    def _start(self) -> None:
        """Start a launcher, without the modules that have ended an earlier one."""
        linux.hold_standard_streams()
        receiving, up = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        down, sending = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with up, down:
            try:
                self._process = self._launched(down.fileno(), up.fileno())
            except OSError:
                receiving.close()
                sending.close()
                raise
        self._up, self._down = Receiver(receiving, LARGEST), Outbox(sending, LARGEST)
        self._pidfd = os.pidfd_open(self._process.pid)
        for descriptor in (self._up.fileno(), self._pidfd):
            self._epoll.register(descriptor, select.EPOLLIN)
        self._importing, self._imported_by, self._overdue = None, None, False
        self._put(
            Begin(
                settings=self._settings,
                bounds=self._bounds,
                path=tuple(sys.path),
                refused=MappingProxyType(self._refused),
            )
        )

    def _launched(self, down: int, up: int) -> subprocess.Popen[bytes]:
        """The launcher's process: what it and its runs print is no part of this one's standard output."""
        # As the daemon was started, so that what is found in the folder one is in is found by both or by neither.
        safe = [] if sys.path[:1] in ([""], [os.getcwd()]) else ["-P"]  # noqa: PTH109 - as it stands in sys.path
        arguments = [sys.executable, *safe, "-m", "tasker.launching.launcher", str(os.getpid()), str(down), str(up)]
        return subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=2, pass_fds=(down, up), start_new_session=True
        )

    def _on_exit(self) -> Iterator[Message]:
        """The launcher has ended: start it anew without the module that is to blame, or tell."""
        for data in self._up.receive():
            yield from self._heard(unpacked(data))
        status = self._process.returncode
        self._epoll.unregister(self._pidfd)
        os.close(self._pidfd)
        if not self._ready and self._importing is not None and not self._retired:
            self._refused[self._importing] = self._blame(status)
            yield from self._start_again(status)
            return
        self._lost = status
        self._down.close()
        if not self._retired or (status and self._ready):
            yield Lost(status=status)

    def _start_again(self, status: int) -> Iterator[Message]:
        self._let_go()
        try:
            self._start()
        except OSError:
            self._lost = status
            yield Lost(status=status)
            yield from self._on_end(status)

    def _blame(self, status: int) -> str:
        if status == -signal.SIGALRM or self._overdue:
            return f"its module did not end importing within {self._bounds.importing_s:g} s"
        return f"its module ended the process that imported it: {death(status)}"

    def _on_end(self, status: int) -> Iterator[Message]:
        """Nobody is left who could tell anything: end what has not ended."""
        for run_id, ordered in self._runs.items():
            ordered.error = ordered.error or f"the launcher that it ran under has died: {death(status)}"
            known = ordered.told_end
            yield (
                RunEnded(run_id=run_id, status=status or 1, error=ordered.error)
                if known is None
                else RunEnded(run_id=run_id, status=known)
            )
        self._runs.clear()
        self._validations.clear()
        self._gone = True
        self._let_go()
        yield Gone(status=status)

    def _let_go(self) -> None:
        """Close what a launcher that is gone was reached by."""
        self._watches_outbox = False
        self._up.close()
        self._down.close()

    # What is heard and sent

    def _heard(self, message: Any) -> Iterator[Message]:
        """What the daemon is to know of what was heard."""
        match message:
            case Importing() if not self._ready:
                self._importing, self._overdue = message.module, False
                self._imported_by = time.monotonic() + self._bounds.importing_s + _OVERDUE_S
            case Broken() if message.run_id in self._runs:
                self._runs[message.run_id].error = message.error
            case Refused() if message.run_id in self._runs:
                self._runs[message.run_id].refused = message
            case RunEnded() if message.run_id in self._runs:
                yield self._runs.pop(message.run_id).ended(message.run_id, message.status)
            case Ready() | RunBegan() | Configured() | Told() | Validated() | ValidationEnded():
                self._note(message)
                yield message

    def _note(self, message: Ready | RunBegan | Configured | Told | Validated | ValidationEnded) -> None:
        match message:
            case Ready():
                self._ready, self._imported_by = True, None
                for kept in self._kept:
                    self._put(kept)
                self._kept.clear()
            case ValidationEnded():
                self._validations.discard(message.number)
            case RunBegan() if message.run_id in self._runs:
                self._runs[message.run_id].process = (message.pid, message.pid_started)
            case Told() if message.fact.run_id in self._runs and message.fact.event in _STATUSES:
                self._runs[message.fact.run_id].told_end = _STATUSES[Event(message.fact.event)]

    def _send(self, message: Any) -> None:
        if self._ready:
            self._put(message)
        else:
            self._kept.append(message)

    def _put(self, message: Any) -> None:
        self._down.put(packed(message))
        self._watch_outbox()

    def _flush(self) -> None:
        if self._watches_outbox:
            self._down.flush()
            self._watch_outbox()

    def _watch_outbox(self) -> None:
        """Have `fileno` be readable as well when there is room for what is still to be sent."""
        waiting = bool(self._down)
        if waiting and not self._watches_outbox:
            self._epoll.register(self._down.fileno(), select.EPOLLOUT)
        elif self._watches_outbox and not waiting:
            self._epoll.unregister(self._down.fileno())
        self._watches_outbox = waiting
