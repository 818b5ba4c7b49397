"""When somebody is to be paged."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasker.monitoring.overdue import LONGEST_WAIT, TOLERANCE, Expectation, Standing
from tasker.pipeline import Schedule
from tasker.scheduling.timetable import Timetable

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SINCE = datetime(2026, 11, 20, 12, tzinfo=UTC)
SLOT = datetime(2026, 11, 21, 2, 15, tzinfo=UTC)
NEW = Standing(since=SINCE)
CLAIMED = NEW.decide(SLOT)


def expected(
    cron: str = "15 2 * * *", timeout: timedelta | None = None, jitter: timedelta = timedelta()
) -> Expectation:
    return Expectation(Timetable.of(Schedule(cron=(cron,))).next, jitter=jitter, timeout=timeout)


def test_nothing_is_overdue_before_the_first_slot() -> None:
    assert expected().overdue(NEW, SLOT) is None


def test_a_slot_of_which_nothing_becomes_is_overdue_after_a_minute() -> None:
    assert expected().overdue(NEW, SLOT + TOLERANCE) is None
    reason = expected().overdue(NEW, SLOT + TOLERANCE + timedelta(seconds=1))
    assert reason == "nothing has become of its slot of 2026-11-21T02:15:00Z"


def test_a_jitter_is_waited_for() -> None:
    assert expected(jitter=HOUR).overdue(NEW, SLOT + HOUR) is None
    assert expected(jitter=HOUR).overdue(NEW, SLOT + HOUR + 2 * TOLERANCE)


def test_a_run_has_until_the_next_slot() -> None:
    standing = replace(CLAIMED, busy=True)
    assert expected().overdue(standing, SLOT + DAY) is None
    standing = standing.decide(SLOT + DAY)
    reason = expected().overdue(standing, SLOT + DAY + 2 * TOLERANCE)
    assert reason == "nothing has succeeded since its slot of 2026-11-21T02:15:00Z"


def test_a_run_that_hangs_is_overdue_after_a_day_though_the_next_slot_is_a_month_away() -> None:
    first = datetime(2026, 12, 1, 2, tzinfo=UTC)
    standing = replace(NEW.decide(first), busy=True)
    assert expected("0 2 1 * *").overdue(standing, first + LONGEST_WAIT) is None
    assert expected("0 2 1 * *").overdue(standing, first + LONGEST_WAIT + 2 * TOLERANCE)


def test_a_run_that_may_take_longer_than_until_the_next_slot_has_that_time() -> None:
    standing = replace(NEW.decide(SINCE + 3 * HOUR), busy=True)
    assert expected("0 * * * *").overdue(standing, SINCE + 3 * HOUR)
    assert expected("0 * * * *", timeout=3 * HOUR).overdue(standing, SINCE + 3 * HOUR) is None


@pytest.mark.parametrize("bad", ["its last run failed", "its slot of 2026-11-21T02:15:00Z was missed"])
def test_what_went_wrong_is_overdue_at_once(bad: str) -> None:
    standing = replace(CLAIMED, bad_end=bad)
    assert expected().overdue(standing, SLOT + HOUR) == f"{bad}, and nothing has succeeded since"


def test_what_is_being_made_up_for_is_not_overdue() -> None:
    standing = replace(CLAIMED, bad_end="its last run was interrupted", busy=True)
    assert expected().overdue(standing, SLOT + HOUR) is None


def test_a_success_settles_everything_before_it() -> None:
    standing = replace(CLAIMED, bad_end="its last run failed").succeed(SLOT + HOUR)
    assert expected().overdue(standing, SLOT + DAY) is None


def test_nights_that_passed_while_nothing_ran_are_overdue_until_they_are_made_up_for() -> None:
    standing = replace(CLAIMED, succeeded_at=SLOT + HOUR)
    assert expected().overdue(standing, SLOT + 5 * DAY)
    assert expected().overdue(standing.decide(SLOT + 5 * DAY).succeed(SLOT + 5 * DAY + HOUR), SLOT + 6 * DAY) is None


def test_a_new_schedule_owes_nothing_of_the_time_before_it() -> None:
    standing = replace(CLAIMED, since=SLOT + 10 * DAY)
    assert expected().overdue(standing, SLOT + 10 * DAY + HOUR) is None


def test_a_schedule_that_never_comes_due_again_is_never_overdue() -> None:
    assert Expectation(lambda _after: None).overdue(NEW, SINCE + 10_000 * DAY) is None


def test_a_slot_decided_late_takes_nothing_back() -> None:
    assert CLAIMED.decide(SLOT - DAY) == CLAIMED


@given(st.integers(1, 59), st.integers(0, 7 * 24 * 60), st.integers(0, 3))
def test_whoever_succeeds_at_every_slot_in_time_is_never_overdue(every: int, minutes: int, took: int) -> None:
    now = SINCE + timedelta(minutes=minutes)
    expectation = Expectation(lambda after: _ceiling(after, every))
    last = _floor(now, every)
    standing = replace(NEW, decided=last, succeeded_at=min(now, last + timedelta(minutes=min(took, every))))
    assert expectation.overdue(standing, now) is None


@given(st.integers(1, 59), st.integers(2, 100))
def test_whoever_has_not_succeeded_for_two_slots_is_overdue_whatever_became_of_them(every: int, slots: int) -> None:
    expectation = Expectation(lambda after: _ceiling(after, every))
    now = SINCE + timedelta(minutes=every * (slots + 1)) + 2 * TOLERANCE
    standing = replace(NEW, decided=_floor(now, every), busy=True)
    assert expectation.overdue(standing, now)


def _floor(moment: datetime, every: int) -> datetime:
    return SINCE + (moment - SINCE) // timedelta(minutes=every) * timedelta(minutes=every)


def _ceiling(moment: datetime, every: int) -> datetime:
    return _floor(moment, every) + timedelta(minutes=every)
