"""`tasker once --on-schedule`: whoever starts a pipeline by a schedule of its own, as a CronJob does, is to say which.

Where the file has another one, one of both has been edited alone. Where a daemon keeps the schedules of the files, a
file that has any would run twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasker.cli.reporting import scheduled_at
from tasker.errors import UsageError
from tasker.faults import Fault
from tasker.scheduling.cron import CronError
from tasker.scheduling.cronjobs import is_said_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tasker.pipeline import Schedule
    from tasker.project import Loaded

_NONE = "none"


def disagreements(said: str, loaded: Iterable[Loaded]) -> Iterator[Fault]:
    """A fault for each schedule that is not the one by which its pipeline was started. Raises `UsageError`."""
    found = (
        _fault(each, said)
        for each in loaded
        if each.pipeline is not None and each.pipeline.schedule is not None and not _agree(said, each.pipeline.schedule)
    )
    yield from dict.fromkeys(found)


def _agree(said: str, schedule: Schedule) -> bool:
    if said == _NONE:
        return False
    cron, _, timezone = said.rpartition(" ")
    try:
        return is_said_by(cron, timezone, schedule)
    except CronError as error:
        message = f"--on-schedule {said!r}: {error}; write an expression and a time zone, as in '15 2 * * 1-5 UTC'"
        raise UsageError(message) from None


def _fault(loaded: Loaded, said: str) -> Fault:
    if said == _NONE:
        message = "the daemon runs this by its schedule, and whoever has started it now would run it twice"
        hint = "leave the schedule out, and to the CronJob; or leave the CronJob out"
    else:
        message = f"what has started this goes by '{said}', and the file does not"
        hint = "export the schedules again: tasker export cronjobs"
    return Fault("cronjob-differs", scheduled_at(loaded), message, hint)
