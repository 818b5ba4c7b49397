"""The daemon's facts as people read them."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasker.cli.console import ConsoleLog, said
from tasker.facts import Event, Fact, Level
from tasker.logs import Output, QueuedOutput

AT = datetime(2026, 11, 22, 2, 15, 0, 12345, tzinfo=UTC)
COLOUR = re.compile(r"\x1b\[[0-9]*m")


class Lines:
    """Where a log writes to, in memory."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, data: bytes) -> int:
        self.text += data.decode()
        return len(data)


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def fact(event: str, level: Level = Level.INFO, *, step: str | None = None, **details: Any) -> Fact:
    return Fact(event=event, at=AT, level=level, pipeline="crm", run_id="r1", step=step, attempt=1, details=details)


def shown(*facts: Fact, level: Level = Level.INFO, colour: bool = False) -> list[str]:
    """The lines, without the day that is told before the first one."""
    lines = Lines()
    log = ConsoleLog(lines, level=level, colour=colour)  # type: ignore[arg-type]
    for each in facts:
        log.observe(each)
    return lines.text.split("\n")[1:-1]


def words(event: str, level: Level = Level.INFO, *, step: str | None = None, **details: Any) -> str:
    """What a line says behind the time and the pipeline."""
    (line,) = shown(fact(event, level, step=step, **details))
    assert line.startswith("02:15:00  crm           ")
    return line.removeprefix("02:15:00  crm           ")


@pytest.mark.parametrize(
    ("event", "details", "told"),
    [
        (Event.CONFIG_LOADED, {"file": "conf.d/crm.conf"}, "conf.d/crm.conf is valid; it has no schedule"),
        (
            Event.CONFIG_LOADED,
            {"file": "crm.conf", "cron": ["0 2 * * *"], "next_slot": "2026-11-23T02:00:00+00:00"},
            "crm.conf is valid; next due 2026-11-23 02:00:00",
        ),
        (Event.CONFIG_LOADED, {"file": "crm.conf", "cron": ["0 2 30 2 *"]}, "crm.conf is valid; it is never due again"),
        (Event.CONFIG_INVALID, {"error": "crm.conf:1:2: x", "hint": "mend it"}, "crm.conf:1:2: x (mend it)"),
        (Event.CONFIG_INVALID, {"error": "x", "runs_on": "4f0c"}, "x; the last good version stays in force: 4f0c"),
        (Event.CONFIG_REMOVED, {"file": "crm.conf"}, "it is not in crm.conf any more: no longer scheduled"),
        (
            Event.SLOT_SKIPPED,
            {"slot": "2026-11-22T03:15:00+01:00", "outcome": "superseded", "reason": "a later one waits"},
            "the slot of 2026-11-22 02:15:00 was superseded: a later one waits",
        ),
        (Event.SLOT_MISSED, {"slot": "?", "outcome": "missed"}, "the slot of ? was missed"),
        (Event.RUN_STARTED, {}, "run r1 started"),
        (Event.RUN_STARTED, {"late_s": 0.2}, "run r1 started"),
        (Event.RUN_STARTED, {"late_s": 90.5}, "run r1 started, 1m 30s late"),
        (Event.RUN_STARTED, {"resumed_from": "r0"}, "run r1 started, resuming r0"),
        (Event.RUN_SUCCEEDED, {"duration_s": 4.2}, "succeeded in 4.2s"),
        (Event.RUN_FAILED, {"duration_s": 4.2, "error": "it {broke}\nbadly"}, "failed after 4.2s: it {broke} badly"),
        (Event.RUN_INTERRUPTED, {"duration_s": 4.2}, "was interrupted after 4.2s"),
        (Event.RUN_INTERRUPTED, {"error": "interrupted: the daemon died"}, "was interrupted: the daemon died"),
        (Event.DAEMON_STARTED, {"folder": "conf.d", "files": 2, "pid": 7}, "watching conf.d pid=7"),
        (Event.DAEMON_STARTED, {"folder": "c", "files": 0}, "watching c, in which there is no conf file yet"),
        (Event.DAEMON_STOPPING, {"signal": "SIGTERM"}, "stopping: nothing new starts signal=SIGTERM"),
        (Event.DAEMON_TROUBLED, {"what": "history", "error": "full"}, "trouble with the history: full"),
        (Event.DAEMON_RECOVERED, {"what": "history"}, "the history works again"),
        ("a task's own {words}", {"files": 3}, "a task's own {words} files=3"),
    ],
)
def test_each_fact_is_a_line(event: str, details: dict[str, Any], told: str) -> None:
    assert words(event, **details) == told


