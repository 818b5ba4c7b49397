"""A request to stop, which a signal handler may make and a loop over a selector hears."""

from __future__ import annotations

import os
import signal
from contextlib import suppress


class StopRequest:
    """How the world outside, such as a signal handler, tells a loop to stop."""

    def __init__(self) -> None:
        self.signals: list[int] = []
        """The signals that asked for it, in order; the second one ends everything at once."""
        self.reason = ""
        """Why, in words, where whoever asked first gave them."""
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)

    def request(self, signum: int, reason: str = "") -> None:
        """Ask the run to stop, as a signal does; its error says the reason."""
        self.reason = self.reason or reason
        self.signals.append(signum)
        with suppress(BlockingIOError):  # so many requests that have not been heard are one
            os.write(self._write, b"!")

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
