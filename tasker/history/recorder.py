"""The one writer of the history: a thread that writes what waits in one transaction after the other."""

from __future__ import annotations

import threading
from collections import Counter, deque
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasker.clock import Clock
from tasker.history import presence
from tasker.history.errors import DamagedError, HeldError, HistoryError, UnfitError
from tasker.history.history import History
from tasker.history.log import Numbers
from tasker.history.observation import COUNT, ENDS
from tasker.history.sqlite import FolderLock, move_aside
from tasker.history.urls import is_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tasker.facts import Fact
    from tasker.history.model import DaemonRecord, Retention

AT_ONCE = 2000
"""Operations and lines in one transaction at most."""
_MOST_LINES = 20_000
"""Lines of logs that may wait to be written."""
_MOST_CHARACTERS = 32 * 1024 * 1024
"""Characters that they may have together."""
_LOG_OF_A_RUN = 64 * 1024 * 1024
"""Characters of a run's log that are kept: a step that floods is not to fill the disk with what it says."""
_FIRST_RETRY_S = 0.1
_LONGEST_RETRY_S = 5.0
_STANDBY_RETRY_S = 1.0
"""Seconds after which a daemon that waits for another one to end looks again at the latest."""
_FIRST_PRUNE_S = 60.0
_PRUNE_EVERY_S = 3600.0
_REST_S = 0.05
"""Seconds between two steps of pruning, in which the disk is others'."""
_A_LINE = 200
"""Characters that a line has beside what was printed, about."""


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
    """The file was damaged or gone, and there is a new one. What goes on is to be told again: pipelines, runs."""

    error: str
    moved_to: Path | None
    """Where the damaged file is now."""
    saved: int = 0
    """Rows of the damaged file that could be read, and are in the new one: slots, runs and their steps; no logs."""


@dataclass(frozen=True, slots=True)
class HistoryEvicted:
    """Another daemon has this one's runs: they are to be stopped here.

    It took this one for dead, or has the state folder since that was deleted.
    """


@dataclass(frozen=True, slots=True)
class HistoryRefused:
    """Something cannot be written for what it is, and was left out: a fault of tasker's own."""

    error: str


@dataclass(frozen=True, slots=True)
class HistoryUnfit:
    """The history cannot be used at all; the recorder has ended."""

    error: str


