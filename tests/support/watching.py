"""A watcher at work: what it has told, surveyed as the daemon does it, and something to wait on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasker.watching.survey import changes, survey
from tasker.watching.watcher import Watcher

PATIENCE_S = 60.0
"""How long a busy machine may take for what usually takes a moment."""


class Watching:
    """Counts the calls of a watcher, and gathers what surveys then find to have changed."""

    def __init__(self, conf: Path, tasks: Sequence[Path] = (), **options: Any) -> None:
        self.conf = conf
        self.tasks = tasks
        self.calls = 0
        self.changed: set[str] = set()
        self.troubles: list[str] = []
        self.survey = survey(conf, tasks)
        self._told = threading.Condition()
        self.watcher = Watcher([conf, *tasks], self.look, troubled=self.trouble, **options)

    def look(self) -> None:
        """What a daemon does when something may have changed."""
        now = survey(self.conf, self.tasks, self.survey)
        with self._told:
            self.calls += 1
            self.changed |= changes(self.survey, now)
            self.survey = now
            self._told.notify_all()

    def trouble(self, words: str) -> None:
        """Keep what a person would be told."""
        with self._told:
            self.troubles.append(words)
            self._told.notify_all()

    def wait_until(self, holds: Callable[[], object]) -> None:
        """Wait until it holds, asking after each word of the watcher's and now and then."""
        end = time.monotonic() + PATIENCE_S
        with self._told:
            while not holds():
                assert time.monotonic() < end, "it never came to hold"
                self._told.wait(0.02)

    def wait_for(self, *paths: Path) -> None:
        """Wait until these have been found to have changed; then they count as not having."""
        wanted = set(map(str, paths))
        self.wait_until(lambda: wanted <= self.changed)
        self.changed -= wanted

    def wait_for_calls(self, count: int) -> None:
        """Wait until it was told at least so often."""
        self.wait_until(lambda: self.calls >= count)

    def wait_for_trouble(self) -> str:
        """Wait for the next words of trouble."""
        self.wait_until(lambda: self.troubles)
        return self.troubles.pop(0)

    def knows(self, *paths: Path) -> bool:
        """Whether these were last found as they are now."""
        now = survey(self.conf, self.tasks).files
        return all(self.survey.files.get(str(path)) == now.get(str(path)) for path in paths)


@contextmanager
def watching(conf: Path, tasks: Sequence[Path] = (), **options: Any) -> Iterator[Watching]:
    """Watch for as long as the block lasts."""
    at_work = Watching(conf, tasks, **options)
    at_work.watcher.start()
    try:
        yield at_work
    finally:
        at_work.watcher.stop()
