"""The one writer: it writes in groups, blocks nobody, and loses no outcome that it can still write."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
import threading
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.command import eventually
from support.histories import KEEP, LIMIT_S, NOON, Post, claim, daemon, fact, slot, whole_run

from tasker.facts import Event
from tasker.history import HeldError, History, RunStatus
from tasker.history.recorder import (
    Answered,
    HistoryEvicted,
    HistoryOpened,
    HistoryRecovered,
    HistoryRefused,
    HistoryReplaced,
    HistoryTroubled,
    HistoryUnfit,
    Recorder,
)
from tasker.run import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.postgres import Server

MANY = 30_000
"""More lines than may wait."""


@contextmanager
def recording(
    where: str | Path, post: Post, name: str = "me", *, drain_s: float = LIMIT_S, **rest: Any
) -> Iterator[Recorder]:
    """A recorder that has opened its history."""
    recorder = Recorder(where, daemon(name, **rest), post, retention=KEEP)
    recorder.start()
    post.wait_for(HistoryOpened)
    try:
        yield recorder
    finally:
        recorder.drain(drain_s)


def answer(recorder: Recorder, post: Post, operation: Any) -> Any:
    """What an operation comes to, once it is written."""
    answers: list[Any] = []
    recorder.submit(operation, answers.append)
    post.wait_for(Answered, lambda answered: answered.on_done == answers.append)()
    return answers[0]


def claims(*minutes: int) -> Any:
    return lambda history: history.claim([claim(f"run-{minute}", minute) for minute in minutes])


def test_what_is_submitted_is_written_in_order_and_answered_once_it_is(where: str) -> None:
    post, answers = Post(), list[str]()
    with recording(where, post) as recorder:
        for number in range(500):
            recorder.submit(claims(number), lambda claimed: answers.append(claimed[0].claim.run_id))
        recorder.submit(lambda history: history.decide(slot(7), Outcome.MISSED, NOON, "late"))
        for each in whole_run("run-8"):
            recorder.observe(each)
        assert recorder.drain(30)
    with History.read(where) as history:
        assert len(history.slots(limit=1000)) == 500
        assert history.found("run-7-") == []
        assert history.found("run-8")[0].status is RunStatus.SUCCEEDED
        assert len(history.log("run-8")) == 5
    for _ in range(500):
        post.wait_for(Answered)()
    assert answers == [f"run-{number}" for number in range(500)]
    assert post.kinds() == []


def test_an_operation_that_raises_is_answered_with_what_it_raised_and_harms_no_other(where: str) -> None:
    post = Post()
    with recording(where, post) as recorder:
        recorder.submit(lambda _: post.wait_for(int))  # so that what follows is one group
        recorder.submit(claims(1))
        recorder.submit(lambda _: 1 / 0)
        recorder.submit(lambda history: history._database.rows("SELECT no_such_column FROM runs"))
        recorder.submit(claims(2))
        failures: list[object] = []
        recorder.submit(lambda _: 1 / 0, failures.append)
        post(1)
        post(1)  # the group is tried again, one by one
        post.wait_for(Answered)()
        assert "ZeroDivisionError" in post.wait_for(HistoryRefused).error
        assert isinstance(failures[0], ZeroDivisionError)
        assert len(answer(recorder, post, lambda history: history.runs())) == 2


def test_a_history_that_cannot_be_used_is_told_and_the_recorder_ends(where: str) -> None:
    with History.open(where) as history:
        history._database.change("UPDATE schema_version SET version = 999")
    post = Post()
    recorder = Recorder(where, daemon(), post, retention=KEEP)
    recorder.start()
    assert "of a newer tasker" in post.wait_for(HistoryUnfit).error
    assert not recorder.drain(LIMIT_S)


def test_of_two_daemons_on_a_state_folder_the_other_waits_until_the_first_has_ended(tmp_path: Path) -> None:
    state, first, second = tmp_path / "state", Post(), Post()
    other = Recorder(state, daemon("other"), second, retention=KEEP)
    with recording(state, first) as holder:
        assert holder.exclusive
        answer(holder, first, claims(1))
        other.start()
        other.submit(claims(1))
        words = f"another daemon (process {os.getpid()}) has the state folder {state}; this one waits for it to end"
        assert second.wait_for(HistoryTroubled).error == words
        assert not other.exclusive
    assert second.wait_for(HistoryOpened).exclusive
    (orphan,) = answer(other, second, lambda history: history.orphans(NOON))
    assert orphan.run.id == "run-1"
    assert second.kinds() == ["HistoryRecovered"]
    assert other.drain(LIMIT_S)


def test_a_daemon_that_waits_for_another_to_end_stops_at_once(tmp_path: Path) -> None:
    first, second = Post(), Post()
    with recording(tmp_path, first):
        other = Recorder(tmp_path, daemon("other"), second, retention=KEEP)
        other.start()
        second.wait_for(HistoryTroubled)
        assert other.drain(LIMIT_S)
        assert second.kinds() == []


def test_a_daemon_whose_state_folder_was_deleted_and_became_anothers_is_told(tmp_path: Path) -> None:
    state, first, second = tmp_path / "state", Post(), Post()
    began, go_on = threading.Event(), threading.Event()

    def takes_long(_: History) -> None:
        began.set()
        go_on.wait(LIMIT_S)

    with recording(state, first) as recorder:
        recorder.submit(takes_long)
        assert began.wait(LIMIT_S)
        shutil.rmtree(state)
        with recording(state, second, "other") as other:
            assert other.exclusive
            recorder.submit(claims(1))
            go_on.set()
            first.wait_for(HistoryEvicted)
            assert not recorder.exclusive
            assert answer(other, second, lambda history: history.runs()) == []
        first.wait_for(HistoryRecovered)
        assert recorder.exclusive


def test_a_lock_that_was_deleted_is_taken_again(tmp_path: Path) -> None:
    post = Post()
    with recording(tmp_path, post) as recorder:
        (tmp_path / "lock").unlink()
        answer(recorder, post, claims(1))
        answer(recorder, post, claims(2))
        with pytest.raises(HeldError):
            History.open(tmp_path)
        assert post.kinds() == []


# Trouble


def test_how_long_the_history_has_been_held_up_is_known_while_it_is(where: str) -> None:
    post = Post()
    with recording(where, post) as recorder:
        answer(recorder, post, claims(1))
        recorder.submit(lambda _: post.wait_for(int))
        assert eventually(lambda: recorder.held_up_s > 0.1)
        post(1)
        assert eventually(lambda: recorder.held_up_s == 0.0)


def test_how_long_opening_takes_is_known_while_it_does(tmp_path: Path) -> None:
    History.open(tmp_path).close()
    post = Post()
    with closing(sqlite3.connect(tmp_path / "history.db")) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        recorder = Recorder(tmp_path, daemon(), post, retention=KEEP)
        assert recorder.held_up_s == 0.0
        recorder.start()
        assert eventually(lambda: recorder.held_up_s > 0.1)
    post.wait_for(HistoryOpened)
    assert recorder.drain(LIMIT_S)
    assert recorder.held_up_s == 0.0


def test_a_locked_file_is_waited_for_and_nothing_is_lost(tmp_path: Path) -> None:
    state, post = tmp_path / "state", Post()
    with recording(state, post) as recorder, closing(sqlite3.connect(state / "history.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        recorder.submit(claims(1))
        assert "database is locked" in post.wait_for(HistoryTroubled).error
        recorder.submit(claims(2, 3))
        assert recorder.waiting == 2
        with History.read(state) as history:
            assert history.runs() == []
        other.rollback()
        assert post.wait_for(HistoryRecovered).lines_dropped == 0
        assert len(answer(recorder, post, lambda history: history.runs())) == 3
        assert "HistoryTroubled" not in post.kinds()


def test_a_server_that_goes_away_is_waited_for_and_nothing_is_lost(postgres_server: Server, postgres_url: str) -> None:
    post = Post()
    with recording(postgres_url, post) as recorder:
        answer(recorder, post, claims(1))
        postgres_server.stop()
        try:
            recorder.submit(claims(2))
            assert post.wait_for(HistoryTroubled).error
            recorder.submit(claims(3))
        finally:
            postgres_server.start()
        post.wait_for(HistoryRecovered)
        assert len(answer(recorder, post, lambda history: history.runs())) == 3


def test_a_server_that_is_not_there_yet_is_waited_for(postgres_server: Server, postgres_url: str) -> None:
    post = Post()
    postgres_server.stop("fast")
    recorder = Recorder(postgres_url, daemon(), post, retention=KEEP)
    try:
        recorder.start()
        recorder.submit(claims(1))
        assert "postgresql://tasker@/postgres" in post.wait_for(HistoryTroubled).error
    finally:
        postgres_server.start()
    post.wait_for(HistoryOpened)
    assert recorder.drain(LIMIT_S)


def test_draining_gives_up_in_time(tmp_path: Path) -> None:
    state, post = tmp_path / "state", Post()
    with recording(state, post) as recorder, closing(sqlite3.connect(state / "history.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        recorder.submit(claims(1))
        post.wait_for(HistoryTroubled)
        assert not recorder.drain(0.1)
        other.rollback()


def test_in_trouble_lines_of_logs_are_dropped_and_counted_and_outcomes_never(tmp_path: Path) -> None:
    state, post = tmp_path / "state", Post()
    with recording(state, post) as recorder, closing(sqlite3.connect(state / "history.db")) as other:
        answer(recorder, post, claims(1))
        other.execute("BEGIN IMMEDIATE")
        facts = [*whole_run("run-1")]
        recorder.observe(facts[0])
        for number in range(MANY):
            recorder.observe(fact(Event.STEP_OUTPUT, "run-1", step="scan", attempt=1, line=f"line {number}"))
        for each in facts[1:]:
            recorder.observe(each)
        recorder.submit(claims(2))
        post.wait_for(HistoryTroubled)
        other.rollback()
        dropped = post.wait_for(HistoryRecovered).lines_dropped
        run = answer(recorder, post, lambda history: history.found("run-1"))[0]
        lines = answer(recorder, post, lambda history: history.log("run-1", most=2 * MANY))
        assert dropped > MANY // 4
        assert run.lines_dropped == dropped
        assert run.status is RunStatus.SUCCEEDED
        assert len(lines) == MANY + 5 - dropped
        assert [number for number, _ in lines] == sorted({number for number, _ in lines})
        assert answer(recorder, post, lambda history: history.found("run-2"))


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own, of so many bytes."""
    folder.mkdir()
    if (
        os.getuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_on_a_full_disk_what_still_fits_is_written_and_the_rest_once_there_is_room(tmp_path: Path) -> None:
    post = Post()
    with small_disk(tmp_path / "disk", "2m") as disk, recording(disk / "state", post, drain_s=0) as recorder:
        answer(recorder, post, claims(1))
        ballast = disk / "ballast"
        with ballast.open("wb", buffering=0) as file:
            for size in (4096, 1):
                while True:
                    try:
                        file.write(b"x" * size)
                    except OSError:
                        break
        recorder.submit(lambda history: history.claim([claim(f"run-{each}", each) for each in range(2, 1000)]))
        for number in range(2000):
            recorder.observe(fact(Event.STEP_OUTPUT, "run-1", step="scan", attempt=1, line="x" * 500 + str(number)))
        assert "full" in post.wait_for(HistoryTroubled).error
        recorder.submit(lambda history: history.end("run-1", RunStatus.SUCCEEDED, None, NOON))
        ballast.unlink()
        # Lines of the log are about as large as the disk: they go on to be trouble, the others do not.
        runs = answer(recorder, post, lambda history: history.runs(limit=2000))
        assert len(runs) == 999
        assert runs[-1].status is RunStatus.SUCCEEDED


def test_a_file_that_may_not_grow_is_trouble_until_it_may(tmp_path: Path) -> None:
    post = Post()
    with recording(tmp_path / "state", post) as recorder:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        try:
            recorder.submit(lambda history: history.claim([claim(f"run-{each}", each) for each in range(500)]))
            post.wait_for(HistoryTroubled)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        post.wait_for(HistoryRecovered)
        assert len(answer(recorder, post, lambda history: history.runs(limit=1000))) == 500


# Damage


def damage(file: Path) -> None:
    """Overwrite all of a file but for its first page."""
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(b"rubbish!" * ((size - 4096) // 8))


def damaged(tmp_path: Path) -> Path:
    """A state folder whose history is damaged."""
    state, post = tmp_path / "state", Post()
    with recording(state, post) as recorder:
        recorder.submit(lambda history: history.claim([claim(f"run-{each}", each) for each in range(500)]))
    damage(state / "history.db")
    return state


def test_a_damaged_file_is_moved_aside_at_the_start(tmp_path: Path) -> None:
    state, post = damaged(tmp_path), Post()
    with recording(state, post) as recorder:
        assert recorder.exclusive
        told = post.wait_for(HistoryReplaced)
        assert "malformed" in told.error
        assert told.moved_to.parent == state
        assert told.moved_to.name.startswith("history.db.damaged-")
        assert answer(recorder, post, claims(1))[0].won


def test_slots_that_can_still_be_read_of_a_damaged_file_keep_their_outcomes(tmp_path: Path) -> None:
    state, post = tmp_path / "state", Post()
    with recording(state, post) as recorder:
        recorder.submit(lambda history: history.claim([claim(f"run-{each}", each) for each in range(300)]))
        for number in range(3000):
            recorder.observe(fact(Event.STEP_OUTPUT, "run-1", step="scan", attempt=1, line="x" * 500 + str(number)))
    with closing(sqlite3.connect(state / "history.db")) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'facts'").fetchone()
    with (state / "history.db").open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"rubbish!" * 512)
    post = Post()
    with recording(state, post) as recorder:
        assert recorder.exclusive
        recorder.observe(fact("hello", "run-2"))
        assert post.wait_for(HistoryReplaced).saved == 600
        answers = answer(recorder, post, lambda history: history.claim([claim("again", 299), claim("new", 300)]))
        assert [each.won for each in answers] == [False, True]


def test_a_file_of_something_else_is_moved_aside(tmp_path: Path) -> None:
    state, post = tmp_path / "state", Post()
    state.mkdir()
    (state / "history.db").write_text("This is no database, but a text of some length.\n" * 100)
    with recording(state, post) as recorder:
        assert "not a database" in post.wait_for(HistoryReplaced).error
        assert answer(recorder, post, claims(1))[0].won


def test_a_file_that_is_damaged_while_it_is_written_to_is_moved_aside_and_nothing_that_waits_is_lost(
    tmp_path: Path,
) -> None:
    state, post = tmp_path / "state", Post()
    with recording(state, post) as recorder:
        answer(recorder, post, lambda history: history.claim([claim(f"run-{each}", each) for each in range(2000)]))
        with closing(sqlite3.connect(state / "history.db")) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        damage(state / "history.db")
        # What is still in the memory of the connection hides the damage, so that some claims may go to the old file.
        recorder.submit(lambda history: history._database.rows("PRAGMA shrink_memory"))
        recorder.submit(claims(3000))
        told = post.wait_for(HistoryReplaced)
        assert told.moved_to.exists()
        assert answer(recorder, post, lambda history: history.found("run-3000"))


def test_a_file_that_is_deleted_is_made_anew_before_anything_goes_to_what_is_no_longer_there(tmp_path: Path) -> None:
    state, post = tmp_path / "state", Post()
    with recording(state, post) as recorder:
        answer(recorder, post, claims(1))
        shutil.rmtree(state)
        recorder.submit(claims(2))
        assert "deleted" in post.wait_for(HistoryReplaced).error
        assert [run.id for run in answer(recorder, post, lambda history: history.runs())] == ["run-2"]
        with History.read(state) as history:
            assert len(history.runs()) == 1


def test_a_new_history_is_told_what_goes_on(tmp_path: Path) -> None:
    state, post = tmp_path / "state", Post()
    with recording(state, post) as recorder:
        answer(recorder, post, claims(1))
        (run,) = answer(recorder, post, lambda history: history.runs())
        shutil.rmtree(state)
        recorder.submit(partial(_restore, run))
        recorder.observe(fact(Event.RUN_SUCCEEDED, "run-1", duration_s=1.0))
        (kept,) = answer(recorder, post, lambda history: history.runs())
        assert (kept.id, kept.slot, kept.status) == ("run-1", run.slot, RunStatus.SUCCEEDED)
        assert answer(recorder, post, lambda history: history.slot(slot(1))).outcome is Outcome.RAN


def _restore(run: Any, history: History) -> None:
    history.restore(run)


# Several daemons


def test_a_daemon_that_was_taken_for_dead_is_told(postgres_server: Server, postgres_url: str) -> None:
    post = Post()
    with recording(postgres_url, post, host="far away") as recorder:
        answer(recorder, post, claims(1))
        with History.open(postgres_url) as other:
            other.enrol(daemon("other"))
            other._database.change("UPDATE daemons SET beat_at = :at WHERE id = 'me'", at="2020-01-01T00:00:00.000000Z")
            assert [each.run.id for each in other.orphans(NOON)] == ["run-1"]
        postgres_server.stop()
        postgres_server.start()
        recorder.submit(claims(2))
        post.wait_for(HistoryEvicted)
