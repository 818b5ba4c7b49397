"""Stopping: a signal ends what runs, in order, and tasker says so; whoever is killed leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.command import TASKER, Command, eventually, gone, run_tasker, start_tasker, write

from tasker import linux
from tasker.running.workspace import prune

TASKS = """
    import signal, time
    from pathlib import Path
    from tasker import Task

    class Waits(Task):
        def run(self):
            try:
                print("ready")
                time.sleep(3600)
            finally:
                Path("tidied").touch()

    class Ignores(Task):
        def run(self):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print("ready")
            time.sleep(3600)

    class Fails(Task):
        def run(self):
            return False

    class Fine(Task):
        def run(self):
            pass
"""
MANY = "for_each = [a, b]\nmax_parallel = 1\n"
SCRIPT = "tasks = [{ name = shell_script, args { shell = true, command = 'sleep 3600 & echo ready; wait' } }]".replace(
    "'", '"'
)


TIDIES = """
    tasks = [{ name = shell_script, %s args { shell = true, command = \"\"\"
        trap 'echo told; sleep 0.3; echo tidied; exit 1' TERM
        echo ready
        while :; do sleep 0.05; done
    \"\"\" } }]
"""


def kept(folder: Path) -> dict[str, tuple[str, str]]:
    """How the runs stand in the history, with their errors."""
    told = run_tasker(folder, "runs", TASKER_STATE="state").events
    return {each["pipeline"]: (each["status"], each.get("error", "")) for each in told}


def workspace_is_kept(folder: Path) -> bool:
    """Whether the run's workspace is there, nobody works in it, and it goes when it is old; it is gone then."""
    (workspace,) = (folder / "workspaces").iterdir()
    return (
        prune(folder / "workspaces", datetime.now(UTC) + timedelta(days=8), within_s=10) == 1 and not workspace.exists()
    )


@pytest.mark.parametrize(
    ("signum", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=str,
)
def test_a_signal_stops_the_run_in_order(tmp_path: Path, signum: signal.Signals, status: int) -> None:
    command = start_tasker(tmp_path, tasks=TASKS, conf="tasks = [{ name = waits }, { name = fine }]")
    command.wait_for("step.output", line="ready")
    command.signal(signum)
    result = command.finish()
    assert result.status == status
    assert (tmp_path / "tidied").exists()
    assert result.end("waits")["error"] == f"interrupted by {signum.name}"
    assert result.end("fine")["event"] == "step.skipped"
    assert [each["event"] for each in result.events[-1:]] == ["run.interrupted"]
    assert result.stderr == ""
    assert gone(str(tmp_path))
    assert workspace_is_kept(tmp_path)


def test_ctrl_c_on_a_terminal_reaches_the_whole_group_and_counts_once(tmp_path: Path) -> None:
    command = start_tasker(tmp_path, tasks=TASKS, conf="tasks = [{ name = waits }]")
    command.wait_for("step.output", line="ready")
    os.killpg(command.process.pid, signal.SIGINT)
    assert command.finish().status == 130
    assert (tmp_path / "tidied").exists()


def test_a_second_signal_no_longer_waits_for_the_grace_period(tmp_path: Path) -> None:
    command = start_tasker(tmp_path, tasks=TASKS, conf="tasks = [{ name = ignores }]", TASKER_GRACE="3600")
    command.wait_for("step.output", line="ready")
    command.signal(signal.SIGINT)
    command.signal(signal.SIGTERM)
    result = command.finish()
    assert result.status in {130, 143}  # the kernel hands over two signals that wait in the order of their numbers
    assert result.end("ignores")["event"] == "step.failed"
    assert gone(str(tmp_path))


def test_who_does_not_end_within_the_grace_period_is_killed(tmp_path: Path) -> None:
    command = start_tasker(tmp_path, tasks=TASKS, conf="tasks = [{ name = ignores }]", TASKER_GRACE="0.1")
    command.wait_for("step.output", line="ready")
    command.signal(signal.SIGTERM)
    assert command.finish().status == 143


def test_the_programs_of_a_script_end_with_it(tmp_path: Path) -> None:
    command = start_tasker(tmp_path, conf=SCRIPT)
    command.wait_for("step.output", line="ready")
    command.signal(signal.SIGTERM)
    assert command.finish().status == 143
    assert gone(str(tmp_path))


def test_a_script_that_is_told_to_end_has_the_grace_period_to_tidy_up(tmp_path: Path) -> None:
    command = start_tasker(tmp_path, conf=TIDIES % "")
    command.wait_for("step.output", line="ready")
    command.signal(signal.SIGTERM)
    result = command.finish()
    assert result.status == 143
    assert result.output("shell_script") == ["ready", "told", "tidied"]
    assert result.end("shell_script")["error"] == "interrupted by SIGTERM"
    assert gone(str(tmp_path))


def test_a_script_that_has_timed_out_has_the_grace_period_to_tidy_up(tmp_path: Path) -> None:
    result = run_tasker(tmp_path, conf=TIDIES % "timeout = 2s,")
    assert result.output("shell_script") == ["ready", "told", "tidied"]
    assert result.end("shell_script")["error"].startswith("it timed out")
    assert gone(str(tmp_path))


def test_a_script_that_does_not_end_is_killed_when_the_grace_period_is_over(tmp_path: Path) -> None:
    conf = SCRIPT.replace("sleep 3600 & echo ready; wait", "trap : TERM; echo ready; while :; do sleep 0.05; done")
    command = start_tasker(tmp_path, conf=conf, TASKER_GRACE="0.3")
    command.wait_for("step.output", line="ready")
    command.signal(signal.SIGTERM)
    assert command.finish().status == 143
    assert gone(str(tmp_path))


def test_a_second_signal_kills_a_script_that_is_still_tidying_up(tmp_path: Path) -> None:
    conf = SCRIPT.replace("echo ready; wait", "trap 'echo told; sleep 3600' TERM; echo ready; wait")
    command = start_tasker(tmp_path, conf=conf, TASKER_GRACE="3600")
    command.wait_for("step.output", line="ready")
    command.signal(signal.SIGTERM)
    command.wait_for("step.output", line="told")
    command.signal(signal.SIGINT)
    assert command.finish().status == 143
    assert gone(str(tmp_path))


def test_a_run_that_waits_for_its_next_attempt_is_stopped_at_once(tmp_path: Path) -> None:
    conf = "tasks = [{ name = fails, retries { attempts = 2, delay = 1h } }]"
    command = start_tasker(tmp_path, tasks=TASKS, conf=conf)
    command.wait_for("step.retrying")
    command.signal(signal.SIGINT)
    result = command.finish()
    assert result.status == 130
    assert result.end("fails")["error"] == "run() answered False"


def test_of_several_files_no_further_one_runs(tmp_path: Path) -> None:
    write(tmp_path / "second.conf", "tasks = [{ name = fine }]")
    conf = "tasks = [{ name = waits }]"
    command = start_tasker(tmp_path, "once", "pipe.conf", "second.conf", tasks=TASKS, conf=conf, TASKER_STATE="state")
    command.wait_for("step.output", line="ready")
    command.signal(signal.SIGINT)
    result = command.finish()
    assert result.status == 130
    assert [each["pipeline"] for each in result.named("run.started")] == ["pipe"]
    told = {each["pipeline"]: ("interrupted", each["error"]) for each in result.named("run.interrupted")}
    assert told["second"][1] == "interrupted before it began: the command was stopped"
    assert kept(tmp_path) == told


def test_instances_that_never_begin_are_told_of_where_the_launcher_is_killed(tmp_path: Path) -> None:
    conf = f"{MANY}tasks = [{{ name = fine }}]\nfinally = [{{ name = waits }}]"
    command = start_tasker(tmp_path, tasks=TASKS, conf=conf, TASKER_STATE="state", TASKER_GRACE="0.1")
    command.wait_for("step.output", line="ready")
    assert eventually(lambda: kept(tmp_path).get("pipe/b") == ("waiting", ""))
    (launcher,) = linux.children(command.process.pid)
    os.kill(launcher, signal.SIGKILL)
    result = command.finish()
    assert result.status == 1
    reason = "it never began: the program that it was to run under has ended: its process was killed by SIGKILL"
    (told,) = result.named("run.failed")
    assert (told["pipeline"], told["error"]) == ("pipe/b", f"{reason}, as the kernel does when memory runs out")
    (ended,) = result.named("run.interrupted")
    assert ended["error"].endswith("its grace period was over: interrupted: the program that it ran under has died")
    assert kept(tmp_path) == {"pipe/a": ("interrupted", ended["error"]), "pipe/b": ("failed", told["error"])}


def test_instances_that_never_begin_are_told_of_where_the_command_is_stopped(tmp_path: Path) -> None:
    command = start_tasker(tmp_path, tasks=TASKS, conf=f"{MANY}tasks = [{{ name = waits }}]", TASKER_STATE="state")
    command.wait_for("step.output", line="ready")
    command.signal(signal.SIGINT)
    result = command.finish()
    assert result.status == 130
    told = {each["pipeline"]: ("interrupted", each["error"]) for each in result.named("run.interrupted")}
    assert told["pipe/b"][1] == "interrupted before it began: stopped by SIGINT"
    assert kept(tmp_path) == told


def test_a_signal_while_the_first_step_starts_stops_the_run(tmp_path: Path) -> None:
    command = start_tasker(tmp_path, tasks=TASKS, conf="tasks = [{ name = waits }]")
    command.wait_for("run.started")
    command.signal(signal.SIGTERM)
    result = command.finish()
    assert result.status == 143
    assert result.named("run.interrupted")


def test_a_signal_that_the_program_was_started_to_ignore_stays_ignored(tmp_path: Path) -> None:
    write(tmp_path / "tasks" / "given.py", TASKS)
    write(tmp_path / "pipe.conf", "tasks = [{ name = waits }]")
    script = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *TASKER, "once", "pipe.conf"]
    command = Command(tmp_path, script, {})
    command.wait_for("step.output", line="ready")
    command.signal(signal.SIGHUP)
    command.signal(signal.SIGTERM)
    assert command.finish().status == 143


def test_after_a_kill_of_the_command_the_run_is_stopped_in_order(tmp_path: Path) -> None:
    command = start_tasker(tmp_path, tasks=TASKS, conf="tasks = [{ name = waits }]")
    command.wait_for("step.output", line="ready")
    command.signal(signal.SIGKILL)
    result = command.finish()
    assert result.status == -signal.SIGKILL
    assert result.named("run.interrupted")
    assert (tmp_path / "tidied").exists()
    assert gone(str(tmp_path))
    assert eventually(lambda: workspace_is_kept(tmp_path))


def test_after_a_kill_of_the_run_the_command_ends_what_is_left(tmp_path: Path) -> None:
    command = start_tasker(tmp_path, conf=SCRIPT)
    command.wait_for("step.output", line="ready")
    (run,) = linux.children(command.process.pid)
    os.kill(run, signal.SIGKILL)
    result = command.finish()
    assert result.status == 137
    assert "killed by SIGKILL" in result.stderr
    assert gone(str(tmp_path))
    assert workspace_is_kept(tmp_path)


def test_a_reader_who_leaves_ends_the_run_in_order(tmp_path: Path) -> None:
    """As of `tasker once … | head -1`."""
    tasks = (
        TASKS
        + """
    class Talks(Task):
        def run(self):
            try:
                while True:
                    print("words")
                    time.sleep(0.001)
            finally:
                Path("tidied").touch()
    """
    )
    command = start_tasker(tmp_path, tasks=tasks, conf="tasks = [{ name = talks }]")
    command.wait_for("step.output")
    assert command.process.stdout is not None
    command.process.stdout.close()
    assert command.process.wait(30) == 141
    command.kill()
    assert (tmp_path / "tidied").exists()
    assert gone(str(tmp_path))
    assert workspace_is_kept(tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        ["once", "tidy.conf"],
        ["once", "--log-format", "console", "tidy.conf"],
        ["validate", "--format", "sarif", "tidy.conf"],
        ["show", "tidy.conf"],
        ["tasks"],
    ],
    ids=" ".join,
)
def test_a_full_disk_behind_the_output_is_told_as_what_it_is(tmp_path: Path, words: list[str]) -> None:
    write(tmp_path / "tidy.conf", "tasks = [{ name = shell_script, args { command = true } }]")
    environment = {**os.environ, "TASKER_WORKSPACES": str(tmp_path / "workspaces")}
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [*TASKER, *words],
            cwd=tmp_path,
            env=environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 74
    assert ended.stderr == "tasker: this cannot be written: [Errno 28] No space left on device\n"
    assert not list(tmp_path.glob("workspaces/*"))


def test_closed_standard_descriptors_do_no_harm(tmp_path: Path) -> None:
    write(tmp_path / "tasks" / "given.py", TASKS)
    write(tmp_path / "pipe.conf", 'tasks = [{ name = shell_script, args { command = touch, arguments = "done" } }]')
    script = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *TASKER, "once", "pipe.conf"]
    environment = {**os.environ, "TASKER_WORKSPACES": str(tmp_path / "workspaces")}
    assert subprocess.run(script, cwd=tmp_path, env=environment, check=False).returncode == 0
    assert (tmp_path / "done").exists()
