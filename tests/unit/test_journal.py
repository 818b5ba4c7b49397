"""A run's journal: what resuming it needs, line by line, whatever becomes of the process that writes it."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from support.histories import fact, whole_run

from tasker.facts import Event
from tasker.journal import Journal, Reader, is_being_written, read


def test_what_matters_is_read_back_and_what_steps_print_is_not_kept(tmp_path: Path) -> None:
    file = tmp_path / "run-1.jsonl"
    with Journal(file) as journal:
        for each in whole_run():
            journal.write(each)
        journal.write(fact("a task's own words"))
    assert [*read(file)] == [each for each in whole_run() if each.event != Event.STEP_OUTPUT]


def test_each_fact_is_there_as_soon_as_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "run-1.jsonl"
    with Journal(file) as journal:
        for number, each in enumerate((fact(Event.RUN_STARTED), fact(Event.RUN_FAILED)), 1):
            journal.write(each)
            assert len([*read(file)]) == number


def test_a_line_that_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "run-1.jsonl"
    with Journal(file) as journal:
        journal.write(fact(Event.RUN_STARTED))
        journal.write(fact(Event.RUN_FAILED))
    whole = file.read_bytes()
    for cut in range(len(whole)):
        file.write_bytes(whole[:cut])
        assert len([*read(file)]) == whole[: cut + 1].count(b"\n")


def test_a_line_that_is_none_of_ours_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "run-1.jsonl"
    file.write_bytes(b'[]\n{"event": 1}\nnull\n\xff\n' + b"[" * 100_000 + b"\n")
    assert [*read(file)] == []


def test_a_journal_that_is_not_there_has_nothing(tmp_path: Path) -> None:
    assert [*read(tmp_path / "none")] == []


def test_what_is_no_file_or_cannot_be_read_has_nothing(tmp_path: Path) -> None:
    folder, pipe, circle, file = (tmp_path / name for name in ("folder", "pipe", "circle", "file"))
    folder.mkdir()
    os.mkfifo(pipe)
    circle.symlink_to(circle)
    file.write_text("{}\n")
    unread = [folder, pipe, circle, file / "beneath", tmp_path / ("long" * 100), Path("/proc/self/mem")]
    assert [fact for each in unread for fact in read(each)] == []


def test_a_journal_goes_on_where_it_was(tmp_path: Path) -> None:
    file = tmp_path / "run-1.jsonl"
    for event in (Event.RUN_STARTED, Event.RUN_FAILED):
        with Journal(file) as journal:
            journal.write(fact(event))
    assert [each.event for each in read(file)] == [Event.RUN_STARTED, Event.RUN_FAILED]


def test_what_does_not_fit_on_the_disk_is_written_as_soon_as_there_is_room(tmp_path: Path) -> None:
    file = tmp_path / "run-1.jsonl"
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Journal(file) as journal:
        journal.write(fact(Event.RUN_STARTED))
        resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 20, hard))
        try:
            for attempt in range(3):  # the first is cut off, the others do not fit at all
                journal.write(fact(Event.STEP_STARTED, step="s", attempt=attempt))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        journal.write(fact(Event.RUN_FAILED))
    assert [each.event for each in read(file)] == [Event.RUN_STARTED, *[Event.STEP_STARTED] * 3, Event.RUN_FAILED]


def test_a_whole_journal_has_what_steps_print_as_far_as_there_is_room_and_says_what_it_lacks(tmp_path: Path) -> None:
    file = tmp_path / "run-1.jsonl"
    lines = [fact(Event.STEP_OUTPUT, line=str(number)) for number in range(5)]
    reader = Reader(file)
    assert reader.read() == []
    with Journal(file, whole=True, most=300) as journal:
        for each in (fact(Event.RUN_STARTED), *lines):
            journal.write(each)
        assert reader.read() == [fact(Event.RUN_STARTED), *lines[:2]]
        journal.write(fact(Event.RUN_FAILED))
    assert reader.read() == [fact(Event.RUN_FAILED)]
    assert (reader.left_out, reader.read()) == (3, [])


def test_who_reads_along_takes_a_line_when_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "run-1.jsonl"
    with Journal(file) as journal:
        journal.write(fact(Event.RUN_STARTED))
    whole, reader = file.read_bytes(), Reader(file)
    file.write_bytes(whole[:-1])
    assert reader.read() == []
    file.write_bytes(whole)
    assert reader.read() == [fact(Event.RUN_STARTED)]


def test_a_whole_journal_tells_whether_its_run_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "run-1.jsonl"
    assert not is_being_written(file)
    with Journal(file, whole=True):
        assert is_being_written(file)
    assert not is_being_written(file)
