"""Facts to JSON lines, by structlog."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import select
import threading
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast

from tasker.facts import Event, Fact, Level
from tasker.structured import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

_LINE_ENDS = re.compile("[\x7f-\x9f\u2028\u2029]")
"""What JSON leaves as it is, but some readers take for the end of a line, and terminals for a command."""
MOST_QUEUED = 64 * 1024 * 1024
"""Bytes that wait at most for a reader that has stalled."""
_AT_ONCE = 64 * 1024
"""Bytes of lines that are written at once, unless one line has more."""
_LOOK_UP_S = 0.5
"""How often to try again where writing fails, and to see whether the end has come."""
_FAREWELL_S = 0.1
_GONE = {errno.EPIPE, errno.EBADF}
"""Errors behind which there is nobody left to read."""
_SEVERITIES = {level: number for number, level in enumerate(Level)}


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
        gap: Callable[[int], bytes] | None = None,
        troubled: Callable[[OSError | None], None] = lambda _error: None,
    ) -> None:
        """Take a descriptor over, to be closed at the end.

        At most `most` bytes wait. Lines beyond that are dropped, and a line that `gap` makes of their number stands in
        their place (by default, one of JSON). `troubled` is called in the thread when writing begins to fail, and with
        `None` when it works again. A reader that has gone away (`BrokenPipeError`) does not come back: what is written
        from then on is dropped.
        """
        self._descriptor = descriptor
        self._most = most
        self._gap = gap or _gap_line
        self._troubled = troubled
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._writing = 0
        """Lines that the thread is about to write."""
        self._missing = 0
        """Lines dropped since the last one that was taken."""
        self._dropped = 0
        self._gone = False
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, data: bytes) -> int:
        """Queue whole lines; never blocks, and never fails. From any thread."""
        with self._changed:
            if self._gone or self._closing:
                self._dropped += 1
            elif self._is_full(data):
                self._missing += 1
                self._dropped += 1
            else:
                self._tell_gap()
                self._take(data)
            self._changed.notify_all()
        return len(data)

    def flush(self) -> None:
        """There is nothing here to wait for: see `drain`."""

    @property
    def backlog(self) -> int:
        """Lines that wait."""
        with self._changed:
            return len(self._lines) + self._writing

    @property
    def dropped(self) -> int:
        """Lines that were dropped, in all."""
        return self._dropped

    def drain(self, timeout_s: float) -> bool:
        """Wait until all is written, or nobody is there to read it; whether all was."""
        with self._changed:
            self._changed.wait_for(lambda: self._gone or not (self._lines or self._writing), timeout_s)
            return not (self._gone or self._lines or self._writing)

    def close(self) -> None:
        """End the thread, and close the descriptor; what still waits is lost, so drain first.

        A thread that a reader has stalled is left to the end of the program, and so is the descriptor.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout=_FAREWELL_S)

    # With the lock held

    def _is_full(self, data: bytes) -> bool:
        """Whether there is no room; once there was none, half of it must come free, lest gaps alternate with lines."""
        return self._bytes + len(data) > (self._most // 2 if self._missing else self._most)

    def _take(self, data: bytes) -> None:
        self._lines.append(data)
        self._bytes += len(data)

    def _tell_gap(self) -> None:
        if self._missing:
            self._take(self._gap(self._missing))
            self._missing = 0

    # The thread

    def _work(self) -> None:
        try:
            while data := self._next():
                self._put(data)
                with self._changed:
                    self._bytes -= len(data)
                    self._writing = 0
                    self._changed.notify_all()
        finally:
            os.close(self._descriptor)

    def _next(self) -> bytes:
        """What is to be written next, several lines at once; nothing at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._missing or self._closing)
            if self._closing:
                return b""
            if not self._lines:
                self._tell_gap()
            taken = [self._lines.popleft()]
            size = len(taken[0])
            while self._lines and size + len(self._lines[0]) <= _AT_ONCE:
                taken.append(self._lines.popleft())
                size += len(taken[-1])
            self._writing = len(taken)
        return b"".join(taken)

    def _put(self, data: bytes) -> None:
        """Write all of it, however long that takes, and however often it fails."""
        left = memoryview(data)
        failing = False
        while left and not self._gone and not self._closing:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [], _LOOK_UP_S)
            except OSError as error:
                self._fail(error, again=failing)
                failing = True
            else:
                failing = failing and self._recover()

    def _fail(self, error: OSError, *, again: bool) -> None:
        """Say it once; then wait, or give up where nobody is left who could read."""
        if not again:
            self._troubled(error)
        with self._changed:
            if error.errno in _GONE:
                self._gone = True
                self._dropped += len(self._lines) + self._writing
                self._missing = 0
                self._lines.clear()
            else:
                self._changed.wait_for(lambda: self._closing, _LOOK_UP_S)

    def _recover(self) -> bool:
        """Say that it works again."""
        self._troubled(None)
        return False


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


def dropped_lines(count: int) -> Fact:
    """Lines of the log were dropped, since whoever reads it has stalled."""
    error = f"{count} line{'s' if count > 1 else ''} of the log dropped: its reader does not keep up"
    details = {"what": "log", "error": error}
    return Fact(event=Event.DAEMON_TROUBLED, at=datetime.now(UTC), level=Level.ERROR, details=details)


def _gap_line(count: int) -> bytes:
    with io.BytesIO() as line:
        JsonLog(line).observe(dropped_lines(count))
        return line.getvalue()
