"""Hooks with real processes: when they come, what they are told, and what time they have when a run must end."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.runs import Tasks, Watcher, run, step, stop_request
from support.values import SPAN

from tasker import Task
from tasker.document.values import Late, OutputReference, RunReference
from tasker.facts import Event
from tasker.pipeline import LateArgument, Retry, Step
from tasker.run import Run, Status, longest_stop_s

GRACE_S = 2.0
ONCE = (signal.SIGTERM,)
TWICE = (signal.SIGTERM, signal.SIGINT)


def tasks(**bodies: Any) -> Tasks:
    return Tasks(
        **{
            "fine": lambda _: None,
            "fails": lambda _: False,
            "waits": _waits,
            "ignores": _ignores,
            "touches": lambda task: (task.context.workspace / "touched").touch(),
            **bodies,
        }
    )


def _waits(task: Task) -> None:
    task.logger.info("ready")
    time.sleep(3600)


def _ignores(task: Task) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    task.logger.info("ready")
    time.sleep(3600)


def told(ended: Run) -> dict[str, Status]:
    return {each.step: each.status for each in ended.steps}


def asked(key: str) -> LateArgument:
    return LateArgument(Late(SPAN, (RunReference(SPAN, key),)), timedelta if key == "duration" else str)


TELLS = {key: asked(key) for key in ("status", "failed_step", "error", "duration")}


def telling() -> Tasks:
    """With a task that hands on what it is told of the run, and by a step."""

    def tells(_: Task, status: str, failed_step: str, error: str, duration: timedelta, got: str = "nothing") -> Any:
        return {"told": [status, failed_step, error, got], "seconds": duration.total_seconds()}

    return tasks(hands=lambda _: {"got": "this"}).add("tells", tells)


def tells(**more: Any) -> Step:
    got = LateArgument(Late(SPAN, (OutputReference(SPAN, "hands", ("got",), optional=True),)), str, spared=True)
    return step("tells", id="hook", arguments={**TELLS, "got": got}, **more)


def test_a_hook_is_told_what_the_run_has_come_to(tmp_path: Path) -> None:
    ended = run(tmp_path, telling(), step("hands"), step("fails"), on_failure=(tells(),))
    outputs = ended.steps[-1].outputs
    assert outputs["told"] == ["failed", "fails", "step 'fails': run() answered False", "this"]
    assert 0 <= outputs["seconds"] <= ended.duration_s


def test_a_hook_does_without_the_outputs_of_a_step_that_did_not_get_there(tmp_path: Path) -> None:
    ended = run(tmp_path, telling(), step("fails"), step("hands", needs=("fails",)), finally_=(tells(),))
    assert ended.steps[-1].outputs["told"][-1] == "nothing"


def test_an_argument_that_must_be_there_and_comes_to_nothing_is_told(tmp_path: Path) -> None:
    late = LateArgument(Late(SPAN, (OutputReference(SPAN, "hands", ("no",), optional=True),)), str)
    hook = step("tells", arguments={**TELLS, "got": late})
    ended = run(tmp_path, telling(), step("hands"), finally_=(hook,))
    assert ended.steps[-1].error == "argument 'got': expected a string, not null"


def test_facts_say_of_a_hook_where_it_stands(tmp_path: Path) -> None:
    watcher = Watcher()
    run(tmp_path, tasks(), step("fine"), finally_=(step("touches"),), watcher=watcher)
    hooks = {fact.step: fact.details.get("hook") for fact in watcher.facts if fact.event == Event.STEP_SUCCEEDED}
    assert hooks == {"fine": None, "touches": "finally"}


def test_a_hook_is_tried_again_and_has_a_time_of_its_own(tmp_path: Path) -> None:
    def again(task: Task) -> bool:
        return task.context.attempt == 3

    hooks = step("again", retry=Retry(attempts=3, delay=timedelta())), step("waits", timeout=timedelta(seconds=0.2))
    ended = run(tmp_path, tasks(again=again), step("fine"), finally_=hooks)
    again_, waits = ended.steps[1:]
    assert (again_.status, again_.attempts) == (Status.SUCCEEDED, 3)
    assert (waits.status, waits.error) == (Status.FAILED, "it timed out after 200ms")
    assert ended.status is Status.FAILED


def test_a_failing_hook_hides_nothing(tmp_path: Path) -> None:
    watcher = Watcher()
    hooks: dict[str, Any] = {"on_failure": (step("fails", id="hook"),), "finally_": (step("touches"),)}
    ended = run(tmp_path, tasks(), step("fails"), watcher=watcher, **hooks)
    assert told(ended) == {"fails": Status.FAILED, "hook": Status.FAILED, "touches": Status.SUCCEEDED}
    assert watcher.facts[-1].details["error"] == "step 'fails': run() answered False"
    assert (tmp_path / "touched").exists()


def test_the_limit_of_steps_at_once_holds_for_hooks(tmp_path: Path) -> None:
    watcher = Watcher()
    hooks = tuple(step("fine", id=each) for each in "abc")
    run(tmp_path, tasks(), step("fine"), finally_=hooks, max_parallel=1, watcher=watcher)
    events = [fact.event for fact in watcher.facts if fact.details.get("hook")]
    assert events == [Event.STEP_STARTED, Event.STEP_SUCCEEDED] * 3


def stopped(
    folder: Path,
    of: Tasks,
    *steps: Step,
    at: str = "ready",
    signums: Sequence[int] = ONCE,
    grace_s: float = GRACE_S,
    **more: Any,
) -> tuple[Run, Watcher, float]:
    """A run that is asked to stop when the event comes first; its facts, and the seconds from then to its end."""
    with stop_request() as stop:
        asked_at: list[float] = []

        def ask() -> None:
            if not asked_at:
                asked_at.append(time.monotonic())
                for signum in signums:
                    stop.request(signum)

        watcher = Watcher(at=at, do=ask)
        ended = run(folder, of, *steps, watcher=watcher, stop=stop, grace_s=grace_s, **more)
        return ended, watcher, time.monotonic() - asked_at[0]


def test_after_a_stop_hooks_run_at_once_when_the_steps_have_ended(tmp_path: Path) -> None:
    hooks: dict[str, Any] = {
        "on_failure": (step("fine"),),
        "on_success": (step("fails"),),
        "finally_": (step("touches"),),
    }
    ended, watcher, took_s = stopped(tmp_path, tasks(), step("waits"), grace_s=60, **hooks)
    assert told(ended) == {"waits": Status.INTERRUPTED, "fine": Status.SUCCEEDED, "touches": Status.SUCCEEDED}
    assert ended.status is Status.INTERRUPTED
    assert watcher.facts[-1].details["error"] == "interrupted by SIGTERM"
    (failed,) = [fact for fact in watcher.facts if fact.event == Event.STEP_FAILED]
    assert failed.details["interrupted"] is True
    assert took_s < 30


def test_after_a_stop_a_hook_is_told_of_it(tmp_path: Path) -> None:
    ended, *_ = stopped(tmp_path, telling(), step("waits"), step("hands", needs=("waits",)), on_failure=(tells(),))
    assert ended.steps[-1].outputs["told"][:3] == ["interrupted", "waits", "interrupted by SIGTERM"]


def test_hooks_have_their_part_of_the_grace_period_though_a_step_used_it_up(tmp_path: Path) -> None:
    hooks: dict[str, Any] = {"on_failure": (step("fine"),), "finally_": (step("touches"),)}
    ended, _, took_s = stopped(tmp_path, tasks(), step("ignores"), **hooks)
    assert told(ended) == {"ignores": Status.INTERRUPTED, "fine": Status.SUCCEEDED, "touches": Status.SUCCEEDED}
    assert GRACE_S < took_s < longest_stop_s(GRACE_S)


@pytest.mark.parametrize("hangs", ["waits", "ignores"])
def test_a_hook_that_hangs_ends_with_the_grace_period_and_finally_is_done(tmp_path: Path, hangs: str) -> None:
    hooks: dict[str, Any] = {"on_failure": (step(hangs, id="hook"),), "finally_": (step("touches"),)}
    ended, _, took_s = stopped(tmp_path, tasks(), step("waits"), **hooks)
    assert told(ended) == {"waits": Status.INTERRUPTED, "hook": Status.INTERRUPTED, "touches": Status.SUCCEEDED}
    assert ended.steps[1].error == "its grace period was over: interrupted by SIGTERM"
    assert GRACE_S < took_s < longest_stop_s(GRACE_S)


def test_nothing_outlasts_the_longest_stop(tmp_path: Path) -> None:
    hooks: dict[str, Any] = {"on_failure": (step("ignores", id="one"),), "finally_": (step("ignores", id="two"),)}
    ended, _, took_s = stopped(tmp_path, tasks(), step("ignores"), **hooks)
    assert set(told(ended).values()) == {Status.INTERRUPTED}
    assert took_s < longest_stop_s(GRACE_S) + 10


def test_a_hook_that_timed_out_before_gets_no_more_time_than_the_run(tmp_path: Path) -> None:
    """The grace period of its own timeout would be over long after that of the run."""
    hook = step("ignores", id="hook", timeout=timedelta(seconds=1.8))
    ended, _, took_s = stopped(tmp_path, tasks(), step("waits"), on_failure=(hook,), finally_=(step("touches"),))
    assert ended.steps[1].error == "it timed out after 1.8s"
    assert took_s < 1.8 + GRACE_S


def test_after_a_stop_hooks_are_still_tried_again(tmp_path: Path) -> None:
    def again(task: Task) -> bool:
        return task.context.attempt == 2

    hook = step("again", retry=Retry(attempts=2, delay=timedelta(seconds=0.1)))
    ended, *_ = stopped(tmp_path, tasks(again=again), step("waits"), finally_=(hook,))
    assert (ended.steps[-1].status, ended.steps[-1].attempts) == (Status.SUCCEEDED, 2)


def test_a_hook_that_waits_for_its_next_try_ends_with_the_grace_period(tmp_path: Path) -> None:
    hook = step("fails", retry=Retry(attempts=2, delay=timedelta(hours=1)))
    ended, _, took_s = stopped(tmp_path, tasks(), step("waits"), on_failure=(hook,), finally_=(step("touches"),))
    assert told(ended) == {"waits": Status.INTERRUPTED, "fails": Status.FAILED, "touches": Status.SUCCEEDED}
    assert took_s < longest_stop_s(GRACE_S)


def test_who_asks_twice_gets_no_hooks(tmp_path: Path) -> None:
    hooks: dict[str, Any] = {"on_failure": (step("fine"),), "finally_": (step("touches"),)}
    ended, _, took_s = stopped(tmp_path, tasks(), step("ignores"), signums=TWICE, grace_s=3600, **hooks)
    assert told(ended) == {"ignores": Status.INTERRUPTED, "fine": Status.SKIPPED, "touches": Status.SKIPPED}
    assert ended.steps[1].error == "the run was asked twice to stop"
    assert ended.status is Status.INTERRUPTED
    assert took_s < 30


def test_who_asks_twice_ends_a_hook_that_runs(tmp_path: Path) -> None:
    hooks: dict[str, Any] = {"on_failure": (step("ignores", id="hook"),), "finally_": (step("touches"),)}
    ended, watcher, took_s = stopped(tmp_path, tasks(), step("fails"), signums=TWICE, grace_s=3600, **hooks)
    assert told(ended) == {"fails": Status.FAILED, "hook": Status.INTERRUPTED, "touches": Status.SKIPPED}
    assert (ended.status, took_s < 30) == (Status.FAILED, True)
    assert watcher.facts[-1].details["error"] == "step 'fails': run() answered False"


def test_a_stop_while_hooks_are_done_leaves_a_success_a_success(tmp_path: Path) -> None:
    def slow(task: Task) -> None:
        task.logger.info("ready")
        time.sleep(0.3)

    ended, *_ = stopped(
        tmp_path, tasks(slow=slow), step("fine"), on_success=(step("slow"),), finally_=(step("touches"),)
    )
    assert ended.status is Status.SUCCEEDED
    assert (tmp_path / "touched").exists()


def test_a_stop_that_cuts_a_hook_short_interrupts_the_run(tmp_path: Path) -> None:
    ended, watcher, _ = stopped(tmp_path, tasks(), step("fine"), finally_=(step("waits"),), grace_s=0.4)
    assert ended.status is Status.INTERRUPTED
    assert watcher.facts[-1].details["error"] == "step 'waits': its grace period was over: interrupted by SIGTERM"


def test_finally_has_its_time_after_the_run_has_timed_out(tmp_path: Path) -> None:
    watcher = Watcher()
    hooks: dict[str, Any] = {"on_failure": (step("fine"),), "finally_": (step("touches"),)}
    timeout = timedelta(seconds=0.5)
    ended = run(tmp_path, tasks(), step("ignores"), watcher=watcher, timeout=timeout, grace_s=0.4, **hooks)
    assert told(ended) == {"ignores": Status.FAILED, "fine": Status.SUCCEEDED, "touches": Status.SUCCEEDED}
    assert (ended.status, watcher.facts[-1].details["error"]) == (Status.FAILED, "the run timed out after 500ms")


def test_a_run_whose_hooks_take_too_long_has_timed_out(tmp_path: Path) -> None:
    watcher = Watcher()
    hooks: dict[str, Any] = {"on_success": (step("waits"),), "finally_": (step("touches"),)}
    timeout = timedelta(seconds=1.5)
    ended = run(tmp_path, tasks(), step("fine"), watcher=watcher, timeout=timeout, grace_s=0.4, **hooks)
    assert told(ended) == {"fine": Status.SUCCEEDED, "waits": Status.FAILED, "touches": Status.SUCCEEDED}
    assert (ended.status, watcher.facts[-1].details["error"]) == (Status.FAILED, "the run timed out after 1.5s")


def test_hooks_are_done_though_nobody_observes_the_run_any_more(tmp_path: Path) -> None:
    def fail() -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run(tmp_path, tasks(), step("waits"), finally_=(step("touches"),), watcher=Watcher(at="ready", do=fail))
    assert (tmp_path / "touched").exists()


def test_a_hook_whose_condition_is_false_is_passed_over(tmp_path: Path) -> None:
    ended = run(tmp_path, tasks(), step("fine"), finally_=(step("touches", when=False),))
    assert told(ended) == {"fine": Status.SUCCEEDED, "touches": Status.SKIPPED}
    assert ended.status is Status.SUCCEEDED


def test_a_hook_has_a_moment_whatever_the_grace_period(tmp_path: Path) -> None:
    ended, *_ = stopped(tmp_path, tasks(), step("ignores"), finally_=(step("touches"),), grace_s=0)
    assert told(ended) == {"ignores": Status.INTERRUPTED, "touches": Status.SUCCEEDED}
