"""Folders, and all below them, watched by watchdog: it hints that something happened, and does not say what."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from watchdog.events import (
    EVENT_TYPE_CREATED,
    EVENT_TYPE_MOVED,
    DirAttribEvent,
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.utils import BaseThread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_EVENTS: list[type[FileSystemEvent]] = [
    DirAttribEvent,
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
]
"""Not that a file was read, which whoever looks after a hint does; nor that a folder holds another file by now."""


class Inotify:
    """The watch over some folders, as long as it holds. Raises `OSError` where the system has no room for it."""

    def __init__(self, folders: Sequence[str], hint: Callable[[], None]) -> None:
        before = set(threading.enumerate())
        self._observer = Observer()
        self._observer.start()
        self._handlers = [_Handler(folder, hint) for folder in folders]
        try:
            self._watch()
        except BaseException:
            self.stop()
            raise
        self._threads = [each for each in set(threading.enumerate()) - before if isinstance(each, BaseThread)]

    def is_whole(self) -> bool:
        """Whether it still sees everything: a thread of watchdog's ends with its folder, or by a mishap."""
        try:
            if any(handler.has_grown() for handler in self._handlers):
                self._try_for_room()
        except OSError:
            return False
        return all(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """End the watch, and its threads."""
        self._observer.stop()
        self._observer.join()

    def _watch(self) -> None:
        for handler in self._handlers:
            # What is gone by now is no longer to be watched.
            with suppress(FileNotFoundError, NotADirectoryError):
                self._observer.schedule(handler, handler.folder, recursive=True, event_filter=_EVENTS)
        self._try_for_room()

    def _try_for_room(self) -> None:
        """Raise `OSError` where one more folder could not be watched: of folders in folders watchdog tells nobody."""
        self._observer.unschedule(self._observer.schedule(FileSystemEventHandler(), "/", event_filter=_EVENTS[:1]))


class _Handler(FileSystemEventHandler):
    """Makes hints of watchdog's events in one folder."""

    def __init__(self, folder: str, hint: Callable[[], None]) -> None:
        self.folder = folder
        self._hint = hint
        self._grown = False

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Pass it on, unless it is about what nobody reads: a tool's notes, a cache, a database that is at work."""
        if event.is_directory and event.event_type in (EVENT_TYPE_CREATED, EVENT_TYPE_MOVED):
            self._grown = True
        paths = [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]
        if not all(map(self._is_noise, paths)):
            self._hint()

    def has_grown(self) -> bool:
        """Whether there are folders in it that were not there when this was last asked."""
        grown, self._grown = self._grown, False
        return grown

    def _is_noise(self, path: str) -> bool:
        """Whether it is hidden, or compiled; two dots are a ConfigMap's."""
        names = path.removeprefix(self.folder).split("/")
        return any(name == "__pycache__" or (name.startswith(".") and not name.startswith("..")) for name in names)
