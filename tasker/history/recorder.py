"""The one writer of the history: a thread that writes what waits in one transaction after the other."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tasker.clock import Clock
    from tasker.facts import Fact
    from tasker.history.history import History
    from tasker.history.model import DaemonRecord, Retention


@dataclass(frozen=True, slots=True)
class Answered:
    """An operation is written for good, or has failed by itself; whoever gets this calls it."""

    on_done: Callable[[Any], None]
    answer: Any

    def __call__(self) -> None:
        """Hand the answer on."""
        self.on_done(self.answer)


@dataclass(frozen=True, slots=True)
class HistoryOpened:
    """The history is there; before this nothing has been written."""

    exclusive: bool
    """Whether no other daemon can claim slots in it."""


@dataclass(frozen=True, slots=True)
class HistoryTroubled:
    """Nothing can be written at the moment. What is submitted waits."""

    error: str


@dataclass(frozen=True, slots=True)
class HistoryRecovered:
    """It can be written again, and all that waited is."""

    lines_dropped: int
    """Lines of logs that were let go meanwhile."""


@dataclass(frozen=True, slots=True)
class HistoryReplaced:
    """The file was damaged or gone, and there is a new one: pipelines are to be kept again, it knows none."""

    error: str
    moved_to: Path | None
    """Where the damaged file is now."""


@dataclass(frozen=True, slots=True)
class HistoryEvicted:
    """Another daemon took this one for dead, and has its runs: they are to be stopped here."""


@dataclass(frozen=True, slots=True)
class HistoryUnfit:
    """The history cannot be used at all; the recorder has ended."""

    error: str


class Recorder(threading.Thread):
    """The one writer. Whatever it tells it hands to `post`, which any thread may call and which does not block."""

    def __init__(
        self,
        where: str | Path,
        me: DaemonRecord,
        post: Callable[[object], None],
        *,
        retention: Retention,
        clock: Clock | None = None,
    ) -> None:
        """Take a state folder or a URL. The history is opened once `start` is called, by the thread itself."""
        raise NotImplementedError

    @property
    def exclusive(self) -> bool:
        """Whether no other daemon can claim slots; never before `HistoryOpened`."""
        raise NotImplementedError

    @property
    def waiting(self) -> int:
        """Operations and facts that are not written yet."""
        raise NotImplementedError

    def submit(self, operation: Callable[[History], Any], on_done: Callable[[Any], None] | None = None) -> None:
        """Have an operation carried out behind all that was submitted before; never blocks.

        Once it is written for good, `Answered(on_done, answer)` is posted. An operation may be carried out again where
        its transaction came to nothing: it is to do nothing but call the history. One that raises of its own accord
        is left out, and answered with the exception.
        """
        raise NotImplementedError

    def observe(self, fact: Fact) -> None:
        """Take in a fact of a run; never blocks. Lines of logs are dropped, and counted, where too many wait."""
        raise NotImplementedError

    def drain(self, timeout_s: float) -> bool:
        """Write what waits, leave the history in order, and end; whether all was written in so many seconds."""
        raise NotImplementedError
