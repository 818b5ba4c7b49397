"""What is known of runs as such."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tasker.run import new_run_id

MOMENT = datetime(2026, 11, 22, 2, 15, tzinfo=UTC)


def test_runs_that_are_decided_on_in_the_same_second_have_ids_of_their_own() -> None:
    ids = [new_run_id(MOMENT) for _ in range(100_000)]
    assert len(set(ids)) == len(ids)


def test_ids_sort_by_the_second() -> None:
    moments = [MOMENT + timedelta(seconds=number) for number in range(100)]
    ids = list(map(new_run_id, moments))
    assert sorted(ids) == ids
