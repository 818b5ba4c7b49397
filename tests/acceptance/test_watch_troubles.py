"""The daemon whose history gives trouble: it says so, slots run on, and in the end the history has them all."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.command import run_tasker
from support.daemons import EACH_SECOND, Daemon, daemon

if TYPE_CHECKING:
    from collections.abc import Iterator

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="a disk of its own can be mounted only by root")


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(file: Path) -> None:
    """Write a file until there is no room for more."""
    with file.open("wb", buffering=0) as opened, suppress(OSError):
        while True:
            opened.write(b"\0" * 4096)


def runs_on(daemon: Daemon, runs: int = 2) -> None:
    """Wait for some more runs."""
    moment = daemon.moment()
    daemon.wait_until(lambda _: len(daemon.named("run.succeeded", moment)) >= runs, moment, f"{runs} runs")


def slots(folder: Path) -> list[dict[str, Any]]:
    """What the history says of slots."""
    told = run_tasker(folder, "runs", "--slots", "--limit", "1000", "--state", "state")
    assert told.status == 0, told.stderr
    return told.events


def assert_nothing_is_lost(daemon: Daemon) -> None:
    """Each slot that was told of is in the history, once; one whose claim had to wait may have held up the next."""
    due = [told["slot"][:19] for told in daemon.named("slot.due")]
    kept = {slot["slot"][:19]: slot["outcome"] for slot in slots(daemon.folder)}
    assert len(due) == len(set(due))
    assert {kept.pop(slot) for slot in due} == {"ran"}
    assert set(kept.values()) <= {"skipped"}


@NEEDS_ROOT
def test_on_a_full_disk_slots_run_on_and_are_in_the_history_once_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "state") as disk, daemon(tmp_path) as watching:
        watching.conf("p", cron=EACH_SECOND)
        watching.wait_for("run.succeeded")
        fill(disk / "fill")
        trouble = watching.wait_for("daemon.troubled", what="history")
        assert "full" in trouble["error"]
        runs_on(watching)
        assert watching.readiness()["troubles"][0]["what"] == "history"
        assert watching.metric("tasker_history_up") == 0
        (disk / "fill").unlink()
        watching.wait_for("daemon.recovered", what="history")
        assert not watching.readiness()["troubles"]
        runs_on(watching, 1)
        watching.stop()
        assert_nothing_is_lost(watching)


def test_behind_a_lock_slots_run_on_and_are_in_the_history_when_it_is_gone(tmp_path: Path) -> None:
    with daemon(tmp_path) as watching:
        watching.conf("p", cron=EACH_SECOND)
        watching.wait_for("run.succeeded")
        with closing(sqlite3.connect(tmp_path / "state" / "history.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            watching.wait_for("daemon.troubled", what="history")
            runs_on(watching)
            other.execute("ROLLBACK")
        watching.wait_for("daemon.recovered", what="history")
        runs_on(watching, 1)
        watching.stop()
        assert_nothing_is_lost(watching)


def test_two_daemons_on_one_state_folder_run_each_slot_once(tmp_path: Path) -> None:
    with daemon(tmp_path) as watching, Daemon(tmp_path) as second:
        told = second.wait_for("daemon.troubled", what="history")
        process, state = watching.process.pid, tmp_path / "state"
        assert f"another daemon (process {process}) has the state folder {state.name}; this one waits" in told["error"]
        watching.conf("p", cron=EACH_SECOND)
        runs_on(watching)
        assert second.get("/readyz")[0] == 503
        assert {told["event"] for told in second.events} == {"daemon.started", "daemon.troubled"}
        watching.send(signal.SIGKILL)
        second.wait_for("daemon.recovered", what="history")
        runs_on(second.settled())
        second.stop()
    succeeded = [
        run["slot"] for run in run_tasker(tmp_path, "runs", "--state", "state", "--status", "succeeded").events
    ]
    assert len(succeeded) == len(set(succeeded)) >= 4
    outcomes = {slot["slot"][:19]: slot["outcome"] for slot in slots(tmp_path)}
    assert len(outcomes) == len(slots(tmp_path))
    assert {told["slot"][:19] for each in (watching, second) for told in each.named("slot.due")} <= outcomes.keys()
    assert "waiting" not in outcomes.values()


def test_a_daemon_that_waits_for_another_one_stops_when_it_is_told_to(tmp_path: Path) -> None:
    with daemon(tmp_path), Daemon(tmp_path) as second:
        second.wait_for("daemon.troubled", what="history")
        assert second.stop() == 128 + signal.SIGTERM
