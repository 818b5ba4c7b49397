"""What the next daemon does with what one that died has left, case by case; `test_crash` does it at random."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support.command import eventually, processes_with, write
from support.daemons import Daemon

from tasker import linux
from tasker.history import History
from tasker.run import Outcome

SAYS = """
    import os
    import time
    from pathlib import Path

    from tasker import Task

    class Note(Task):
        def run(self, word: str, gate: str = "", leave: str = "", find: str = "") -> dict[str, str]:
            with open("notes", "a", encoding="utf-8") as notes:
                notes.write(f"{self.context.slot.timestamp():.0f} {word}\\n")
            if leave:
                (self.context.workspace / leave).touch()
            if find:
                os.stat(self.context.workspace / find)
            while gate and not Path(gate).exists():
                time.sleep(0.01)
            return {"word": word}
"""
GATED = """
    schedule {{ cron = "* * * * * *", overlap = {overlap}, catchup = {catchup} }}
    {more}
    tasks = [
      {{ id = first, name = note, args {{ word = "first", leave = file }} }}
      {{ id = second, name = note, args {{ word = "second {version}", gate = gate }} }}
      {{ id = third, name = note, args {{ word = ${{outputs.first.word}}, find = file }} }}
    ]
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Daemon]]:
    """Start a daemon, which is the next one where there was one before."""
    write(tmp_path / "tasks" / "note.py", SAYS)
    started: list[Daemon] = []

    def start() -> Daemon:
        started.append(Daemon(tmp_path, "--grace", "1").__enter__())
        return started[-1].settled()

    yield start
    for each in started:
        each.__exit__()


def gated(folder: Path, *, overlap: str = "skip", catchup: str = "none", version: int = 1, more: str = "") -> Path:
    text = GATED.format(overlap=overlap, catchup=catchup, version=version, more=more)
    return write(folder / "conf.d" / "crm.conf", text)


def kill(daemon: Daemon) -> None:
    daemon.send(signal.SIGKILL)
    daemon.end()


def under_way(daemon: Daemon) -> dict[str, Any]:
    """A run that has done its first step, and is at its second."""
    told = daemon.wait_for("step.started", step="second")
    run = daemon.wait_for("run.started", run_id=told["run_id"])
    assert eventually(lambda: len(notes(daemon.folder, run["slot"])) == 2)
    return run


def notes(folder: Path, slot: str) -> list[str]:
    """What the steps of a slot have noted, in order."""
    mark = f"{datetime.fromisoformat(slot).timestamp():.0f} "
    lines = (folder / "notes").read_text(encoding="utf-8").splitlines()
    return [line.removeprefix(mark) for line in lines if line.startswith(mark)]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_a_run_goes_on_after_its_finished_steps_on_the_version_it_began_with(
    tmp_path: Path, start: Callable[[], Daemon], how: signal.Signals
) -> None:
    gated(tmp_path, overlap="queue")
    first = start()
    before = under_way(first)
    first.send(how)
    first.end()
    gated(tmp_path, overlap="queue", version=2)
    (tmp_path / "gate").touch()

    second = start()
    resumed = second.wait_for("run.started", resumed_from=before["run_id"])
    second.wait_for("run.succeeded", run_id=resumed["run_id"])

    told = ("slot", "revision", "workspace")
    assert [resumed[each] for each in told] == [before[each] for each in told]
    assert notes(tmp_path, before["slot"]) == ["first", "second 1", "second 1", "first"]


def test_a_run_goes_on_in_the_same_daemon_when_only_its_launcher_died(
    tmp_path: Path, start: Callable[[], Daemon]
) -> None:
    gated(tmp_path)
    first = start()
    before = under_way(first)

    for pid in first.launchers():
        linux.send(pid, signal.SIGKILL)
    (tmp_path / "gate").touch()

    resumed = first.wait_for("run.started", resumed_from=before["run_id"])
    first.wait_for("run.succeeded", run_id=resumed["run_id"])


def test_slots_that_one_daemon_claimed_start_before_those_that_the_next_one_claims(
    tmp_path: Path, start: Callable[[], Daemon]
) -> None:
    gated(tmp_path, overlap="queue", catchup="all")
    first = start()
    under_way(first)
    for _ in range(2):
        first.wait_for("slot.due", first.moment())
    kill(first)
    (tmp_path / "gate").touch()

    second = start()
    for _ in range(3):
        second.wait_for("run.succeeded", second.moment())

    slots = [told["slot"] for told in second.named("run.started")]
    assert slots == sorted(slots)


def test_a_pipeline_whose_file_went_while_nothing_was_running_has_its_slots_decided_and_is_forgotten(
    tmp_path: Path, start: Callable[[], Daemon]
) -> None:
    file = gated(tmp_path, catchup="all")
    first = start()
    first.wait_for("slot.due")
    kill(first)
    file.unlink()

    second = start()
    second.wait_for("config.removed", pipeline="crm")

    def settled() -> bool:
        with History.read(tmp_path / "state") as history:
            return not history.pipelines() and not history.slots(outcomes=[Outcome.WAITING])

    assert eventually(settled)


def test_what_a_step_has_left_in_a_session_of_its_own_is_ended_by_the_next_daemon(
    tmp_path: Path, start: Callable[[], Daemon]
) -> None:
    mark = f"left-{tmp_path.name}"
    script = f"touch there; exec -a {mark} sleep 300"
    write(
        tmp_path / "conf.d" / "crm.conf",
        f"""
        schedule {{ cron = "* * * * * *" }}
        tasks = [{{ name = shell_script, args {{ shell = true, command = "setsid bash -c '{script}' & sleep 300" }} }}]
        """,
    )
    first = start()
    assert eventually((tmp_path / "there").exists)
    below = linux.descendants(first.process.pid)
    runs = [pid for pid in below if pid not in processes_with(mark)]
    # All at once: none is to have the time to act on the death of another.
    for signum in (signal.SIGSTOP, signal.SIGKILL):
        for pid in (first.process.pid, *runs):
            linux.send(pid, signum)
    first.end()
    left = processes_with(mark)

    (tmp_path / "conf.d" / "crm.conf").unlink()
    start()

    assert left
    assert eventually(lambda: not set(left) & set(processes_with(mark)))


def test_a_run_that_goes_on_is_in_the_new_history_where_the_old_one_was_deleted(
    tmp_path: Path, start: Callable[[], Daemon]
) -> None:
    gated(tmp_path)
    first = start()
    before = under_way(first)
    for name in ("history.db", "history.db-wal", "history.db-shm"):
        (tmp_path / "state" / name).unlink(missing_ok=True)
    first.wait_for("daemon.troubled", what="history")
    kill(first)

    second = start()
    resumed = second.wait_for("run.started", resumed_from=before["run_id"])

    assert resumed["slot"] == before["slot"]
    assert os.listdir(tmp_path / "workspaces") == [before["run_id"]]
