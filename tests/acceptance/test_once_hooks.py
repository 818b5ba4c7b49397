"""Hooks by the real command: what is done when the steps have ended, and what the command then comes to."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.command import TASKER, gone, run_tasker, start_tasker, write

from tasker import linux

TASKS = """
    import signal, time
    from pathlib import Path
    from tasker import Task

    class Waits(Task):
        def run(self):
            print("ready")
            time.sleep(3600)

    class Ignores(Task):
        def run(self):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print("ready")
            time.sleep(3600)

    class Slow(Task):
        def run(self):
            print("ready")
            time.sleep(0.5)

    class Fails(Task):
        def run(self):
            return False

    class Hands(Task):
        def run(self):
            return {"got": "this"}

    class Says(Task):
        def run(self, words: str = "nothing", again: bool = False):
            print(words)
            return not again or self.context.attempt > 1
"""


def conf(tasks: str, more: str = "") -> str:
    return f"""
        tasks = [{tasks}]
        on_failure = [{{ id = alarm, name = says, args {{ words = ${{run.failed_step}}": "${{run.error}} }} }}]
        on_success = [{{ id = praise, name = says, args {{ words = ${{run.status}} }} }}]
        finally = [{{ id = last, name = says, args {{ words = "it has "${{run.status}} }} }}]
        {more}
    """


def hooks(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(each["step"], each["line"]) for each in events if each["event"] == "step.output" and "hook" in each]


def test_after_success_on_success_is_done_and_then_finally(tmp_path: Path) -> None:
    result = run_tasker(tmp_path, tasks=TASKS, conf=conf("{ name = hands }"))
    assert (result.status, result.stderr) == (0, "")
    assert hooks(result.events) == [("praise", "succeeded"), ("last", "it has succeeded")]
    assert not result.of("alarm")


def test_after_a_failure_on_failure_is_done_and_the_exit_status_is_that_of_the_failure(tmp_path: Path) -> None:
    result = run_tasker(tmp_path, tasks=TASKS, conf=conf("{ name = fails }"))
    assert result.status == 1
    assert hooks(result.events) == [
        ("alarm", "fails: step 'fails': run() answered False"),
        ("last", "it has failed"),
    ]
    assert result.events[-1]["error"] == "step 'fails': run() answered False"


def test_a_hook_that_fails_makes_a_failure_of_a_success_and_hides_no_failure(tmp_path: Path) -> None:
    more = "on_success = [{ name = fails }]\non_failure = [{ id = bad, name = fails }]"
    good = run_tasker(tmp_path, tasks=TASKS, conf=conf("{ name = hands }", more))
    assert (good.status, good.events[-1]["error"]) == (1, "step 'fails': run() answered False")
    assert hooks(good.events) == [("last", "it has failed")]
    bad = run_tasker(tmp_path, tasks=TASKS, conf=conf("{ id = first, name = fails }", more))
    assert (bad.status, bad.events[-1]["error"]) == (1, "step 'first': run() answered False")


def test_hooks_have_the_defaults_of_the_file_and_read_outputs_as_far_as_there_are_any(tmp_path: Path) -> None:
    text = """
        defaults { retries { attempts = 2, delay = 10ms } }
        tasks = [{ name = hands }, { id = never, name = hands, when = false }]
        finally = [
          { id = one, name = says, args { words = ${?outputs.hands.got}, again = true } }
          { id = two, name = says, args { words = ${?outputs.never.got} } }
        ]
    """
    result = run_tasker(tmp_path, tasks=TASKS, conf=text)
    assert result.status == 0
    assert hooks(result.events) == [("one", "this"), ("one", "this"), ("two", "nothing")]


@pytest.mark.parametrize("step", ["waits", "ignores"])
def test_a_signal_ends_the_step_and_then_hooks_are_done(tmp_path: Path, step: str) -> None:
    command = start_tasker(tmp_path, tasks=TASKS, conf=conf(f"{{ name = {step} }}"), TASKER_GRACE="1")
    command.wait_for("step.output", line="ready")
    command.signal(signal.SIGTERM)
    result = command.finish()
    assert result.status == 143
    assert hooks(result.events) == [("alarm", f"{step}: interrupted by SIGTERM"), ("last", "it has interrupted")]
    assert (result.events[-1]["event"], result.events[-1]["error"]) == ("run.interrupted", "interrupted by SIGTERM")
    assert gone(str(tmp_path))


def test_a_hook_that_hangs_after_a_signal_is_ended_and_finally_is_done(tmp_path: Path) -> None:
    text = conf("{ name = waits }", "on_failure = [{ id = hook, name = ignores }]")
    command = start_tasker(tmp_path, tasks=TASKS, conf=text, TASKER_GRACE="1")
    command.wait_for("step.output", step="waits", line="ready")
    command.signal(signal.SIGTERM)
    result = command.finish()
    assert result.status == 143
    assert result.end("hook")["error"] == "its grace period was over: interrupted by SIGTERM"
    assert hooks(result.events)[-1] == ("last", "it has interrupted")
    assert gone(str(tmp_path))


def test_a_second_signal_ends_everything_and_says_what_was_left_out(tmp_path: Path) -> None:
    command = start_tasker(tmp_path, tasks=TASKS, conf=conf("{ name = ignores }"), TASKER_GRACE="3600")
    command.wait_for("step.output", line="ready")
    command.signal(signal.SIGTERM)
    command.signal(signal.SIGINT)
    result = command.finish()
    assert result.status in {130, 143}
    assert hooks(result.events) == []
    assert result.end("last")["reason"] == "the run was asked twice to stop"
    assert gone(str(tmp_path))


def test_a_signal_while_hooks_are_done_ends_the_command_and_not_what_has_succeeded(tmp_path: Path) -> None:
    write(tmp_path / "after.conf", "tasks = [{ name = hands }]")
    write(tmp_path / "first.conf", "tasks = [{ id = main, name = hands }]\nfinally = [{ name = slow }]")
    command = start_tasker(tmp_path, "once", "first.conf", "after.conf", tasks=TASKS)
    command.wait_for("step.output", line="ready")
    command.signal(signal.SIGTERM)
    result = command.finish()
    assert result.status == 143
    assert [each["pipeline"] for each in result.named("run.succeeded")] == ["first"]
    assert [each["event"] for each in result.events if each["pipeline"] == "after"] == ["run.interrupted"]


def test_hooks_are_done_though_the_command_is_killed(tmp_path: Path) -> None:
    def says(path: str) -> str:
        return f'{{ name = shell_script, args {{ command = touch, arguments = ["{tmp_path}/{path}"] }} }}'

    text = f"tasks = [{{ name = waits }}]\nfinally = [{says('tidied')}]"
    command = start_tasker(tmp_path, tasks=TASKS, conf=text)
    command.wait_for("step.output", line="ready")
    command.signal(signal.SIGKILL)
    result = command.finish()
    assert result.events[-1]["event"] == "run.interrupted"
    assert (tmp_path / "tidied").exists()


def test_a_dry_run_lists_hooks_in_their_turn(tmp_path: Path) -> None:
    write(tmp_path / "tasks" / "given.py", TASKS)
    write(tmp_path / "a.conf", conf("{ name = hands }"))
    words = [*TASKER, "once", "--dry-run", "a.conf"]
    lines = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.splitlines()
    told = [(each["step"], each.get("hook")) for each in map(json.loads, lines)]
    assert told == [("hands", None), ("alarm", "on_failure"), ("praise", "on_success"), ("last", "finally")]


def test_who_signals_the_whole_group_as_systemd_does_asks_once(tmp_path: Path) -> None:
    command = start_tasker(tmp_path, tasks=TASKS, conf=conf("{ name = waits }"))
    command.wait_for("step.output", line="ready")
    for pid in (command.process.pid, *linux.children(command.process.pid)):
        linux.send(pid, signal.SIGTERM)
    result = command.finish()
    assert result.status == 143
    assert hooks(result.events)[-1] == ("last", "it has interrupted")
