"""The runner with real processes, watched from within the same program."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from support.runs import Tasks, Watcher, run, step, stop_request
from support.values import output, value

from tasker import Task, linux
from tasker.facts import Event
from tasker.pipeline import LateArgument, OnFailure, Retry
from tasker.run import Status
from tasker.running.earlier import Earlier


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_run_says_what_became_of_each_step(tmp_path: Path) -> None:
    tasks = Tasks(hands=lambda _: {"a": 1}, fails=lambda _: False, fine=lambda _: None)
    ended = run(tmp_path, tasks, step("hands"), step("fails", needs=("hands",)), step("fine", needs=("fails",)))
    assert ended.status is Status.FAILED
    told = [(each.step, each.status, each.attempts, each.outputs, each.error) for each in ended.steps]
    assert told == [
        ("hands", Status.SUCCEEDED, 1, {"a": 1}, None),
        ("fails", Status.FAILED, 1, {}, "run() answered False"),
        ("fine", Status.SKIPPED, 0, {}, "step 'fails' failed"),
    ]


def test_the_error_of_a_step_that_answers_false_ends_with_the_last_line_that_it_printed(tmp_path: Path) -> None:
    def fails(task: Task) -> bool:
        task.logger.error("the program failed", exit_status=3)
        sys.stderr.write("reading\nno such table: s3cret" + "x" * 1000 + "\n\n")
        return False

    def raises(_task: Task) -> None:
        sys.stderr.write("reading\n")
        raise ValueError

    ended = run(tmp_path, Tasks(fails=fails, raises=raises), step("fails"), step("raises"), secret="s3cret")
    told = {each.step: each.error or "" for each in ended.steps}
    assert told["fails"].startswith("the program failed (exit_status=3): no such table: ***xxx")
    assert told["fails"].endswith("x…")
    assert len(told["fails"]) < 400
    assert told["raises"] == "ValueError"


def test_a_run_leaves_no_descriptor_open_and_no_child(tmp_path: Path) -> None:
    tasks = Tasks(fine=lambda _: None, fails=lambda _: 1 / 0)
    run(tmp_path, tasks, step("fine"))
    before = descriptors(), linux.children(os.getpid())
    run(tmp_path, tasks, step("fine"), step("fails"))
    assert (descriptors(), linux.children(os.getpid())) == before


def test_children_that_the_program_already_had_are_left_alone(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        time.sleep(3600)
    run(tmp_path, Tasks(fine=lambda _: None), step("fine"))
    os.kill(child, signal.SIGTERM)  # raises where there is no such process
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM


def test_the_timeout_of_an_attempt_that_ended_does_not_end_the_next(tmp_path: Path) -> None:
    """The second attempt begins before the first one's time would have been over, and lasts beyond that."""

    def body(task: Task) -> bool:
        time.sleep(0.8 * (task.context.attempt - 1))
        return task.context.attempt == 2

    retry = Retry(attempts=2, delay=timedelta(seconds=1.6))
    ended = run(tmp_path, Tasks(body=body), step("body", retry=retry, timeout=timedelta(seconds=2)))
    assert ended.status is Status.SUCCEEDED


def test_a_step_that_timed_out_before_the_run_was_stopped_has_failed(tmp_path: Path) -> None:
    def stays(task: Task) -> None:
        signal.signal(signal.SIGTERM, lambda *_: task.logger.info("told to end"))
        time.sleep(3600)

    with stop_request() as stop:
        watcher = Watcher(at="told to end", do=lambda: stop.request(signal.SIGINT))
        steps = step("stays", timeout=timedelta(seconds=1)), step("fine", needs=("stays",))
        tasks = Tasks(stays=stays, fine=lambda _: None)
        ended = run(tmp_path, tasks, *steps, watcher=watcher, stop=stop, grace_s=0.3)
    assert [(each.status, each.error) for each in ended.steps] == [
        (Status.FAILED, "it timed out after 1s"),
        (Status.SKIPPED, "interrupted by SIGINT"),
    ]
    assert ended.status is Status.INTERRUPTED


def test_a_step_for_which_no_process_can_be_had_has_failed(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    tasks = Tasks(fine=lambda _: None)
    before = descriptors()
    with stop_request() as stop:
        watcher = Watcher(at=Event.STEP_STARTED, do=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1])))
        try:
            retry = Retry(attempts=2, delay=timedelta())
            ended = run(tmp_path, tasks, step("fine", retry=retry), watcher=watcher, stop=stop)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    (fine,) = ended.steps
    assert (fine.status, fine.attempts) == (Status.FAILED, 2)
    assert fine.error == "no process can be started for it: Too many open files"
    assert descriptors() == before


