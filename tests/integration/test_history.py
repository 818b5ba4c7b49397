"""One suite over both databases: what the history is told, it answers, whoever else is there."""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from support.command import eventually
from support.histories import LIMIT_S, NOON, claim, daemon, fact, opened, slot, whole_run

from tasker.facts import Event
from tasker.history import (
    Claim,
    HeldError,
    History,
    HistoryError,
    PipelineRecord,
    Retention,
    RunIdTakenError,
    RunRecord,
    RunStatus,
    UnfitError,
)
from tasker.history.migration import _carry_out
from tasker.history.postgres import PostgresDatabase
from tasker.history.sqlite import FolderLock, SqliteGuest
from tasker.history.times import stamp
from tasker.history.urls import is_url
from tasker.run import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.synchronize import Barrier

    from tasker.facts import Fact
    from tasker.history.database import Database

DAY = timedelta(days=1)
NOBODY = 2**22 + 1
"""A process id that no process has."""


@pytest.fixture
def history(where: str) -> Iterator[History]:
    with opened(where) as history:
        yield history


# Slots


def test_a_claim_makes_a_waiting_slot_and_a_waiting_run(history: History) -> None:
    (claimed,) = history.claim([claim(snapshot_id="s1")])
    assert claimed.won
    assert not claimed.busy
    (run,) = history.runs()
    assert (run.id, run.status, run.slot, run.revision, run.snapshot_id) == ("run-1", "waiting", NOON, "r1", "s1")
    kept = history.slot(slot())
    assert kept is not None
    assert (kept.outcome, kept.run_id, kept.daemon) == ("waiting", "run-1", "me")


def test_a_slot_is_won_once(history: History) -> None:
    history.claim([claim("run-1")])
    answers = history.claim([claim("run-2"), claim("run-3", minute=1)])
    assert [each.won for each in answers] == [False, True]
    assert {run.id for run in history.runs()} == {"run-1", "run-3"}


def test_a_claim_carried_out_again_after_a_commit_of_unknown_end_is_still_won(history: History) -> None:
    claims = [claim("run-1"), Claim(slot=slot(1), outcome=Outcome.MISSED, at=NOON, reason="late")]
    assert [each.won for each in history.claim(claims)] == [True, True]
    assert [each.won for each in history.claim(claims)] == [True, True]
    assert len(history.runs()) == 1


def test_a_claim_whose_run_id_another_run_has_is_refused_with_all_that_it_came_with(history: History) -> None:
    history.claim([claim("run-1")])
    with pytest.raises(RunIdTakenError, match="run-1"):
        history.claim([claim("run-2", minute=1), claim("run-1", minute=2)])
    assert [run.id for run in history.runs()] == ["run-1"]
    assert [each.slot for each in history.slots()] == [slot()]


def test_thousands_of_claims_go_at_once(history: History) -> None:
    claims = [claim(f"run-{number}", minute=number) for number in range(3000)]
    assert all(each.won for each in history.claim(claims))
    assert len(history.runs(limit=5000)) == 3000


def _claim_all(where: str, name: str, together: Barrier, results: multiprocessing.Queue[tuple[str, list[str]]]) -> None:
    with opened(where, name) as history:
        together.wait()
        won: list[str] = []
        order = range(300) if name == "a" else range(299, -1, -1)
        for number in order:
            (answer,) = history.claim([claim(f"{name}-{number}", minute=number)])
            won += [str(answer.claim.run_id)] if answer.won else []
        results.put((name, won))


