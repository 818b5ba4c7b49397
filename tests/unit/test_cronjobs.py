"""What a CronJob makes of a schedule, and where it cannot mean the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support import kubernetes_cron

from tasker.pipeline import Catchup, Overlap, Schedule
from tasker.scheduling.cron import CronError
from tasker.scheduling.cronjobs import differences, timing
from tasker.scheduling.timetable import Timetable

NOW = datetime(2026, 11, 23, tzinfo=UTC)
SHORT = timedelta(seconds=30)
"""A timeout that no slot comes within."""


def schedule(*cron: str, **more: Any) -> Schedule:
    return Schedule(cron=cron, **more)


def different(given: Schedule, timeout: timedelta | None = SHORT) -> list[str]:
    return [each.key for each in differences(given, timeout=timeout, now=NOW)]


def said(given: Schedule) -> str:
    (difference,) = differences(given, timeout=SHORT, now=NOW)
    assert difference.hint
    return difference.message


@pytest.mark.parametrize(
    ("written", "comes_to"),
    [
        ("15 2 * * 1-5", "15 2 * * 1-5"),
        ("*/5 0-6/2,22 1 JAN-MAR,12 mon", "*/5 0-6/2,22 1 JAN-MAR,12 MON"),
        ("@daily", "0 0 * * *"),
        ("0 30 4 * * *", "30 4 * * *"),
        ("30 4 * * 7", "30 4 * * 0"),
        ("30 4 * * 5-7", "30 4 * * 0,5,6"),
        ("30 4 * * 1-7", "30 4 * * *"),
        ("30 4 * * 1/2", "30 4 * * 0,1,3,5"),
        ("30 20/2 * * *", "30 20,22 * * *"),
        ("30 20-20/2 * * *", "30 20,22 * * *"),
        ("30 4 */2 * 0-6", "30 4 */2 * *"),
        ("30 4 1-31 * 1", "30 4 * * *"),
        ("30 4 1,15 * 1", "30 4 1,15 * 1"),
    ],
)
def test_an_expression_stays_as_it_is_where_it_means_the_same_and_is_translated_where_not(
    written: str, comes_to: str
) -> None:
    assert different(schedule(written)) == []
    assert timing(schedule(written)).schedule == comes_to


@pytest.mark.parametrize(
    ("written", "because"),
    [
        ("30 0 4 * * *", "Kubernetes knows no seconds"),
        ("*/10 * * * * *", "Kubernetes knows no seconds"),
        ("0 4 L * *", "Kubernetes cannot read the day of month 'L'"),
        ("0 4 * * FRI#2", "Kubernetes cannot read the day of week 'FRI#2'"),
        ("0 4 */2 * 1", "day of month and day of week must both fit here, and in Kubernetes one of them is enough"),
    ],
)
def test_what_kubernetes_cannot_say_is_different(written: str, because: str) -> None:
    assert said(schedule(written, overlap=Overlap.ALLOW)) == because


def test_a_cronjob_has_one_expression() -> None:
    assert said(schedule("0 4 * * *", "0 16 * * *")) == "a CronJob has one expression, and here are 2"


def test_a_time_that_clocks_leave_out_is_different() -> None:
    message = said(schedule("30 2 * * *", timezone="Europe/Berlin"))
    assert message == (
        "when clocks in Europe/Berlin are changed, as on 2027-03-28, Kubernetes leaves out the slot that tasker runs"
    )


def test_a_time_that_comes_twice_is_different() -> None:
    message = said(schedule("30 1 * * *", timezone="America/New_York"))
    assert "as on 2027-11-07, Kubernetes runs twice what tasker runs once" in message


def test_times_that_no_change_of_clocks_touches_are_the_same() -> None:
    assert different(schedule("30 3 * * *", timezone="Europe/Berlin")) == []
    assert different(schedule("30 2 * * 1-5", timezone="Australia/Sydney")) == []  # it is done on Sundays
    assert different(schedule("30 2 * * *")) == []
    assert different(schedule("*/5 * * * *", timezone="Europe/Berlin")) == []


def test_a_date_on_which_clocks_are_changed_in_ten_years_only_is_found() -> None:
    assert "2037-03-29" in said(schedule("30 2 29 3 *", timezone="Europe/Berlin"))


def test_what_becomes_of_late_slots_is_told_in_seconds() -> None:
    assert timing(schedule("0 4 * * *")).deadline_s is None
    assert timing(schedule("0 4 * * *", deadline=timedelta(hours=6))).deadline_s == 6 * 3600
    assert timing(schedule("0 4 * * *", catchup=Catchup.NONE)).deadline_s == 60
    assert timing(schedule("0 4 * * *", catchup=Catchup.NONE, deadline=SHORT)).deadline_s == 30
    assert different(schedule("0 4 * * *", deadline=timedelta(seconds=9))) == ["deadline"]
    assert different(schedule("0 4 * * *", catchup=Catchup.ALL)) == ["catchup"]


def test_kubernetes_has_no_jitter_and_no_queue() -> None:
    assert different(schedule("0 4 * * *", jitter=SHORT, overlap=Overlap.QUEUE)) == ["jitter", "overlap"]


@pytest.mark.parametrize(
    ("overlap", "concurrency"), [(Overlap.SKIP, "Forbid"), (Overlap.ALLOW, "Allow"), (Overlap.REPLACE, "Replace")]
)
def test_what_overlaps_is_a_concurrency_policy(overlap: Overlap, concurrency: str) -> None:
    assert timing(schedule("0 4 * * *", overlap=overlap)).concurrency == concurrency


@pytest.mark.parametrize(
    ("timeout", "keys"), [(None, ["overlap"]), (timedelta(hours=12), ["overlap"]), (timedelta(hours=11), [])]
)
def test_a_slot_is_skipped_alike_where_no_run_lasts_until_it(timeout: timedelta | None, keys: list[str]) -> None:
    found = list(differences(schedule("0 4,16 * * *"), timeout=timeout, now=NOW))
    assert [each.key for each in found if each.bearable] == keys == [each.key for each in found]


def field(least: int, most: int, *more: str) -> st.SearchStrategy[str]:
    numbers = st.integers(least, most)
    ranges = st.tuples(numbers, numbers).map(lambda pair: f"{min(pair)}-{max(pair)}")
    items = st.one_of(numbers.map(str), ranges, st.sampled_from(["*", *more]))
    stepped = st.one_of(items, st.tuples(items, st.integers(1, 9)).map(lambda pair: f"{pair[0]}/{pair[1]}"))
    return st.lists(stepped, min_size=1, max_size=2).map(",".join)


EXPRESSIONS = st.tuples(
    field(0, 59),
    field(0, 23),
    field(1, 31, "L"),
    field(1, 12, "FEB", "MAR-NOV"),
    field(0, 7, "SUN", "MON-FRI", "FRI#2"),
).map(" ".join)
CHANGES = {
    "UTC": datetime(2027, 1, 1, tzinfo=UTC),
    "Europe/Berlin": datetime(2027, 3, 28, tzinfo=UTC),
    "America/New_York": datetime(2027, 11, 7, tzinfo=UTC),
    "Australia/Lord_Howe": datetime(2027, 10, 2, tzinfo=UTC),
}


@settings(max_examples=40)
@given(EXPRESSIONS, st.sampled_from(sorted(CHANGES)))
def test_what_is_not_different_is_due_at_the_same_moments(expression: str, timezone: str) -> None:
    try:
        given = schedule(expression, timezone=timezone, overlap=Overlap.ALLOW)
        table = Timetable.of(given)
        assume(table.next(NOW) is not None)
    except CronError:
        assume(False)
    assume(not different(given))
    after, until = CHANGES[timezone] - timedelta(days=1), CHANGES[timezone] + timedelta(days=1)
    found = kubernetes_cron.due(timing(given).schedule, after, until, ZoneInfo(timezone))
    assert list(found) == list(table.between(after, until).slots)
