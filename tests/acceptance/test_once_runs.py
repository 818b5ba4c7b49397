"""A run as its user sees it: order, parallel steps, retries, outputs, secrets, and what is printed as it is printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from support.command import TASKER, gone, run_tasker, start_tasker, write

if TYPE_CHECKING:
    from pathlib import Path

    from support.command import Result

TASKS = """
    import json, os, time
    from pathlib import Path
    from urllib.parse import quote
    from tasker import Task

    class Say(Task):
        def run(self, text: str = "said"):
            print(text)

    class PrintsThenWaits(Task):
        def run(self, file: Path):
            print("printed")
            while not file.exists():
                time.sleep(0.01)

    class Prints(Task):
        def run(self, lines: int, length: int):
            for number in range(lines):
                print(chr(97 + number) * length)

    class FailsUntil(Task):
        def run(self, attempt: int):
            if self.context.attempt < attempt:
                raise ConnectionError("not yet")

    class HandsOn(Task):
        def run(self):
            return {"number": 3, "words": ["a", "b"], "nested": {"flag": True}, "text": "12"}

    class Takes(Task):
        def run(self, number: int, words: list[str], flag: bool = False, label: str = ""):
            return {"number": number, "words": words, "flag": flag, "label": label}

    class Tells(Task):
        def run(self, secret: str):
            print("printed", secret)
            print(repr(secret), ascii(secret), json.dumps({"of": secret}), quote(secret), secret.encode())
            os.write(2, f"written {secret}".encode())
            self.logger.info(f"logged {secret}", given=secret, deep={"of": [secret], secret: 1})
            self.logger.error("failing with", secret=secret)
            raise ValueError(f"raised {secret}")

    class Returns(Task):
        def run(self, secret: str):
            return {"of": secret}

    class Forks(Task):
        def run(self):
            return {"tmp": os.environ["TMPDIR"], "run": os.environ["TASKER_RUN_ID"]}
