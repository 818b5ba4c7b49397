"""A run's journal: a file of its own with the facts that resuming it needs, written before anything builds on them.

That of a run in the foreground has all facts, as whoever keeps the history learns of them there and nowhere else.
Not to be confused with the history, which knows of a run what it was told of it.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from tasker.facts import Event, Fact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

FOREGROUND = "foreground"
"""The folder in a state folder in which runs in the foreground have their journals; no daemon takes these up."""
MOST_LINES = 64 * 1024 * 1024
"""Bytes that a whole journal has of what steps print and log: a step that floods is not to fill the disk."""
_LEFT_OUT = "lines_left_out"
"""What says in a journal how many lines there were beyond that."""
_GAP = f'{{"{_LEFT_OUT}"'.encode()
_AT_ONCE = 1 << 20
"""Bytes of a journal that are read at once."""

_KEPT = frozenset(
    {
        Event.RUN_STARTED,
        Event.RUN_SUCCEEDED,
        Event.RUN_FAILED,
        Event.RUN_INTERRUPTED,
        Event.STEP_STARTED,
        Event.STEP_RETRYING,
        Event.STEP_SUCCEEDED,
        Event.STEP_FAILED,
        Event.STEP_SKIPPED,
    }
)
"""What the journal keeps: what became of the run and its steps, and nothing that they printed or logged."""
_ENDS = frozenset({Event.RUN_SUCCEEDED, Event.RUN_FAILED, Event.RUN_INTERRUPTED})


class Journal:
    """Appends the facts of one run to a file, a JSON line each.

    It is not synced to the disk: it is for a daemon or a run that is killed, not for a machine that loses its power.
    A whole one is locked as long as it is open, so that a run that was killed is told from one that goes on.
    """

    def __init__(self, path: Path, *, whole: bool = False, most: int = MOST_LINES) -> None:
        """Open the file, which is created where it is not there; a `whole` one takes all facts. Raises `OSError`."""
        self._whole = whole
        self._room = most if whole else 0
        self._left_out = 0
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if whole:
            with suppress(OSError):
                fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        self._unwritten = b""

    def write(self, fact: Fact) -> None:
        """Append a fact that matters; where the disk is full, with the next one. It raises nothing: the run goes on."""
        if fact.event not in _KEPT and not self._room:
            self._left_out += self._whole
            return
        line = json.dumps(fact.to_json()).encode() + b"\n"
        if fact.event not in _KEPT:
            self._room = max(0, self._room - len(line))
        elif fact.event in _ENDS and self._left_out:
            line = json.dumps({_LEFT_OUT: self._left_out}).encode() + b"\n" + line
        self._append(line)

    def _append(self, line: bytes) -> None:
        self._unwritten += line
        try:
            written = os.write(self._descriptor, self._unwritten)
        except OSError:
            return
        self._unwritten = self._unwritten[written:]

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Reader:
    """Reads along in a journal that is being written."""

    def __init__(self, path: Path) -> None:
        """Read this file, which need not be there yet."""
        self._path = path
        self._read = 0
        """Bytes of whole lines that have been read."""
        self.left_out = 0
        """Lines that are not in the journal, as it says at its end."""
        self.at_end = False
        """Whether all that was there has been read."""

    def read(self) -> list[Fact]:
        """The facts that have come since, up to a mebibyte of them or one line."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                data = file.read(_AT_ONCE)
                if len(data) == _AT_ONCE:
                    data += file.readline()
        except OSError:
            self.at_end = True
            return []
        self.at_end = len(data) < _AT_ONCE
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        lines = whole.split(b"\n")
        self.left_out += sum(_left_out(line) for line in lines if line.startswith(_GAP))
        return [*_facts(lines)]


def is_being_written(path: Path) -> bool:
    """Whether the run of a whole journal goes on."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def read(path: Path) -> Iterator[Fact]:
    """The facts of a journal, without what is no whole line of it. None where there is no file that can be read."""
    try:
        lines = path.read_bytes().split(b"\n") if path.is_file() else ()
    except OSError:
        return
    yield from _facts(lines)


def _facts(lines: Iterable[bytes]) -> Iterator[Fact]:
    for line in lines:
        try:
            yield Fact.from_json(json.loads(line))
        except (ValueError, TypeError, KeyError, RecursionError):
            continue


def _left_out(line: bytes) -> int:
    """How many lines a journal says that it lacks."""
    return int(json.loads(line)[_LEFT_OUT])
