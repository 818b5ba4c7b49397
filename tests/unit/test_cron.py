from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasker.scheduling.cron import Cron, CronError, UnknownTimezoneError, timezone

SYDNEY = ZoneInfo("Australia/Sydney")
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def following(expression: str, after: datetime, zone: ZoneInfo = SYDNEY, count: int = 1) -> list[str]:
    """The next slots, in the zone's own time."""
    slots, cron = [], Cron.parse(expression)
    for _ in range(count):
        due = cron.next(after, zone)
        assert due is not None
        slots.append(f"{due:%Y-%m-%d %H:%M:%S %z}")
        after = due
    return slots


@pytest.mark.parametrize(
    ("expression", "slot"),
    [
        ("15 2 * * 1-5", "2026-01-02 02:15:00 +1100"),
        ("*/20 * * * *", "2026-01-01 11:20:00 +1100"),
        ("30 */10 * * * *", "2026-01-01 11:00:30 +1100"),
        ("0 0 29 2 *", "2028-02-29 00:00:00 +1100"),
        ("0 0 L * *", "2026-01-31 00:00:00 +1100"),
        ("0 9 * jan FRI#2", "2026-01-09 09:00:00 +1100"),
        ("0 0 13 * 5", "2026-01-02 00:00:00 +1100"),
        ("@hourly", "2026-01-01 12:00:00 +1100"),
        ("@daily", "2026-01-02 00:00:00 +1100"),
        ("@midnight", "2026-01-02 00:00:00 +1100"),
        ("@weekly", "2026-01-04 00:00:00 +1100"),
        (" @monthly ", "2026-02-01 00:00:00 +1100"),
        ("@yearly", "2027-01-01 00:00:00 +1100"),
        ("@annually", "2027-01-01 00:00:00 +1100"),
    ],
)
def test_the_next_slot_is_told_in_the_time_of_the_zone(expression: str, slot: str) -> None:
    assert following(expression, NEW_YEAR) == [slot]


def test_a_slot_in_the_hour_that_is_left_out_comes_when_the_hour_is_over() -> None:
    before = datetime(2026, 10, 3, 12, tzinfo=SYDNEY)
    assert following("30 2 * * *", before, count=2) == ["2026-10-04 03:00:00 +1100", "2026-10-05 02:30:00 +1100"]


def test_a_slot_in_the_hour_that_comes_twice_comes_once() -> None:
    before = datetime(2026, 4, 4, 12, tzinfo=SYDNEY)
    assert following("30 2 * * *", before, count=2) == ["2026-04-05 02:30:00 +1100", "2026-04-06 02:30:00 +1000"]


def test_in_the_second_of_two_equal_hours_the_slot_of_the_first_is_over() -> None:
    second = datetime(2026, 4, 5, 2, 15, fold=1, tzinfo=SYDNEY)
    assert following("30 2 * * *", second) == ["2026-04-06 02:30:00 +1000"]


def test_a_time_of_the_day_with_seconds_follows_the_same_rules() -> None:
    assert following("30 30 2 * * *", datetime(2026, 10, 3, 12, tzinfo=SYDNEY)) == ["2026-10-04 03:00:00 +1100"]
    before = datetime(2026, 4, 4, 12, tzinfo=SYDNEY)
    assert following("30 30 2 * * *", before, count=2) == ["2026-04-05 02:30:30 +1100", "2026-04-06 02:30:30 +1000"]


def test_times_that_the_clock_leaves_out_are_one_slot() -> None:
    before = datetime(2026, 10, 3, 12, tzinfo=SYDNEY)
    assert following("0,30 2,3 * * *", before, count=2) == ["2026-10-04 03:00:00 +1100", "2026-10-04 03:30:00 +1100"]


def test_what_is_due_every_so_often_follows_the_clock_through_the_hour_that_comes_twice() -> None:
    before = datetime(2026, 4, 5, 1, 59, tzinfo=SYDNEY)
    assert following("*/30 2 * * *", before, count=4) == [
        "2026-04-05 02:00:00 +1100",
        "2026-04-05 02:30:00 +1100",
        "2026-04-05 02:00:00 +1000",
        "2026-04-05 02:30:00 +1000",
    ]


def test_a_clock_that_is_changed_by_half_an_hour_loses_no_slot() -> None:
    zone = ZoneInfo("Australia/Lord_Howe")
    before = datetime(2026, 4, 4, 12, tzinfo=zone)
    assert following("*/20 2 * * *", before, zone) == ["2026-04-05 02:00:00 +1030"]


