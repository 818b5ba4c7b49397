"""How the daemon stands, at one moment: what its probes and its metrics tell beside what happened."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tasker.faults import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonState:
    """How the daemon stands. Its loop makes a new one, and never changes what it has given away."""

    turned_at: float
    """When the main loop last turned, in monotonic seconds of `time.monotonic`."""
    ready: bool = False
    """Whether the first validation is over."""
    stopping: bool = False
    invalid: Mapping[str, tuple[Fault, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """The faults of each file that is not valid as it stands, conf files and modules of tasks."""
    runs_on: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """By invalid file whose last good version stays scheduled: its revision, or how many instances it has."""
    troubles: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What does not work, by what it is (`history`, `watch`, `log`), and why. The names are few and fixed."""
    waiting: int = 0
    """Runs that wait for room."""
    running: int = 0
    """Runs that are under way."""
    polling: bool = False
    """Whether changes are found by polling, since the file system does not tell of them."""
    log_dropped: int = 0
    """Lines of the log that were dropped so far: `QueuedOutput.dropped`."""

    @property
    def is_ready(self) -> bool:
        """Whether it does all that it is for."""
        return self.ready and not self.stopping
