"""Records that cross a process's border come out as they went in."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tasker.facts import Fact, Level
from tasker.faults import Fault, Place, Severity
from tasker.launching.messages import (
    Begin,
    Bounds,
    Candidate,
    Ready,
    Refused,
    Retire,
    RunBegan,
    RunEnded,
    RunOrder,
    Told,
    Validate,
    Validated,
    packed,
    unpacked,
)
from tasker.launching.snapshot import Snapshot
from tasker.launching.versions import Version
from tasker.pipeline import Catchup, Overlap, Resume, Schedule
from tasker.records import from_json, to_json
from tasker.run import Status, StepRun
from tasker.running.chosen import Chosen
from tasker.running.earlier import Earlier
from tasker.settings import Settings

SLOT = datetime(2026, 11, 22, 2, 15, tzinfo=UTC)
SNAPSHOT = Snapshot(path="conf.d/a.conf", folder="conf.d", files={"a.conf": "é\ud800", "_b.conf": ""})
FAULT = Fault("syntax", Place("a.conf", 2, 3, 4, "x"), "no", "yes", Severity.WARNING)
VERSION = Version(
    name="a",
    file="conf.d/a.conf",
    named_at=Place("conf.d/a.conf"),
    revision="4f0c",
    schedule=Schedule(
        cron=("@daily", "1 2 * * *"),
        timezone="Asia/Tokyo",
        overlap=Overlap.QUEUE,
        catchup=Catchup.ALL,
        deadline=timedelta(hours=1),
        jitter=timedelta(seconds=0.5),
    ),
    resume=Resume.NEVER,
    timeout=timedelta(days=2),
    modules=("/c",),
)


@pytest.mark.parametrize(
    "message",
    [
        Begin(
            settings=Settings(tasks=(Path("t"),), conf_dir=Path("conf.d"), given={"A": "\udcff"}, environment={}),
            bounds=Bounds(importing_s=1.5),
            path=("", "/lib"),
            refused={"/t/bad.py": "it ends"},
        ),
        Validate(number=3, candidates=(Candidate(path=Path("a")), Candidate(path=Path("b"), snapshot=SNAPSHOT))),
        RunOrder(
            run_id="r",
            snapshot=SNAPSHOT,
            slot=SLOT,
            instance="crm",
            overrides={"days": "7"},
            journal=Path("/j"),
            earlier=Earlier(
                run_id="q",
                steps={"one": StepRun(step="one", task="t", status=Status.SUCCEEDED, outputs={"a": [1, {"b": None}]})},
                ran_in={"one": 0, "two": 1},
                resumed=("p", "o"),
                workspace=Path("/w"),
            ),
            chosen=Chosen(from_=("two",)),
        ),
        Retire(),
        Ready(faults=(FAULT,), task_modules={"t": ("/a",), "u": ()}),
        Validated(
            number=3, path=Path("a"), versions=(VERSION,), snapshot=SNAPSHOT, faults=(FAULT,), files=("/a", "/b")
        ),
        Validated(number=3, path=Path("a")),
        RunBegan(run_id="r", pid=1, pid_started=2),
        Told(fact=Fact(event="run.started", at=SLOT, level=Level.WARNING, run_id="r", details={"a": {"b": [1.5]}})),
        RunEnded(run_id="r", status=-9, error="killed"),
        Refused(run_id="r", faults=(FAULT,)),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_message_arrives_as_it_was_sent(message: Any) -> None:
    assert unpacked(json.loads(json.dumps(packed(message)))) == message


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"kind": "Nothing"},
        {"kind": ["Ready"]},
        {"kind": "RunBegan"},
        {"kind": "RunEnded", "run_id": [], "status": 0},
        {"kind": "RunEnded", "run_id": "run-1", "status": "0"},
        {"kind": "Ready", "faults": 5, "task_modules": {}},
        {"kind": "Told", "fact": {"at": "x"}},
        {"kind": "Told", "fact": {"at": "2026-11-22T00:00:00", "level": "info", "event": "run.failed"}},
        {"kind": "Told", "fact": {"at": "2026-11-22T00:00:00Z", "level": "info", "event": "run.failed", "run_id": []}},
    ],
)
def test_what_is_no_message_is_told_apart(data: dict[str, Any]) -> None:
    assert unpacked(data) is None


def test_a_record_is_read_where_a_later_field_is_not_there_yet() -> None:
    data = to_json(VERSION)
    del data["resume"]
    assert from_json(Version, data).resume is Resume.AUTO


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(TypeError, match="no Version"):
        from_json(Version, None)
