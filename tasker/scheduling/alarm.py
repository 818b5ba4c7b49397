"""APScheduler, as the clock that wakes: it rings when a slot has come, and knows nothing of what becomes of it.

Not to be confused with `scheduler`, which decides that. APScheduler's own cron trigger is not used: it counts days of
the week from Monday, and joins them with days of the month by AND.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apscheduler.executors.base import BaseExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.date import DateTrigger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from tasker.scheduling.timetable import Timetable

_MOMENT = ""
"""The id of the alarm that is of no pipeline; no pipeline has an empty name."""


class SlotTrigger(BaseTrigger):  # type: ignore[misc]  # it ships no types
    """Fires at the slots of a timetable."""

    def __init__(self, timetable: Timetable) -> None:
        self._timetable = timetable

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """The next slot to wake for: those that have passed unheard are for the scheduler to find."""
        return self._timetable.next(max(previous_fire_time or now, now))


class _Bell(BaseExecutor):  # type: ignore[misc]
    """Rings in place of running anything."""

    def __init__(self, ring: Callable[[], None]) -> None:
        super().__init__()
        self._ring = ring

    def _do_submit_job(self, job: Any, _run_times: Sequence[datetime]) -> None:
        self._ring()
        self._run_job_success(job.id, [])


class Alarm:
    """Rings at every slot of the pipelines it was told of, and at one moment besides."""

    def __init__(self, ring: Callable[[], None]) -> None:
        """Call `ring` in a thread of APScheduler's."""
        self._scheduler = BackgroundScheduler(
            timezone="UTC",
            executors={"default": _Bell(ring)},
            job_defaults={"misfire_grace_time": None, "coalesce": True},
        )
        self._moment: datetime | None = None

    def start(self) -> None:
        """Begin to ring."""
        self._scheduler.start()

    def put(self, name: str, timetable: Timetable) -> None:
        """Ring at the slots of this pipeline from now on."""
        self._scheduler.add_job(_nothing, SlotTrigger(timetable), id=name, replace_existing=True)

    def remove(self, name: str) -> None:
        """Ring for this pipeline no longer."""
        try:
            self._scheduler.remove_job(name)
        except JobLookupError:
            return  # its last slot has come

    def at(self, moment: datetime | None) -> None:
        """Ring at this moment, too, in place of the one given before."""
        if moment == self._moment:
            return
        self._moment = moment
        if moment is None:
            self.remove(_MOMENT)
        else:
            self._scheduler.add_job(_nothing, DateTrigger(moment), id=_MOMENT, replace_existing=True)

    def reset(self) -> None:
        """Look at the clock anew: it has been set."""
        for job in self._scheduler.get_jobs():
            job.reschedule(job.trigger)

    def stop(self) -> None:
        """Ring no more."""
        self._scheduler.shutdown(wait=False)


def _nothing() -> None:
    """What APScheduler is told to run, and the bell does not."""
