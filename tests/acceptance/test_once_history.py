"""What `tasker once` leaves in the history, whatever becomes of the command, and how it does without one."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest
from support.command import eventually, gone, run_tasker, start_tasker, write
from support.daemons import NEVER, Daemon

from tasker.history import History, RunStatus

if TYPE_CHECKING:
    from pathlib import Path

TASKS = """
    import os, time
    from pathlib import Path
    from tasker import Task

    class Says(Task):
        def run(self, text: str = "said"):
            print(text)
            return {"text": text}

    class Waits(Task):
        def run(self, file: Path):
            print("waits", os.getppid())
            while not file.exists():
                time.sleep(0.01)
"""
SAYS = "tasks = [{ id = one, name = says, args { text = ${RUN_ID} } }]"
WAITS = "tasks = [{ id = one, name = says }, { id = two, name = waits, args { file = go } }]"


def test_a_run_is_kept_with_its_steps_its_log_and_what_it_was(tmp_path: Path) -> None:
    result = run_tasker(tmp_path, tasks=TASKS, conf=SAYS)
    assert result.status == 0
    with History.read(tmp_path / ".tasker") as history:
        (run,) = history.runs()
        (step,) = history.step_runs(run.id)
        assert (run.pipeline, run.status, run.foreground) == ("pipe", RunStatus.SUCCEEDED, True)
        assert (step.step, step.outputs) == ("one", {"text": run.id})
        told = [str(fact.event) for _, fact in history.log(run.id)]
        assert told == ["run.started", "step.started", "step.output", "step.succeeded", "run.succeeded"]
        assert json.loads(history.config(run.config_id or "") or "")["tasks"][0]["args"] == {"text": "${RUN_ID}"}
        assert SAYS in (history.snapshot(run.snapshot_id or "") or "")
    assert [*(tmp_path / ".tasker" / "foreground").iterdir()] == []


def test_nothing_is_kept_where_nobody_wants_it(tmp_path: Path) -> None:
    assert run_tasker(tmp_path, "once", "pipe.conf", "--history", "none", tasks=TASKS, conf=SAYS).status == 0
    assert not (tmp_path / ".tasker").exists()


def test_where_nothing_can_be_written_it_runs_all_the_same_and_says_so_once(tmp_path: Path) -> None:
    result = run_tasker(tmp_path, "once", "pipe.conf", tasks=TASKS, conf=SAYS, TASKER_STATE="/proc/state")
    assert result.status == 0
    assert [each["event"] for each in result.events if each["level"] == "warning"] == ["history.unavailable"]
    assert result.named("run.succeeded")


def test_a_history_that_is_damaged_is_moved_aside_where_no_daemon_has_it(tmp_path: Path) -> None:
    write(tmp_path / ".tasker" / "history.db", "no database at all\n" * 1000)
    result = run_tasker(tmp_path, tasks=TASKS, conf=SAYS)
    assert result.status == 0
    assert result.events[-1]["event"] == "history.unavailable"
    assert "not a database: it was moved to .tasker/history.db.damaged-" in result.events[-1]["error"]
    with History.read(tmp_path / ".tasker") as history:
        assert [run.status for run in history.runs()] == [RunStatus.SUCCEEDED]


def test_where_the_history_is_deleted_meanwhile_all_is_written_to_a_new_one(tmp_path: Path) -> None:
    command = start_tasker(tmp_path, tasks=TASKS, conf=WAITS)
    command.wait_for("step.output", step="two")
    assert eventually(lambda: run_tasker(tmp_path, "runs").events != [])
    for file in (tmp_path / ".tasker").glob("history.db*"):
        file.unlink()
    (tmp_path / "go").touch()
    assert command.finish().status == 0
    with History.read(tmp_path / ".tasker") as history:
        (run,) = history.runs()
        assert run.status is RunStatus.SUCCEEDED
        assert history.snapshot(run.snapshot_id or "") is not None
        assert [step.status for step in history.step_runs(run.id)] == [RunStatus.SUCCEEDED] * 2
        assert [str(fact.event) for _, fact in history.log(run.id)][::8] == ["run.started"]


@pytest.mark.parametrize("whom", ["command", "run", "both"])
def test_whoever_is_killed_the_next_goes_on_where_it_broke_off(whom: str, tmp_path: Path) -> None:
    command = start_tasker(tmp_path, tasks=TASKS, conf=WAITS)
    run = int(command.wait_for("step.output", step="two")["line"].split()[-1])
    for pid in {"command": [command.process.pid], "run": [run], "both": [run, command.process.pid]}[whom]:
        os.kill(pid, signal.SIGKILL)
    first = command.finish().events[-1]["run_id"]
    assert gone(str(tmp_path))
    (tmp_path / "go").touch()
    result = run_tasker(tmp_path, "once", "pipe.conf", "--resume")
    assert result.status == 0
    assert result.end("one")["event"] == "step.skipped"
    assert result.end("two")["event"] == "step.succeeded"
    with History.read(tmp_path / ".tasker") as history:
        later, earlier = history.runs()
        assert (later.status, later.resumed_from, later.resumption) == (RunStatus.SUCCEEDED, first, 1)
        assert earlier.status in {RunStatus.INTERRUPTED, RunStatus.FAILED}
        assert (earlier.slot, earlier.workspace) == (later.slot, later.workspace)


def test_a_daemon_leaves_the_runs_of_commands_alone(tmp_path: Path) -> None:
    write(tmp_path / "conf.d" / "pipe.conf", f'schedule = "{NEVER}"\n{WAITS}')
    write(tmp_path / "tasks" / "given.py", TASKS)
    state = {"TASKER_STATE": "state"}
    command = start_tasker(tmp_path, "once", "conf.d/pipe.conf", **state)
    command.wait_for("step.output", step="two")
    with Daemon(tmp_path) as daemon:
        daemon.wait_for("config.loaded")
        (tmp_path / "go").touch()
        result = command.finish()
        assert result.status == 0
        with History.read(tmp_path / "state") as history:
            assert [(run.status, run.foreground) for run in history.runs()] == [(RunStatus.SUCCEEDED, True)]
            assert history.slots() == []
        daemon.stop()
        assert not [each for each in daemon.events if each["event"].startswith("run.")]
