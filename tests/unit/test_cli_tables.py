"""Tables for people, on a terminal of eighty columns."""

from __future__ import annotations

from typing import Any

import pytest

from tasker.cli.tables import print_outcomes, print_runs, results

IDS = [f"20261123T021859-f54{chance}be12700961" for chance in ("769", "76a", "8a0")]


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def run(run_id: str = IDS[0], **rest: Any) -> dict[str, Any]:
    """What is told of a run."""
    told = {"run_id": run_id, "pipeline": "crm-lineage/erp", "slot": "2026-11-23T02:15:00Z", "status": "interrupted"}
    return {**told, "duration_s": 4.25, **rest}


def shown(capsys: pytest.CaptureFixture[str], *runs: dict[str, Any]) -> list[str]:
    print_runs(runs)
    return capsys.readouterr().out.splitlines()


def test_a_run_is_a_line_and_its_error_two_at_most(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, run(error="step 'scan': it broke\nbadly"), run(IDS[2], error="x" * 1000), run(IDS[2]))
    assert [line.split()[0] for line in lines if line[:1] != " "] == ["run", IDS[0][:20], IDS[2][:20], IDS[2][:20]]
    assert max(map(len, lines)) <= 160
    assert lines[2] == "  step 'scan': it broke badly"
    assert lines[4].endswith("x…")
    assert len(lines) == 6
    assert len(lines[1]) <= 80


def test_as_much_of_an_id_is_shown_as_tells_it_from_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, run())[1].startswith("20261123T021859-f547  ")
    alone, other = shown(capsys, run(), run(IDS[1]))[1:]
    assert (alone.split()[0], other.split()[0]) == (IDS[0][:22], IDS[1][:22])


def test_where_nothing_is_to_be_told_of_there_is_no_column(capsys: pytest.CaptureFixture[str]) -> None:
    print_outcomes([{"pipeline": "crm", "slot": "2026-11-23T02:15:00Z", "outcome": "missed", "reason": "6 h late"}])
    header, row, reason = capsys.readouterr().out.splitlines()
    assert header.split() == ["slot", "pipeline", "outcome"]
    assert row.split()[2:] == ["crm", "missed"]
    assert reason == "  6 h late"


def test_what_a_command_has_carried_out_can_be_asked_for() -> None:
    told = [
        {"pipeline": "p/a", "status": "failed", "run_id": IDS[0], "error": "why"},
        {"pipeline": "p/b", "status": ""},
    ]
    lines = [line.plain for line in results(told, 80)]
    assert lines == ["pipeline  status  run", "p/a       failed  20261123T021859-f547", "  why", "p/b"]
