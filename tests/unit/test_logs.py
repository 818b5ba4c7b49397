from __future__ import annotations

import io
import json
import os
import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tasker.facts import Event, Fact, Level, config_invalid
from tasker.faults import Fault, Place
from tasker.logs import JsonLog, Output

AT = datetime(2026, 11, 22, 2, 15, 0, 12345, tzinfo=UTC)


def fact(event: str = Event.STEP_OUTPUT, level: Level = Level.INFO, **details: Any) -> Fact:
    return Fact(
        event=event,
        at=AT,
        pipeline="crm",
        revision="4f0c",
        run_id="r1",
        level=level,
        step="scan",
        task="scan_sql",
        attempt=1,
        details=details,
    )


def logged(*facts: Fact, level: Level = Level.DEBUG) -> list[str]:
    stream = io.BytesIO()
    log = JsonLog(stream, level=level)
    for each in facts:
        log.observe(each)
    return stream.getvalue().decode().splitlines()


def test_a_fact_is_one_line_of_json_that_begins_with_when_how_much_and_what() -> None:
    (line,) = logged(fact(line="é\n\u2028", stream="stdout"))
    assert list(json.loads(line).items()) == [
        ("timestamp", "2026-11-22T02:15:00.012345Z"),
        ("level", "info"),
        ("event", "step.output"),
        ("pipeline", "crm"),
        ("revision", "4f0c"),
        ("run_id", "r1"),
        ("step", "scan"),
        ("task", "scan_sql"),
        ("attempt", 1),
        ("line", "é\n\u2028"),
        ("stream", "stdout"),
    ]


def test_details_never_take_the_place_of_names() -> None:
    details = {"step": "other", "level": "x", "event": "y", "timestamp": 1}
    (line,) = logged(replace(fact(event="said"), details=details))
    told = json.loads(line)
    assert (told["step"], told["level"], told["event"]) == ("scan", "info", "said")
    assert (told["step_"], told["level_"], told["event_"], told["timestamp_"]) == ("other", "x", "y", 1)


@pytest.mark.parametrize("end", ["\n", "\r", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029", "\x9b"])
def test_a_line_is_one_line_whatever_a_reader_takes_for_its_end(end: str) -> None:
    (line,) = logged(fact(line=f"a{end}b"))
    assert end not in line
    assert json.loads(line)["line"] == f"a{end}b"


def test_half_a_character_is_still_json() -> None:
    (line,) = logged(fact(line="\udc80"))
    assert json.loads(line)["line"] == "\udc80"


def test_what_is_below_the_level_is_not_written() -> None:
    lines = logged(*[fact(level=level) for level in Level], level=Level.WARNING)
    assert [json.loads(line)["level"] for line in lines] == ["warning", "error"]


def test_a_fault_is_told_with_its_place() -> None:
    stream = io.BytesIO()
    place = Place("conf.d/a.conf", 14, 12)
    fault = Fault("unknown-task", place, "no task is named 'archve'", "did you mean 'archive'?")
    JsonLog(stream).observe(config_invalid(fault, AT))
    told = json.loads(stream.getvalue())
    assert (told["event"], told["file"], told["line"], told["column"]) == ("config.invalid", "conf.d/a.conf", 14, 12)
    assert (told["code"], told["hint"]) == ("unknown-task", "did you mean 'archive'?")


def test_output_is_written_whole_to_a_pipe_that_does_not_block() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    read = bytearray()

    def drain() -> None:
        while data := os.read(reading, 1000):
            read.extend(data)

    reader = threading.Thread(target=drain)
    reader.start()
    with Output(writing) as output:
        assert output.write(b"x" * 1_000_000) == 1_000_000
    reader.join()
    os.close(reading)
    assert len(read) == 1_000_000


def test_output_that_nobody_reads_any_more_raises() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with Output(writing) as output, pytest.raises(BrokenPipeError):
        output.write(b"x")
