"""Folders, and all below them, watched by inotify: it hints that something happened, and does not say what.

Of watchdog, only what reads the kernel's events is used. Its observers keep account of folders that come, go and move,
lose it when one moves out of sight, and hold back each rename for half a second. Here nothing is kept account of: where
folders have come or gone, the watch is no longer whole, and is begun anew.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from watchdog.observers.inotify_c import CallbackId, InotifyConstants, InotifyFD, Mask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from watchdog.observers.inotify_c import InotifyEvent, WatchDescriptor

MOST_FOLDERS = 20_000
"""Watches are kernel memory, and all that a user runs shares their number."""

_CHANGES = Mask(
    InotifyConstants.IN_MODIFY
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_ATTRIB
    | InotifyConstants.IN_CREATE
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_MOVE
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ONLYDIR
)
"""Not that a file was read, which is what whoever looks after a hint does."""


class Inotify:
    """A watch over folders. Raises `OSError` where the system has no room for it."""

    def __init__(self, folders: Sequence[str], hint: Callable[[], None]) -> None:
        self._hint = hint
        self._is_outgrown = False
        self._events = InotifyFD()
        self._events.start()
        try:
            for folder in _below(folders):
                # What is gone by now is no longer to be watched.
                with suppress(FileNotFoundError, NotADirectoryError):
                    self._events.add_callback(os.fsencode(folder), _CHANGES, self, CallbackId(id(self)))
        except BaseException:
            self.stop()
            raise

    def is_whole(self) -> bool:
        """Whether it sees everything there is."""
        return self._events.is_alive() and not self._is_outgrown

    def stop(self) -> None:
        """End the watch."""
        self._events.stop()
        self._events.join()

    def on_event(self, event: InotifyEvent) -> None:
        """Take an event of the kernel's, in watchdog's thread."""
        name = os.fsdecode(event.name)
        if not _is_noise(name):
            self._is_outgrown |= event.is_directory and (name != "" or not event.is_attrib)
            self._hint()

    def on_watch_deleted(self, _: WatchDescriptor) -> None:
        """Take that a folder is gone, or what was mounted there; an event has said so before."""
        self._is_outgrown = True

    def on_queue_overflow(self) -> None:
        """Take that events were lost, which may have been about folders."""
        self._is_outgrown = True
        self._hint()


def _is_noise(name: str) -> bool:
    """Whether nobody reads it: it is hidden, a tool's or a database's, or compiled. Two dots are a ConfigMap's."""
    return name == "__pycache__" or (name.startswith(".") and not name.startswith(".."))


def _below(roots: Sequence[str]) -> Iterator[str]:
    """The folders that may be read, and those in them, each once.

    A folder is opened, answered, to be watched, and only then listed, so that what comes later tells of itself.
    """
    waiting, seen = list(reversed(roots)), set[tuple[int, int]]()
    while waiting and len(seen) < MOST_FOLDERS:
        folder = waiting.pop()
        with suppress(OSError), os.scandir(folder) as entries:
            found = os.stat(folder)  # noqa: PTH116 - of hundreds
            if (identity := (found.st_dev, found.st_ino)) not in seen:
                seen.add(identity)
                yield folder
                waiting += [each.path for each in entries if _is_folder(each)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False) and not _is_noise(entry.name)
