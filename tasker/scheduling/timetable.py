"""The slots of a schedule: pure, and without a clock.

Not to be confused with `cron`, which knows one expression, nor with `scheduler`, which says what becomes of a slot.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from heapq import merge
from itertools import groupby, islice, takewhile
from typing import TYPE_CHECKING

from tasker.scheduling.cron import Cron, timezone

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from tasker.pipeline import Schedule

_MOST = 4000
"""Slots of a stretch of time that are told one by one: more than an hour has seconds."""
_FIRST_LOOK = timedelta(hours=1)
"""How far back to look at first for the latest slots before a moment; each further look goes eight times as far."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """The slots of some stretch of time, the latest of them one by one."""

    slots: tuple[datetime, ...]
    """In order."""
    before: datetime | None = None
    """Where there were too many: the moment from which on they are told one by one."""


@dataclass(frozen=True, slots=True)
class Timetable:
    """When a pipeline is due."""

    crons: tuple[Cron, ...]
    zone: ZoneInfo

    @classmethod
    def of(cls, schedule: Schedule) -> Timetable:
        """The timetable of a valid schedule."""
        return cls(tuple(map(Cron.parse, schedule.cron)), timezone(schedule.timezone))

    def next(self, after: datetime) -> datetime | None:
        """The first slot later than `after`, an aware moment; in UTC, where no hour comes twice. `None`: none comes."""
        found = (cron.next(after, self.zone) for cron in self.crons)
        return min((slot.astimezone(UTC) for slot in found if slot is not None), default=None)

    def between(self, after: datetime, until: datetime) -> Backlog:
        """The slots later than `after` up to `until`: where there are a great many, only the latest of them."""
        found: list[datetime] = []
        start, look = until, _FIRST_LOOK
        while start > after:
            earlier = max(after, until - look)
            slots = self._first(earlier, until)
            while len(slots) > _MOST and not found:
                # They came close together, and then none for long.
                earlier += (start - earlier) / 2
                slots = self._first(earlier, until)
            if len(slots) > _MOST:
                return Backlog(tuple(found), before=start)
            found, start, look = slots, earlier, look * 8
        return Backlog(tuple(found))

    def _first(self, after: datetime, until: datetime) -> list[datetime]:
        """The first slots of a stretch, one more than `_MOST` where there are more."""
        each = ((slot.astimezone(UTC) for slot in cron.moments(after, self.zone)) for cron in self.crons)
        once = (slot for slot, _ in groupby(merge(*each)))
        return list(islice(takewhile(lambda slot: slot <= until, once), _MOST + 1))
