"""What becomes of each slot."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from support.scheduling import wakes_at

from tasker.pipeline import Catchup, Overlap, Schedule
from tasker.run import Outcome, Slot
from tasker.scheduling.scheduler import MOST_QUEUED, Claim, Decision, Scheduler, Settle, Start, Stop

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


def schedule(
    *cron: str,
    overlap: Overlap = Overlap.SKIP,
    catchup: Catchup = Catchup.LATEST,
    deadline: timedelta | None = None,
    jitter: timedelta = timedelta(),
    timezone: str = "UTC",
) -> Schedule:
    expressions = cron or ("* * * * *",)
    return Schedule(
        cron=expressions, timezone=timezone, overlap=overlap, catchup=catchup, deadline=deadline, jitter=jitter
    )


def slot(minutes: float, name: str = "crm") -> Slot:
    return Slot(name, NOON + minutes * MINUTE)


def put(by: Schedule, *names: str, most: int = 4) -> Scheduler:
    """A scheduler that has these pipelines since noon."""
    scheduler = Scheduler(most)
    for name in names or ("crm",):
        scheduler.put(name, by, NOON)
    return scheduler


def at(minutes: float) -> datetime:
    return NOON + minutes * MINUTE


def live(scheduler: Scheduler, minutes: float) -> list[Decision]:
    """Tick, and let every claim be won at once."""
    return won(scheduler, scheduler.tick(at(minutes)), minutes)


def won(scheduler: Scheduler, decisions: list[Decision], minutes: float) -> list[Decision]:
    """What is decided where every claim among the decisions is won."""
    found = list(decisions)
    for decision in decisions:
        if isinstance(decision, Claim) and decision.outcome is Outcome.WAITING:
            found += scheduler.claimed(decision.slot, at(minutes), won=True)
    return found


def started(decisions: list[Decision]) -> list[Slot]:
    return [decision.slot for decision in decisions if isinstance(decision, Start)]


def outcomes(decisions: list[Decision]) -> list[tuple[float, Outcome]]:
    """The minute and the outcome of everything that is claimed or settled."""
    return [
        ((decision.slot.at - NOON) / MINUTE, decision.outcome)
        for decision in decisions
        if isinstance(decision, Claim | Settle)
    ]


# A slot


def test_nothing_starts_before_its_slot_is_claimed() -> None:
    scheduler = put(schedule())
    assert scheduler.tick(at(1)) == [Claim(slot(1), Outcome.WAITING)]
    assert scheduler.claimed(slot(1), at(1), won=True) == [Start(slot(1))]


def test_a_slot_that_another_daemon_claims_first_does_not_start_here() -> None:
    scheduler = put(schedule())
    scheduler.tick(at(1))
    assert scheduler.claimed(slot(1), at(1), won=False) == []
    assert (scheduler.waiting, scheduler.running) == (0, 0)
    assert started(live(scheduler, 2)) == [slot(2)]


def test_an_answer_that_comes_twice_changes_nothing() -> None:
    scheduler = put(schedule())
    live(scheduler, 1)
    assert scheduler.claimed(slot(1), at(1), won=True) == []
    assert scheduler.claimed(slot(1), at(1), won=False) == []
    assert scheduler.running == 1


def test_an_end_that_is_told_twice_counts_once() -> None:
    scheduler = put(schedule())
    live(scheduler, 1)
    scheduler.ended(slot(1), at(1))
    scheduler.ended(slot(1), at(1))
    assert scheduler.running == 0


def test_it_wakes_for_the_next_slot_and_decides_nothing_before() -> None:
    scheduler = put(schedule())
    assert wakes_at(scheduler) == at(1)
    assert scheduler.upcoming("crm") == at(1)
    assert scheduler.tick(at(1) - timedelta(microseconds=1)) == []


def test_a_pipeline_that_is_never_due_keeps_nobody_awake() -> None:
    assert wakes_at(put(schedule("0 0 31 2 *"))) is None


def test_putting_the_same_again_and_again_costs_no_memory() -> None:
    scheduler = put(schedule("@yearly"))
    for _ in range(100):
        scheduler.put("crm", schedule("@yearly"), NOON)
    assert len(scheduler._upcoming) == 1


# While the last run is still going


def test_skip_a_slot_is_skipped_and_says_which_run_is_in_its_way() -> None:
    scheduler = put(schedule(overlap=Overlap.SKIP))
    live(scheduler, 1)
    assert live(scheduler, 2) == [
        Claim(slot(2), Outcome.SKIPPED, "the run of 2026-11-22 12:01:00 UTC is still going"),
    ]
    scheduler.ended(slot(1), at(2.5))
    assert started(live(scheduler, 3)) == [slot(3)]


def test_skip_a_slot_is_skipped_while_the_claim_of_the_last_one_is_not_answered() -> None:
    scheduler = put(schedule(overlap=Overlap.SKIP))
    scheduler.tick(at(1))
    assert scheduler.tick(at(2)) == [
        Claim(slot(2), Outcome.SKIPPED, "the run of 2026-11-22 12:01:00 UTC has not started yet"),
    ]


def test_skip_a_slot_is_skipped_where_another_daemon_has_a_run_of_it() -> None:
    scheduler = put(schedule(overlap=Overlap.SKIP))
    scheduler.tick(at(1))
    assert scheduler.claimed(slot(1), at(1), won=True, busy=True) == [
        Settle(slot(1), Outcome.SKIPPED, "a run of it is still going elsewhere")
    ]


def test_queue_slots_wait_for_each_other_in_their_order() -> None:
    scheduler = put(schedule(overlap=Overlap.QUEUE))
    assert [started(live(scheduler, minute)) for minute in (1, 2, 3)] == [[slot(1)], [], []]
    assert started(scheduler.ended(slot(1), at(3.5))) == [slot(2)]
    assert started(scheduler.ended(slot(2), at(3.6))) == [slot(3)]


def test_queue_a_claim_that_is_answered_late_is_waited_for() -> None:
    scheduler = put(schedule(overlap=Overlap.QUEUE))
    scheduler.tick(at(1))
    scheduler.tick(at(2))
    assert scheduler.claimed(slot(2), at(2), won=True) == []
    assert scheduler.claimed(slot(1), at(2), won=True) == [Start(slot(1))]


def test_queue_a_claim_that_is_lost_late_lets_the_next_slot_start() -> None:
    scheduler = put(schedule(overlap=Overlap.QUEUE))
    scheduler.tick(at(1))
    scheduler.tick(at(2))
    scheduler.claimed(slot(2), at(2), won=True)
    assert scheduler.claimed(slot(1), at(2), won=False) == [Start(slot(2))]


def test_queue_is_not_without_end() -> None:
    scheduler = put(schedule("* * * * * *", overlap=Overlap.QUEUE))
    for second in range(1, MOST_QUEUED + 2):
        live(scheduler, second / 60)
    assert scheduler.waiting == MOST_QUEUED
    (decision,) = live(scheduler, (MOST_QUEUED + 2) / 60)
    assert decision == Claim(
        Slot("crm", NOON + (MOST_QUEUED + 2) * SECOND),
        Outcome.SKIPPED,
        "1000 slots of this pipeline are waiting already",
    )


def test_allow_runs_go_on_beside_each_other() -> None:
    scheduler = put(schedule(overlap=Overlap.ALLOW))
    assert [started(live(scheduler, minute)) for minute in (1, 2)] == [[slot(1)], [slot(2)]]


def test_replace_the_run_is_stopped_once_and_the_slot_starts_when_it_has_ended() -> None:
    scheduler = put(schedule(overlap=Overlap.REPLACE))
    live(scheduler, 1)
    assert live(scheduler, 2)[1:] == [Stop(slot(1), "the slot of 2026-11-22 12:02:00 UTC takes its place")]
    assert live(scheduler, 2.5) == []
    assert scheduler.ended(slot(1), at(2.6)) == [Start(slot(2))]


def test_replace_no_run_is_stopped_before_the_claim_of_what_takes_its_place_is_answered() -> None:
    scheduler = put(schedule(overlap=Overlap.REPLACE))
    live(scheduler, 1)
    assert scheduler.tick(at(2)) == [Claim(slot(2), Outcome.WAITING)]


def test_replace_a_run_gives_way_to_that_of_another_daemon() -> None:
    scheduler = put(schedule(overlap=Overlap.REPLACE))
    live(scheduler, 1)
    scheduler.tick(at(2))
    assert scheduler.claimed(slot(2), at(2), won=False) == [
        Stop(slot(1), "the slot of 2026-11-22 12:02:00 UTC takes its place")
    ]


def test_replace_a_slot_that_waits_is_superseded_by_a_later_one() -> None:
    scheduler = put(schedule(overlap=Overlap.REPLACE))
    live(scheduler, 1)
    live(scheduler, 2)
    assert outcomes(live(scheduler, 3)) == [(2, Outcome.SUPERSEDED), (3, Outcome.WAITING)]
    assert scheduler.ended(slot(1), at(3)) == [Start(slot(3))]


def test_replace_a_slot_whose_claim_is_answered_late_is_superseded_then() -> None:
    scheduler = put(schedule(overlap=Overlap.REPLACE))
    scheduler.tick(at(1))
    scheduler.tick(at(2))
    assert outcomes(scheduler.claimed(slot(1), at(2), won=True)) == [(1, Outcome.SUPERSEDED)]
    assert scheduler.claimed(slot(2), at(2), won=True) == [Start(slot(2))]


# Missed while nothing was running


@pytest.mark.parametrize(
    ("catchup", "expected"),
    [
        (Catchup.LATEST, [(-2, Outcome.MISSED), (-1, Outcome.MISSED), (0, Outcome.WAITING)]),
        (Catchup.ALL, [(-2, Outcome.WAITING), (-1, Outcome.WAITING), (0, Outcome.WAITING)]),
        (Catchup.NONE, [(-2, Outcome.MISSED), (-1, Outcome.MISSED), (0, Outcome.MISSED)]),
    ],
)
def test_at_the_start_what_was_missed_is_made_up_for_as_catchup_says(
    catchup: Catchup, expected: list[tuple[float, Outcome]]
) -> None:
    decisions = Scheduler(4).put("crm", schedule(catchup=catchup), NOON, since=at(-3))
    assert outcomes(decisions) == expected


def test_what_was_missed_says_so() -> None:
    (missed,) = Scheduler(4).put("crm", schedule(catchup=Catchup.NONE), NOON, since=at(-1))
    assert missed == Claim(slot(0), Outcome.MISSED, "nothing was running, and catchup = none")


@pytest.mark.parametrize("overlap", [Overlap.SKIP, Overlap.QUEUE, Overlap.REPLACE])
def test_all_that_are_made_up_for_run_one_after_the_other_whatever_the_overlap(overlap: Overlap) -> None:
    scheduler = Scheduler(4)
    decisions = scheduler.put("crm", schedule(overlap=overlap, catchup=Catchup.ALL), NOON, since=at(-3))
    assert won(scheduler, decisions, 0)[3:] == [Start(slot(-2))]
    assert scheduler.ended(slot(-2), at(0.1)) == [Start(slot(-1))]
    assert scheduler.ended(slot(-1), at(0.2)) == [Start(slot(0))]


@pytest.mark.parametrize(
    ("catchup", "expected"),
    [
        (Catchup.LATEST, [(1, Outcome.MISSED), (2, Outcome.MISSED), (3, Outcome.WAITING)]),
        (Catchup.ALL, [(1, Outcome.WAITING), (2, Outcome.WAITING), (3, Outcome.WAITING)]),
        (Catchup.NONE, [(1, Outcome.MISSED), (2, Outcome.MISSED), (3, Outcome.WAITING)]),
    ],
)
def test_after_the_machine_slept_a_slot_of_the_last_minute_is_still_in_time(
    catchup: Catchup, expected: list[tuple[float, Outcome]]
) -> None:
    assert outcomes(put(schedule(catchup=catchup)).tick(at(3.5))) == expected


def test_of_a_month_of_seconds_one_outcome_stands_for_those_that_are_not_told_one_by_one() -> None:
    decisions = Scheduler(4).put("crm", schedule("* * * * * *"), NOON, since=NOON - timedelta(days=30))
    first = decisions[0]
    assert first == Claim(
        Slot("crm", NOON - timedelta(days=30) + SECOND),
        Outcome.MISSED,
        "nothing was running until 2026-11-22 11:00:00 UTC: it stands for all slots till then",
    )
    assert len(decisions) == 3601


# Deadline and jitter


def test_a_slot_that_is_seen_after_its_deadline_is_missed() -> None:
    scheduler = put(schedule(deadline=10 * SECOND))
    assert scheduler.tick(at(1.5)) == [Claim(slot(1), Outcome.MISSED, "it is later than its deadline of 10s")]


def test_a_slot_that_waits_longer_than_its_deadline_is_missed_at_once() -> None:
    scheduler = put(schedule(overlap=Overlap.QUEUE, deadline=90 * SECOND))
    live(scheduler, 1)
    live(scheduler, 2)
    live(scheduler, 3)
    assert wakes_at(scheduler) == at(3.5) + timedelta(microseconds=1)
    assert outcomes(scheduler.tick(at(3.6))) == [(2, Outcome.MISSED)]


def test_a_claim_that_is_answered_after_the_deadline_starts_nothing_and_stops_nothing() -> None:
    scheduler = put(schedule(overlap=Overlap.REPLACE, deadline=10 * SECOND))
    live(scheduler, 1)
    scheduler.tick(at(2))
    assert outcomes(scheduler.claimed(slot(2), at(2.5), won=True)) == [(2, Outcome.MISSED)]
    assert scheduler.running == 1


def test_a_deadline_is_that_of_the_schedule_that_the_slot_came_by() -> None:
    scheduler = put(schedule(overlap=Overlap.QUEUE, deadline=10 * SECOND))
    scheduler.tick(at(1))
    scheduler.put("crm", schedule(overlap=Overlap.QUEUE), at(1.1))
    assert scheduler.claimed(slot(1), at(1.5), won=True) == [
        Settle(slot(1), Outcome.MISSED, "it is later than its deadline of 10s")
    ]


def test_jitter_makes_a_slot_start_later_by_the_same_each_time_it_is_asked() -> None:
    moments = []
    for _ in range(2):
        scheduler = put(schedule("@hourly", jitter=10 * MINUTE))
        assert started(live(scheduler, 60)) == []
        moments.append(wakes_at(scheduler))
        assert moments[0] is not None
        assert at(60) < moments[0] < at(70)
        assert started(scheduler.tick(moments[0])) == [slot(60)]
    assert moments[0] == moments[1]


def test_jitter_is_spread_over_pipelines() -> None:
    names = [f"p{number}" for number in range(100)]
    scheduler = put(schedule("@hourly", jitter=10 * MINUTE), *names, most=100)
    live(scheduler, 60)
    for minute in range(61, 70):
        scheduler.tick(at(minute))
        assert abs(scheduler.running - 10 * (minute - 60)) < 20


def test_jitter_does_not_change_the_order_of_slots() -> None:
    scheduler = put(schedule("*/5 * * * * *", overlap=Overlap.ALLOW, jitter=5 * MINUTE), most=1000)
    order = []
    for second in range(1, 1200):
        order += started(live(scheduler, second / 60))
    assert len(order) > 100
    assert order == sorted(order)


def test_jitter_leaves_half_of_the_deadline() -> None:
    scheduler = put(schedule(overlap=Overlap.ALLOW, jitter=MINUTE, deadline=20 * SECOND))
    for minute in range(1, 20):
        assert len(started(live(scheduler, minute) + scheduler.tick(at(minute) + 10 * SECOND))) == 1
        scheduler.ended(slot(minute), at(minute) + 11 * SECOND)


# How many run at once


def test_no_more_runs_go_on_than_may_and_the_earliest_slot_gets_the_next_place() -> None:
    scheduler = put(schedule(overlap=Overlap.QUEUE), "a", "b", "c", most=2)
    assert started(live(scheduler, 1)) == [slot(1, "a"), slot(1, "b")]
    assert started(live(scheduler, 2)) == []
    assert started(scheduler.ended(slot(1, "a"), at(2))) == [slot(1, "c")]
    assert started(scheduler.ended(slot(1, "c"), at(2))) == [slot(2, "a")]


def test_once_it_is_stopped_nothing_starts() -> None:
    scheduler = put(schedule(overlap=Overlap.QUEUE))
    live(scheduler, 1)
    live(scheduler, 2)
    scheduler.stop()
    assert scheduler.ended(slot(1), at(2)) == []


# Edits


def test_a_schedule_that_changes_in_the_very_second_of_a_slot_neither_loses_nor_repeats_it() -> None:
    scheduler = put(schedule())
    decisions = scheduler.put("crm", schedule("*/2 * * * *"), at(2))
    assert outcomes(decisions) == [(1, Outcome.MISSED), (2, Outcome.WAITING)]
    assert scheduler.put("crm", schedule(), at(2)) == []
    assert outcomes(scheduler.tick(at(3))) == [(3, Outcome.SKIPPED)]


def test_the_slots_of_a_new_schedule_begin_with_it() -> None:
    scheduler = put(schedule("@daily"))
    assert scheduler.put("crm", schedule(), at(5)) == []
    assert outcomes(scheduler.tick(at(6))) == [(6, Outcome.WAITING)]


def test_what_waits_starts_at_once_when_the_new_schedule_lets_it() -> None:
    scheduler = put(schedule(overlap=Overlap.QUEUE))
    live(scheduler, 1)
    live(scheduler, 2)
    assert scheduler.put("crm", schedule(overlap=Overlap.ALLOW), at(2.5)) == [Start(slot(2))]


def test_of_a_pipeline_that_is_removed_what_waits_is_skipped_and_what_runs_goes_on() -> None:
    scheduler = put(schedule(overlap=Overlap.QUEUE))
    live(scheduler, 1)
    live(scheduler, 2)
    assert scheduler.remove("crm", "the file is gone", at(2.5)) == [
        Settle(slot(2), Outcome.SKIPPED, "the file is gone")
    ]
    assert not scheduler.is_scheduled("crm")
    assert (scheduler.running, scheduler.waiting) == (1, 0)
    assert scheduler.tick(at(10)) == []
    assert scheduler.ended(slot(1), at(10)) == []
    assert scheduler.upcoming("crm") is None


def test_a_slot_that_is_removed_while_its_claim_is_under_way_is_skipped_once_it_is_won() -> None:
    scheduler = put(schedule())
    scheduler.tick(at(1))
    assert scheduler.remove("crm", "the file is gone", at(1)) == []
    assert scheduler.claimed(slot(1), at(1), won=True) == [Settle(slot(1), Outcome.SKIPPED, "the file is gone")]
    assert scheduler.waiting == 0


def test_a_slot_that_is_removed_while_its_claim_is_under_way_is_nothing_of_ours_once_it_is_lost() -> None:
    scheduler = put(schedule())
    scheduler.tick(at(1))
    scheduler.remove("crm", "the file is gone", at(1))
    assert scheduler.claimed(slot(1), at(1), won=False) == []


def test_a_removal_decides_on_what_came_due_until_then() -> None:
    assert outcomes(put(schedule()).remove("crm", "the file is gone", at(1))) == [(1, Outcome.WAITING)]


def test_a_file_that_is_back_before_its_last_run_has_ended_still_waits_for_it() -> None:
    scheduler = put(schedule(overlap=Overlap.QUEUE))
    live(scheduler, 1)
    scheduler.remove("crm", "the file is gone", at(1.2))
    scheduler.put("crm", schedule(overlap=Overlap.QUEUE), at(1.5))
    assert started(live(scheduler, 2)) == []
    assert scheduler.ended(slot(1), at(2)) == [Start(slot(2))]


# After a crash


def test_what_was_claimed_and_has_not_begun_starts_after_a_crash_if_it_is_in_time() -> None:
    scheduler = Scheduler(4)
    scheduler.put("crm", schedule("@hourly", deadline=5 * MINUTE), at(3), since=NOON)
    assert scheduler.restore(slot(0), at(3), begun=False) == [Start(slot(0))]


def test_what_was_claimed_and_has_not_begun_is_missed_after_its_deadline() -> None:
    scheduler = Scheduler(4)
    scheduler.put("crm", schedule("@hourly", deadline=5 * MINUTE), at(6), since=NOON)
    assert outcomes(scheduler.restore(slot(0), at(6), begun=False)) == [(0, Outcome.MISSED)]


def test_a_run_that_had_begun_is_taken_up_however_late() -> None:
    scheduler = Scheduler(4)
    scheduler.put("crm", schedule("@hourly", deadline=5 * MINUTE), at(6), since=NOON)
    assert scheduler.restore(slot(0), at(6), begun=True) == [Start(slot(0))]


def test_what_is_taken_up_comes_before_what_was_missed_since() -> None:
    scheduler = Scheduler(4)
    decisions = scheduler.put("crm", schedule(), at(3), since=NOON)
    assert scheduler.restore(slot(0), at(3), begun=True) == [Start(slot(0))]
    assert started(won(scheduler, decisions, 3)) == []
    assert scheduler.ended(slot(0), at(3)) == [Start(slot(3))]


# Clocks


def test_the_clock_set_forward_is_as_if_nothing_had_been_running() -> None:
    scheduler = put(schedule("@hourly"))
    expected = [(60.0 * hour, Outcome.MISSED) for hour in range(1, 24)]
    assert outcomes(scheduler.tick(at(24 * 60 + 5))) == [*expected, (1440, Outcome.WAITING)]


def test_the_clock_set_back_starts_nothing_twice() -> None:
    scheduler = put(schedule(overlap=Overlap.QUEUE))
    live(scheduler, 1)
    scheduler.rewind(at(0.5))
    assert scheduler.tick(at(1)) == []
    scheduler.ended(slot(1), at(1))
    scheduler.rewind(at(0.5))
    assert scheduler.tick(at(1)) == [Claim(slot(1), Outcome.WAITING)]
    assert scheduler.claimed(slot(1), at(1), won=False) == []


def test_the_clock_set_back_stops_no_run_that_a_later_slot_began() -> None:
    scheduler = put(schedule(overlap=Overlap.REPLACE))
    live(scheduler, 1)
    scheduler.ended(slot(1), at(1))
    live(scheduler, 2)
    scheduler.rewind(at(0.5))
    scheduler.tick(at(1))
    assert scheduler.claimed(slot(1), at(1), won=False) == []
    assert scheduler.tick(at(2)) == []


def test_the_clock_set_back_does_not_make_a_slot_wait_for_its_jitter_all_over() -> None:
    scheduler = put(schedule("@hourly", jitter=MINUTE))
    live(scheduler, 60)
    scheduler.rewind(at(5))
    moment = wakes_at(scheduler)
    assert moment is not None
    assert moment <= at(6)
    assert started(scheduler.tick(at(6))) == [slot(60)]


def test_the_clock_set_back_between_a_removal_and_a_return_keeps_nobody_asleep() -> None:
    scheduler = put(schedule())
    live(scheduler, 1)
    scheduler.remove("crm", "the file is gone", at(1.5))
    scheduler.tick(at(2))
    scheduler.rewind(at(1.5))
    scheduler.put("crm", schedule(overlap=Overlap.ALLOW), at(1.5))
    assert started(live(scheduler, 2)) == [slot(2)]


def test_a_history_of_the_time_to_come_does_not_keep_a_pipeline_waiting_for_it() -> None:
    scheduler = Scheduler(4)
    scheduler.put("crm", schedule(), NOON, since=NOON + timedelta(days=365))
    assert wakes_at(scheduler) == at(1)


@pytest.mark.parametrize("day", ["2026-10-04", "2026-04-05"])
def test_what_is_due_once_a_day_is_due_once_on_the_day_of_a_change_of_clocks(day: str) -> None:
    scheduler, begin = Scheduler(4), datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(hours=10)
    scheduler.put("crm", schedule("30 2 * * *", timezone="Australia/Sydney"), begin)
    claims = []
    for minute in range(24 * 60):
        now = begin + minute * MINUTE
        for decision in scheduler.tick(now):
            claims.append(decision)
            scheduler.claimed(decision.slot, now, won=True)
            scheduler.ended(decision.slot, now)
    assert len(claims) == 1


@pytest.mark.parametrize(("day", "hours"), [("2026-10-04", 23), ("2026-04-05", 25)])
def test_what_is_due_each_hour_is_due_each_hour_of_a_day_with_a_change_of_clocks(day: str, hours: int) -> None:
    scheduler = Scheduler(4)
    since = datetime.fromisoformat(f"{day}T00:00:00+1{'0' if hours == 23 else '1'}:00") - SECOND
    until = since + timedelta(hours=hours)
    by = schedule("0 * * * *", timezone="Australia/Sydney", catchup=Catchup.ALL)
    assert len(scheduler.put("crm", by, until, since=since)) == hours


# How much it costs

MANY = 5000


def test_thousands_of_pipelines_cost_a_busy_minute_little() -> None:
    began = time.process_time()
    scheduler = put(schedule(overlap=Overlap.QUEUE), *(f"p{number}" for number in range(MANY)))
    put_in = time.process_time() - began
    decisions = scheduler.tick(at(1))
    ticked_in = time.process_time() - began - put_in
    assert len(decisions) == MANY
    assert put_in < 2  # 0.4 s on a slow machine
    assert ticked_in < 0.5  # 0.13 s there


def test_a_slot_that_waits_can_be_cancelled_and_the_next_takes_its_turn() -> None:
    scheduler = put(schedule(overlap=Overlap.QUEUE))
    assert Start(slot(1)) in live(scheduler, 1)
    live(scheduler, 2)
    live(scheduler, 3)

    assert scheduler.cancel(slot(2), "cancelled by ann", at(3)) == [
        Settle(slot(2), Outcome.SKIPPED, "cancelled by ann")
    ]
    assert scheduler.ended(slot(1), at(3)) == [Start(slot(3))]
    assert scheduler.waiting == 0


def test_what_has_started_or_is_not_known_is_not_cancelled_as_one_that_waits() -> None:
    scheduler = put(schedule())
    live(scheduler, 1)

    assert scheduler.cancel(slot(1), "cancelled by ann", at(1)) == []
    assert scheduler.cancel(slot(9), "cancelled by ann", at(1)) == []
    assert scheduler.cancel(slot(1, "gone"), "cancelled by ann", at(1)) == []
    assert scheduler.running == 1
