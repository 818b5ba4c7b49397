"""How a daemon ends, whatever it is doing, and what it goes on through: launchers and runs that are killed."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.command import eventually, gone, write
from support.daemons import EACH_SECOND, SAYS, Daemon, conf, daemon

from tasker import linux

TASKS = """
    import os, signal, time
    from pathlib import Path
    from tasker import Task

    class Waits(Task):
        def run(self):
            try:
                print("ready", os.getpid())
                time.sleep(3600)
            finally:
                Path("tidied").touch()

    class Ignores(Task):
        def run(self):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print("ready", os.getpid())
            time.sleep(3600)

    class Once(Task):
        def run(self):
            first = not Path("once").exists()
            Path("once").touch()
            print("ready", os.getpid())
            if first:
                time.sleep(3600)

    class Slow(Task):
        def run(self):
            print("ready", os.getpid())
            time.sleep(1)
            print("done")

    class Notes(Task):
        def run(self, word: str):
            with open("notes", "a") as file:
                file.write(word + "\\n")
"""


def pipeline(folder: Path, task: str, *, before: str = "", more: str = "", name: str = "long") -> None:
    """A pipeline that is due each second, and the tasks of this module."""
    write(folder / "tasks" / "stops.py", TASKS)
    schedule = f'schedule {{ cron = "{EACH_SECOND}", timezone = UTC }}'
    write(folder / "conf.d" / f"{name}.conf", f"{schedule}\ntasks = [{before}{{ name = {task} }}]\n{more}")


def ready(watched: Daemon) -> dict[str, Any]:
    """What is told when the step is at its longest part."""
    return watched.wait_until(lambda told: str(told.get("line", "")).startswith("ready"), words="a step that is ready")


def notes(folder: Path) -> list[str]:
    return (folder / "notes").read_text().split() if (folder / "notes").exists() else []


def runs(folder: Path) -> list[tuple[str, str | None, str | None]]:
    """Each run of the history: its status, error, and the run that it resumes."""
    with sqlite3.connect(folder / "state" / "history.db") as database:
        found: list[tuple[str, str | None, str | None]] = database.execute(
            "SELECT status, error, resumed_from FROM runs ORDER BY id"
        ).fetchall()
    database.close()
    return found


def ended_by_another(watched: Daemon, signum: int) -> bool:
    """Whether it has ended, or does by one more signal; one that comes too soon after the first is its echo."""
    if watched.process.poll() is None:
        watched.send(signum)
    return watched.process.poll() is not None


FINALLY = "finally = [{ name = notes, args { word = finally } }]"


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=str)
def test_what_runs_is_stopped_in_order_and_taken_up_by_the_next_daemon(
    tmp_path: Path, signum: signal.Signals, status: int
) -> None:
    pipeline(tmp_path, "once", before="{ name = notes, args { word = before } }, ", more=FINALLY)
    with daemon(tmp_path) as first:
        run = ready(first)["run_id"]
        assert first.stop(signum) == status
        ended = first.wait_for("run.interrupted", run_id=run)
        assert signum.name in ended["error"]
        assert [told["event"] for told in first.events[-1:]] == ["daemon.stopped"]
        assert first.stderr == ""
    assert notes(tmp_path) == ["before", "finally"]
    assert gone(str(tmp_path))
    with daemon(tmp_path) as second:
        resumed = second.wait_for("run.started", resumed_from=run)
        second.wait_for("run.succeeded", run_id=resumed["run_id"])
        assert resumed["slot"] == first.wait_for("run.started", run_id=run)["slot"]
    assert notes(tmp_path)[:3] == ["before", "finally", "finally"]
    assert next(status for status, _, resumed in runs(tmp_path) if resumed is None) == "interrupted"


def test_a_step_that_does_not_heed_the_signal_is_killed_when_the_grace_period_is_over(tmp_path: Path) -> None:
    pipeline(tmp_path, "ignores", more=FINALLY)
    with daemon(tmp_path, "--grace", "0.3") as watched:
        run = ready(watched)["run_id"]
        assert watched.stop() == 143
        assert watched.wait_for("run.interrupted", run_id=run)
    assert notes(tmp_path) == ["finally"]
    assert gone(str(tmp_path))


def test_a_second_signal_waits_no_longer(tmp_path: Path) -> None:
    pipeline(tmp_path, "ignores")
    with daemon(tmp_path, "--grace", "3600") as watched:
        ready(watched)
        watched.send(signal.SIGTERM)
        watched.wait_for("daemon.stopping")
        assert eventually(partial(ended_by_another, watched, signal.SIGTERM))
        assert watched.end() == 143
    assert gone(str(tmp_path))
    assert [status for status, _, resumed in runs(tmp_path) if resumed is None] == ["interrupted"]


def test_nothing_starts_once_it_is_told_to_stop(tmp_path: Path) -> None:
    pipeline(tmp_path, "ignores")
    pipeline(tmp_path, "notes", name="other")
    write(tmp_path / "conf.d" / "other.conf", conf(cron=EACH_SECOND))
    with daemon(tmp_path, "--grace", "3600") as watched:
        step = int(ready(watched)["line"].split()[1])
        watched.wait_for("run.succeeded", pipeline="other")
        watched.send(signal.SIGTERM)
        since = watched.moment()
        watched.wait_for("daemon.stopping")
        watched.conf("new", cron=EACH_SECOND)
        watched.send(signal.SIGHUP)
        assert watched.get("/readyz")[0] == 503
        time.sleep(1.1)  # a slot is due in it
        os.kill(step, signal.SIGKILL)
        assert watched.end() == 143
        assert len(watched.named("run.started", since)) <= 1
        assert not watched.named("config.loaded", since)


def test_who_goes_on_asking_for_reloads_does_not_cut_its_end_short(tmp_path: Path) -> None:
    pipeline(tmp_path, "waits", more=FINALLY)
    with daemon(tmp_path) as watched:
        ready(watched)
        watched.send(signal.SIGTERM)
        assert eventually(partial(ended_by_another, watched, signal.SIGHUP))
        assert watched.end() == 143
        assert watched.events[-1]["event"] == "daemon.stopped"
    assert notes(tmp_path) == ["finally"]


# Phases of the start and of a reload


def test_it_can_be_stopped_at_any_moment_of_its_start(tmp_path: Path) -> None:
    write(tmp_path / "tasks" / "says.py", SAYS)
    for number in range(20):
        write(tmp_path / "conf.d" / f"p{number}.conf", conf())
    with Daemon(tmp_path) as whole:
        began = time.monotonic()
        whole.settled()
        lasts = time.monotonic() - began
        whole.stop()
    for part in range(4):
        with Daemon(tmp_path) as started:
            started.wait_for("daemon.started") if part else None
            time.sleep(lasts * part / 4)  # each moment of it is one to be stopped at
            status = started.stop()
            assert status == 143 or (part == 0 and status == -signal.SIGTERM)
            assert started.stderr == ""
    assert gone(str(tmp_path))


def test_it_can_be_stopped_before_its_history_is_open(tmp_path: Path) -> None:
    with daemon(tmp_path) as first:
        first.stop()
    database = sqlite3.connect(tmp_path / "state" / "history.db")
    database.execute("BEGIN EXCLUSIVE")
    try:
        with Daemon(tmp_path) as waiting:
            waiting.wait_for("daemon.troubled", what="history")
            assert waiting.get("/readyz")[0] == 503
            assert waiting.stop() == 143
    finally:
        database.close()


def test_it_can_be_stopped_while_a_module_is_imported(tmp_path: Path) -> None:
    write(tmp_path / "tasks" / "hangs.py", "import time\nopen('importing', 'w').close()\ntime.sleep(3600)")
    with Daemon(tmp_path) as starting:
        assert eventually((tmp_path / "importing").exists)
        assert starting.stop() == 143
    (tmp_path / "tasks" / "hangs.py").rename(tmp_path / "hangs")
    (tmp_path / "importing").unlink()
    with daemon(tmp_path) as watched:
        shutil.move(tmp_path / "hangs", tmp_path / "tasks" / "hangs.py")
        assert eventually((tmp_path / "importing").exists)
        assert watched.stop() == 143
    assert gone(str(tmp_path))


BOMB = "\n".join(["a0 = xxxxxxxxxxxxxxxxxxxx", *(f"a{n + 1} = ${{a{n}}}${{a{n}}}${{a{n}}}" for n in range(30))])
"""A document that grows until its time or its memory are used up."""


def test_it_can_be_stopped_while_a_file_is_validated_that_takes_long(tmp_path: Path) -> None:
    with daemon(tmp_path) as watched:
        write(tmp_path / "conf.d" / "bomb.conf", BOMB)
        assert eventually(lambda: any(map(linux.children, watched.launchers())))
        assert watched.stop() == 143
    assert gone(str(tmp_path))


def test_while_a_file_is_validated_that_takes_long_others_come_into_force(tmp_path: Path) -> None:
    with daemon(tmp_path) as watched:
        since = watched.moment()
        write(tmp_path / "conf.d" / "bomb.conf", BOMB)
        watched.conf("crm")
        watched.wait_for("config.loaded", since, pipeline="crm")
        watched.wait_for("config.invalid", since, file="conf.d/bomb.conf")


# What it goes on through


def test_a_launcher_that_is_killed_is_followed_by_another(tmp_path: Path) -> None:
    pipeline(tmp_path, "slow")
    with daemon(tmp_path) as watched:
        run = ready(watched)["run_id"]
        since = watched.moment()
        (launcher,) = watched.launchers()
        os.kill(launcher, signal.SIGKILL)
        watched.wait_for("daemon.troubled", since, what="tasks")
        watched.wait_until(
            lambda told: told.get("run_id") == run and told["event"] in {"run.failed", "run.interrupted"}, since
        )
        watched.wait_for("daemon.recovered", since, what="tasks")
        recovered = watched.moment()
        watched.wait_for("run.succeeded", recovered)
        assert watched.readiness()["troubles"] == []
        waiting = [told["slot"] for told in watched.named("slot.due", since)]
        started = [told["slot"] for told in watched.named("run.started", since)]
        assert set(waiting[:-1]) <= set(started)


def test_a_run_that_is_killed_has_failed_and_the_next_slot_runs(tmp_path: Path) -> None:
    pipeline(tmp_path, "once")
    with daemon(tmp_path) as watched:
        told = ready(watched)
        step = int(told["line"].split()[1])
        run = next(pid for pid in linux.children(watched.launchers()[0]) if step in linux.descendants(pid))
        os.kill(run, signal.SIGKILL)
        ended = watched.wait_for("run.failed", run_id=told["run_id"])
        assert "SIGKILL" in ended["error"]
        watched.wait_for("run.succeeded", watched.moment())
        assert eventually(lambda: linux.started(step) is None)
        watched.stop()
    assert [status for status, _, _ in runs(tmp_path)][:2] == ["failed", "succeeded"]


def test_a_reader_of_its_log_that_stalls_holds_up_nothing(tmp_path: Path) -> None:
    write(
        tmp_path / "tasks" / "loud.py",
        "from tasker import Task\nclass Loud(Task):\n    def run(self):\n        print('x' * 500_000)\n",
    )
    write(tmp_path / "conf.d" / "loud.conf", conf(cron=EACH_SECOND).replace('says, args { word = "x" }', "loud"))
    pipeline(tmp_path, "notes, args { word = again }", name="notes")
    with daemon(tmp_path) as watched:
        watched.stall()
        before = len(notes(tmp_path))
        assert eventually(lambda: len(notes(tmp_path)) >= before + 2)
        assert watched.get("/healthz")[0] == 200
        watched.go_on()
        assert watched.stop() == 143
        assert watched.named("daemon.stopped")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a namespace of process ids")
def test_as_the_first_process_it_buries_the_dead_and_heeds_signals(tmp_path: Path) -> None:
    script = "(sh -c 'sleep 0.2 & exec sleep 0.1' &) ; echo ready"
    write(
        tmp_path / "conf.d" / "orphans.conf",
        f'schedule {{ cron = "{EACH_SECOND}", timezone = UTC }}\n'
        f'tasks = [{{ name = shell_script, args {{ shell = true, command = "{script}" }} }}]',
    )
    prefix = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody make a namespace of process ids")
    with Daemon(tmp_path, prefix=prefix) as watched:
        watched.settled()
        for _ in range(2):
            watched.wait_for("run.succeeded", watched.moment())
        (inner,) = linux.children(watched.process.pid)
        assert eventually(lambda: not _zombies(inner))
        os.kill(inner, signal.SIGTERM)
        assert watched.end() == 143
        assert watched.named("daemon.stopped")


def _zombies(pid: int) -> list[int]:
    found = []
    for each in linux.descendants(pid):
        with suppress(OSError):  # it may be buried just now
            state = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2][1]
            found += [each] if state == "Z" else []
    return found


def test_a_run_that_answers_nobody_does_not_keep_the_daemon_from_ending(tmp_path: Path) -> None:
    write(
        tmp_path / "tasks" / "stops_its_run.py",
        """
        import os
        import signal
        import time

        from tasker import Task

        class Stops(Task):
            def run(self):
                os.kill(os.getppid(), signal.SIGSTOP)
                time.sleep(3600)
        """,
    )
    write(tmp_path / "conf.d" / "p.conf", f'schedule = "{EACH_SECOND}"\ntasks = [{{ name = stops }}]')
    with daemon(tmp_path, "--grace", "1") as watched:
        watched.wait_for("step.started", pipeline="p")
        watched.send(signal.SIGTERM)
        watched.wait_for("daemon.stopping")
        watched.send(signal.SIGINT)
        assert watched.end() == 143
    assert gone(str(tmp_path))
