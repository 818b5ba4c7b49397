"""A request to stop, which a signal handler may make and a loop over a selector hears."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from tasker import linux
from tasker.run import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from tasker.run import Run


LONGEST_REASON = 4096
"""Bytes of the reason for which a run is stopped: what a pipe takes at one go."""
PARENT_DIED = "the program that it ran under has died"
"""The reason, where there is nobody left to give one."""
_ECHO_S = 0.5
"""Seconds in which a signal that comes again is the same request."""


class Echoes:
    """Tells a second request from a first that comes twice: `timeout` and systemd signal a program and its group."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._first: dict[int, float] = {}

    def is_one(self, signum: int) -> bool:
        """Whether the signal came just before. Ask once for each that comes; a signal handler may."""
        now = self._monotonic()
        if now - self._first.get(signum, -_ECHO_S) < _ECHO_S:
            return True
        self._first[signum] = now
        return False


class StopRequest:
    """How the world outside, such as a signal handler, tells a loop to stop."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, *, reasons: int | None = None) -> None:
        """With `reasons`, a descriptor on which the program above says why, before it sends the signals."""
        self._reasons = reasons
        self._parent = os.getppid()
        if reasons is not None:
            os.set_blocking(reasons, False)
        self.signals: list[int] = []
        """The signals that asked for it, in order; the second one ends everything at once."""
        self.reason = ""
        """Why, in words, where whoever asked first gave them."""
        self._echoes = Echoes(monotonic)
        self._read, self._write = os.pipe()

    def request(self, signum: int, reason: str = "") -> None:
        """Ask the run to stop, as a signal does; its error says the reason. An echo of a signal is not counted."""
        if self._echoes.is_one(signum):
            return
        self.reason = self.reason or reason or self._given()
        self.signals.append(signum)
        os.write(self._write, b"!")

    def _given(self) -> str:
        """The reason that has come; a program above that was killed could give none."""
        if self._reasons is None:
            return ""
        try:
            given = os.read(self._reasons, LONGEST_REASON).decode(errors="replace")
        except BlockingIOError:
            given = ""
        return given or ("" if linux.has_parent(self._parent) else PARENT_DIED)

    def fileno(self) -> int:
        """The descriptor that is readable while a request has not been heard."""
        return self._read

    def hear(self) -> str:
        """Take note of a request; the reason that was given, or the name of its signal."""
        os.read(self._read, 1)
        if self.reason:
            return f"interrupted: {self.reason}"
        return f"interrupted by {signal.Signals(self.signals[-1]).name}"

    def close(self) -> None:
        """Let go of the descriptors."""
        os.close(self._read)
        os.close(self._write)


def exit_status(run: Run, stop: StopRequest) -> int:
    """What a run comes to as an exit status: 0 worked, 1 a step failed, 128 and the signal where one was to stop it."""
    if stop.signals:
        return 128 + stop.signals[0]
    return 0 if run.status is Status.SUCCEEDED else 1
