"""Whether a pipeline's work did not happen when it should have: pure, and without a clock.

Not to be confused with a late slot, whose run has started after its time, and may be done in time all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

TOLERANCE = timedelta(minutes=1)
"""What everything may take longer than it should: waking, validating, waiting for a place."""
LONGEST_WAIT = timedelta(days=1)
"""How long a slot's work is waited for at most where the next slot is further away: nobody waits for a month."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What has become of a pipeline's slots so far."""

    since: datetime
    """When its schedule took effect: earlier slots are none of its."""
    succeeded_at: datetime | None = None
    """When a run last ended well."""
    decided: datetime | None = None
    """The latest slot of which something became, be it that its run waits."""
    bad_end: str | None = None
    """What last went wrong, in words, where nothing has succeeded since."""
    busy: bool = False
    """Whether a run is under way, or waits for its turn."""

    def decide(self, slot: datetime) -> Standing:
        """The standing once something became of a slot; of an earlier one than before, it is the same."""
        return self if self.decided is not None and slot <= self.decided else replace(self, decided=slot)

    def succeed(self, at: datetime) -> Standing:
        """The standing once a run ended well."""
        return replace(self, succeeded_at=at, bad_end=None)


class Expectation:
    """What a schedule lets one expect of a pipeline."""

    def __init__(
        self,
        next_slot: Callable[[datetime], datetime | None],
        *,
        jitter: timedelta = timedelta(),
        timeout: timedelta | None = None,
    ) -> None:
        """Take the timetable's `next`, and how long a run may take, where that is limited."""
        # One scrape asks the same as the one before, and cron expressions are slow to answer.
        self._next = lru_cache(maxsize=4)(next_slot)
        self._tolerance = TOLERANCE + jitter
        self._timeout = timeout or timedelta()

    def overdue(self, standing: Standing, now: datetime) -> str | None:
        """Why the pipeline is overdue, in words; `None` where it is not."""
        if standing.bad_end is not None and not standing.busy:
            return f"{standing.bad_end}, and nothing has succeeded since"
        return self._undecided(standing, now) or self._undone(standing, now)

    def _undecided(self, standing: Standing, now: datetime) -> str | None:
        """Whether a slot is over its time, and nothing became of it."""
        slot = self._next(_later(standing.since, standing.decided))
        if slot is None or now <= slot + self._tolerance:
            return None
        return f"nothing has become of its slot of {_told(slot)}"

    def _undone(self, standing: Standing, now: datetime) -> str | None:
        """Whether the first slot since the last success has had its time, up to the next one, without another."""
        slot = self._next(_later(standing.since, standing.succeeded_at))
        if slot is None:
            return None
        following = self._next(slot)
        until_next = LONGEST_WAIT if following is None else min(following - slot, LONGEST_WAIT)
        if now <= slot + max(until_next, self._timeout) + self._tolerance:
            return None
        return f"nothing has succeeded since its slot of {_told(slot)}"


def _later(moment: datetime, other: datetime | None) -> datetime:
    return moment if other is None else max(moment, other)


def _told(slot: datetime) -> str:
    return slot.isoformat(timespec="seconds").replace("+00:00", "Z")
