"""Facts to JSON lines, by structlog."""

from __future__ import annotations

import json
import os
import re
import select
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast

from tasker.facts import Level

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping
    from datetime import datetime

    from tasker.facts import Fact

_LINE_ENDS = re.compile("[\x7f-\x9f\u2028\u2029]")
"""What JSON leaves as it is, but some readers take for the end of a line, and terminals for a command."""
MOST_QUEUED = 64 * 1024 * 1024
"""Bytes that wait at most for a reader that has stalled."""
_SEVERITIES = {level: number for number, level in enumerate(Level)}


@contextmanager
def _without_rich() -> Iterator[None]:
    """Keep structlog from importing rich, which would double the time to start and is of no use in JSON."""
    if "rich" in sys.modules:
        yield
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # the documented way to make an import fail
    try:
        yield
    finally:
        del sys.modules["rich"]


with _without_rich():
    import structlog


class Output:
    """A descriptor that takes all of what it is given, also where it is a pipe that others have set not to block."""

    def __init__(self, descriptor: int) -> None:
        """Take a descriptor over, to be closed at the end."""
        self._descriptor = descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def write(self, data: bytes) -> int:
        """Write all of it, however long the reader takes. Raises `BrokenPipeError` where there is none any more."""
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [])
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""


class QueuedOutput:
    """A descriptor that is written to by a thread of its own: a reader that stalls never stalls the program."""

    def __init__(
        self,
        descriptor: int,
        *,
        most: int = MOST_QUEUED,
        troubled: Callable[[OSError | None], None] = lambda _error: None,
    ) -> None:
        """Take a descriptor over, to be closed at the end.

        At most `most` bytes wait; lines beyond that are dropped, and a line in their place says how many. `troubled` is
        called in the thread when writing begins to fail, and with `None` when it works again. A reader that has gone
        away (`BrokenPipeError`) does not come back: what is written from then on is dropped.
        """
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, data: bytes) -> int:
        """Queue whole lines; never blocks, and never fails. From any thread."""
        raise NotImplementedError

    def flush(self) -> None:
        """Nothing that could be waited for here: see `drain`."""

    @property
    def backlog(self) -> int:
        """Lines that wait."""
        raise NotImplementedError

    @property
    def dropped(self) -> int:
        """Lines that were dropped, in all."""
        raise NotImplementedError

    def drain(self, timeout_s: float) -> bool:
        """Wait until all is written; whether that came to be."""
        raise NotImplementedError

    def close(self) -> None:
        """End the thread, and close the descriptor; what still waits is lost, so drain first."""


class JsonLog:
    """Writes one JSON object a line, whole; the only writer of its stream."""

    def __init__(self, stream: BinaryIO | Output | QueuedOutput, *, level: Level = Level.INFO) -> None:
        """Write what is of `level` or above to `stream`."""
        self._least = _SEVERITIES[level]
        self._logger = structlog.wrap_logger(
            structlog.BytesLogger(cast("BinaryIO", stream)),
            processors=[structlog.processors.JSONRenderer(_json)],
            wrapper_class=structlog.BoundLogger,
        )

    def observe(self, fact: Fact) -> None:
        """Log a fact."""
        if _SEVERITIES[fact.level] < self._least:
            return
        names = {
            "pipeline": fact.pipeline,
            "revision": fact.revision,
            "run_id": fact.run_id,
            "step": fact.step,
            "task": fact.task,
            "attempt": fact.attempt,
        }
        head = _head(fact.at, fact.level, fact.event)
        present = {key: value for key, value in names.items() if value is not None}
        details = {key if key not in {*head, *names} else f"{key}_": value for key, value in fact.details.items()}
        self._write(head | present | details)

    def _write(self, record: dict[str, Any]) -> None:
        event = record.pop("event")
        self._logger.msg(event, **record)


def _head(at: datetime, level: Level, event: str) -> dict[str, Any]:
    timestamp = at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {"timestamp": timestamp, "level": str(level), "event": str(event)}


def _json(record: MutableMapping[str, Any], default: Callable[[Any], Any]) -> bytes:
    """The record with `event` in its place behind the level; what JSON does not know by structlog's own fallback."""
    first = ("timestamp", "level", "event")
    ordered = {key: record[key] for key in first} | dict(record)
    text = json.dumps(ordered, default=default, ensure_ascii=False)
    return _LINE_ENDS.sub(_escaped, text).encode(errors="backslashreplace")


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
