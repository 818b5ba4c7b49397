"""Something may have changed in these folders: told soon, seldom, and without fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

Mode = Literal["inotify", "poll"]


class Watcher:
    """Watches folders, those that are not there yet included, and says when it is worth a `survey`.

    `changed()` is called in the watcher's own thread, soon after an edit, every minute, and in poll mode every
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
    ) -> None:
        raise NotImplementedError

    @property
    def mode(self) -> Mode:
        """How it watches; known after `start()`, and may turn to `poll` later."""
        raise NotImplementedError

    @property
    def reason(self) -> str:
        """Why in this mode, in words."""
        raise NotImplementedError

    def start(self) -> None:
        """Begin. What changes from here on is told."""
        raise NotImplementedError

    def stop(self) -> None:
        """End; waits for a call of `changed()` that is under way, and nothing is called after it."""
        raise NotImplementedError
