"""`tasker rerun` and `tasker diff`: what ran then, again, and beside what would run now."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from support.command import Result, run_tasker, start_tasker, write
from support.terminal import on_terminal

if TYPE_CHECKING:
    from pathlib import Path

TASKS = """
    import time
    from tasker import Task

    class Says(Task):
        def run(self, words: list[str]):
            print(*words)

    class Waits(Task):
        def run(self):
            print("ready")
            time.sleep(3600)
"""
SAYS = """
    for_each { crm { word = one }, erp { word = two } }
    params { days = 7, key = x }
    tasks = [{ name = says, args { words = [${item.word}, ${params.days}, ${NOTE}, ${RUN_TIME}, ${secret.pass}] } }]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file of two instances, which reads a variable and a secret."""
    write(tmp_path / "tasks" / "says.py", TASKS)
    write(tmp_path / "conf.d" / "say.conf", SAYS)
    write(tmp_path / "secrets" / "pass", "hunter2222")
    return tmp_path


def command(folder: Path, *arguments: str, note: str = "then") -> Result:
    """Run a command of tasker in the folder."""
    return run_tasker(folder, *arguments, TASKER_STATE="state", TASKER_SECRETS="secrets", NOTE=note)


def said(result: Result) -> list[str]:
    return result.output("says")


def first_run(folder: Path) -> tuple[str, str]:
    """Run one instance with a parameter; the id of the run, and what it said."""
    result = command(folder, "once", "conf.d/say.conf", "--instance", "crm", "--set", "days=9")
    (line,) = said(result)
    return result.named("run.started")[0]["run_id"], line


def test_what_ran_then_is_repeated_whatever_has_become_of_the_file(folder: Path) -> None:
    run, line = first_run(folder)
    write(folder / "conf.d" / "say.conf", "tasks = [{ name = waits }]")

    again = command(folder, "rerun", run)

    assert (again.status, said(again), again.stderr) == (0, [line], "")
    assert "9" in line
    newest, oldest = command(folder, "runs", "say").events
    assert (oldest["run_id"], newest["pipeline"]) == (run, "say/crm")
    assert [newest[name] for name in ("revision", "slot", "overrides")] == [
        oldest[name] for name in ("revision", "slot", "overrides")
    ]


def test_where_it_is_not_what_ran_then_that_is_said(folder: Path) -> None:
    run, line = first_run(folder)

    again = command(folder, "rerun", run, "--set", "days=1", note="now")

    assert again.status == 0
    assert said(again) == [line.replace("9", "1", 1).replace("then", "now")]
    assert "this is not quite what ran then: revision" in again.stderr
    (folder / "secrets" / "pass").unlink()
    assert command(folder, "rerun", run).status == 2
    write(folder / "state" / "x", "")
    assert "'say' is a file of several instances: name the run of one, such as 'say/crm'" in (
        command(folder, "rerun", "say").stderr
    )


def test_a_run_is_compared_with_its_file_as_it_is_now(folder: Path) -> None:
    run, _ = first_run(folder)
    (same,) = command(folder, "diff", run).events
    assert same == {"from": run, "to": "conf.d/say.conf", "same": True, "diff": ""}
    write(folder / "conf.d" / "say.conf", SAYS.replace("word = one", "word = uno"))

    different = command(folder, "diff", "say/crm")

    (told,) = different.events
    assert (different.status, told["same"], sorted(told["revision"])) == (1, False, ["from", "to"])
    changed = [each for each in told["diff"].splitlines() if each.startswith(("+ ", "- "))]
    assert [each.split("[")[1] for each in changed] == [
        '"one", 9, "then", "${RUN_TIME}", "***"]',
        '"uno", 9, "then", "${RUN_TIME}", "***"]',
    ]
    write(folder / "conf.d" / "say.conf", "tasks = [{ name = gone }]")
    invalid = command(folder, "diff", run)
    assert (invalid.status, invalid.events) == (2, [])
    assert "the pipeline declares no parameter 'days'" in invalid.stderr


def test_two_runs_are_compared(folder: Path) -> None:
    for words in (["init", "-q"], ["add", "conf.d"], ["commit", "-qm", "x"]):
        git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words]
        subprocess.run(git, cwd=folder, check=True)
    one, _ = first_run(folder)
    write(folder / "conf.d" / "say.conf", SAYS + "# more\n")
    again = command(folder, "once", "conf.d/say.conf", "--instance", "crm")
    other = again.named("run.started")[0]["run_id"]

    result = command(folder, "diff", one, other)

    (told,) = result.events
    assert result.status == 1
    assert told["overrides"] == {"from": {"days": "9"}, "to": {}}
    assert told["commit"]["to"] == f"{told['commit']['from']}-dirty"
    assert "-  days = 9\n+  days = 7" in told["diff"]
    shown = on_terminal("diff", one, other, "--state", "state", cwd=folder).text
    assert "overrides: days=9 → none" in shown
    assert "+  days = 7" in shown


def test_a_run_of_once_that_was_killed_is_told_as_interrupted(folder: Path) -> None:
    write(folder / "long.conf", "tasks = [{ name = waits }]")
    under_way = start_tasker(folder, "once", "long.conf", TASKER_STATE="state")
    run = under_way.wait_for("step.output", line="ready")["run_id"]
    (told,) = command(folder, "runs").events
    assert (told["run_id"], told["status"], told["foreground"]) == (run, "running", True)
    under_way.kill()
    under_way.finish()

    (told,) = command(folder, "runs").events

    assert (told["status"], told["error"]) == ("interrupted", "interrupted: its process died")
    assert [each["event"] for each in command(folder, "logs", run).events][:2] == ["run.started", "step.started"]