def test_a_step_that_cannot_have_its_environment_says_why(tmp_path: Path) -> None:
    ended = run(tmp_path, Tasks(fine=lambda _: None), step("fine"), environment={"A": "x\0y"})
    assert ended.steps[0].error == "ValueError: embedded null byte"


def test_an_observer_that_fails_ends_the_run_in_order_and_its_error_is_raised(tmp_path: Path) -> None:
    def waits(task: Task) -> None:
        try:
            task.logger.info("ready")
            time.sleep(3600)
        finally:
            (task.context.workspace / "tidied").touch()

    def fail() -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run(tmp_path, Tasks(waits=waits), step("waits"), watcher=Watcher(at="ready", do=fail))
    assert (tmp_path / "tidied").exists()


def test_a_step_that_floods_the_log_does_not_hold_up_the_others(tmp_path: Path) -> None:
    def floods(task: Task) -> None:
        while True:
            task.logger.info("flood")

    steps = step("floods", timeout=timedelta(seconds=1), on_failure=OnFailure.CONTINUE), step("fine")
    watcher = Watcher()
    ended = run(tmp_path, Tasks(floods=floods, fine=lambda _: None), *steps, watcher=watcher)
    assert [each.status for each in ended.steps] == [Status.FAILED, Status.SUCCEEDED]
    succeeded = watcher.events().index(Event.STEP_SUCCEEDED)
    assert succeeded < watcher.events().index(Event.STEP_FAILED) - 100


TIDIES_SLOWLY = """
import os, signal, sys, time
from pathlib import Path

def wait(holds):
    while not holds():
        time.sleep(0.01)

def tidy(*_):
    step = os.getppid()
    wait(lambda: os.getppid() != step)
    Path("orphaned").touch()
    if os.fork():
        os._exit(0)
    wait(Path("neighbour-ended").exists)
    Path("tidied").touch()
    os._exit(0)

signal.signal(signal.SIGTERM, tidy)
print("ready", flush=True)
signal.pause()
"""


@pytest.mark.parametrize("new_session", [False, True])
def test_what_a_step_left_behind_has_its_grace_though_a_neighbour_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_session: bool
) -> None:
    monkeypatch.chdir(tmp_path)

    def leaves(_task: Task) -> None:
        words = [sys.executable, "-c", TIDIES_SLOWLY]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=new_session)
        assert process.stdout
        process.stdout.readline()
        time.sleep(3600)

    def neighbour(_task: Task) -> None:
        while not Path("orphaned").exists():
            time.sleep(0.01)

    watcher = Watcher(at=Event.STEP_SUCCEEDED, do=Path("neighbour-ended").touch)
    steps = step("leaves", timeout=timedelta(seconds=2), on_failure=OnFailure.CONTINUE), step("neighbour")
    ended = run(tmp_path, Tasks(leaves=leaves, neighbour=neighbour), *steps, watcher=watcher, grace_s=60)
    assert [each.status for each in ended.steps] == [Status.FAILED, Status.SUCCEEDED]
    assert (tmp_path / "tidied").exists()
    assert not [fact for fact in watcher.facts if "leftover_processes" in fact.details]


@pytest.mark.parametrize("half", range(0, 40, 8))
def test_no_part_of_a_secret_is_told_where_words_are_cut(tmp_path: Path, half: int) -> None:
    """Of what is too long, the middle is left out: a secret may stand on either edge of it."""
    secret = "hunter2-" * 5

    def words() -> str:
        return f"{'x' * (32 * 1024 - half)}{secret}{'x' * 99_999}{secret}{'x' * (32 * 1024 - half)}"

    def raises(_task: Task) -> None:
        raise ValueError(words())

    def fails(task: Task) -> bool:
        task.logger.error(words())
        task.logger.info("".join([words(), "x" * 5_000_000]))
        return False

    steps = [step(name, on_failure=OnFailure.CONTINUE) for name in ("raises", "fails")]
    watcher = Watcher()
    ended = run(tmp_path, Tasks(raises=raises, fails=fails), *steps, watcher=watcher, secret=secret)
    assert [each.status for each in ended.steps] == [Status.FAILED, Status.FAILED]
    assert "hunter" not in f"{ended}{watcher.facts}"


class Handlers:
    """What the program around the runner makes of signals."""

    heard: ClassVar[list[int]] = []