"""


def events(result: Result, step: str) -> list[str]:
    return [event["event"] for event in result.of(step)]


def test_what_a_step_prints_is_told_as_it_is_printed(tmp_path: Path) -> None:
    """The step ends only once the test, having seen the line, lets it."""
    conf = "tasks = [{ name = printsthenwaits, args { file = seen } }]"
    command = start_tasker(tmp_path, tasks=TASKS, conf=conf)
    command.wait_for("step.output", line="printed")
    (tmp_path / "seen").touch()
    assert command.finish().status == 0


def fifty_steps(lines: int, length: int) -> str:
    entry = f"{{ name = prints, needs = [], args {{ lines = {lines}, length = {length} }} }}"
    return "max_parallel = 50\ntasks = [" + "\n".join([entry] * 50) + "]"


def test_lines_of_fifty_steps_at_once_are_whole(tmp_path: Path) -> None:
    result = run_tasker(tmp_path, tasks=TASKS, conf=fifty_steps(lines=5, length=64 * 1024))
    assert result.status == 0
    printed = Counter(each["line"] for each in result.named("step.output"))
    assert printed == {chr(97 + number) * 64 * 1024: 50 for number in range(5)}


def test_lines_are_whole_for_a_slow_reader_whose_pipe_does_not_block(tmp_path: Path) -> None:
    write(tmp_path / "tasks" / "given.py", TASKS)
    write(tmp_path / "pipe.conf", fifty_steps(lines=2, length=8 * 1024))
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    environment = {**os.environ, "TASKER_WORKSPACES": str(tmp_path / "workspaces")}
    with subprocess.Popen([*TASKER, "once", "pipe.conf"], cwd=tmp_path, env=environment, stdout=writing) as process:
        os.close(writing)
        read = bytearray()
        while data := os.read(reading, 4096):
            read += data
            time.sleep(0.0001)
        os.close(reading)
    assert process.returncode == 0
    assert sum(json.loads(line)["event"] == "step.output" for line in read.splitlines()) == 100


def test_no_more_steps_than_allowed_run_at_once_and_needs_are_kept(tmp_path: Path) -> None:
    entries = [f"{{ id = s{number}, name = say, needs = [{'s0' if number > 3 else ''}] }}" for number in range(12)]
    result = run_tasker(tmp_path, tasks=TASKS, conf=f"max_parallel = 3\ntasks = [{chr(10).join(entries)}]")
    running, most, ended = 0, 0, set()
    for event in result.events:
        if event["event"] == "step.started":
            running += 1
            assert event["step"] in {"s0", "s1", "s2", "s3"} or "s0" in ended
        elif event["event"] == "step.succeeded":
            running -= 1
            ended.add(event["step"])
        most = max(most, running)
    assert (most, len(ended)) == (3, 12)


def test_the_first_failure_stops_the_run(tmp_path: Path) -> None:
    conf = "tasks = [{ name = failsuntil, args { attempt = 9 } }, { name = say }]"
    result = run_tasker(tmp_path, tasks=TASKS, conf=conf)
    assert result.status == 1
    assert result.end("say")["reason"] == "step 'failsuntil' failed"
    assert result.events[-1]["error"] == "step 'failsuntil': ConnectionError: not yet"


def test_after_a_failure_that_may_be_the_run_goes_on_and_has_failed(tmp_path: Path) -> None:
    conf = """
        tasks = [
          { id = a, name = failsuntil, args { attempt = 9 }, on_failure = continue }
          { id = b, name = say }
          { id = c, name = say, args { text = ${outputs.a.x} } }
        ]
    """
    result = run_tasker(tmp_path, tasks=TASKS, conf=conf)
    assert result.status == 1
    assert result.end("b")["event"] == "step.succeeded"
    assert result.end("c")["reason"] == "it reads outputs of step 'a', which failed"


def test_a_step_is_tried_again_after_growing_waits(tmp_path: Path) -> None:
    retries = "{ attempts = 4, delay = 10ms, backoff = 2, max_delay = 30ms }"
    conf = f"tasks = [{{ name = failsuntil, args {{ attempt = 4 }}, retries {retries} }}]"
    result = run_tasker(tmp_path, tasks=TASKS, conf=conf)
    assert result.status == 0
    assert events(result, "failsuntil") == [*["step.started", "step.retrying"] * 3, "step.started", "step.succeeded"]
    assert [each["delay_s"] for each in result.named("step.retrying")] == [0.01, 0.02, 0.03]
    assert result.end("failsuntil")["attempt"] == 4
    assert result.end("failsuntil")["duration_s"] >= 0.06


def test_a_step_and_a_run_that_take_too_long_are_ended(tmp_path: Path) -> None:
    hang = 'name = shell_script, args { command = sleep, arguments = "3600" }'
    step = run_tasker(tmp_path, conf=f"tasks = [{{ {hang}, timeout = 100ms }}]")
    assert (step.status, step.end("shell_script")["error"]) == (1, "it timed out after 100ms")
    run = run_tasker(tmp_path, conf=f"timeout = 100ms\ntasks = [{{ {hang}, retries = 3 }}]")
    assert (run.status, run.events[-1]["error"]) == (1, "the run timed out after 100ms")
    assert not run.named("step.retrying")
    assert gone(str(tmp_path))


def test_a_timeout_longer_than_the_kernel_waits_at_once_is_no_trouble(tmp_path: Path) -> None:
    result = run_tasker(tmp_path, tasks=TASKS, conf="timeout = 365 days\ntasks = [{ name = say, timeout = 60 days }]")
    assert result.status == 0


def test_outputs_reach_later_steps_in_the_types_that_these_ask_for(tmp_path: Path) -> None:
    conf = """
        tasks = [
          { id = a, name = handson }
          { id = b, name = takes, args {
              number = ${outputs.a.text}, words = ${outputs.a.words}, flag = ${outputs.a.nested.flag}
              label = "n"${outputs.a.number}"-"${outputs.a.nested.flag} } }
        ]
    """
    result = run_tasker(tmp_path, tasks=TASKS, conf=conf)
    assert result.end("b")["outputs"] == {"number": 12, "words": ["a", "b"], "flag": True, "label": "n3-true"}


def test_an_output_that_is_not_there_or_does_not_fit_fails_the_step_that_reads_it(tmp_path: Path) -> None:
    conf = """
        defaults { on_failure = continue }
        tasks = [
          { id = a, name = handson }
          { id = b, name = say, needs = [a], args { text = ${outputs.a.nothing} } }
          { id = c, name = takes, needs = [a], args { number = ${outputs.a.words}, words = [] } }
          { id = d, name = say, needs = [a], args { text = "x"${outputs.a.words} } }
        ]
    """
    result = run_tasker(tmp_path, tasks=TASKS, conf=conf)
    assert result.status == 1
    missing = "there is no output 'a.nothing': what was handed on there is nested, number, text, words"
    assert result.end("b")["error"] == f"argument 'text': {missing}"
    assert result.end("c")["error"].startswith("argument 'number': ")
    assert "a list, and cannot be part of a string" in result.end("d")["error"]


def test_a_condition_decides_whether_a_step_runs(tmp_path: Path) -> None:
    conf = """
        tasks = [
          { id = a, name = handson }
          { id = b, name = say, when = false }
          { id = c, name = say, when = ${outputs.a.nested.flag}, needs = [a] }
          { id = d, name = say, when = ${outputs.a.words}, needs = [a] }
        ]
    """
    result = run_tasker(tmp_path, tasks=TASKS, conf=conf)
    assert (result.end("b")["event"], result.end("b")["reason"]) == ("step.skipped", "its `when` is false")
    assert result.end("c")["event"] == "step.succeeded"
    assert (result.end("d")["event"], result.end("d")["error"][:7]) == ("step.failed", "'when':")


SECRET_CONF = """
    defaults { on_failure = continue }
    tasks = [
      { id = a, name = tells, args { secret = ${secret.key} } }
      { id = b, name = returns, args { secret = ${secret.key} } }
      { id = c, name = say, needs = [b], args { text = ${outputs.b.of} } }
    ]
