"""Which earlier runs a command goes on with, as the history tells of them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from support.histories import NOON, claim
from support.histories import opened as daemons

from tasker.errors import UsageError
from tasker.foreground.place import Place
from tasker.foreground.resuming import LAST, Resumption, opened
from tasker.history import History, RunRecord, RunStatus, this_daemon

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = ("p/a", "p/b", "p/c")


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    """A history of this process's, in which nothing is yet."""
    with History.join(tmp_path) as joined:
        joined.enrol(this_daemon(NOON, foreground=True))
        yield joined


def ran(history: History, run_id: str, pipeline: str, status: RunStatus, minute: int = 0, **rest: Any) -> None:
    """A command has run a pipeline, for a slot so many minutes after noon."""
    at = NOON + timedelta(minutes=minute)
    running = RunStatus.RUNNING
    history.start(
        RunRecord(
            **{
                "id": run_id, "pipeline": pipeline, "slot": at, "revision": "r", "status": running, "daemon": "",
                "claimed_at": at, "started_at": at, "overrides": {"days": "7", "password": "***"}, **rest,
            }
        )
    )  # fmt: skip
    if status is not running:
        history.end(run_id, status, None, at)


def going_on(found: Resumption) -> dict[str, str]:
    """The runs that are resumed, by pipeline."""
    return {name: run.id for name, run in found.going_on.items()}


def test_what_broke_off_goes_on_and_what_has_never_run_starts_for_the_same_slot(history: History) -> None:
    ran(history, "20-a", "p/a", RunStatus.SUCCEEDED, 1)
    ran(history, "20-b", "p/b", RunStatus.INTERRUPTED, 1)
    found = Resumption(history, NAMES, LAST)
    assert (going_on(found), found.names) == ({"p/b": "20-b"}, ["p/b", "p/c"])
    assert found.slot == NOON + timedelta(minutes=1)
    assert [fact.pipeline for fact in found.told] == ["p/a"]


def test_instances_that_the_last_command_was_not_for_stay_as_they_are(history: History) -> None:
    for name in NAMES:
        ran(history, f"20-{name[-1]}", name, RunStatus.SUCCEEDED)
    ran(history, "21-c", "p/c", RunStatus.FAILED, 1)  # --instance c
    found = Resumption(history, NAMES, LAST)
    assert (going_on(found), found.names) == ({"p/c": "21-c"}, ["p/c"])


def test_chosen_steps_alone_are_not_all_that_is_to_be_done(history: History) -> None:
    ran(history, "20-a", "p/a", RunStatus.FAILED)
    ran(history, "21-a", "p/a", RunStatus.SUCCEEDED, 1, resumed_from="20-a", chosen="--only c")
    ran(history, "20-b", "p/b", RunStatus.SUCCEEDED)
    ran(history, "21-b", "p/b", RunStatus.SUCCEEDED, 1, resumed_from="20-b", chosen="--only c")
    ran(history, "21-c", "p/c", RunStatus.SUCCEEDED, 1, chosen="--only c")
    assert going_on(Resumption(history, NAMES, LAST)) == {"p/a": "21-a", "p/c": "21-c"}
    with pytest.raises(UsageError, match="--resume 21-a, which is the last run"):
        Resumption(history, NAMES, "20-a")


def test_where_all_have_succeeded_all_run_from_the_start(history: History) -> None:
    for name in NAMES:
        ran(history, f"20-{name[-1]}", name, RunStatus.SUCCEEDED)
    found = Resumption(history, NAMES, LAST)
    assert (going_on(found), found.names, found.slot) == ({}, [*NAMES], None)
    assert len(found.told) == len(NAMES)


def test_where_nothing_has_run_yet_all_run_from_the_start(history: History) -> None:
    found = Resumption(history, NAMES, LAST)
    assert (going_on(found), found.names, found.slot) == ({}, [*NAMES], None)


def test_a_run_is_named_by_how_its_id_begins(history: History) -> None:
    ran(history, "20-a", "p/a", RunStatus.SUCCEEDED)
    ran(history, "21-a", "p/a", RunStatus.FAILED, 1)
    found = Resumption(history, NAMES, "20")
    assert (going_on(found), found.names) == ({"p/a": "20-a"}, ["p/a"])
    assert found.overrides("p/a") == {"days": "7"}