@pytest.mark.parametrize(
    ("event", "details", "told"),
    [
        (Event.STEP_OUTPUT, {"line": "hello"}, "scan: hello"),
        (Event.STEP_RETRYING, {"error": "no", "delay_s": 3}, "scan: attempt 1 failed: no; trying again in 3s"),
        (Event.STEP_SUCCEEDED, {"duration_s": 1}, "scan: succeeded in 1s"),
        (Event.STEP_FAILED, {"duration_s": 1, "error": "no"}, "scan: failed after 1s: no"),
        (Event.STEP_SKIPPED, {"reason": "it is Sunday"}, "scan: skipped: it is Sunday"),
    ],
)
def test_what_steps_do_is_told_with_their_ids(event: str, details: dict[str, Any], told: str) -> None:
    assert words(event, step="scan", **details) == told


def test_what_says_little_is_for_those_who_ask_for_everything() -> None:
    facts = [fact(Event.SLOT_DUE, slot="2026-11-22T02:15:00Z"), fact(Event.STEP_STARTED, step="scan")]
    assert shown(*facts) == []
    assert len(shown(*facts, level=Level.DEBUG)) == 2


def test_what_is_below_the_level_is_left_out() -> None:
    assert shown(fact(Event.RUN_SUCCEEDED), fact(Event.RUN_FAILED, Level.ERROR), level=Level.WARNING) == [
        "02:15:00  crm           failed after 0s"
    ]


def test_the_daemon_speaks_in_tasker_s_name() -> None:
    (line,) = shown(Fact(event=Event.DAEMON_STOPPED, at=AT))
    assert line == "02:15:00  tasker        stopped"


def test_a_day_is_told_when_it_begins() -> None:
    lines = Lines()
    log = ConsoleLog(lines)  # type: ignore[arg-type]
    for hours in (0, 1, 24):
        log.observe(Fact(event=Event.DAEMON_STOPPED, at=AT + timedelta(hours=hours)))
    assert [line for line in lines.text.splitlines() if "stopped" not in line] == [
        "Sunday, 22 November 2026",
        "Monday, 23 November 2026",
    ]


def test_the_last_lines_of_a_traceback_follow() -> None:
    traceback = "\n".join(f"line {number}" for number in range(100))
    lines = shown(fact(Event.STEP_FAILED, Level.ERROR, step="scan", traceback=traceback))
    assert len(lines) == 21
    assert lines[-1] == "    line 99"


def test_colours_change_no_word() -> None:
    facts = [fact(event, level, step="scan") for event in Event for level in Level]
    plain = shown(*facts, level=Level.DEBUG)
    coloured = shown(*facts, level=Level.DEBUG, colour=True)
    assert plain != coloured
    assert [COLOUR.sub("", line) for line in coloured] == plain


def test_errors_are_red_and_warnings_yellow() -> None:
    assert "\x1b[31m" in shown(fact("odd", Level.ERROR), colour=True)[0]
    assert "\x1b[33m" in shown(fact("odd", Level.WARNING), colour=True)[0]


@given(
    st.sampled_from([*Event, "odd"]),
    st.dictionaries(
        st.sampled_from(["file", "error", "line", "slot", "what", "reason", "x"]),
        st.text() | st.sampled_from(["\x1b[2J", "\r", "\u202e", "\ud800", "{0}", "x" * 10_000]),
    ),
)
def test_whatever_it_holds_a_fact_is_one_line_of_what_is_to_be_seen(event: str, details: dict[str, str]) -> None:
    (line,) = shown(fact(event, Level.ERROR, **details), level=Level.DEBUG)
    assert line.isprintable()
    assert len(line) < 20_000


def test_words_alone_name_the_pipeline() -> None:
    told = fact(Event.RESUME_NOTHING, reason="it has not run yet")
    assert said(told) == "crm: there is nothing to resume: it has not run yet"
    assert said(Fact(event=Event.HISTORY_UNAVAILABLE, at=AT, details={"error": "full"})).startswith("the history")


def test_it_writes_to_the_outputs_of_the_log() -> None:
    reading, writing = os.pipe()
    with QueuedOutput(os.dup(writing)) as queued, Output(writing) as output:
        ConsoleLog(queued).observe(fact(Event.RUN_SUCCEEDED))
        assert queued.drain(20)
        ConsoleLog(output).observe(fact(Event.RUN_FAILED))
        assert os.read(reading, 4096).decode().count("crm") == 2
    os.close(reading)


def test_every_event_has_words_of_its_own() -> None:
    for event in Event:
        assert not any(str(event) in line for line in shown(fact(event), level=Level.DEBUG)), event
