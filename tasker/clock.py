"""Time as an argument: what the wall says, and what has passed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """Where the time comes from."""

    now: Callable[[], datetime] = _now
    """The moment, in UTC."""
    monotonic: Callable[[], float] = time.monotonic
    """Seconds since some moment, never set back."""
