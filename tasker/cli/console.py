"""What the daemon does, as people read it on a terminal: one line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasker.facts import Level

if TYPE_CHECKING:
    from tasker.facts import Fact
    from tasker.logs import Output, QueuedOutput


class ConsoleLog:
    """Writes a line for people for each fact, as `JsonLog` does for machines."""

    def __init__(self, stream: Output | QueuedOutput, *, level: Level = Level.INFO, colour: bool = False) -> None:
        """Write what is of `level` or above to `stream`."""

    def observe(self, fact: Fact) -> None:
        """Tell of a fact, where it is one for people."""
