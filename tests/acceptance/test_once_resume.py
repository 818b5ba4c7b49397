"""`tasker once --resume`, `--from` and `--only`: what an earlier run has done is not done again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from support.command import run_tasker, write

from tasker.task import WORKSPACE_MARKER

if TYPE_CHECKING:
    from pathlib import Path

    from support.command import Result

TASKS = """
    from pathlib import Path
    from tasker import Task

    class Makes(Task):
        def run(self, text: str):
            return {"text": text}

    class Needs(Task):
        def run(self, file: Path, text: str = ""):
            if not file.exists():
                raise FileNotFoundError(file)
            return {"text": text}
"""
CHAIN = """
    params { word = one }
    tasks = [
      { id = a, name = makes, args { text = ${params.word} } }
      { id = b, name = needs, args { file = go, text = ${outputs.a.text} } }
      { id = c, name = makes, args { text = ${outputs.b.text} } }
    ]
"""


def broken_off(folder: Path, *options: str) -> None:
    """Run the chain; b fails, and is to work the next time."""
    assert run_tasker(folder, "once", "pipe.conf", *options, tasks=TASKS, conf=CHAIN).status == 1
    (folder / "go").touch()


def again(folder: Path, *options: str, **environment: str) -> Result:
    """Run it once more."""
    return run_tasker(folder, "once", "pipe.conf", *options, **environment)


def done(result: Result) -> str:
    """The steps that were carried out."""
    return "".join(each["step"] for each in result.named("step.succeeded"))


def reason(result: Result, step: str) -> str:
    """Why a step was passed over, or is done again."""
    (told,) = [each for each in result.of(step) if "reason" in each or "again" in each]
    return str(told.get("reason") or told.get("again"))


def test_what_has_succeeded_is_not_done_again_and_hands_on_the_same(tmp_path: Path) -> None:
    broken_off(tmp_path, "--set", "word=two")
    plan = again(tmp_path, "--resume", "--dry-run").events
    assert [each["step"] for each in plan if each.get("succeeded_before")] == ["a"]
    result = again(tmp_path, "--resume")
    assert (result.status, done(result)) == (0, "bc")
    assert result.end("a")["level"] == "info"
    assert result.end("c")["outputs"] == {"text": "two"}
    assert "which this one resumes" in reason(result, "a")
    last = again(tmp_path, TASKER_RESUME="yes")
    assert (done(last), last.events[0]["event"]) == ("abc", "resume.nothing")


def test_of_two_who_resume_a_run_at_the_same_moment_the_second_is_refused(tmp_path: Path) -> None:
    broken_off(tmp_path)
    (mark,) = (tmp_path / "workspaces").glob(f"*/{WORKSPACE_MARKER}")
    told = json.loads(mark.read_text())
    mark.write_text(json.dumps({**told, "run_id": "another"}))
    result = again(tmp_path, "--resume")
    words = f"run {told['run_id']} has been resumed by run another meanwhile: resume that one"
    assert (result.status, done(result), result.stderr) == (2, "", f"tasker: {words}\n")
    assert run_tasker(tmp_path, "runs").events[0]["error"] == words
    mark.write_text(json.dumps(told))
    assert done(again(tmp_path, "--resume")) == "bc"


def test_what_has_changed_is_done_again(tmp_path: Path) -> None:
    broken_off(tmp_path)
    write(tmp_path / "tasks" / "given.py", TASKS + "\n    # changed\n")
    result = again(tmp_path, "--resume", "2")
    assert (result.status, done(result)) == (0, "abc")
    assert reason(result, "a") == "the code of its task has changed"
    other = again(tmp_path, "--resume", "last", "--set", "word=two")
    assert done(other) == "abc"


def test_steps_that_are_chosen_run_alone_on_what_others_have_handed_on(tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    assert run_tasker(tmp_path, tasks=TASKS, conf=CHAIN).status == 0
    assert done(again(tmp_path, "--from", "b")) == "bc"
    only = again(tmp_path, TASKER_ONLY="c a")
    assert (only.status, done(only)) == (0, "ac")
    assert reason(only, "b") == "left out by --only c --only a"


def test_chosen_steps_leave_what_broke_off_to_be_gone_on_with(tmp_path: Path) -> None:
    broken_off(tmp_path)
    assert run_tasker(tmp_path, "once", "pipe.conf", "--only", "a").status == 0
    assert len([*(tmp_path / "workspaces").iterdir()]) == 1
    result = again(tmp_path, "--resume")
    assert (result.status, done(result)) == (0, "bc")
    assert run_tasker(tmp_path, "runs").events[1]["chosen"] == "--only a"
    assert [*(tmp_path / "workspaces").iterdir()] == []


def test_what_cannot_be_chosen_is_a_fault_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    result = run_tasker(tmp_path, "once", "pipe.conf", "--only", "c", "--from", "d", tasks=TASKS, conf=CHAIN)
    assert result.status == 2
    assert [each["code"] for each in result.events] == ["unknown-step", "unknown-output"]
    assert result.events[1]["line"] == 5


def test_only_those_instances_go_on_that_have_not_succeeded(tmp_path: Path) -> None:
    conf = (
        "for_each { crm { file = there }, erp { file = go } }\ntasks = [{ name = needs, args { file = ${item.file} } }]"
    )
    (tmp_path / "there").touch()
    assert run_tasker(tmp_path, tasks=TASKS, conf=conf).status == 1
    (tmp_path / "go").touch()
    result = again(tmp_path, "--resume")
    assert result.status == 0
    assert [each["pipeline"] for each in result.named("run.succeeded")] == ["pipe/erp"]
    assert [each["pipeline"] for each in result.named("resume.nothing")] == ["pipe/crm"]
    assert len(again(tmp_path, "--resume").named("run.succeeded")) == 2


def test_a_run_that_cannot_be_meant_is_wrong_usage(tmp_path: Path) -> None:
    broken_off(tmp_path)
    for options in (["--resume", "19990101"], ["--resume", "--history", "none"]):
        result = again(tmp_path, *options)
        assert (result.status, result.events) == (2, [])
        assert "--resume" in result.stderr


def test_what_a_hook_has_cleared_away_is_made_anew(tmp_path: Path) -> None:
    """A step that makes a file in the workspace succeeds; `finally` clears the workspace though a later step fails."""
    conf = """
        tasks = [
          { id = a, name = shell_script, args { command = touch, arguments = ${WORKSPACE}/made } }
          { id = b, name = needs, args { file = go } }
          { id = c, name = needs, args { file = ${WORKSPACE}/made } }
        ]
        finally = [{ name = cleanup }]
    """
    assert run_tasker(tmp_path, "once", "pipe.conf", tasks=TASKS, conf=conf).status == 1
    (tmp_path / "go").touch()
    resumed = again(tmp_path, "--resume")
    assert resumed.status == 0
    assert reason(resumed, "a").startswith("what it left in the workspace of run ")
