"""In which order files are validated, and which of them are to blame for a process that died."""

from __future__ import annotations

import signal
from pathlib import Path

from tasker.launching.examination import Batch, Examination
from tasker.launching.messages import Bounds, Candidate

BOUNDS = Bounds(hurried_s=1, validating_s=2)


def examination(count: int) -> Examination:
    return Examination(1, [Candidate(path=Path(str(number))) for number in range(count)], BOUNDS)


def names(batch: Batch | None) -> list[str]:
    assert batch is not None
    return [str(each.path) for each in batch.files]


def test_nothing_to_do_is_over_at_once() -> None:
    assert examination(0).ended
    assert examination(0).next() is None


def test_many_files_are_shared_out() -> None:
    work = examination(120)
    assert [len(names(work.next())) for _ in range(3)] == [50, 50, 20]
    assert work.next() is None


def test_who_wears_a_process_out_comes_last_and_alone_and_the_others_go_on() -> None:
    work = examination(3)
    first = work.next()
    assert first is not None
    assert work.over(first, 1, -signal.SIGALRM) is None
    second = work.next()
    assert names(second) == ["2"]
    assert second is not None
    assert work.over(second, 1, 0) is None
    third = work.next()
    assert third is not None
    assert third.alone
    found = work.over(third, 0, -signal.SIGALRM)
    assert found is not None
    assert [fault.message for fault in found.faults] == ["validating it took over 2s"]
    assert work.ended


def test_who_is_only_slow_is_told_of_at_last() -> None:
    work = examination(1)
    first = work.next()
    assert first is not None
    work.over(first, 0, -signal.SIGALRM)
    again = work.next()
    assert again is not None
    assert work.over(again, 1, 0) is None
    assert work.ended


def test_who_was_to_be_looked_at_alone_waits_for_the_others() -> None:
    work = examination(1)
    first = work.next()
    assert first is not None
    work.over(first, 0, 1)
    work.running = 1
    assert work.next() is None
    assert not work.ended


def test_a_batch_without_a_process_is_taken_up_again_in_order() -> None:
    work = examination(2)
    batch = work.next()
    assert batch is not None
    work.put_off(batch)
    assert names(work.next()) == ["0", "1"]
