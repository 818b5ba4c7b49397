"""`tasker once` on a file with `for_each`: all of its instances, some at a time, or those that are named."""

from __future__ import annotations

import base64
import os
import signal
from typing import TYPE_CHECKING

import pytest
from support.command import gone, run_tasker, start_tasker, write
from support.terminal import tasker

from tasker import linux
from tasker.history import History

if TYPE_CHECKING:
    from pathlib import Path

TASKS = """
    import os, time
    from pathlib import Path
    from tasker import Task

    class Work(Task):
        def run(self, secret: str = "", days: int = 30, works: bool = True):
            print("secret", secret, "days", days)
            return works

    class Waits(Task):
        def run(self, file: Path):
            print("waits", os.getppid())
            while not file.exists():
                time.sleep(0.01)

    class Writes(Task):
        def run(self, file: Path):
            file.touch()
"""
THREE = """
    max_parallel = 2
    params { days = 30 }
    for_each { crm { works = yes }, erp { works = no }, hr { works = yes } }
    tasks = [{ name = work, args { secret = ${secret.password}, days = ${params.days}, works = ${item.works} } }]
"""
WAITING = """
    max_parallel = 2
    for_each = [crm, erp, hr]
    tasks = [{ name = waits, args { file = never } }]
    finally = [{ name = writes, args { file = "tidied-"${item.key} } }]
"""


def statuses(folder: Path) -> dict[str, str]:
    """How the last runs stand that the history has, by pipeline."""
    with History.read(folder / ".tasker") as history:
        return {run.pipeline: str(run.status) for run in reversed(history.runs())}


def test_all_run_and_one_that_fails_makes_the_exit_status(tmp_path: Path) -> None:
    write(tmp_path / "secrets" / "password", "hunter2-hunter2")
    result = run_tasker(
        *(tmp_path, "once", "pipe.conf", "--set", "days=7"), tasks=TASKS, conf=THREE, TASKER_SECRETS="secrets"
    )
    assert result.status == 1
    assert {each["pipeline"] for each in result.named("run.succeeded")} == {"pipe/crm", "pipe/hr"}
    assert [each["pipeline"] for each in result.named("run.failed")] == ["pipe/erp"]
    assert result.output("work") == ["secret *** days 7"] * 3
    assert statuses(tmp_path) == {"pipe/crm": "succeeded", "pipe/erp": "failed", "pipe/hr": "succeeded"}
    with History.read(tmp_path / ".tasker") as history:
        runs = history.runs()
        assert len({run.slot for run in runs}) == 1
        assert [dict(run.overrides) for run in runs] == [{"days": "7"}] * 3
        assert "secret *** days 7" in {fact.details.get("line") for _, fact in history.log(runs[0].id)}
    kept = b"".join(file.read_bytes() for file in (tmp_path / ".tasker").rglob("*") if file.is_file())
    assert b"hunter2" not in kept
    assert base64.b64encode(b"hunter2-hunter2") not in kept


def test_people_see_in_a_table_what_became_of_each(tmp_path: Path) -> None:
    write(tmp_path / "tasks" / "given.py", TASKS)
    write(tmp_path / "secrets" / "password", "hunter2-hunter2")
    write(tmp_path / "pipe.conf", THREE)
    done = tasker(
        *("once", "pipe.conf", "--log-format", "console", "--secrets", "secrets"), cwd=tmp_path, env={"COLUMNS": "150"}
    )
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    table = lines[next(number for number, line in enumerate(lines) if line.startswith("pipeline")) :]
    assert table[0].split() == ["pipeline", "status", "took", "failed", "step", "run"]
    crm, erp, error, hr, counts = table[1:6]
    assert [line.split()[:2] for line in (crm, erp, hr)] == [
        *(["pipe/crm", "succeeded"], ["pipe/erp", "failed"], ["pipe/hr", "succeeded"])
    ]
    assert "work" in erp.split()[3]
    assert error.startswith("  step 'work': ")
    assert counts == "1 failed, 2 succeeded"
    assert "pipe/crm work | secret *** days 30" in lines


def test_those_that_are_named_run_alone(tmp_path: Path) -> None:
    result = run_tasker(
        *(tmp_path, "once", "pipe.conf", "--instance", "pipe/hr"),
        tasks=TASKS,
        conf="for_each = [crm, hr]\n    tasks = [{ name = work }]",
    )
    assert result.status == 0
    assert statuses(tmp_path) == {"pipe/hr": "succeeded"}
    unknown = run_tasker(tmp_path, "once", "pipe.conf", "--instance", "cmr")
    assert unknown.status == 2
    assert [(each["code"], each["hint"]) for each in unknown.events] == [("unknown-instance", "did you mean 'crm'?")]


def test_a_signal_ends_those_that_run_and_starts_no_others(tmp_path: Path) -> None:
    command = start_tasker(tmp_path, tasks=TASKS, conf=WAITING)
    for _ in range(2):
        command.wait_for("step.output")
    command.signal(signal.SIGTERM)
    result = command.finish()
    assert result.status == 143
    assert {each["pipeline"] for each in result.named("run.interrupted")} == {"pipe/crm", "pipe/erp", "pipe/hr"}
    assert not [each for each in result.events if each["pipeline"] == "pipe/hr" and each["event"] == "run.started"]
    assert sorted(file.name for file in tmp_path.glob("tidied-*")) == ["tidied-crm", "tidied-erp"]
    assert statuses(tmp_path) == dict.fromkeys(("pipe/crm", "pipe/erp", "pipe/hr"), "interrupted")
    assert gone(str(tmp_path))


@pytest.mark.parametrize("whom", ["command", "launcher", "run"])
def test_whoever_is_killed_nothing_is_left_and_the_next_goes_on(whom: str, tmp_path: Path) -> None:
    command = start_tasker(tmp_path, tasks=TASKS, conf=WAITING)
    _, line = (command.wait_for("step.output")["line"] for _ in range(2))
    run, (launcher,) = int(line.split()[-1]), linux.children(command.process.pid)
    os.kill({"command": command.process.pid, "launcher": launcher, "run": run}[whom], signal.SIGKILL)
    if whom == "run":
        command.wait_for("run.failed")
        command.signal(signal.SIGTERM)
    command.finish()
    assert gone(str(tmp_path))
    (tmp_path / "never").touch()
    result = run_tasker(tmp_path, "once", "pipe.conf", "--resume")
    assert result.status == 0
    assert len(result.named("run.succeeded")) == 3
    assert len({each.get("slot") for each in result.named("run.started")}) == 1
    assert {*statuses(tmp_path).values()} == {"succeeded"}
