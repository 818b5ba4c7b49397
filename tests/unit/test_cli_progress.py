"""How a run stands, as its facts tell it."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from support.facts import fact, pipeline

from tasker.cli.progress import TAIL, Progress, State
from tasker.facts import Event
from tasker.pipeline import Retry, Step


def test_a_step_goes_from_waiting_to_its_end() -> None:
    progress = Progress(pipeline("a"))
    step = progress.steps["a"]
    assert (step.state, step.elapsed_s(1.0)) == (State.WAITING, None)
    progress.take(fact(Event.STEP_STARTED, "a", attempt=1), 1.0)
    assert (step.state, step.elapsed_s(3.0)) == (State.RUNNING, 2.0)
    progress.take(fact(Event.STEP_SUCCEEDED, "a", attempt=1, duration_s=2.5), 3.5)
    assert (step.state, step.elapsed_s(9.0)) == (State.SUCCEEDED, 2.5)


def test_time_counts_from_the_first_attempt_and_an_old_reason_goes_away() -> None:
    progress = Progress(pipeline("a"))
    step = progress.steps["a"]
    progress.take(fact(Event.STEP_STARTED, "a", attempt=1), 1.0)
    progress.take(fact(Event.STEP_RETRYING, "a", attempt=1, error="no luck"), 2.0)
    assert (step.state, step.reason, step.elapsed_s(3.0)) == (State.RETRYING, "no luck", 2.0)
    progress.take(fact(Event.STEP_STARTED, "a", attempt=2), 4.0)
    assert (step.state, step.reason, step.attempt, step.elapsed_s(5.0)) == (State.RUNNING, "", 2, 4.0)


def test_a_failed_step_keeps_its_reason_its_traceback_and_the_last_lines() -> None:
    progress = Progress(pipeline("a", "b"))
    for number in range(TAIL + 5):
        progress.take(fact(Event.STEP_OUTPUT, "a", line=f"line {number}"), 1.0)
    progress.take(fact(Event.STEP_FAILED, "a", error="why", traceback="where", duration_s=1.0), 1.0)
    progress.take(fact(Event.STEP_SKIPPED, "b", reason="step 'a' failed"), 1.0)
    (step,) = progress.failures()
    assert (step.reason, step.traceback) == ("why", "where")
    assert list(step.tail) == [f"line {number}" for number in range(5, TAIL + 5)]
    assert progress.steps["b"].reason == "step 'a' failed"
    assert progress.counts() == {State.FAILED: 1, State.SKIPPED: 1}


def test_where_there_is_no_room_for_all_what_runs_or_failed_comes_first_in_the_order_of_the_file() -> None:
    progress = Progress(pipeline(*"abcdef"))
    progress.take(fact(Event.STEP_SUCCEEDED, "a"), 0)
    progress.take(fact(Event.STEP_FAILED, "b"), 0)
    progress.take(fact(Event.STEP_STARTED, "f"), 0)
    assert [step.id for step in progress.most_urgent(1)] == ["f"]
    assert [step.id for step in progress.most_urgent(3)] == ["b", "c", "f"]
    assert [step.id for step in progress.most_urgent(99)] == list("abcdef")
    assert progress.most_urgent(-1) == []


def test_a_hook_is_there_when_it_comes_up_with_the_list_that_it_stands_in() -> None:
    hook = Step(id="tidy", task="noop", retry=Retry(attempts=2))
    progress = Progress(replace(pipeline("a"), finally_=(hook,)))
    assert list(progress.steps) == ["a"]
    progress.take(fact(Event.STEP_STARTED, "tidy", attempt=1), 1.0)
    step = progress.steps["tidy"]
    assert (step.state, step.hook, step.attempts) == (State.RUNNING, "finally", 2)


@given(st.lists(st.tuples(st.sampled_from(Event), st.sampled_from([None, "a", "b", "unknown"]), st.integers(0, 3))))
def test_facts_in_any_order_leave_each_step_in_one_state(facts: list[tuple[Event, str | None, int]]) -> None:
    progress = Progress(pipeline("a", "b"))
    for second, (event, step, attempt) in enumerate(facts):
        progress.take(fact(event, step, attempt=attempt), float(second))
    assert sum(progress.counts().values()) == len(progress.steps)
    assert all((step.elapsed_s(99.0) or 0) >= 0 for step in progress.steps.values())
