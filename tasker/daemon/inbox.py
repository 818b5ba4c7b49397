"""Where threads and signal handlers leave things for the main loop, which waits on it with a selector."""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

_Item = TypeVar("_Item")


class Inbox(Generic[_Item]):
    """A queue with a descriptor: from any thread in, in order; out in one."""

    def __init__(self) -> None:
        self._items: deque[_Item] = deque()
        self._read, self._write = os.pipe()
        self._closed = False
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def post(self, item: _Item) -> None:
        """Leave something. It takes no lock, so a signal handler may. Once it is closed, nobody hears of it."""
        if self._closed:
            return
        self._items.append(item)
        with suppress(BlockingIOError):  # a full pipe wakes as well as another byte would
            os.write(self._write, b"!")

    def fileno(self) -> int:
        """The descriptor that is readable while something may be there."""
        return self._read

    def take(self) -> Iterator[_Item]:
        """What is there."""
        with suppress(BlockingIOError):
            os.read(self._read, 4096)
        for _ in range(len(self._items)):
            yield self._items.popleft()

    def close(self) -> None:
        """Let go of the descriptors."""
        self._closed = True
        os.close(self._read)
        os.close(self._write)