def test_of_two_processes_one_wins_each_slot(postgres_url: str) -> None:
    History.open(postgres_url).close()
    spawn = multiprocessing.get_context("spawn")
    together, results = spawn.Barrier(2), spawn.Queue()
    processes = [spawn.Process(target=_claim_all, args=(postgres_url, name, together, results)) for name in "ab"]
    for process in processes:
        process.start()
    won = dict(results.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    assert len(won["a"]) + len(won["b"]) == 300
    with History.read(postgres_url) as history:
        assert {run.id for run in history.runs(limit=1000)} == {*won["a"], *won["b"]}
        assert len(history.slots(limit=1000)) == 300


def test_a_claim_tells_whether_another_daemon_runs_the_pipeline(postgres_url: str) -> None:
    with opened(postgres_url) as history, opened(postgres_url, "other") as other:
        history.claim([claim("run-1")])
        (busy,) = other.claim([claim("run-2", minute=1)])
        (idle,) = other.claim([claim("run-3", pipeline="erp")])
    assert (busy.won, busy.busy) == (True, True)
    assert (idle.won, idle.busy) == (True, False)


@pytest.mark.parametrize("outcome", [Outcome.MISSED, Outcome.SUPERSEDED, Outcome.REFUSED, Outcome.SKIPPED])
def test_a_slot_that_comes_to_no_run_drops_it(history: History, outcome: Outcome) -> None:
    history.claim([claim()])
    assert history.decide(slot(), outcome, NOON, "because")
    kept = history.slot(slot())
    assert kept is not None
    assert (kept.outcome, kept.reason, kept.run_id) == (outcome, "because", None)
    assert history.runs() == []


def test_a_run_that_is_to_start_soon_counts_as_running_until_it_waits_again(history: History) -> None:
    history.claim([claim()])
    history.start_soon("run-1", NOON)
    (run,) = history.runs()
    assert (run.status, run.started_at, run.pid) == (RunStatus.RUNNING, NOON, None)
    assert not history.decide(slot(), Outcome.SKIPPED, NOON)
    history.wait_again("run-1")
    (run,) = history.runs()
    assert (run.status, run.started_at, run.late_s) == (RunStatus.WAITING, None, None)
    assert history.decide(slot(), Outcome.SKIPPED, NOON, "because")


def test_a_run_that_has_ended_does_not_wait_again(history: History) -> None:
    history.claim([claim()])
    history.start_soon("run-1", NOON)
    history.end("run-1", RunStatus.FAILED, "it failed", NOON)
    history.wait_again("run-1")
    (run,) = history.runs()
    assert run.status is RunStatus.FAILED
    assert not history.decide(slot(), Outcome.SKIPPED, NOON)


def test_daemons_whose_transactions_touch_the_same_slots_do_not_wait_for_each_other(postgres_url: str) -> None:
    def one_waits() -> bool:
        with psycopg.connect(postgres_url) as connection:
            return bool(connection.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchall())

    won: list[bool] = []
    with opened(postgres_url, "first") as first, opened(postgres_url, "second") as second:
        thread = threading.Thread(target=lambda: won.extend(each.won for each in second.claim([claim("run-2")])))
        with first.transaction():
            first.observe(fact(Event.RUN_STARTED, "run-1", slot=NOON.isoformat()))
            thread.start()
            assert eventually(one_waits)
            first.claim([claim("run-3", minute=1)])
        thread.join(LIMIT_S)
    assert won == [False]


def test_a_slot_is_decided_once(history: History) -> None:
    history.claim([claim()])
    assert history.decide(slot(), Outcome.SUPERSEDED, NOON, "by a later one")
    assert history.decide(slot(), Outcome.SUPERSEDED, NOON, "by a later one")  # the same again: a commit of unknown end
    assert not history.decide(slot(), Outcome.MISSED, NOON + DAY)
    assert not history.decide(slot(5), Outcome.MISSED, NOON)


def test_the_last_slot_of_each_pipeline_is_known(history: History) -> None:
    for name in ("crm", "erp", "new"):
        history.keep_pipelines([pipeline(name)], "{}")
    history.claim([claim("a", 1), claim("b", 3), claim("c", 2), claim("d", 5, "erp"), claim("e", 9, "gone")])
    assert history.last_slots() == {"crm": slot(3).at, "erp": slot(5).at}


# Runs


def test_a_run_is_told_from_its_facts(history: History) -> None:
    history.claim([claim()])
    history.begin("run-1", 42, 4242, NOON + timedelta(seconds=1))
    for each in whole_run():
        history.observe(each)
    (run,) = history.runs("crm")
    assert (run.status, run.pid, run.pid_started, run.late_s, run.duration_s) == ("succeeded", 42, 4242, 1.0, 4.0)
    assert run.ended_at == NOON + timedelta(seconds=4)
    (step,) = history.step_runs("run-1")
    assert (step.step, step.status, step.attempts, step.outputs) == ("scan", "succeeded", 1, {"file": "a.json"})
    kept = history.slot(slot())
    assert kept is not None
    assert kept.outcome is Outcome.RAN
    assert [each.event for _, each in history.log("run-1")] == [each.event for each in whole_run()]


def test_facts_told_again_change_nothing(history: History) -> None:
    history.claim([claim()])
    for _ in range(2):
        for number, each in enumerate(whole_run(), 1):
            history.observe(each, number)
    assert len(history.log("run-1")) == 5
    assert len(history.runs()) == 1


def test_a_journal_adds_what_the_daemon_was_not_told(history: History) -> None:
    facts = [*whole_run()]
    history.claim([claim()])
    for each in facts[:3]:
        history.observe(each)
    journal = [each for each in facts if each.event != Event.STEP_OUTPUT]
    assert history.replay(journal) == 2
    assert history.replay(journal) == 0
    assert [each for _, each in history.log("run-1")] == facts
    assert history.runs()[0].status is RunStatus.SUCCEEDED


def test_a_run_that_the_history_does_not_know_is_taken_in_with_its_slot(history: History) -> None:
    for each in whole_run("run-9"):
        history.observe(each)
    assert history.runs()[0].status is RunStatus.SUCCEEDED
    kept = history.slot(slot())
    assert kept is not None
    assert kept.run_id == "run-9"


def test_the_first_to_tell_of_an_end_is_believed(history: History) -> None:
    history.claim([claim()])
    history.begin("run-1", 1, 1, NOON)
    history.observe(fact(Event.STEP_STARTED, step="scan", attempt=1))
    assert history.end("run-1", RunStatus.INTERRUPTED, "the daemon died", NOON + DAY)
    assert history.end("run-1", RunStatus.INTERRUPTED, "the daemon died", NOON + DAY)
    assert not history.end("run-1", RunStatus.FAILED, "it was killed", NOON + 2 * DAY)
    history.observe(fact(Event.RUN_SUCCEEDED, duration_s=1.0))
    (run,) = history.runs()
    assert (run.status, run.error) == (RunStatus.INTERRUPTED, "the daemon died")
    assert history.step_runs("run-1")[0].status is RunStatus.INTERRUPTED


def test_retries_and_failures_of_a_step_are_told(history: History) -> None:
    for each in (
        fact(Event.STEP_STARTED, step="scan", attempt=1),
        fact(Event.STEP_RETRYING, step="scan", attempt=1, error="no network", delay_s=1.0),
        fact(Event.STEP_STARTED, step="scan", attempt=2, at=NOON + DAY),
        fact(Event.STEP_FAILED, step="scan", attempt=2, error="no network", duration_s=3.0, at=NOON + DAY),
        fact(Event.STEP_SKIPPED, step="tidy", reason="step 'scan' failed", at=NOON + DAY),
    ):
        history.observe(each)
    scan, tidy = history.step_runs("run-1")
    assert (scan.status, scan.attempts, scan.error, scan.duration_s) == ("failed", 2, "no network", 3.0)
    assert (tidy.status, tidy.attempts, tidy.error) == ("skipped", 0, "step 'scan' failed")


def test_facts_of_no_run_are_passed_over(history: History) -> None:
    history.observe(replace(fact(Event.CONFIG_LOADED), run_id=None))
    assert history.runs() == []


def test_text_that_databases_refuse_is_kept_visibly(history: History) -> None:
    history.claim([claim()])
    history.begin("run-1", 1, 1, NOON)
    history.observe(fact("a\0b\ud800", step="s", line="x\0y\ud800"))
    history.observe(fact(Event.RUN_FAILED, error="no\0thing \ud800 at all: 100 %, :name, ''"))
    assert history.runs()[0].error == "no\\x00thing \\ud800 at all: 100 %, :name, ''"
    assert history.log("run-1")[0][1].details["line"] == "x\0y\ud800"


def test_lines_that_were_dropped_are_counted(history: History) -> None:
    history.claim([claim()])
    history.dropped("run-1", 3)
    history.dropped("run-1", 4)
    assert history.runs()[0].lines_dropped == 7


def test_a_log_is_read_from_where_one_was(history: History) -> None:
    for each in whole_run():
        history.observe(each)
    first = history.log("run-1", most=2)
    rest = history.log("run-1", after=first[-1][0])
    assert [each for _, each in first + rest] == [*whole_run()]


def test_runs_are_found_by_how_their_ids_begin(history: History) -> None:
    history.claim([claim("ab-1", 1), claim("ab-2", 2), claim("ab", 3), claim("b-%_", 4)])
    assert [run.id for run in history.found("ab-1")] == ["ab-1"]
    assert [run.id for run in history.found("ab-")] == ["ab-1", "ab-2"]
    assert [run.id for run in history.found("ab")] == ["ab"]
    assert [run.id for run in history.found("b")] == ["b-%_"]
    assert history.found("%") == []


def test_runs_and_slots_are_asked_for_by_pipeline_and_status(history: History) -> None:
    history.claim([claim("a"), claim("b", 1), claim("c", 2, "erp")])
    history.end("b", RunStatus.FAILED, None, NOON)
    history.decide(slot(2, "erp"), Outcome.MISSED, NOON)
    assert [run.id for run in history.runs("crm", statuses=[RunStatus.FAILED, RunStatus.RUNNING])] == ["b"]
    assert [run.id for run in history.runs("crm", limit=1)] == ["b"]
    assert [each.slot for each in history.slots(outcomes=[Outcome.MISSED])] == [slot(2, "erp")]
    assert [each.outcome for each in history.slots("crm")] == ["ran", "waiting"]


# Resuming


def test_a_run_is_resumed_once_and_counts(history: History) -> None:
    history.claim([claim("one", snapshot_id="s")])
    assert history.resume("one", "two", NOON) is None  # it has not ended
    history.begin("one", 1, 1, NOON)
    history.end("one", RunStatus.INTERRUPTED, None, NOON)
    two = history.resume("one", "two", NOON + DAY)
    assert two is not None
    assert (two.slot, two.snapshot_id, two.resumed_from, two.resumption) == (NOON, "s", "one", 1)
    assert history.resume("one", "two", NOON + DAY) == two  # the same again: a commit of unknown end
    assert history.resume("one", "other", NOON + DAY) is None
    history.end("two", RunStatus.INTERRUPTED, None, NOON)
    three = history.resume("two", "three", NOON + DAY, revision="r2", snapshot_id="s2")
    assert three is not None
    assert (three.revision, three.snapshot_id, three.resumption) == ("r2", "s2", 2)
    kept = history.slot(slot())
    assert kept is not None
    assert (kept.outcome, kept.run_id) == (Outcome.RAN, "three")


def test_what_finished_in_any_of_the_runs_before_need_not_run_again(history: History) -> None:
    history.claim([claim("one")])
    history.observe(fact(Event.STEP_SUCCEEDED, "one", step="a", attempt=2, outputs={"n": 1}, duration_s=1.5))
    history.observe(
        fact(Event.STEP_SUCCEEDED, "one", step="masked", attempt=1, outputs={"k": "***"}, outputs_masked=True)
    )
    history.end("one", RunStatus.INTERRUPTED, None, NOON)
    history.resume("one", "two", NOON)
    history.observe(fact(Event.STEP_SKIPPED, "two", step="a", reason="it succeeded in run one"))
    history.observe(fact(Event.STEP_SUCCEEDED, "two", step="b", attempt=1))
    history.observe(fact(Event.STEP_FAILED, "two", step="c", attempt=1, error="no"))
    finished = history.earlier("two").steps
    assert sorted(finished) == ["a", "b"]
    assert (finished["a"].outputs, finished["a"].attempts, finished["a"].task) == ({"n": 1}, 2, "shellscript")


# Daemons


def test_runs_of_a_dead_daemon_of_this_host_are_taken_over_once(where: str) -> None:
    with opened(where, "dead", pid=NOBODY) as dead:
        dead.claim([claim("waits", 1), claim("runs", 2), claim("over", 3)])
        dead.begin("runs", 77, 78, NOON)
        dead.end("over", RunStatus.FAILED, None, NOON)
    with opened(where) as history:
        orphans = history.orphans(NOON)
        assert [(each.run.id, each.run.status, each.run.daemon, each.same_host) for each in orphans] == [
            ("runs", "running", "dead", True),
            ("waits", "waiting", "dead", True),
        ]
        assert orphans[0].run.pid == 77
        assert history.orphans(NOON) == orphans  # the same again: a commit of unknown end
        assert history.orphans(NOON + DAY) == []
        assert {run.daemon for run in history.runs(statuses=[RunStatus.WAITING, RunStatus.RUNNING])} == {"me"}


def test_a_daemon_whose_process_id_has_come_again_is_dead(where: str) -> None:
    with opened(where, "dead") as dead:
        dead.claim([claim()])
        dead.leave()
        dead.enrol(replace(daemon("dead"), pid_started=1))
    with opened(where) as history:
        assert [each.run.id for each in history.orphans(NOON)] == ["run-1"]


def test_runs_of_a_live_daemon_are_left_alone(postgres_url: str) -> None:
    with opened(postgres_url, "live") as live, opened(postgres_url) as history:
        live.claim([claim()])
        assert history.orphans(NOON) == []


def test_a_daemon_that_left_leaves_its_runs_to_others(where: str) -> None:
    with opened(where, "first") as first:
        first.claim([claim()])
        first.leave()
    with opened(where) as history:
        assert [each.run.id for each in history.orphans(NOON)] == ["run-1"]


def test_a_state_folder_is_one_daemons_until_that_ends(tmp_path: Path) -> None:
    state = tmp_path / "state"
    words = rf"^another daemon \(process {os.getpid()}\) has the state folder {state}; this one waits for it to end$"
    with opened(state, "first") as first:
        first.claim([claim()])
        with pytest.raises(HeldError, match=words):
            History.open(state)
    with opened(state) as history:  # of one that ended all others are dead, wherever they were
        assert [each.run.id for each in history.orphans(NOON)] == ["run-1"]


@pytest.mark.parametrize("told", ["", "elsewhere/4026531836 {pid} {started}", "{host} {pid} 1", "{host} x y", "\0 \0"])
def test_which_process_has_a_state_folder_is_told_only_where_that_is_known(tmp_path: Path, told: str) -> None:
    with History.open(tmp_path):
        me = daemon()
        (tmp_path / "lock").write_text(told.format(host=me.host, pid=me.pid, started=me.pid_started) + "\n")
        with pytest.raises(HeldError, match=r"^another daemon has the state folder"):
            History.open(tmp_path)


def test_a_state_folder_is_its_owners_alone_unless_that_was_there(tmp_path: Path) -> None:
    new, there = tmp_path / "deep" / "new", tmp_path / "there"
    there.mkdir(mode=0o750)
    for state in (new, there):
        History.open(state).close()
    assert [stat.S_IMODE(state.stat().st_mode) for state in (new, there)] == [0o700, 0o750]


def test_a_daemon_of_another_host_is_dead_when_it_gave_no_sign_for_a_minute(postgres_url: str) -> None:
    with opened(postgres_url, "far", host="elsewhere") as far:
        far.claim([claim()])
        with opened(postgres_url) as history:
            assert history.orphans(NOON) == []
            far.beat(NOON)  # long ago
            assert [each.run.id for each in history.orphans(NOON + DAY)] == ["run-1"]
        assert not far.beat()
        assert far.beat()


# Pipelines


def pipeline(name: str = "crm", snapshot: str = "s1", **rest: object) -> PipelineRecord:
    schedule = {"cron": ["0 2 * * *"], "timezone": "UTC"}
    record = PipelineRecord(
        name=name, file=f"conf.d/{name}.conf", since=NOON, schedule=schedule, snapshot_id=snapshot, updated_at=NOON
    )
    return replace(record, **rest)  # type: ignore[arg-type]  # fields of it


def test_pipelines_are_kept_with_their_snapshots(history: History) -> None:
    history.keep_pipelines([pipeline("erp", schedule=None)], "{}")
    history.keep_pipelines([pipeline()], "the text: 100 % \0 \ud800")
    history.keep_pipelines([pipeline(updated_at=NOON + DAY)], "the text: 100 % \0 \ud800")
    assert history.pipelines() == [pipeline(updated_at=NOON + DAY), pipeline("erp", schedule=None)]
    assert history.snapshot("s1") == "{}"  # a snapshot's id is its digest: it is never another
    assert history.snapshot("none") is None
    history.forget_pipeline("crm")
    assert [each.name for each in history.pipelines()] == ["erp"]


# Transactions


def test_of_a_transaction_all_is_written_or_nothing(history: History) -> None:
    def half() -> None:
        with history.transaction():
            history.claim([claim()])
            history.observe(fact("hello"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert history.runs() == []
    assert history.log("run-1") == []


KILLED = """
import sys
sys.path.insert(0, "tests")
from support.histories import claim, opened, whole_run
history = opened(sys.argv[1], "killed")
for number in range(10_000):
    with history.transaction():
        history.claim([claim(f"run-{number}-{each}", minute=10 * number + each) for each in range(10)])
        for fact in whole_run(f"run-{number}-0"):
            history.observe(fact)
    print(number, flush=True)
"""


def test_what_was_written_before_kill_9_is_there_and_no_half_of_a_transaction(where: str) -> None:
    killed = subprocess.Popen([sys.executable, "-c", KILLED, where], stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    with killed.stdout:
        written = [int(killed.stdout.readline()) for _ in range(30)][-1]
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    with opened(where) as history:
        runs = {run.id for run in history.runs(limit=200_000)}
        assert len(runs) % 10 == 0
        assert {f"run-{number}-{each}" for number in range(written + 1) for each in range(10)} <= runs
        assert len(runs) == len(history.slots(limit=200_000))
        ended = history.runs(statuses=[RunStatus.SUCCEEDED], limit=200_000)
        assert len(ended) == len(runs) // 10
        assert all(len(history.log(run.id)) == 5 for run in ended)


# Commands in the foreground


def once(run_id: str = "once-1", **rest: Any) -> RunRecord:
    """A run of `crm` that a command begins."""
    told = {"pipeline": "crm", "slot": NOON, "revision": "r1", "snapshot_id": "s1", "claimed_at": NOON}
    whole = {**told, "started_at": NOON, "status": RunStatus.RUNNING, "daemon": "", "pid": os.getpid(), **rest}
    return RunRecord(id=run_id, **whole)


def joined(where: str, name: str = "once", **rest: Any) -> History:
    """The history, as a command opens it beside a daemon."""
    history = History.join(where)
    history.enrol(replace(daemon(name, **rest), foreground=True))
    return history


def test_a_command_writes_its_run_beside_the_daemon_that_has_the_history(where: str, history: History) -> None:
    begun = once(overrides={"days": "7"}, workspace="/w/once-1", git_commit="abc")
    with joined(where) as command:
        command.start(begun, snapshot="{}", config='{"name": 1}')
        (run,) = history.runs()
        assert (run.id, run.status, run.foreground, run.daemon) == ("once-1", "running", True, "once")
        assert (run.overrides, run.workspace, run.git_commit) == ({"days": "7"}, "/w/once-1", "abc")
        assert history.snapshot("s1") == "{}"
        assert run.config_id is not None
        assert history.config(run.config_id) == '{"name": 1}'
        command.replay(whole_run("once-1"))
        command.start(once())  # told once more, late: what is known stays
    assert history.last_run("crm", statuses=[RunStatus.SUCCEEDED]) == history.runs()[0]
    assert history.runs()[0].overrides == {"days": "7"}
    assert [step.status for step in history.step_runs("once-1")] == ["succeeded"]


def test_a_run_of_a_command_is_of_no_slot_and_keeps_no_daemon_from_its_own(where: str, history: History) -> None:
    with joined(where) as command:
        command.start(once())
        command.observe(next(whole_run("once-1")))
        (claimed,) = history.claim([claim()])
        assert (claimed.won, claimed.busy) == (True, False)
        command.end("once-1", RunStatus.FAILED, "no", NOON)
    assert [each.run_id for each in history.slots()] == ["run-1"]
    assert [run.id for run in history.runs(foreground=False)] == ["run-1"]


def test_a_daemon_takes_over_no_run_of_a_command_be_that_alive_or_dead(where: str, history: History) -> None:
    with joined(where) as lives, joined(where, "dead", pid=NOBODY) as dead:
        lives.start(once("lives"))
        dead.start(once("dead"))
        assert history.orphans(NOON) == []
        assert history.lives("once")
        lives.leave()
        assert history.orphans(NOON + DAY) == []


def test_a_run_of_a_command_that_died_is_settled_with_what_its_journal_tells(where: str, history: History) -> None:
    asked: list[str] = []

    def facts_of(run_id: str) -> Iterator[Fact]:
        asked.append(run_id)
        yield from [*whole_run(run_id)][:-1]

    with joined(where) as lives, joined(where, "dead", pid=NOBODY) as dead:
        lives.start(once("lives"))
        dead.start(once("dead"))
        assert history.settle(NOON + DAY, facts_of, ["dead", "lives"]) == ["dead"]
        assert asked == ["dead"]
        history.settle(NOON + DAY, facts_of)
    assert asked == ["dead"]
    (run,) = history.found("dead")
    assert (run.status, run.error) == ("interrupted", "interrupted: its process died")
    assert (run.foreground, run.daemon, run.ended_at) == (True, "dead", NOON + DAY)
    assert [step.outputs for step in history.step_runs("dead")] == [{"file": "a.json"}]
    assert history.found("lives")[0].status is RunStatus.RUNNING


def test_a_command_of_another_host_is_dead_when_it_gave_no_sign_for_a_minute(postgres_url: str) -> None:
    with joined(postgres_url, host="elsewhere") as far, opened(postgres_url) as history:
        far.beat()
        far.start(once())
        assert history.settle(NOON, lambda _: (), ["once-1"]) == []
        far.beat(NOON)  # long ago
        assert history.settle(NOON, lambda _: (), ["once-1"]) == ["once-1"]


def test_a_run_that_only_its_journal_tells_of_is_taken_in_as_a_commands(history: History) -> None:
    journals = {"told": [*whole_run("told")], "begun": [*whole_run("begun")][:2], "empty": []}
    assert history.settle(NOON + DAY, journals.__getitem__, [*journals]) == [*journals]
    assert {run.id: (run.status, run.foreground) for run in history.runs()} == {
        "told": ("succeeded", True),
        "begun": ("interrupted", True),
    }
    assert history.slots() == []
    assert history.orphans(NOON) == []


def test_what_only_the_command_knows_of_such_a_run_it_tells_late(where: str, history: History) -> None:
    history.settle(NOON, whole_run, ["once-1"])
    with joined(where) as command:
        command.start(once(overrides={"days": "7"}, snapshot_id="s2"), snapshot="{}", config="{}")
    (run,) = history.runs()
    assert (run.status, run.overrides, run.snapshot_id) == ("succeeded", {"days": "7"}, "s2")
    assert run.config_id is not None


def test_a_person_may_go_on_with_a_run_again_and_again(where: str, history: History) -> None:
    history.claim([claim("one")])
    history.end("one", RunStatus.FAILED, "no", NOON)
    with joined(where) as command:
        for name in ("two", "three"):
            command.start(once(name, resumed_from="one", resumption=1))
    assert history.resume("one", "four", NOON) is not None
    assert len(history.runs()) == 4


def _start_one(where: str, name: str, together: Barrier) -> None:
    together.wait()
    with joined(where, name) as command:
        command.start(once(name), snapshot="{}", config="{}")
        command.end(name, RunStatus.SUCCEEDED, None, NOON)
        command.leave()


def test_commands_that_begin_a_history_at_once_share_it(where: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    together = spawn.Barrier(4)
    processes = [spawn.Process(target=_start_one, args=(where, f"once-{number}", together)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    with History.read(where) as history:
        assert len(history.runs(statuses=[RunStatus.SUCCEEDED])) == 4


# What a run ran


def test_a_daemons_run_keeps_what_it_runs_and_so_does_one_that_resumes_it(history: History) -> None:
    history.claim([claim("one")])
    history.begin("one", 1, 1, NOON)
    history.configured("one", '{"name": "crm"}', "abc")
    history.observe(fact(Event.RUN_STARTED, "one", slot=NOON.isoformat(), workspace="/w/one"))
    history.observe(fact(Event.STEP_SUCCEEDED, "one", step="scan", attempt=1, fingerprint="f00"))
    history.end("one", RunStatus.INTERRUPTED, None, NOON)
    two = history.resume("one", "two", NOON)
    assert two is not None
    assert two.config_id is not None
    assert history.config(two.config_id) == '{"name": "crm"}'
    assert (two.workspace, two.git_commit) == ("/w/one", "abc")
    assert history.earlier("two").steps["scan"].fingerprint == "f00"


def test_how_a_step_did_when_it_ran_last_counts(history: History) -> None:
    history.claim([claim("one")])
    for step in ("a", "b", "c"):
        history.observe(fact(Event.STEP_SUCCEEDED, "one", step=step, attempt=1, outputs={"n": 1}))
    history.end("one", RunStatus.INTERRUPTED, None, NOON)
    history.resume("one", "two", NOON)
    history.observe(fact(Event.STEP_FAILED, "two", step="a", attempt=1, error="no"))
    history.observe(fact(Event.STEP_SUCCEEDED, "two", step="b", attempt=1, outputs={"n": 2}))
    history.observe(fact(Event.STEP_SKIPPED, "two", step="c", reason="it succeeded in run one"))
    finished = history.earlier("two").steps
    assert {name: step.outputs for name, step in finished.items()} == {"b": {"n": 2}, "c": {"n": 1}}


def test_the_runs_of_all_instances_are_asked_for_by_the_name_of_their_file(history: History) -> None:
    names = ["crm", "crm/a", "crm/b", "crm-2", "crm0", "cr"]
    history.claim([claim(f"run-{number}", number, name) for number, name in enumerate(names)])
    assert sorted(run.pipeline for run in history.runs("crm", instances=True)) == ["crm", "crm/a", "crm/b"]
    assert sorted(each.slot.pipeline for each in history.slots("crm", instances=True)) == ["crm", "crm/a", "crm/b"]
    assert [run.pipeline for run in history.runs("crm")] == ["crm"]


# Cancelling


def test_what_waits_ends_at_once_where_no_daemon_is_there(where: str) -> None:
    with opened(where) as history:
        history.claim([claim("begun"), claim("waits", 1)])
        history.begin("begun", 1, 1, NOON)
        history.end("begun", RunStatus.INTERRUPTED, "stopped", NOON)
        history.resume("begun", "resumes", NOON)
        history.cancel("waits", "ann", NOON)
        assert [run.status for run in history.runs(statuses=[RunStatus.WAITING])] == [RunStatus.WAITING] * 2
        history.leave()
    with History.join(where) as command:
        command.cancel("waits", "ann", NOON)
        command.cancel("resumes", "ben", NOON)
        assert command.found("waits") == []
        skipped, ran = command.slots()
        assert (skipped.outcome, skipped.reason) == (Outcome.SKIPPED, "cancelled by ann")
        assert (ran.outcome, ran.run_id) == (Outcome.RAN, "resumes")
        (run,) = command.found("resumes")
        assert (run.status, run.error) == (RunStatus.INTERRUPTED, "interrupted: cancelled by ben")


def test_whoever_has_a_run_sees_that_it_is_to_be_cancelled(where: str, history: History) -> None:
    history.claim([claim("one"), claim("two", 1)])
    history.begin("one", 1, 1, NOON)
    with joined(where) as command:
        command.start(once())
        for run_id, by in (("one", "ann"), ("one", "ben"), ("two", "ben"), ("once-1", "cy")):
            command.cancel(run_id, by, NOON)
        assert command.to_cancel() == {"once-1": "cy"}
    assert history.to_cancel() == {"one": "ann", "two": "ben"}
    history.end("one", RunStatus.INTERRUPTED, "cancelled by ann", NOON)
    assert history.to_cancel() == {"two": "ben"}
    history.cancel("one", "late", NOON + DAY)
    assert history.found("one")[0].cancel_by == "ann"
    assert history.resume("one", "more", NOON) is None


# The schema


@contextmanager
def version_1(where: str) -> Iterator[Database]:
    """A history as the first tasker wrote it, with a run that is under way."""
    database = PostgresDatabase(where, writes=True) if is_url(where) else SqliteGuest(Path(where))
    database.begin()
    _carry_out(database, 0)
    database.change(
        "INSERT INTO daemons (id, host, pid, pid_started, started_at, beat_at) VALUES ('old', 'h', 1, 1, :at, :at)",
        at=stamp(database.now()),
    )
    database.change(
        "INSERT INTO runs (id, pipeline, slot, revision, status, daemon, claimed_at)"
        " VALUES ('run-1', 'crm', :at, 'r1', 'running', 'old', :at)",
        at=stamp(NOON),
    )
    database.change("INSERT INTO step_runs VALUES ('run-1', 'scan', 't', 'succeeded', 1, 'x', 1.0, NULL, NULL, 1)")
    database.commit()
    yield database
    database.close()


@pytest.mark.parametrize("way", [History.open, History.join])
def test_a_history_of_the_first_version_is_brought_up_to_date(where: str, way: Callable[[str], History]) -> None:
    with version_1(where) as database:
        database.change("DELETE FROM daemons")
    with way(where) as history:
        (run,) = history.runs()
        assert (run.id, run.foreground, run.overrides, run.config_id) == ("run-1", False, {}, None)
        assert history.earlier("run-1").steps["scan"].fingerprint == ""
        history.enrol(daemon())
        assert [each.run.id for each in history.orphans(NOON)] == ["run-1"]


def test_a_command_leaves_the_tables_of_an_older_taskers_daemon_as_they_are(where: str) -> None:
    words = r"of an older tasker \(version 1; this one writes 2\), whose daemon has it: stop that, and start this one's"
    with version_1(where) as database:
        lock = FolderLock(Path(where)) if not is_url(where) else None
        with pytest.raises(UnfitError, match=words):
            History.join(where)
        assert database.rows("SELECT version FROM schema_version")[0]["version"] == 1
        if lock is not None:
            lock.close()


def test_the_history_of_a_newer_tasker_is_refused(where: str) -> None:
    with opened(where) as history:
        history._database.change("UPDATE schema_version SET version = 999")
    for way in (History.open, History.read):
        with pytest.raises(UnfitError, match=r"of a newer tasker \(version 999; this one knows \d+\): update this one"):
            way(where)


def test_a_reader_asks_to_have_an_older_history_brought_up_to_date(where: str) -> None:
    with opened(where) as history:
        history._database.change("UPDATE schema_version SET version = -1")
    with pytest.raises(UnfitError, match=r"of an older tasker.*start `tasker watch`"):
        History.read(where)


def test_a_history_that_is_not_there_is_not_begun_by_who_only_reads(where: str) -> None:
    with pytest.raises(UnfitError, match="there is no history"):
        History.read(where)
    with pytest.raises(UnfitError, match="there is no history"):
        History.read(where)


def test_a_reader_cannot_write(where: str, history: History) -> None:
    history.claim([claim()])
    with History.read(where) as reader:
        reader._me = daemon("reader")
        assert len(reader.runs()) == 1
        with pytest.raises(HistoryError, match=r"read-?only"):
            reader.claim([claim("run-2", 1)])


def _open_together(where: str, together: Barrier) -> None:
    together.wait()
    History.open(where).close()


def test_two_daemons_that_begin_a_history_at_once_make_one(postgres_url: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    together = spawn.Barrier(3)
    processes = [spawn.Process(target=_open_together, args=(postgres_url, together)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    with History.read(postgres_url) as history:
        assert len(history._database.rows("SELECT version FROM schema_version")) == 1


# What can be read of a damaged file


def test_what_an_older_tasker_wrote_is_taken_in_as_well(tmp_path: Path) -> None:
    with version_1(str(tmp_path / "old")), opened(tmp_path / "new") as history:
        assert history.take_from(tmp_path / "old" / "history.db") == 2
        (run,) = history.runs()
        assert (run.id, run.foreground, run.overrides, run.cancel_at) == ("run-1", False, {}, None)
        assert [step.fingerprint for step in history.step_runs("run-1")] == [""]


def test_what_a_run_carried_out_is_taken_in_with_it(tmp_path: Path) -> None:
    with joined(str(tmp_path / "old")) as command:
        command.start(once(overrides={"days": "7"}, git_commit="abc"), snapshot="{}", config='{"name": 1}')
        command.cancel("once-1", "ann", NOON)
    with opened(tmp_path / "new") as history:
        assert history.take_from(tmp_path / "old" / "history.db") == 3
        (run,) = history.runs()
        assert (run.foreground, run.overrides, run.git_commit, run.cancel_by) == (True, {"days": "7"}, "abc", "ann")
        assert run.config_id is not None
        assert history.config(run.config_id) == '{"name": 1}'


# What is old


def test_what_is_old_goes_but_for_the_last_run_the_last_success_and_the_last_slot(history: History) -> None:
    history.keep_pipelines([pipeline()], "{}")
    ends = [RunStatus.SUCCEEDED, RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.FAILED]
    for number, status in enumerate(ends):
        history.claim([replace(claim(f"run-{number}", number), at=NOON + timedelta(minutes=number))])
        for each in whole_run(f"run-{number}", at=NOON + timedelta(minutes=number)):
            history.observe(each) if each.event != Event.RUN_SUCCEEDED else None
        history.end(f"run-{number}", status, None, NOON + timedelta(minutes=number))
    history.claim([Claim(slot=slot(number), outcome=Outcome.MISSED, at=NOON) for number in (10, 11, 12)])
    gone = sum(history.prune(Retention(age=DAY), NOON + 2 * DAY, most=2))
    assert gone == 6
    assert [run.id for run in history.runs()] == ["run-3", "run-1"]
    assert [each.slot for each in history.slots()] == [slot(12), slot(3), slot(1)]
    assert history.log("run-0") == []
    assert history.step_runs("run-0") == []
    assert len(history.log("run-1")) == 4
    assert sum(history.prune(Retention(age=DAY), NOON + 2 * DAY)) == 0


def test_the_last_run_of_a_daemon_stays_whatever_commands_ran_since(where: str, history: History) -> None:
    history.keep_pipelines([pipeline()], "{}")
    history.claim([claim()])
    history.end("run-1", RunStatus.SUCCEEDED, None, NOON)
    with joined(where) as command:
        for name in ("once-1", "once-2"):
            command.start(once(name, claimed_at=NOON + DAY))
            command.end(name, RunStatus.SUCCEEDED, None, NOON + DAY)
    sum(history.prune(Retention(age=DAY), NOON + 9 * DAY))
    assert [run.id for run in history.runs()] == ["once-2", "run-1"]


def test_commands_delete_what_is_old_only_where_no_daemon_does(where: str) -> None:
    later = NOON + 31 * DAY
    with joined(where) as command:
        for name in ("old", "older"):
            command.start(once(name), config="{}")
            command.end(name, RunStatus.FAILED, "no", NOON)
        command.start(once("new", claimed_at=later, started_at=later))
    with opened(where) as history:
        history.keep_pipelines([pipeline()], "{}")
        history.keep_house(later)
        assert len(history.runs()) == 3
        history.forget_pipeline("crm")
        history.keep_house(later)
        assert [run.id for run in history.runs()] == ["new"]


def test_a_configuration_stays_as_long_as_a_run_has_it(history: History) -> None:
    history.claim([claim()])
    for config in ("of nobody", "of a run"):
        history.configured("run-1", config, None)
    (run,) = history.runs()
    assert sum(history.prune(Retention(age=DAY), NOON)) == 1
    assert run.config_id is not None
    assert history.config(run.config_id) == "of a run"
    history.end("run-1", RunStatus.SUCCEEDED, None, NOON)
    assert sum(history.prune(Retention(age=DAY), NOON + 2 * DAY)) == 3  # the run, its slot and its configuration
    assert history.config(run.config_id) is None


def test_what_is_young_or_has_not_ended_stays(history: History) -> None:
    history.claim([claim("waits"), claim("young", 1)])
    history.end("young", RunStatus.FAILED, None, NOON + DAY)
    assert sum(history.prune(Retention(age=DAY), NOON + 2 * DAY - timedelta(seconds=1))) == 0
    assert len(history.runs()) == 2


def test_of_a_pipeline_at_most_so_many_runs_are_kept(history: History) -> None:
    history.keep_pipelines([pipeline()], "{}")
    for number in range(10):
        history.claim([replace(claim(f"run-{number}", number), at=NOON + timedelta(minutes=number))])
        history.end(f"run-{number}", RunStatus.FAILED, None, NOON)
    assert sum(history.prune(Retention(runs=3), NOON, most=2)) == 7
    assert [run.id for run in history.runs()] == ["run-9", "run-8", "run-7"]


def test_of_a_pipeline_that_is_gone_nothing_is_kept_for_ever(history: History) -> None:
    history.claim([claim()])
    history.end("run-1", RunStatus.SUCCEEDED, None, NOON)
    sum(history.prune(Retention(age=DAY), NOON + 2 * DAY))
    assert history.runs() == []
    assert history.slots() == []


def test_a_run_stays_as_long_as_one_that_resumed_it(history: History) -> None:
    history.claim([claim("one")])
    history.end("one", RunStatus.INTERRUPTED, None, NOON)
    history.resume("one", "two", NOON)
    assert sum(history.prune(Retention(age=DAY), NOON + 9 * DAY)) == 0
    history.end("two", RunStatus.INTERRUPTED, None, NOON)
    assert sum(history.prune(Retention(age=DAY), NOON + 9 * DAY, most=1)) == 3  # both, and their slot


def test_a_snapshot_stays_as_long_as_a_pipeline_or_a_run_needs_it(history: History) -> None:
    history.keep_pipelines([pipeline(snapshot="of a pipeline")], "{}")
    history.keep_snapshot("of a run", "{}")
    history.keep_snapshot("of nobody", "{}")
    history.claim([claim(snapshot_id="of a run")])
    assert sum(history.prune(Retention(age=DAY), NOON)) == 1
    assert history.snapshot("of nobody") is None
    assert history.snapshot("of a run") == "{}"
    assert history.snapshot("of a pipeline") == "{}"
