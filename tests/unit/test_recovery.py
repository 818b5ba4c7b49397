"""What dead daemons have left, in a history of its own: ended, resumed or let be, at one go."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from support.command import eventually
from support.histories import NOON, claim, daemon, fact, opened, whole_run

from tasker.daemon.recovery import (
    MARK,
    MOST_RESUMPTIONS,
    PLACE,
    Left,
    Plan,
    Recovered,
    end_all,
    end_leftovers_of,
    recover,
    remembered,
)
from tasker.facts import Event, Fact
from tasker.faults import Place
from tasker.history import History, RunRecord, RunStatus
from tasker.journal import Journal
from tasker.launching.snapshot import Snapshot
from tasker.launching.versions import Version
from tasker.pipeline import Catchup, Overlap, Resume, Schedule
from tasker.records import to_json
from tasker.run import Outcome

SNAPSHOT = Snapshot(path="conf.d/crm.conf", folder="conf.d", files={"crm.conf": ""})
VERSION = Version(name="crm", file="conf.d/crm.conf", named_at=Place(file="conf.d/crm.conf"), revision="r1")
LATER = NOON + timedelta(hours=1)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "journals").mkdir()
    return tmp_path


@pytest.fixture
def history(state: Path) -> Iterator[History]:
    """A history whose last daemon is dead, with a run of it that waits."""
    with opened(state, "dead", pid=1, host="elsewhere") as before:
        before.claim([claim("run-1")])
        before.leave()
    with opened(state) as after:
        after.orphans(NOON)
        yield after


def recovered(
    history: History, state: Path, version: Version | None = VERSION, run_id: str = "run-1", *, told: bool = False
) -> Recovered:
    versions = {} if version is None else {"crm": version}
    plan = Plan(
        runs=[Left(run_id, "crm", told)],
        versions=versions,
        at=LATER,
        ids={run_id: f"{run_id}-again"},
        journals=state / "journals",
    )
    (found,) = recover(history, plan)
    return found


def run(history: History, run_id: str = "run-1") -> RunRecord:
    (found,) = history.found(run_id, 1)
    return found


def write_journal(state: Path, *facts: Fact, run_id: str = "run-1") -> None:
    with Journal(state / "journals" / f"{run_id}.jsonl") as journal:
        for each in facts:
            journal.write(each)


def begin(history: History, run_id: str = "run-1") -> None:
    history.begin(run_id, 42, 4242, NOON)


def scheduled(overlap: Overlap, catchup: Catchup = Catchup.LATEST) -> Version:
    return replace(VERSION, schedule=Schedule(cron=("* * * * *",), overlap=overlap, catchup=catchup))


def test_a_run_that_was_under_way_is_interrupted_and_resumed_at_one_go(history: History, state: Path) -> None:
    begin(history)

    found = recovered(history, state)

    assert (run(history).status, run(history).error) == (RunStatus.INTERRUPTED, "interrupted: the daemon died")
    assert found.next is not None
    assert run(history, "run-1-again") == found.next
    assert (found.next.status, found.next.resumed_from, found.next.resumption) == (RunStatus.WAITING, "run-1", 1)


def test_recovering_it_once_more_changes_nothing(history: History, state: Path) -> None:
    begin(history)

    first, second = recovered(history, state), recovered(history, state)

    assert second == first
    assert len(history.runs()) == 2


def test_a_run_that_had_not_begun_is_let_be(history: History, state: Path) -> None:
    found = recovered(history, state)

    assert (found.begun, found.next, run(history).status) == (False, None, RunStatus.WAITING)


def test_a_run_whose_start_only_its_journal_knows_has_begun(history: History, state: Path) -> None:
    write_journal(state, fact(Event.RUN_STARTED, slot=NOON.isoformat()))

    found = recovered(history, state)

    assert found.begun
    assert found.next is not None
    assert history.slots()[0].outcome is Outcome.RAN


def test_a_run_whose_end_only_its_journal_knows_is_over(history: History, state: Path) -> None:
    write_journal(state, *whole_run())

    found = recovered(history, state)

    assert (found.ended, found.next, run(history).status) == (True, None, RunStatus.SUCCEEDED)


def test_steps_that_only_the_journal_knows_are_not_run_again(history: History, state: Path) -> None:
    write_journal(state, *list(whole_run())[:-1])

    found = recovered(history, state)

    assert found.next is not None
    assert found.earlier is not None
    assert {step: dict(each.outputs) for step, each in found.earlier.steps.items()} == {"scan": {"file": "a.json"}}


def test_it_goes_on_with_the_version_that_it_began_with(history: History, state: Path) -> None:
    """Which may be a later one than that under which its slot was claimed."""
    began = replace(SNAPSHOT, files={"crm.conf": "edited = true"})
    history.keep_snapshot(began.id, json.dumps(to_json(began)))
    begin(history)
    history.observe(replace(fact(Event.RUN_STARTED, slot=NOON.isoformat(), snapshot=began.id), revision="r2"))

    found = recovered(history, state)

    assert found.snapshot == began
    assert found.next is not None
    assert (found.next.revision, found.next.snapshot_id) == ("r2", began.id)


@pytest.mark.parametrize("version", [None, replace(VERSION, resume=Resume.NEVER)], ids=["gone", "never"])
def test_a_run_is_not_resumed_where_its_pipeline_is_gone_or_does_not_want_it(
    history: History, state: Path, version: Version | None
) -> None:
    begin(history)

    assert recovered(history, state, version).next is None
    assert run(history).status is RunStatus.INTERRUPTED


def test_a_run_is_resumed_three_times_at_most(history: History, state: Path) -> None:
    run_id = "run-1"
    for _ in range(MOST_RESUMPTIONS):
        begin(history, run_id)
        following = recovered(history, state, run_id=run_id).next
        assert following is not None
        run_id = following.id
    begin(history, run_id)

    assert recovered(history, state, run_id=run_id).next is None


def test_a_run_whose_place_a_later_slot_has_taken_is_not_resumed(history: History, state: Path) -> None:
    begin(history)
    history.claim([claim("run-2", minute=1)])

    found = recovered(history, state, scheduled(Overlap.REPLACE))

    assert (found.replaced, found.next) == (True, None)


@pytest.mark.parametrize(
    ("version", "replaced"),
    [
        (scheduled(Overlap.REPLACE), True),
        (scheduled(Overlap.REPLACE, Catchup.ALL), False),
        (scheduled(Overlap.QUEUE), False),
    ],
    ids=["replace", "all are made up for", "queue"],
)
def test_a_slot_that_waits_gives_way_to_a_later_one_where_the_schedule_says_so(
    history: History, state: Path, version: Version, *, replaced: bool
) -> None:
    history.claim([claim("run-2", minute=1)])

    assert recovered(history, state, version).replaced is replaced


def test_a_run_that_was_interrupted_in_order_is_resumed_if_its_daemon_died_before_it_said_so(
    history: History, state: Path
) -> None:
    history.enrol(daemon("dead-too", pid=1, host="elsewhere"))
    history.claim([claim("run-2", minute=1), claim("run-3", minute=2)])
    for number, end in ((2, Event.RUN_INTERRUPTED), (3, Event.RUN_SUCCEEDED)):
        told = list(whole_run(f"run-{number}", end=end))
        write_journal(state, *told, run_id=f"run-{number}")
        for each in told:
            history.observe(each)
    history.leave()
    history.enrol(daemon())

    memory = remembered(history, state, LATER)

    assert memory.broken_off == [Left("run-2", "crm", told=True)]
    assert [each.stem for each in memory.over] == ["run-3"]
    assert recovered(history, state, run_id="run-2", told=True).next is not None


def test_what_living_daemons_are_at_is_theirs(state: Path, postgres_url: str) -> None:
    with opened(postgres_url, "alive") as other, opened(postgres_url) as history:
        other.claim([claim("run-2", minute=1)])
        told = list(whole_run("run-2", end=Event.RUN_INTERRUPTED))
        write_journal(state, *told, run_id="run-2")
        for each in told:
            other.observe(each)

        assert remembered(history, state, LATER).broken_off == []


def test_processes_of_any_earlier_daemon_of_the_state_folder_are_ended(state: Path) -> None:
    """Also of one that left no run behind, or whose runs a daemon took over that died as well."""
    program = "import os, subprocess, sys; subprocess.run(['env', '-i', 'sleep', '300'], start_new_session=True)"
    left = _started(program, state, "dead")
    mine = _started("import time; time.sleep(300)", state, "me")
    elsewhere = _started("import time; time.sleep(300)", state / "other", "dead")
    try:
        assert eventually(lambda: bool(_children(left.pid)))
        (inner,) = _children(left.pid)

        assert end_leftovers_of(state, "me") >= 2

        assert left.wait(10) == -signal.SIGKILL
        assert eventually(lambda: not _runs(inner))
        assert (mine.poll(), elsewhere.poll()) == (None, None)
    finally:
        for each in (left, mine, elsewhere):
            each.kill()
            each.wait()


def test_processes_that_come_faster_than_they_are_ended_do_not_keep_a_daemon_from_starting(state: Path) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def one_more() -> list[int]:
        started.append(_started("import time; time.sleep(300)", state, "dead"))
        return [started[-1].pid]

    began = time.monotonic()
    assert end_all(one_more, patience_s=0.2) == len(started)
    assert time.monotonic() - began < 60
    assert [each.wait() for each in started] == [-signal.SIGKILL] * len(started)


def _started(program: str, state: Path, name: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", program], env={**os.environ, PLACE: str(state), MARK: name})


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_run_that_only_its_journal_knows_is_taken_up_in_a_new_history(history: History, state: Path) -> None:
    write_journal(state, *list(whole_run("run-9"))[:-1], run_id="run-9")
    (state / "journals" / "torn.jsonl").write_text('{"event": "run.sta')

    memory = remembered(history, state, LATER)

    assert memory.broken_off == [Left("run-9", "crm")]
    assert recovered(history, state, run_id="run-9").next is not None
    assert [each.outcome for each in history.slots(outcomes=[Outcome.RAN])] == [Outcome.RAN]


def test_a_run_that_was_to_be_cancelled_is_not_resumed(history: History, state: Path) -> None:
    begin(history)
    history.cancel("run-1", "ann", NOON)

    found = recovered(history, state)

    assert found.next is None
    assert found.run.error == "interrupted: cancelled by ann"


def test_a_run_of_a_command_that_died_is_settled_when_a_daemon_starts(history: History, state: Path) -> None:
    with History.join(state) as command:
        command.enrol(replace(daemon("once", pid=2**22 + 1), foreground=True))
        run = RunRecord(
            id="once-1", pipeline="crm", slot=NOON, revision="r1", status=RunStatus.RUNNING, daemon="", claimed_at=NOON
        )
        command.start(run)
    path = state / "foreground" / "once-1.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps(each.to_json()) + "\n" for each in list(whole_run("once-1"))[:-1]))

    memory = remembered(history, state, LATER)

    assert memory.over == [path]
    assert [orphan.run.id for orphan in memory.orphans] == []
    assert history.found("once-1")[0].status is RunStatus.INTERRUPTED
    assert [step.outputs for step in history.step_runs("once-1")] == [{"file": "a.json"}]
