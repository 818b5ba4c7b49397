"""Something may have changed in these folders: told soon, seldom, and without fail.

Hints come from inotify, from looking at the folders themselves, and from time going by. None of them says what has
changed, and each may be wrong or missing: a `survey` tells.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from errno import EMFILE, ENOSPC
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from tasker.mounts import file_system, is_remote, mount_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

Mode = Literal["inotify", "poll"]

_STOPPING_S = 5.0
"""How long an end waits for a call that is under way: one that a file system keeps waiting may never return."""

_LIMITS = {
    ENOSPC: "no inotify watch is left (raise fs.inotify.max_user_watches)",
    EMFILE: "no inotify instance is left (raise fs.inotify.max_user_instances)",
}


class Observation(Protocol):
    """A watch over folders, as long as it holds."""

    def is_whole(self) -> bool:
        """Whether it still sees everything."""

    def stop(self) -> None:
        """End it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How soon, and how often."""

    quiet_s: float = 0.05
    """After the last of hints that come in quick succession, they are told."""
    longest_s: float = 0.3
    """After the first of them, however they come."""
    check_s: float = 0.5
    """Between looks at the folders themselves: one that another is put in the place of may tell nobody."""
    sweep_s: float = 10.0
    """Between calls without a hint, for what inotify does not see: what links lead to, and events that were lost."""
    poll_s: float = 2.0
    """The same, where inotify cannot serve."""


class Hints:
    """Hints that have come, and when they are to be told: without a clock of its own."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._first: float | None = None
        self._last = 0.0

    def add(self, now: float) -> bool:
        """Take one in; whether it is the first of those to be told."""
        is_first = self._first is None
        self._first = now if self._first is None else self._first
        self._last = now
        return is_first

    def due(self) -> float | None:
        """When they are to be told; `None` where there are none."""
        if self._first is None:
            return None
        return min(self._last + self._pace.quiet_s, self._first + self._pace.longest_s)

    def clear(self) -> None:
        """They are being told."""
        self._first = None


def _inotify(folders: Sequence[str], hint: Callable[[], None]) -> Observation:
    from tasker.watching.inotify import Inotify  # noqa: PLC0415 - who polls needs no watchdog

    return Inotify(folders, hint)


