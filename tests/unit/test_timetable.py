"""The slots of a schedule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from tasker.pipeline import Schedule
from tasker.scheduling.timetable import Timetable

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def timetable(*cron: str, timezone: str = "UTC") -> Timetable:
    return Timetable.of(Schedule(cron=cron, timezone=timezone))


def slots(table: Timetable, after: datetime, count: int) -> list[datetime]:
    found = []
    for _ in range(count):
        slot = table.next(after)
        assert slot is not None
        found.append(after := slot)
    return found


def test_of_several_expressions_every_slot_comes_once_and_in_order() -> None:
    found = slots(timetable("*/20 * * * *", "*/30 * * * *"), NOON, 5)
    assert [slot.minute for slot in found] == [20, 30, 40, 0, 20]


def test_slots_follow_the_clocks_of_the_schedule_s_zone_and_are_told_in_utc() -> None:
    (slot,) = slots(timetable("15 2 * * *", timezone="Australia/Sydney"), NOON, 1)
    assert slot == datetime(2026, 11, 23, 2, 15, tzinfo=ZoneInfo("Australia/Sydney"))
    assert slot.tzinfo is UTC


def test_both_of_the_hours_that_come_twice_have_the_slots_of_an_interval_in_the_order_of_time() -> None:
    table = timetable("*/30 * * * *", timezone="Europe/Berlin")
    found = slots(table, datetime(2026, 10, 24, 23, 45, tzinfo=UTC), 8)
    assert all(later - earlier == timedelta(minutes=30) for earlier, later in pairwise(found))


def test_a_stretch_holds_its_end_and_not_its_beginning() -> None:
    backlog = timetable("0 * * * *").between(NOON, NOON + timedelta(hours=3))
    assert [slot.hour for slot in backlog.slots] == [13, 14, 15]
    assert backlog.before is None


def test_a_stretch_that_has_not_begun_has_no_slots() -> None:
    assert timetable("* * * * *").between(NOON, NOON - timedelta(hours=1)).slots == ()


def test_of_a_month_of_seconds_only_the_latest_are_told_and_from_when_on() -> None:
    until = NOON + timedelta(days=30)
    backlog = timetable("* * * * * *").between(NOON, until)
    assert backlog.before == until - timedelta(hours=1)
    assert backlog.slots[0] == backlog.before + timedelta(seconds=1)
    assert backlog.slots[-1] == until
    assert len(backlog.slots) == 3600


@settings(max_examples=25)  # the longest of them have thousands of slots
@given(hours=st.integers(0, 24 * 40), minutes=st.sampled_from(["0", "0,30", "*/7", "*"]))
def test_a_stretch_of_any_length_ends_with_the_same_slots(hours: int, minutes: str) -> None:
    table = timetable(f"{minutes} */2 * * *")
    backlog = table.between(NOON, NOON + timedelta(hours=hours))
    start = backlog.before or NOON
    assert list(backlog.slots) == [
        slot for slot in slots(table, start, len(backlog.slots) + 1) if slot <= NOON + timedelta(hours=hours)
    ]