"""


@pytest.mark.parametrize(
    "secret", ["hunter2-hunter2", 'quo"ted\\and', "first-line\nlines-of-it", "12345678", "it's/käse"]
)
def test_a_secret_is_masked_in_all_that_is_told(tmp_path: Path, secret: str) -> None:
    write(tmp_path / "secrets" / "key", secret)
    result = run_tasker(tmp_path, tasks=TASKS, conf=SECRET_CONF, TASKER_SECRETS=str(tmp_path / "secrets"))
    assert [result.end(step)["event"] for step in "abc"] == ["step.failed", "step.succeeded", "step.succeeded"]
    assert result.output("a")[0] == "printed ***"
    told = strings(result.events)
    assert not [text for text in told for line in secret.splitlines() if line in text]
    escaped = [repr(secret), ascii(secret), json.dumps(secret), f"'{quote(secret)}'", ascii(secret.encode())[1:]]
    assert not [text for text in told for form in escaped if form[1:-1] in text]


def test_a_secret_that_is_a_word_of_the_log_leaves_it_readable_by_machines(tmp_path: Path) -> None:
    write(tmp_path / "secrets" / "key", "step")
    result = run_tasker(tmp_path, tasks=TASKS, conf=SECRET_CONF, TASKER_SECRETS=str(tmp_path / "secrets"))
    assert result.output("a")[0] == "printed ***"
    assert result.end("b")["outputs"] == {"of": "***"}


def strings(data: object) -> list[str]:
    if isinstance(data, dict):
        return [text for key, value in data.items() for text in (key, *strings(value))]
    if isinstance(data, list):
        return [text for item in data for text in strings(item)]
    return [data] if isinstance(data, str) else []


def test_each_run_has_a_workspace_that_is_gone_where_it_succeeds(tmp_path: Path) -> None:
    result = run_tasker(tmp_path, tasks=TASKS, conf="tasks = [{ name = forks }]")
    outputs = result.end("forks")["outputs"]
    assert outputs["tmp"] == str(tmp_path / "workspaces" / outputs["run"] / ".tmp")
    assert not list((tmp_path / "workspaces").iterdir())
    kept = run_tasker(tmp_path, conf="tasks = [{ name = forks }]", TASKER_KEEP_WORKSPACE="1")
    assert [each.name for each in (tmp_path / "workspaces").iterdir()] == [kept.events[-1]["run_id"]]


def test_the_workspace_of_a_run_that_failed_is_kept_for_as_long_as_the_file_says(tmp_path: Path) -> None:
    conf = 'workspace {{ keep = failure, for = {} }}, tasks = [{{ name = shell_script, args {{ command = "false" }} }}]'
    kept = run_tasker(tmp_path, conf=conf.format("1h")).events[-1]
    short = run_tasker(tmp_path, conf=conf.format("1ms")).events[-1]  # the command itself finds that it is old
    assert [each.name for each in (tmp_path / "workspaces").iterdir()] == [kept["run_id"]]
    hour = datetime.fromisoformat(kept["workspace_kept_until"]) - datetime.fromisoformat(kept["timestamp"])
    assert timedelta(minutes=59) < hour < timedelta(minutes=61)
    assert short["event"] == "run.failed"


def test_two_pipelines_of_one_name_do_not_run_and_one_file_may_run_twice(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / f"{name}.conf", "name = same\ntasks = [{ name = say }]")
    refused = run_tasker(tmp_path, "once", "a.conf", "b.conf", tasks=TASKS)
    assert refused.status == 2
    (told,) = refused.events
    assert (told["code"], told["file"], told["line"]) == ("duplicate-pipeline", "b.conf", 1)
    twice = run_tasker(tmp_path, "once", "a.conf", "./a.conf")
    assert (twice.status, len(twice.named("run.succeeded"))) == (0, 2)


PROGRAM = """
    import os, signal, subprocess, sys, threading
    from tasker import Task, Tasker, TaskerError

    class Own(Task):
        def run(self, fail: bool = False):
            print("of the calling program")
            return not fail

    def go(path):
        return Tasker(path, {"FAIL": "true"}).run()

    if __name__ == "__main__":
        child = subprocess.Popen(["sleep", "3600"])
        stop = threading.Event()
        threading.Thread(target=stop.wait, daemon=True).start()
        answers = [go("own.conf"), go("failing.conf")]
        thread = threading.Thread(target=lambda: answers.append(go("own.conf")))
        thread.start()
        thread.join()
        assert answers == [True, False, True], answers
        assert child.poll() is None, "a child of the caller was ended"
        child.kill()
        child.wait()
        try:
            go("broken.conf")
        except TaskerError as error:
            print(type(error).__name__, file=sys.stderr)
