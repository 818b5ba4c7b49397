"""A real daemon by a clock of the test's own: `python stepped_daemon.py CLOCK` watches `conf.d`.

The file CLOCK holds a moment in ISO 8601. From when the daemon reads it, its clock goes on from there; a test that
writes another moment has set the clock, forward or back.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

from tasker.clock import Clock
from tasker.daemon.loop import Daemon, Watching
from tasker.logs import JsonLog, Output
from tasker.settings import Settings


class SteppedClock:
    """Goes on from the moment that a file holds."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._set_to = ""
        self._base = datetime.now().astimezone()
        self._since = 0.0

    def now(self) -> datetime:
        """The moment, in UTC."""
        told = self._file.read_text()
        if told != self._set_to:
            self._set_to, self._base, self._since = told, datetime.fromisoformat(told), time.monotonic()
        return self._base + timedelta(seconds=time.monotonic() - self._since)


def main() -> int:
    clock = SteppedClock(Path(sys.argv[1]))
    log = JsonLog(Output(os.dup(1)))
    watching = Watching(folder=Path("conf.d"), state=Path(".tasker"), history=Path(".tasker"))
    return Daemon(watching, Settings(grace_s=1), log.observe, clock=Clock(now=clock.now)).run()


if __name__ == "__main__":
    sys.exit(main())
