"""`tasker runs` and `tasker logs`: the history as people and programs read it, while a daemon writes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.command import run_tasker, start_tasker
from support.histories import NOON, claim, fact, opened, slot, whole_run
from support.terminal import on_terminal

from tasker.facts import Event
from tasker.history import Claim, History, RunStatus
from tasker.run import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


def place(where: str) -> list[str]:
    return ["--history" if "://" in where else "--state", where]


wherever_it_is_kept = pytest.mark.parametrize("where", ["sqlite"], indirect=True)
"""For what does not depend on where that is."""


@pytest.fixture
def history(where: str) -> Iterator[History]:
    """Two runs, one of which goes on, and a slot that was missed; the daemon has it open."""
    with opened(where) as history:
        history.claim([claim("aa-1", snapshot_id="s"), claim("aa-2", 1), claim("bb-1", 2, "erp")])
        history.claim([Claim(slot=slot(3), outcome=Outcome.MISSED, at=NOON, reason="6 h late")])
        for each in whole_run("aa-1"):
            history.observe(each)
        history.begin("aa-2", 1, 1, NOON + timedelta(minutes=1))
        yield history
        history.leave()


@pytest.mark.usefixtures("history")
def test_runs_are_told_newest_first(tmp_path: Path, where: str) -> None:
    told = run_tasker(tmp_path, "runs", *place(where))
    assert told.status == 0
    assert [(run["run_id"], run["status"]) for run in told.events] == [
        ("bb-1", "waiting"),
        ("aa-2", "running"),
        ("aa-1", "succeeded"),
    ]
    assert told.events[-1] == {
        "run_id": "aa-1",
        "pipeline": "crm",
        "slot": "2026-11-22T12:00:00Z",
        "status": "succeeded",
        "revision": "r1",
        "claimed_at": "2026-11-22T12:00:00Z",
        "started_at": "2026-11-22T12:00:00Z",
        "ended_at": "2026-11-22T12:00:04Z",
        "duration_s": 4.0,
        "late_s": 0.0,
    }


@wherever_it_is_kept
@pytest.mark.usefixtures("history")
def test_runs_are_chosen_by_pipeline_status_and_number(tmp_path: Path, where: str) -> None:
    def ids(*options: str) -> list[str]:
        return [run["run_id"] for run in run_tasker(tmp_path, "runs", *options, *place(where)).events]

    assert ids("crm") == ["aa-2", "aa-1"]
    assert ids("--status", "waiting", "--status", "succeeded") == ["bb-1", "aa-1"]
    assert ids("--limit", "1") == ["bb-1"]


@pytest.mark.usefixtures("history")
def test_slots_are_told_with_what_became_of_them(tmp_path: Path, where: str) -> None:
    told = run_tasker(tmp_path, "runs", "crm", "--slots", *place(where)).events
    assert [(each["slot"], each["outcome"], each.get("run_id")) for each in told] == [
        ("2026-11-22T12:03:00Z", "missed", None),
        ("2026-11-22T12:01:00Z", "ran", "aa-2"),
        ("2026-11-22T12:00:00Z", "ran", "aa-1"),
    ]
    assert told[0]["reason"] == "6 h late"


@pytest.mark.usefixtures("history")
def test_a_log_is_told_as_it_was_logged(tmp_path: Path, where: str) -> None:
    told = run_tasker(tmp_path, "logs", "aa-1", *place(where))
    assert [event["event"] for event in told.events] == [each.event for each in whole_run()]
    assert told.events[2] == {
        "timestamp": "2026-11-22T12:00:02.000000Z",
        "level": "info",
        "event": "step.output",
        "pipeline": "crm",
        "revision": "r1",
        "run_id": "aa-1",
        "step": "scan",
        "task": "shellscript",
        "attempt": 1,
        "line": "hello",
    }


def test_a_run_is_named_by_how_its_id_begins_or_by_its_pipeline(tmp_path: Path, where: str, history: History) -> None:
    history.observe(fact("hello", "bb-1"))
    assert [each["event"] for each in run_tasker(tmp_path, "logs", "b", *place(where)).events] == ["hello"]
    assert [each["event"] for each in run_tasker(tmp_path, "logs", "erp", *place(where)).events] == ["hello"]
    told = run_tasker(tmp_path, "logs", "aa", *place(where))
    assert told.status == 2
    assert "several runs have ids that begin with 'aa': aa-1, aa-2" in told.stderr


def test_a_log_is_followed_until_the_run_has_ended(tmp_path: Path, where: str, history: History) -> None:
    history.observe(fact(Event.RUN_STARTED, "aa-2", slot=slot(1).at.isoformat()))
    following = start_tasker(tmp_path, "logs", "aa-2", "--follow", *place(where))
    following.wait_for("run.started")
    history.observe(fact("half way", "aa-2"))
    following.wait_for("half way")
    history.observe(fact(Event.RUN_FAILED, "aa-2", error="no"))
    assert following.finish().events[-1]["event"] == "run.failed"


def test_lines_that_were_not_kept_are_spoken_of(tmp_path: Path, where: str, history: History) -> None:
    history.dropped("aa-1", 7)
    assert "7 lines of this log were not kept" in run_tasker(tmp_path, "logs", "aa-1", *place(where)).stderr


@wherever_it_is_kept
@pytest.mark.usefixtures("history")
def test_a_terminal_shows_tables_and_lines(tmp_path: Path, where: str) -> None:
    runs = on_terminal("runs", *place(where), cwd=tmp_path).text
    assert "succeeded" in runs
    assert "4s" in runs
    slots = on_terminal("runs", "--slots", *place(where), cwd=tmp_path, columns=120).text
    assert "6 h late" in slots
    assert "hello" in on_terminal("logs", "aa-1", *place(where), cwd=tmp_path).text


@wherever_it_is_kept
@pytest.mark.usefixtures("history")
def test_what_is_asked_wrongly_is_said(tmp_path: Path, where: str) -> None:
    def words(*arguments: str) -> str:
        told = run_tasker(tmp_path, *arguments)
        assert told.status == 2
        return told.stderr

    assert "the history knows no pipeline named 'crn'" in words("runs", "crn", *place(where))
    assert "--status late: it is one of waiting, running, succeeded" in words("runs", "--status", "late", *place(where))
    assert "--status running: it is one of waiting, ran, skipped" in words(
        "runs", "--slots", "--status", "running", *place(where)
    )
    assert "knows no run, and no pipeline with a run, named 'aa-1 '" in words("logs", "aa-1 ", *place(where))
    assert "'0' is no count" in words("runs", "--limit", "0", *place(where))
    assert "there is no history in elsewhere; `tasker watch` and `tasker once` keep one" in words(
        "runs", "--state", "elsewhere"
    )
    assert not (tmp_path / "elsewhere").exists()
    assert "a URL is expected" in words("runs", "--history", "a-folder")
    assert "mysql://me:***@there/db is no URL that PostgreSQL knows" in words(
        "runs", "--history", "mysql://me:x@there/db"
    )


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:geheim@127.0.0.1:1/db",
        "postgresql://me:geh@eim/geheim@127.0.0.1:1/db",
        "postgresql://me@127.0.0.1:1/db?password=geheim",
        "postgresql://me:geheim@127.0.0.1:not-a-port/db",
        "postgresql://me:geheim@127.0.0.1/db?no=such&option=there",
        "mysql://me:geheim@there/db",
        "postgresql:/me:geheim@there",
        "host=there password=geheim",
    ],
)
def test_a_password_is_never_shown(tmp_path: Path, url: str) -> None:
    told = run_tasker(tmp_path, "runs", TASKER_HISTORY=url)
    assert told.status == 2
    assert told.stderr.startswith("tasker: ")
    assert "geheim" not in told.stderr
    assert "geh@eim" not in told.stderr


AS_ANOTHER_USER = """
import contextlib, io, os, sys
from tasker.cli import main
# What is imported comes first: another user may not reach where this Python and tasker are.
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    main(["runs", "--state", sys.argv[1]])
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
sys.exit(main(["runs", "--state", sys.argv[2]]))
"""
Reader = Callable[[Path], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def another_user(tmp_path: Path) -> Reader:
    """`tasker runs` on a state folder, as somebody who owns nothing."""
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    known = tmp_path / "known"
    with opened(known) as history:
        history.claim([claim("run-0")])

    def read(state: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", AS_ANOTHER_USER, str(known), str(state)]
        return subprocess.run(command, check=False, cwd="/", capture_output=True, text=True)

    return read


def test_another_user_reads_a_state_folder_in_which_it_may_not_write(tmp_path: Path, another_user: Reader) -> None:
    state = tmp_path / "state"

    def read() -> int:
        done = another_user(state)
        assert done.returncode == 0, done.stderr
        return done.stdout.count("\n")

    _let_others_in(tmp_path)
    with opened(state) as history:
        refused = another_user(state)
        assert refused.returncode == 2
        assert "Permission denied" in refused.stderr
        state.chmod(0o755)  # as the guide says
        history.claim([claim("run-1")])
        assert read() == 1  # while it is written to
        history.claim([claim("run-2", 1)])
        assert read() == 2
        history.end("run-1", RunStatus.FAILED, None, NOON)
    assert read() == 2  # and when it is not
    assert sorted(each.name for each in state.iterdir()) == [".gitignore", "history.db", "lock"]


def test_another_user_reads_all_that_a_killed_daemon_wrote_or_is_told_what_is_missing(
    tmp_path: Path, another_user: Reader
) -> None:
    state = tmp_path / "state"
    _let_others_in(tmp_path)
    killed = "import os, sys; sys.path.insert(0, 'tests'); from support.histories import claim, opened; "
    killed += "opened(sys.argv[1]).claim([claim()]); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", killed, str(state)], check=False, cwd=ROOT)
    state.chmod(0o755)
    assert "run-1" in another_user(state).stdout
    (state / "history.db-shm").unlink()
    read = another_user(state)
    assert read.returncode == 2
    assert "what was written last is in history.db-wal, which nobody can read" in read.stderr


def _let_others_in(folder: Path) -> None:
    """Let other users reach a folder of pytest's."""
    for each in (folder, *folder.parents[:-1]):
        if each.stat().st_mode & 0o005 != 0o005:
            each.chmod(0o755)