@pytest.mark.parametrize(
    ("wanted", "words"),
    [("2", "several runs"), ("3", "no run"), ("20", "is one of q"), ("21", "still going on"), (LAST, "still going on")],
)
def test_what_cannot_be_gone_on_with_is_refused(history: History, wanted: str, words: str) -> None:
    ran(history, "20-q", "q", RunStatus.FAILED)
    ran(history, "21-a", "p/a", RunStatus.RUNNING, 1)
    with pytest.raises(UsageError, match=words):
        Resumption(history, NAMES, wanted)


def test_of_runs_that_go_on_with_each_other_only_the_last_is_resumed(history: History) -> None:
    ran(history, "20-a", "p/a", RunStatus.FAILED)
    ran(history, "21-a", "p/a", RunStatus.FAILED, 1, resumed_from="20-a")
    with pytest.raises(UsageError, match="run 20-a has been resumed already: --resume 21-a, which is the last run"):
        Resumption(history, NAMES, "20-a")
    ran(history, "22-a", "p/a", RunStatus.FAILED, 2, resumed_from="20-a", started_at=None)  # it was refused
    for wanted in (LAST, "21", None):
        assert going_on(Resumption(history, NAMES, wanted)) == {"p/a": "21-a"}
    ran(history, "23-a", "p/a", RunStatus.SUCCEEDED, 3, resumed_from="21-a")
    with pytest.raises(UsageError, match="23-a, the last run that goes on with it, has succeeded"):
        Resumption(history, NAMES, "20-a")
    ran(history, "24-a", "p/a", RunStatus.RUNNING, 4, resumed_from="23-a")
    for wanted in ("20-a", None):
        with pytest.raises(UsageError, match="run 24-a of p/a is still going on"):
            Resumption(history, NAMES, wanted)


def test_a_run_that_a_daemon_is_to_go_on_with_is_left_to_it(tmp_path: Path) -> None:
    with daemons(tmp_path, "daemon") as history:
        stopped(history)
        for wanted in (LAST, "20-a"):
            with pytest.raises(UsageError, match=r"run 21-a of p/a waits in a daemon; `tasker cancel 21-a` ends it"):
                Resumption(history, NAMES, wanted)


def test_what_waits_for_a_daemon_that_is_gone_may_be_cancelled_and_gone_on_with(
    tmp_path: Path, history: History
) -> None:
    with daemons(tmp_path, "dead") as dead:
        stopped(dead)
    words = r"run 21-a of p/a waits for a daemon, and none is there: start `tasker watch`.* `tasker cancel 21-a`"
    for wanted in (LAST, "20-a"):
        with pytest.raises(UsageError, match=words):
            Resumption(history, NAMES, wanted)
    history.cancel("21-a", "ann", NOON)
    found = Resumption(history, NAMES, LAST)
    assert going_on(found) == {"p/a": "20-a"}
    assert found.earlier("p/a") is not None


def test_what_was_cut_off_with_its_daemon_is_not_still_going_on(tmp_path: Path, history: History) -> None:
    with daemons(tmp_path, "dead") as dead:
        dead.claim([claim("20-a", pipeline="p/a")])
        dead.begin("20-a", 1, 1, NOON)
    with pytest.raises(UsageError, match=r"was cut off with its daemon, and none is there: start `tasker watch`"):
        Resumption(history, NAMES, LAST)


def stopped(history: History) -> None:
    """A daemon was stopped in the middle of a run, which it left to the next one."""
    history.claim([claim("20-a", pipeline="p/a")])
    history.begin("20-a", 1, 1, NOON)
    history.end("20-a", RunStatus.INTERRUPTED, "stopped", NOON)
    history.resume("20-a", "21-a", NOON + timedelta(minutes=1))


def test_chosen_steps_go_on_with_the_last_run_that_has_ended(history: History) -> None:
    ran(history, "20-a", "p/a", RunStatus.SUCCEEDED)
    ran(history, "21-a", "p/a", RunStatus.RUNNING, 1)
    found = Resumption(history, NAMES, None)
    assert (going_on(found), found.names, found.told) == ({"p/a": "20-a"}, [*NAMES], [])
    earlier = found.earlier("p/a")
    assert earlier is not None
    assert earlier.run_id == "20-a"
    assert found.earlier("p/b") is None


def test_a_history_that_cannot_be_written_is_read(tmp_path: Path) -> None:
    with History.join(tmp_path):
        pass
    for each in tmp_path.iterdir():
        each.chmod(0o400)
    tmp_path.chmod(0o500)
    with opened(Place.of(tmp_path, tmp_path)) as history:
        assert history.runs() == []