"""


def test_a_program_runs_files_with_tasks_of_its_own(tmp_path: Path) -> None:
    write(tmp_path / "program.py", PROGRAM)
    write(tmp_path / "own.conf", "tasks = [{ name = own }]")
    write(tmp_path / "failing.conf", "tasks = [{ name = own, args { fail = ${FAIL} } }]")
    write(tmp_path / "broken.conf", "tasks = [{ name = owm }]")
    ended = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.stderr == "InvalidFileError\n"
    assert ended.returncode == 0
    told = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [each["event"] for each in told if each["event"].startswith("run.") and each["event"] != "run.started"] == [
        "run.succeeded",
        "run.failed",
        "run.succeeded",
    ]


def test_ctrl_c_stops_the_run_of_a_program_and_is_then_the_programs_own(tmp_path: Path) -> None:
    program = """
        import signal, sys, os, time
        from tasker import Task, Tasker

        class Interrupts(Task):
            def run(self, caller: int):
                try:
                    os.kill(caller, signal.SIGINT)
                    time.sleep(3600)
                finally:
                    print("tidied")

        try:
            Tasker("own.conf", {"CALLER": str(os.getpid())}).run()
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
    """
    write(tmp_path / "program.py", program)
    write(tmp_path / "own.conf", "tasks = [{ name = interrupts, args { caller = ${CALLER} } }]")
    ended = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.stderr == "interrupted\n"
    assert '"line": "tidied"' in ended.stdout
    assert "run.interrupted" in ended.stdout