def test_a_step_handles_signals_as_a_program_does_whatever_the_program_around_it_does(tmp_path: Path) -> None:
    def tells(_task: Task) -> dict[str, Any]:
        term, pipe, usr1 = map(signal.getsignal, (signal.SIGTERM, signal.SIGPIPE, signal.SIGUSR1))
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        return {
            "pipe_ignored": pipe is signal.SIG_IGN,
            "usr1_default": usr1 is signal.SIG_DFL,
            "term_handled": callable(term),
            "blocked": len(blocked),
        }

    before = signal.signal(signal.SIGUSR1, lambda signum, _frame: Handlers.heard.append(signum))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        ended = run(tmp_path, Tasks(tells=tells), step("tells"))
    finally:
        signal.signal(signal.SIGUSR1, before)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR2})
    assert ended.steps[0].outputs == {
        "pipe_ignored": True,
        "usr1_default": True,
        "term_handled": True,
        "blocked": 0,
    }


def test_a_program_that_a_step_starts_inherits_no_descriptor_of_the_runner(tmp_path: Path) -> None:
    def lists(_task: Task) -> dict[str, Any]:
        return {"open": sorted(map(int, subprocess.check_output(["ls", "/proc/self/fd"]).split()))}

    ended = run(tmp_path, Tasks(lists=lists), step("lists"))
    assert ended.steps[0].outputs["open"] == [0, 1, 2, 3]  # the last one is of the folder that is listed


def test_a_stop_may_say_why(tmp_path: Path) -> None:
    with stop_request() as stop:
        watcher = Watcher(at=Event.STEP_STARTED, do=lambda: stop.request(signal.SIGTERM, "the daemon is stopping"))
        run(tmp_path, Tasks(waits=lambda _: time.sleep(3600)), step("waits"), watcher=watcher, stop=stop)
    assert watcher.facts[-1].details["error"] == "interrupted: the daemon is stopping"


def test_what_a_run_before_has_done_is_not_done_again_and_hands_on_the_same(tmp_path: Path) -> None:
    tasks = Tasks(hands=lambda _: {"a": 1}).add("reads", lambda _, a: {"read": a})
    late = output("hands", "a")
    reading = {"arguments": {"a": LateArgument(late, int)}, "given": value({"a": late})}
    steps = step("hands"), step("reads", needs=("hands",), **reading)
    first = run(tmp_path, tasks, *steps)
    hands, reads = (replace(each, attempts=2) for each in first.steps)
    watcher = Watcher()
    earlier = Earlier(run_id="r0", steps={"hands": hands, "reads": replace(reads, task="other"), "gone": hands})
    ended = run(tmp_path, tasks, *steps, watcher=watcher, earlier=earlier)
    assert ended.steps == (hands, replace(ended.steps[1], attempts=1, outputs={"read": 1}))
    started, skipped, again, *_ = watcher.facts
    assert started.details["resumed_from"] == "r0"
    assert (skipped.event, skipped.step) == (Event.STEP_SKIPPED, "hands")
    assert skipped.details == {"reason": "it succeeded in run r0, which this one resumes", "outputs": {"a": 1}}
    assert (again.event, again.details) == (Event.STEP_STARTED, {"again": "its task was 'other'"})


def test_a_step_tells_its_fingerprint_where_it_succeeds_and_hooks_have_none(tmp_path: Path) -> None:
    watcher = Watcher()
    tasks = Tasks(fine=lambda _: None)
    ended = run(tmp_path, tasks, step("fine"), watcher=watcher, on_success=(step("fine", id="hook"),))
    told = [fact.details.get("fingerprint") for fact in watcher.facts if fact.event == Event.STEP_SUCCEEDED]
    assert told == [ended.steps[0].fingerprint, None]
    assert ended.steps[0].fingerprint


def test_a_run_that_ends_badly_tells_how_long_its_workspace_is_kept(tmp_path: Path) -> None:
    watcher = Watcher()
    run(tmp_path, Tasks(fails=lambda _: False), step("fails"), watcher=watcher)
    kept_until = datetime.fromisoformat(watcher.facts[-1].details["workspace_kept_until"])
    assert kept_until - watcher.facts[-1].at < timedelta(days=7, seconds=1)


def test_outputs_that_held_a_secret_are_told_to_be_of_no_use_to_another_run(tmp_path: Path) -> None:
    tasks = Tasks(plain=lambda _: {"a": "x"}, hands=lambda _: {"key": "hunter2", "n": 1})
    watcher = Watcher()
    run(tmp_path, tasks, step("plain"), step("hands"), watcher=watcher, secret="hunter2")
    told = {fact.step: fact.details for fact in watcher.facts if fact.event == Event.STEP_SUCCEEDED}
    assert told["hands"]["outputs"] == {"key": "***", "n": 1}
    assert told["hands"]["outputs_masked"] is True
    assert "outputs_masked" not in told["plain"]