@dataclass(frozen=True, slots=True)
class _Item:
    """What waits to be written."""

    operation: Callable[[History], Any]
    on_done: Callable[[Any], None] | None = None
    line: int = 0
    """Characters of a line of a log, which may be dropped; nought of what may not."""


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
        super().__init__(name="recorder", daemon=True)
        self._where = where
        self._me = me
        self._post = post
        self._retention = retention
        self._clock = clock or Clock()
        self._queue: deque[_Item] = deque()
        self._lines = _Lines()
        self._numbers = Numbers()
        self._changed = threading.Condition()
        self._ending = False
        """Whether nothing more will come."""
        self._abandoned = False
        """Whether nobody waits any more for what is not written."""
        self._lock: FolderLock | None = None
        """Of a state folder; held as long as this goes on, whatever becomes of the file of the history."""
        self._history: History | None = None
        self._exclusive = False
        self._only_lines = False
        """Whether what was written last, or could not be, was lines of logs alone."""
        self._replaced: HistoryReplaced | None = None
        """What is to be told once there is a new file."""
        self._troubled = False
        self._retry_s = _FIRST_RETRY_S
        self._at_once = AT_ONCE
        self._pruning: Iterator[int] | None = None
        self._prune_at = self._clock.monotonic() + _FIRST_PRUNE_S
        self._beat_at = 0.0
        self._began_at: float | None = None
        """When what is under way began, by the monotonic clock."""
        self._written = threading.Event()

    # For other threads

    @property
    def exclusive(self) -> bool:
        """Whether no other daemon can claim slots; never before `HistoryOpened`, nor after `HistoryEvicted`."""
        return self._exclusive

    @property
    def held_up_s(self) -> float:
        """Seconds since what is under way with the history began, be it opening or writing; nought where nothing is.

        A disk or a server that does not answer makes it grow, while the thread can tell nothing.
        """
        began_at = self._began_at
        return 0.0 if began_at is None else max(0.0, self._clock.monotonic() - began_at)

    @property
    def waiting(self) -> int:
        """Operations and facts that are not written yet."""
        return len(self._queue)

    def submit(self, operation: Callable[[History], Any], on_done: Callable[[Any], None] | None = None) -> None:
        """Have an operation carried out behind all that was submitted before; never blocks.

        Once it is written for good, `Answered(on_done, answer)` is posted. An operation may be carried out again where
        its transaction came to nothing: it is to do nothing but call the history. One that raises of its own accord
        is left out, and answered with the exception.
        """
        self._add(_Item(operation, on_done))

    def observe(self, fact: Fact) -> None:
        """Take in a fact of a run; never blocks. Lines of logs are dropped, and counted, where too many wait."""
        if fact.run_id is None:
            return
        size = 0 if fact.event in COUNT else _A_LINE + len(str(fact.details.get("line", "")))
        with self._changed:
            if self._lines.take(fact.run_id, size):
                self._add(_Item(partial(_observe, fact, self._numbers.of(fact)), line=size))
            if fact.event in ENDS and (dropped := self._lines.ended(fact.run_id)):
                self.submit(partial(_dropped, fact.run_id, dropped))

    def drain(self, timeout_s: float) -> bool:
        """Write what waits, leave the history in order, and end; whether all was written in so many seconds."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self.join(timeout_s)
        with self._changed:
            self._abandoned = True
            self._changed.notify()
        return self._written.is_set()

    def _add(self, item: _Item) -> None:
        with self._changed:
            self._queue.append(item)
            self._changed.notify()

    # The thread itself

    def run(self) -> None:
        """Write until there is nothing more to come."""
        try:
            while self._turn():
                pass
        except UnfitError as error:
            self._post(HistoryUnfit(str(error)))
        except Exception as error:
            self._post(HistoryUnfit(f"a fault of tasker itself: {type(error).__name__}: {error}"))
            raise
        finally:
            self._close()
            self._let_go()

    def _turn(self) -> bool:
        """Write once, or fail to; whether there is more to do."""
        try:
            with self._under_way():
                self._hold()
                if self._history is None:
                    self._open()
                self._look_after_file(self._opened)
                self._beat(self._opened)
            with self._under_way():
                self._prune(self._opened)
            if self._await_work():
                if self._holds:  # it may have been taken away just now
                    with self._under_way():
                        self._write_some(self._opened)
            elif self._ending:
                with self._under_way():
                    return self._leave(self._opened)
        except UnfitError:
            raise
        except DamagedError as error:
            self._replace(error)
        except HistoryError as error:
            self._trouble(error)
        if self._needless:
            self._written.set()
        return not (self._abandoned or self._needless)

    @contextmanager
    def _under_way(self) -> Iterator[None]:
        self._began_at = self._clock.monotonic()
        try:
            yield
        finally:
            self._began_at = None

    @property
    def _needless(self) -> bool:
        """Whether it is to end, and has neither anything to write nor a history to leave in order."""
        return self._ending and not self._queue and self._history is None

    @property
    def _opened(self) -> History:
        assert self._history is not None  # noqa: S101 - _turn opens it first
        return self._history

    @property
    def _holds(self) -> bool:
        """Whether nobody else has the state folder; a server is everybody's."""
        return is_url(self._where) or (self._lock is not None and self._lock.stands)

    def _hold(self) -> None:
        """See to it that a state folder is this daemon's alone."""
        if self._holds:
            return
        self._let_go()
        try:
            self._lock = FolderLock(Path(self._where))
        except HeldError:
            self._close()
            if self._exclusive:
                self._exclusive = False
                self._post(HistoryEvicted())
            raise

    def _let_go(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _open(self) -> None:
        history = History.open(self._where, self._lock)
        try:
            known = history.enrol(self._me)
        except BaseException:
            history.close()
            raise
        self._history = history
        if self._beat_at and is_url(self._where) and not known:
            self._post(HistoryEvicted())
        self._exclusive = history.exclusive
        if not self._beat_at:
            self._post(HistoryOpened(self._exclusive))
        self._beat_at = self._clock.monotonic() + presence.BEAT_S
        if self._replaced is not None:
            moved_to = self._replaced.moved_to
            saved = history.take_from(moved_to) if moved_to is not None else 0
            self._post(replace(self._replaced, saved=saved))
            self._replaced = None

    def _look_after_file(self, history: History) -> None:
        """See to it that what is written goes where it is looked for: a file that was deleted takes all in silence."""
        if not history.usable:
            self._close()
            self._replaced = HistoryReplaced("the file of the history was deleted, or replaced by another", None)
            self._open()

    def _beat(self, history: History) -> None:
        """Show that this daemon lives, unless nobody else can look."""
        if self._clock.monotonic() < self._beat_at:
            return
        self._beat_at = self._clock.monotonic() + presence.BEAT_S
        if not self._exclusive and not history.beat():
            self._post(HistoryEvicted())

    def _await_work(self) -> bool:
        """Wait until something is to be written, or another duty is due; whether something is to be written."""
        due = min(self._beat_at, self._prune_at) - self._clock.monotonic()
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._ending, max(0.0, due))
            return bool(self._queue)

    def _write_some(self, history: History) -> None:
        """Write what waits; in trouble first what may not be lost, and less at once."""
        batch = self._batch()
        self._only_lines = all(item.line for item in batch)
        try:
            answers = _carried_out(history, batch)
        except HistoryError:
            raise
        except Exception:  # noqa: BLE001 - whatever an operation does wrong, the others are to be written
            answers = self._one_by_one(history, batch)
        if not history.usable:  # it went to a file that was deleted meanwhile, and goes to the next one, too
            return
        self._strike(batch)
        for item, answer in answers:
            if item.on_done is not None:
                self._post(Answered(item.on_done, answer))
        self._calm(lines=any(item.line for item in batch))

    def _batch(self) -> Sequence[_Item]:
        with self._changed:
            items: Iterable[_Item] = self._queue
            if self._troubled:
                items = [item for item in self._queue if not item.line] or self._queue
            return [*islice(items, self._at_once)]

    def _one_by_one(self, history: History, batch: Sequence[_Item]) -> list[tuple[_Item, Any]]:
        """Write each for itself; those that cannot be written are answered with what they raised."""
        answers: list[tuple[_Item, Any]] = []
        for item in batch:
            try:
                answers += _carried_out(history, [item])
            except HistoryError:
                raise
            except Exception as error:  # noqa: BLE001 - as above
                answers.append((item, error))
                if item.on_done is None:
                    self._post(HistoryRefused(f"{type(error).__name__}: {error}"))
        return answers

    def _strike(self, batch: Sequence[_Item]) -> None:
        """Take what is written off the queue."""
        with self._changed:
            if self._queue[0] is batch[0] and self._queue[len(batch) - 1] is batch[-1]:
                for _ in batch:
                    self._queue.popleft()
            else:
                gone = set(map(id, batch))
                self._queue = deque(item for item in self._queue if id(item) not in gone)
            self._lines.written(batch)

    @property
    def _essential(self) -> int:
        """How much waits that may not be dropped."""
        return len(self._queue) - self._lines.waiting

    # Trouble

    def _trouble(self, error: HistoryError) -> None:
        """Say once that nothing can be written, and wait a little."""
        if not self._troubled:
            self._troubled = True
            self._post(HistoryTroubled(str(error)))
        self._at_once = max(1, self._at_once // 4)
        if self._history is not None and not self._history.usable:
            self._close()
        self._pause(_STANDBY_RETRY_S if isinstance(error, HeldError) else _LONGEST_RETRY_S)

    def _replace(self, error: DamagedError) -> None:
        """Move a damaged file aside, so that a new one is begun."""
        mine = self._history is None or self._history.usable
        self._close()
        moved_to = None
        if mine:
            try:
                with self._under_way():
                    moved_to = move_aside(Path(self._where), self._clock.now())
            except OSError as failure:
                self._trouble(HistoryError(f"{error}; it cannot be moved aside: {failure.strerror}"))
                return
        self._replaced = HistoryReplaced(str(error), moved_to)
        self._pause(_LONGEST_RETRY_S)

    def _pause(self, longest_s: float) -> None:
        """Wait a little; not where it is lines that cannot be written, and there is something else."""
        self._retry_s = min(self._retry_s, longest_s)
        with self._changed:
            self._changed.wait_for(
                lambda: self._abandoned or self._needless or (self._only_lines and self._essential), self._retry_s
            )
        self._retry_s *= 2

    def _calm(self, *, lines: bool) -> None:
        """Something was written; with lines of logs, or with all that waits, the trouble is over."""
        self._retry_s = _FIRST_RETRY_S
        self._at_once = min(2 * self._at_once, AT_ONCE)
        if self._troubled and (lines or not self._queue):
            self._troubled = False
            self._at_once = AT_ONCE
            self._post(HistoryRecovered(self._lines.let_go()))

    # Duties

    def _prune(self, history: History) -> None:
        """Delete a little of what is old, now and then."""
        now = self._clock.monotonic()
        if now < self._prune_at:
            return
        self._pruning = self._pruning or history.prune(self._retention, self._clock.now())
        if next(self._pruning, None) is None:
            self._pruning = None
        history.tidy()
        self._prune_at = self._clock.monotonic() + (_REST_S if self._pruning else _PRUNE_EVERY_S)

    def _leave(self, history: History) -> bool:
        self._written.set()
        history.leave()
        return False

    def _close(self) -> None:
        self._pruning = None
        if self._history is not None:
            self._history.close()
            self._history = None


def _carried_out(history: History, batch: Sequence[_Item]) -> list[tuple[_Item, Any]]:
    """All of the batch, in one transaction, with the answers."""
    with history.transaction():
        return [(item, item.operation(history)) for item in batch]


def _observe(fact: Fact, number: int, history: History) -> None:
    history.observe(fact, number)


def _dropped(run_id: str, lines: int, history: History) -> None:
    history.dropped(run_id, lines)


class _Lines:
    """Counts the lines of logs: how many wait, how much there is of each run, how many were dropped."""

    def __init__(self) -> None:
        self.waiting = 0
        """How many wait to be written."""
        self._characters = 0
        self._kept: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._let_go = 0

    def take(self, run_id: str, size: int) -> bool:
        """Whether there is room for a line of so many characters."""
        full = self.waiting >= _MOST_LINES or self._characters + size > _MOST_CHARACTERS
        if size and (full or self._kept[run_id] + size > _LOG_OF_A_RUN):
            self._dropped[run_id] += 1
            self._let_go += full
            return False
        self._count(1 if size else 0, size)
        self._kept[run_id] += size
        return True

    def written(self, batch: Sequence[_Item]) -> None:
        """These wait no longer."""
        self._count(-sum(1 for item in batch if item.line), -sum(item.line for item in batch))

    def _count(self, lines: int, characters: int) -> None:
        self.waiting += lines
        self._characters += characters

    def ended(self, run_id: str) -> int:
        """How many lines of a run were dropped; there will be no more."""
        del self._kept[run_id]
        return self._dropped.pop(run_id, 0)

    def let_go(self) -> int:
        """How many lines there was no room for since this was asked last."""
        let_go, self._let_go = self._let_go, 0
        return let_go