def test_a_clock_that_is_changed_at_midnight_loses_no_slot() -> None:
    zone = ZoneInfo("Atlantic/Azores")
    before = datetime(2026, 3, 28, 23, 59, tzinfo=zone)
    assert following("* 1 * * *", before, zone) == ["2026-03-29 01:00:00 +0000"]


@pytest.mark.parametrize("expression", ["0 0 31 2 *", "0 0 30,31 2 *", "0 0 0 31 4,6 *"])
def test_what_never_comes_due_has_no_slot(expression: str) -> None:
    assert Cron.parse(expression).next(NEW_YEAR, SYDNEY) is None


def test_nothing_is_due_after_the_last_year() -> None:
    assert Cron.parse("@yearly").next(datetime(9999, 6, 1, tzinfo=UTC), ZoneInfo("UTC")) is None


@pytest.mark.parametrize(
    ("expression", "reason", "offset", "length"),
    [
        ("61 * * * *", "the minute '61' cannot be read", 0, 2),
        ("* 24 * * *", "the hour '24' cannot be read", 2, 2),
        ("0  0 5-1 * *", "the day of month '5-1' cannot be read", 5, 3),
        ("0 0 * 13 *", "the month '13' cannot be read", 6, 2),
        ("0 0 * * MONDAY", "the day of week 'MONDAY' cannot be read", 8, 6),
        ("99 0 0 * * *", "the second '99' cannot be read", 0, 2),
        ("*/0 * * * *", "the minute '*/0' cannot be read", 0, 3),
        ("5,,6 * * * *", "the minute '5,,6' cannot be read", 0, 4),
        ("* * *", "a cron expression has five fields, or six that begin with seconds, not 3", 0, 5),
        ("", "a cron expression has five fields, or six that begin with seconds, not 0", 0, 1),
        (" @dayly", "no cron expression is named '@dayly'", 1, 6),
        ("@reboot", "no cron expression is named '@reboot'", 0, 7),
        ("*" * 501, "a cron expression has at most 500 characters", 0, 501),
    ],
)
def test_the_field_that_is_wrong_is_pointed_at(expression: str, reason: str, offset: int, length: int) -> None:
    with pytest.raises(CronError) as caught:
        Cron.parse(expression)
    assert (str(caught.value), caught.value.offset, caught.value.length) == (reason, offset, length)
    assert caught.value.hint


def test_a_misspelt_shorthand_is_told_its_neighbour() -> None:
    with pytest.raises(CronError) as caught:
        Cron.parse("@dayly")
    assert caught.value.hint == "did you mean @daily?"


@given(st.text("0123456789*/,-#LW SUNjan", max_size=40))
@settings(max_examples=300)
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    try:
        due = Cron.parse(text).next(NEW_YEAR, ZoneInfo("UTC"))
    except CronError as error:
        begin, end = error.offset, error.offset + error.length
    else:
        begin, end = 0, len(text)
        assert due is None or due > NEW_YEAR
    assert 0 <= begin < end <= max(1, len(text))


@given(
    st.sampled_from(["30 2 * * *", "0 2,3 * * *", "*/7 1-3 * * 0", "0 */2 * * *", "59 1 5 4 *", "15 30 2 * * *"]),
    st.integers(0, 10 * 365 * 24 * 60).map(lambda minutes: NEW_YEAR + timedelta(minutes=minutes)),
)
@settings(max_examples=150)
def test_slots_come_later_and_later(expression: str, after: datetime) -> None:
    cron = Cron.parse(expression)
    first = cron.next(after, SYDNEY)
    assert first is not None
    second = cron.next(first, SYDNEY)
    assert second is not None
    assert after < first.astimezone(UTC) < second.astimezone(UTC)
    assert cron.next(first.astimezone(UTC) - timedelta(seconds=1), SYDNEY) == first


def test_a_zone_is_known_by_its_name() -> None:
    assert timezone("Australia/Sydney") == SYDNEY


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Australia/Sidney", "did you mean 'Australia/Sydney'?"),
        ("sydney", "did you mean 'Australia/Sydney'?"),
        ("Australia", "names are like Australia/Sydney and UTC"),
        ("", "names are like Australia/Sydney and UTC"),
        ("../../etc/passwd", "names are like Australia/Sydney and UTC"),
        ("/etc/passwd", "names are like Australia/Sydney and UTC"),
        ("x\0y", "names are like Australia/Sydney and UTC"),
        ("y" * 5000, "names are like Australia/Sydney and UTC"),
    ],
)
def test_an_unknown_zone_is_told_its_neighbour(name: str, hint: str) -> None:
    with pytest.raises(UnknownTimezoneError) as caught:
        timezone(name)
    assert caught.value.hint == hint
    assert str(caught.value).startswith("no time zone is named ")