class Watcher:
    """Watches folders, those that are not there yet included, and says when it is worth a `survey`.

    `changed()` is called in the watcher's own thread, soon after an edit, every ten seconds, and in poll mode every
    `poll_s` seconds, whether anything differs or not. It may take its time, so the survey may be made in it: what
    happens meanwhile is told by one more call. `troubled(words)` is called, in any thread, when inotify cannot serve
    and polling takes its place, and for whatever goes wrong; watching goes on.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        changed: Callable[[], None],
        *,
        poll_s: float | None = None,
        troubled: Callable[[str], None],
        pace: Pace = Pace(),
        mounts: Callable[[], str] = mount_table,
        observe: Callable[[Sequence[str], Callable[[], None]], Observation] = _inotify,
    ) -> None:
        self._folders = tuple(folders)
        self._changed = changed
        self._poll_s = poll_s
        self._troubled = troubled
        self._pace = pace
        self._mounts = mounts
        self._observe = observe
        self._observation: Observation | None = None
        self._places: list[_Place | None] = []
        self._mode: Mode = "poll"
        self._reason = "watching has not begun"
        self._hints = Hints(pace)
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._watch, name="tasker-watcher", daemon=True)

    @property
    def mode(self) -> Mode:
        """How it watches; known after `start()`, and may change later."""
        return self._mode

    @property
    def reason(self) -> str:
        """Why in this mode, in words."""
        return self._reason

    @property
    def is_as_asked(self) -> bool:
        """Whether nothing stands in the way of watching as it was asked to."""
        return self._mode == "inotify" or self._poll_s is not None

    def start(self) -> None:
        """Begin. What changes from here on is told."""
        self._aim()
        self._thread.start()

    def stop(self) -> None:
        """End; waits for a call of `changed()` that is under way, and nothing is called after it."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(_STOPPING_S)

    def _watch(self) -> None:
        checked = swept = time.monotonic()
        while not self._stopping:
            now = time.monotonic()
            if now >= checked + self._every(self._pace.check_s):
                checked = now
                self._guard(self._check)
            if now >= swept + self._every(self._pace.sweep_s):
                swept = now
                self._hint()
            if self._take(now):
                self._guard(self._look)
                self._guard(self._changed)
            self._rest(min(checked + self._every(self._pace.check_s), swept + self._every(self._pace.sweep_s)))
        self._release()

    def _every(self, seconds: float) -> float:
        """How often to do what is done that often with inotify: without, each look is the server's work, too."""
        return seconds if self._observation is not None else self._poll_s or self._pace.poll_s

    def _hint(self) -> None:
        with self._wake:
            if self._hints.add(time.monotonic()):
                self._wake.notify()

    def _take(self, now: float) -> bool:
        """Whether there are hints that are to be told now; they count as told."""
        with self._wake:
            due = self._hints.due()
            if due is None or now < due or self._stopping:
                return False
            self._hints.clear()
            return True

    def _rest(self, until: float) -> None:
        with self._wake:
            due = self._hints.due()
            left = (until if due is None else min(until, due)) - time.monotonic()
            if left > 0 and not self._stopping:
                self._wake.wait(left)

    def _check(self) -> None:
        if self._look():
            self._hint()

    def _look(self) -> bool:
        """Whether the folders themselves are others than before, or hold others: what is in their places is watched."""
        before, self._places = self._places, list(map(_place, self._folders))
        if list(map(_identity, before)) != list(map(_identity, self._places)) or not self._is_whole():
            self._aim()
            return True
        return before != self._places

    def _is_whole(self) -> bool:
        return self._observation is None or self._observation.is_whole()

    def _aim(self) -> None:
        """Watch what is there now, as well as it can be watched."""
        self._places = list(map(_place, self._folders))
        self._release()
        reason = self._reason
        if self._poll_s is not None:
            self._reason = "it was asked for"
        elif obstacle := self._far() or self._begin():
            self._reason = f"{obstacle}: looking every {self._pace.poll_s:g} s"
            if self._reason != reason:
                self._tell(self._reason)
        self._mode = "poll" if self._observation is None else "inotify"

    def _release(self) -> None:
        if self._observation is not None:
            self._observation.stop()
        self._observation = None

    def _far(self) -> str | None:
        """What inotify would not be told of, in words."""
        table = self._mounts()
        for folder in self._folders:
            if is_remote(kind := file_system(os.path.realpath(folder), table)):
                return f"{folder} is on {kind}, and inotify does not see what others change there"
        return None

    def _begin(self) -> str | None:
        """Begin to observe; in words, what is in the way of that."""
        try:
            self._observation = self._observe([os.path.realpath(folder) for folder in self._folders], self._hint)
        except Exception as error:  # noqa: BLE001 - whatever is in the way, polling does without it
            return _LIMITS.get(getattr(error, "errno", None) or 0, f"inotify cannot be had: {error}")
        self._reason = "inotify sees every change"
        return None

    def _guard(self, act: Callable[[], object]) -> None:
        """What goes wrong in one turn is told, and the next one comes."""
        try:
            act()
        except Exception as error:  # noqa: BLE001 - nothing may end the watch
            self._tell(f"watching went wrong once: {error!r}")

    def _tell(self, words: str) -> None:
        with suppress(Exception):
            self._troubled(words)


class _Place(NamedTuple):
    """A folder itself: which one it is, who may look into it, and when its entries last changed."""

    device: int
    inode: int
    mode: int
    owner: int
    group: int
    changed_ns: int


def _place(folder: Path) -> _Place | None:
    """What is there under a folder's name; `None` where nothing is."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return _Place(found.st_dev, found.st_ino, found.st_mode, found.st_uid, found.st_gid, found.st_ctime_ns)


def _identity(place: _Place | None) -> _Place | None:
    """The place, whatever goes in and out of it."""
    return place and place._replace(changed_ns=0)
