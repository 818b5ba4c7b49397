"""`tasker cancel`: runs ended from another shell, whoever has them, and not gone on with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.command import Result, eventually, run_tasker, start_tasker, write
from support.daemons import EACH_SECOND, daemon
from support.histories import NOON, claim, fact, opened

from tasker.facts import Event

if TYPE_CHECKING:
    from pathlib import Path

TASKS = """
    import time
    from pathlib import Path
    from tasker import Task

    class Waits(Task):
        def run(self):
            print("ready")
            time.sleep(3600)

    class Notes(Task):
        def run(self, word: str):
            with open("notes", "a") as file:
                file.write(word + "\\n")
"""
WAITS = """
    tasks = [{ name = waits }]
    on_failure = [{ name = notes, args { word = "failed: "${run.error} } }]
    finally = [{ name = notes, args { word = finally } }]
"""


def cancel(folder: Path, *arguments: str) -> Result:
    """Cancel runs of the daemon that has the folder."""
    return run_tasker(folder, "cancel", *arguments, TASKER_STATE="state")


def runs(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    """What the history tells of runs."""
    return run_tasker(folder, "runs", *arguments, TASKER_STATE="state").events


def notes(folder: Path) -> list[str]:
    return (folder / "notes").read_text().splitlines()


def test_runs_of_a_daemon_end_from_another_shell(tmp_path: Path) -> None:
    write(tmp_path / "tasks" / "waits.py", TASKS)
    text = f'schedule {{ cron = "{EACH_SECOND}", overlap = queue }}\n{WAITS}'
    write(tmp_path / "conf.d" / "long.conf", text)
    with daemon(tmp_path) as watched:
        run = watched.wait_for("step.output", line="ready")["run_id"]
        assert eventually(lambda: bool(runs(tmp_path, "--status", "waiting")))
        waiting = runs(tmp_path, "--status", "waiting")[-1]
        before = watched.moment()

        skipped = cancel(tmp_path, waiting["run_id"])

        (told,) = skipped.events
        assert (skipped.status, told["run_id"], told["status"]) == (0, waiting["run_id"], "skipped")
        words = told["error"]
        assert words.startswith("cancelled by ")
        watched.wait_for("slot.skipped", before, outcome="skipped", reason=words)

        cancelled = cancel(tmp_path, run[:-3])

        (told,) = cancelled.events
        assert (cancelled.status, told["run_id"], told["status"]) == (0, run, "interrupted")
        assert told["error"] == f"interrupted: {words}"
        assert watched.wait_for("run.interrupted", run_id=run)["error"] == told["error"]
        assert notes(tmp_path)[:2] == [f"failed: interrupted: {words}", "finally"]
        watched.wait_for("run.started", before)  # the next slot's
        assert watched.named("run.started", resumed_from=run) == []

        (compared,) = run_tasker(tmp_path, "diff", run, TASKER_STATE="state").events
        assert compared == {"from": run, "to": "conf.d/long.conf", "same": True, "diff": ""}

        again = cancel(tmp_path, run)
        assert (again.status, again.events) == (0, [])
        assert again.stderr == f"tasker: {run} had ended already: interrupted\n"
        unknown = cancel(tmp_path, "nothing")
        assert unknown.status == 2
        assert "knows no run, and no pipeline with a run, named 'nothing'" in unknown.stderr


def test_a_run_of_once_ends_from_another_shell(tmp_path: Path) -> None:
    write(tmp_path / "tasks" / "waits.py", TASKS)
    write(tmp_path / "long.conf", WAITS)
    write(tmp_path / "next.conf", "tasks = [{ name = notes, args { word = next } }]")
    under_way = start_tasker(tmp_path, "once", "long.conf", "next.conf", TASKER_STATE="state")
    run = under_way.wait_for("step.output", line="ready")["run_id"]
    assert eventually(lambda: bool(run_tasker(tmp_path, "runs", "long", TASKER_STATE="state").events))

    cancelled = cancel(tmp_path, "long")

    assert [(told["run_id"], told["status"]) for told in cancelled.events] == [(run, "interrupted")]
    ended = under_way.finish()
    assert ended.status == 1
    assert ended.named("run.interrupted")[0]["error"] == cancelled.events[0]["error"]
    assert notes(tmp_path)[-2:] == ["finally", "next"]


def test_of_several_runs_of_once_the_others_go_on(tmp_path: Path) -> None:
    write(tmp_path / "tasks" / "waits.py", TASKS)
    text = """
        for_each { a { task = waits, args {} }, b { task = notes, args { word = b } } }
        tasks = [{ name = ${item.task}, args = ${item.args} }]
    """
    write(tmp_path / "many.conf", text)
    under_way = start_tasker(tmp_path, "once", "many.conf", TASKER_STATE="state")
    run = under_way.wait_for("step.output", line="ready", pipeline="many/a")["run_id"]
    assert eventually(lambda: bool(runs(tmp_path, "many/a")))

    cancelled = cancel(tmp_path, "many/a")

    assert [(told["run_id"], told["status"]) for told in cancelled.events] == [(run, "interrupted")]
    ended = under_way.finish()
    assert ended.status == 1
    assert [told["pipeline"] for told in ended.named("run.succeeded")] == ["many/b"]
    assert {told["pipeline"]: told["status"] for told in runs(tmp_path, "many")} == {
        "many/a": "interrupted",
        "many/b": "succeeded",
    }


def test_where_nobody_could_heed_it_that_is_said(tmp_path: Path) -> None:
    with opened(tmp_path / "state", "dead") as history:
        history.claim([claim("run-1"), claim("run-2", 1)])
        history.observe(fact(Event.RUN_STARTED, slot=NOON.isoformat()))

    ended = cancel(tmp_path, "run-1")

    assert ended.status == 1
    assert "there is no daemon that could heed it: run-1: it ends, and is not resumed, when the next" in ended.stderr
    followed = run_tasker(tmp_path, "logs", "run-2", "--follow", TASKER_STATE="state")
    assert followed.status == 1
    assert "run-2 is waiting, but there is no daemon" in followed.stderr
    skipped = cancel(tmp_path, "run-2")
    assert [(told["run_id"], told["status"]) for told in skipped.events] == [("run-2", "skipped")]
    with daemon(tmp_path) as watched:
        told = watched.wait_for("run.interrupted", run_id="run-1")
        assert told["error"].startswith("interrupted: cancelled by ")
        assert watched.named("run.started") == []
