"""The live view, drawn into memory; `tests/acceptance/test_live.py` has the real terminal."""

from __future__ import annotations

import io
import signal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from support.facts import fact, pipeline
from support.terminal import screen

from tasker.cli.live import LiveView
from tasker.facts import Event, Fact, Level

ENDS = {Event.RUN_SUCCEEDED: "p succeeded in", Event.RUN_FAILED: "p failed after", Event.RUN_INTERRUPTED: "interrupted"}
TEXTS = st.text(max_size=40) | st.sampled_from(
    ["[red]x[/red]", "[/]", "\x1b[2J", ":smile:", "\ud800", "\0", "\r\n", "日本"]
)


def shown(facts: list[Fact], *ids: str, width: int = 120, height: int = 50) -> list[str]:
    """The lines on the screen when a run with these facts has ended."""
    stream = io.StringIO()
    console = Console(file=stream, width=width, height=height, force_terminal=True, legacy_windows=False)
    with LiveView(pipeline(*ids), console) as view:
        for each in facts:
            view(each)
    return screen(stream.getvalue().replace("\n", "\r\n"))


@pytest.mark.parametrize(("event", "words"), ENDS.items())
def test_the_last_line_says_what_the_run_came_to(event: Event, words: str) -> None:
    lines = shown([fact(event, duration_s=3.25)], "a")
    assert words in lines[-2]
    assert "1 waiting; run run-1" in lines[-2]


def test_a_run_that_was_broken_off_leaves_no_last_line() -> None:
    assert not any("run-1" in line for line in shown([fact(Event.STEP_STARTED, "a")], "a"))


def test_why_a_run_failed_is_told_once_by_its_steps_or_by_itself() -> None:
    timed_out = shown([fact(Event.RUN_FAILED, duration_s=1, error="the run timed out after 1s")], "a")
    assert timed_out[-2].count("the run timed out after 1s") == 1
    failed = [fact(Event.STEP_FAILED, "a", error="why"), fact(Event.RUN_FAILED, duration_s=1, error="step 'a': why")]
    assert not any("step 'a': why" in line for line in shown(failed, "a"))


def test_what_a_task_logs_scrolls_by_with_its_facts_and_debug_does_not() -> None:
    facts = [
        fact("files are written", "a", files=3, to="[b]x[/b]"),
        fact("details", "a", level=Level.DEBUG),
        fact("odd", "a", level=Level.ERROR, traceback="Traceback\n  here"),
    ]
    lines = shown(facts, "a")
    assert lines[:4] == ["a | files are written files=3 to=[b]x[/b]", "a | odd", "a | Traceback", "a |   here"]


def test_a_long_line_is_cut_and_says_how_long_it_is() -> None:
    (line, *_) = shown([fact(Event.STEP_OUTPUT, "a", line="x" * 65536)], "a")
    assert len(line) < 2100
    assert line.endswith("x... (65536 characters)")


def test_many_failures_are_counted_rather_than_told() -> None:
    ids = [f"s{number}" for number in range(20)]
    facts = [fact(Event.STEP_FAILED, each, error="why") for each in ids]
    lines = shown([*facts, fact(Event.RUN_FAILED, duration_s=1)], *ids)
    assert sum("failed: why" in line for line in lines) == 5
    assert "15 more steps failed" in lines


def test_hundreds_of_steps_leave_room_on_the_terminal() -> None:
    ids = [f"s{number}" for number in range(500)]
    lines = shown([fact(Event.STEP_STARTED, "s400")], *ids, height=12)
    assert len(lines) <= 12
    assert any("s400" in line for line in lines)
    assert "  1 running, 499 waiting" in lines


def test_each_line_is_shown_once_whenever_the_timer_comes() -> None:
    printed = [f"line {number}" for number in range(5000)]
    stream = io.StringIO()
    with LiveView(pipeline("a"), Console(file=stream, width=80, height=10, force_terminal=True)) as view:
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        for line in printed:
            view(fact(Event.STEP_OUTPUT, "a", line=line))
    lines = screen(stream.getvalue().replace("\n", "\r\n"))
    assert [line.removeprefix("a | ") for line in lines if line.startswith("a | ")] == printed


def test_the_timer_is_as_it_was_when_the_view_has_gone() -> None:
    before = signal.getsignal(signal.SIGALRM)
    shown([], "a")
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*Event, "words of a task"]),
            st.sampled_from([None, "a", "b"]),
            st.dictionaries(st.sampled_from(["line", "error", "reason", "traceback", "odd"]), TEXTS),
        ),
        max_size=8,
    ),
    st.integers(1, 60),
    st.integers(1, 20),
)
def test_no_content_and_no_size_makes_it_fail(
    told: list[tuple[str, str | None, dict[str, Any]]], width: int, height: int
) -> None:
    lines = shown([fact(event, step, **details) for event, step, details in told], "a", "b", width=width, height=height)
    assert all(line.isprintable() for line in lines)
