"""A run's journal: a file of its own with the facts that resuming it needs, written before anything builds on them.

Not to be confused with the history, which the daemon writes, and which knows of a run what the daemon was told of it.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Self

from tasker.facts import Event, Fact

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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


class Journal:
    """Appends the facts of one run to a file, a JSON line each.

    It is not synced to the disk: it is for a daemon or a run that is killed, not for a machine that loses its power.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, which is created where it is not there. Raises `OSError`."""
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._unwritten = b""

    def write(self, fact: Fact) -> None:
        """Append a fact that matters; where the disk is full, with the next one. It raises nothing: the run goes on."""
        if fact.event not in _KEPT:
            return
        self._unwritten += json.dumps(fact.to_json()).encode() + b"\n"
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


def read(path: Path) -> Iterator[Fact]:
    """The facts of a journal, without what is no whole line of it. None where there is no file that can be read."""
    try:
        lines = path.read_bytes().split(b"\n") if path.is_file() else ()
    except OSError:
        return
    for line in lines:
        try:
            yield Fact.from_json(json.loads(line))
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
