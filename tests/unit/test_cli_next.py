"""How the coming slots are told, in the nights in which clocks are changed above all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from tasker.cli.next import clock_change, slots
from tasker.cli.reporting import report_unscheduled
from tasker.pipeline import Pipeline, Schedule
from tasker.scheduling.timetable import Timetable


def notes(cron: str, after: datetime, *, zone: str = "Europe/Berlin", count: int = 4) -> list[str]:
    """What is said of the first slots after a moment, each behind its time of day."""
    timetable = Timetable.of(Schedule(cron=(cron,), timezone=zone))
    told: list[str] = []
    slot = timetable.next(after)
    while slot is not None and len(told) < count:
        local = slot.astimezone(timetable.zone)
        told.append(f"{local:%H:%M} {clock_change(timetable, local)}".rstrip())
        slot = timetable.next(slot)
    return told


FORWARD = datetime(2027, 3, 28, tzinfo=UTC)
"""An hour before 02:00 becomes 03:00 in Berlin."""
BACK = datetime(2026, 10, 24, 23, 30, tzinfo=UTC)
"""An hour and a half before 03:00 becomes 02:00 again in Berlin."""


def test_a_time_that_is_skipped_is_told_where_its_slot_is_moved_to() -> None:
    assert notes("30 2 * * *", FORWARD, count=2) == ["03:00 for 02:30, which is skipped: clocks go forward", "02:30"]


def test_a_slot_that_is_where_it_belongs_says_nothing_of_the_gap_before_it() -> None:
    assert notes("0 * * * *", FORWARD, count=3) == ["03:00", "04:00", "05:00"]
    assert notes("0 3 * * *", FORWARD, count=1) == ["03:00"]


def test_of_a_time_that_comes_twice_it_is_told_which_of_the_two_it_is() -> None:
    assert notes("30 * * * *", BACK) == [
        "02:30 the first of two 02:30: clocks go back",
        "02:30 the second of two 02:30: clocks go back",
        "03:30",
        "04:30",
    ]


def test_where_clocks_are_changed_by_half_an_hour_it_is_told_too() -> None:
    before = datetime(2026, 10, 3, 15, tzinfo=UTC)
    (note,) = notes("15 2 * * *", before, zone="Australia/Lord_Howe", count=1)
    assert note == "02:30 for 02:15, which is skipped: clocks go forward"


def test_where_clocks_are_never_changed_nothing_is_told() -> None:
    assert notes("*/5 * * * *", FORWARD, zone="UTC", count=1000) == [
        f"{FORWARD + timedelta(minutes=5 * number):%H:%M}" for number in range(1, 1001)
    ]


def test_a_slot_is_told_in_both_times() -> None:
    schedule = Schedule(cron=("15 2 * * *",), timezone="Australia/Sydney", jitter=timedelta(seconds=30))
    pipeline = Pipeline(name="crm", steps=(), schedule=schedule, file="conf.d/crm.conf")
    (told,) = islice(slots(pipeline, datetime(2026, 11, 21, 12, tzinfo=UTC)), 1)
    assert told == {
        "slot": "2026-11-21T15:15:00Z",
        "local": "2026-11-22T02:15:00+11:00",
        "timezone": "Australia/Sydney",
        "pipeline": "crm",
        "file": "conf.d/crm.conf",
        "jitter_s": 30.0,
    }


@pytest.mark.parametrize("schedule", [None, Schedule(cron=("0 0 30 2 *",))])
def test_what_never_comes_due_has_no_slots(schedule: Schedule | None) -> None:
    assert list(slots(Pipeline(name="p", steps=(), schedule=schedule), FORWARD)) == []


def test_pipelines_without_a_schedule_are_named_and_instances_of_a_file_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report_unscheduled(["scans/crm", "by-hand", "scans/erp", "one/hr"])
    assert capsys.readouterr().err == "tasker: 4 pipelines have no schedule: scans (2 instances), by-hand, one/hr\n"
