"""The real command, as a person runs it: on a terminal of a given size, or with its text in a pipe.

Not to be confused with `command`, which reads the log of a run.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

COMMAND = (sys.executable, "-m", "tasker")
_CONTROL = re.compile(r"\x1b\[(?P<parameters>[0-9;?]*)(?P<letter>[A-Za-z])")


def tasker(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command with its output in pipes."""
    return subprocess.run(
        [*COMMAND, *arguments], cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False
    )


@dataclass(frozen=True)
class Shown:
    """What a command wrote to its terminal, and its exit status."""

    raw: str
    status: int

    @property
    def text(self) -> str:
        """All that was written, without control sequences."""
        return _CONTROL.sub("", self.raw).replace("\r\n", "\n")

    @property
    def screen(self) -> list[str]:
        """The lines that are left in the end, on a terminal as high as need be."""
        return screen(self.raw)


def screen(raw: str) -> list[str]:
    """What a terminal of unbounded size shows once `raw` was written to it."""
    lines, row, column = [""], 0, 0
    for part in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|[\r\n])", raw):
        control = _CONTROL.fullmatch(part)
        if part == "\r":
            column = 0
        elif part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif control is None:
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + len(part) :]
            column += len(part)
        elif control["letter"] == "A":
            row -= int(control["parameters"] or 1)
        elif control["letter"] == "K":
            lines[row] = ""
    return [line.rstrip() for line in lines]


def on_terminal(
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    columns: int = 80,
    rows: int = 24,
    interrupt_at: str | None = None,
) -> Shown:
    """Run the command on a terminal; Ctrl-C is typed once, when `interrupt_at` is to be seen."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=cwd,
        env={**os.environ, "TERM": "xterm-256color", **(env or {})},
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
        preexec_fn=_take_terminal,  # noqa: PLW1509 - no test has threads, and Ctrl-C needs a terminal that controls
    )
    os.close(follower)
    raw = b""
    while data := _read(leader):
        raw += data
        if interrupt_at and interrupt_at.encode() in raw:
            os.write(leader, b"\x03")
            interrupt_at = None
    os.close(leader)
    return Shown(raw.decode(errors="replace"), process.wait())


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the last process that had the terminal's other end is gone
        return b""
