"""Rows of the tables to records, and back."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tasker.history.database import clean
from tasker.history.model import (
    DaemonRecord,
    PipelineRecord,
    RunRecord,
    RunStatus,
    SlotRecord,
    StepRunRecord,
)
from tasker.history.times import moment, stamp
from tasker.run import Outcome, Slot

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tasker.history.database import Row


def _names(record: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(record))


DAEMON = _names(DaemonRecord)
PIPELINE = _names(PipelineRecord)
RUN = _names(RunRecord)
STEP_RUN = _names(StepRunRecord)
SLOT = ("pipeline", "slot", "outcome", "reason", "run_id", "daemon", "decided_at")
"""The columns of each record; the tables have a few more."""


def listed(names: Iterable[str]) -> str:
    """The columns as a statement lists them."""
    return ", ".join(names)


def given(names: Iterable[str]) -> str:
    """The columns' parameters as a statement lists them."""
    return ", ".join(f":{name}" for name in names)


def daemon(row: Row) -> DaemonRecord:
    """The daemon of a row."""
    whole = _whole(row, DAEMON, moments=("started_at", "beat_at"))
    return DaemonRecord(**{**whole, "foreground": bool(whole["foreground"])})


def pipeline(row: Row) -> PipelineRecord:
    """The pipeline of a row."""
    whole = _whole(row, PIPELINE, moments=("since", "updated_at"))
    return PipelineRecord(**{**whole, "schedule": json.loads(whole["schedule"]) if whole["schedule"] else None})


def run(row: Row) -> RunRecord:
    """The run of a row."""
    whole = _whole(row, RUN, moments=("slot", "claimed_at", "started_at", "ended_at", "cancel_at"))
    overrides = json.loads(whole["overrides"]) if whole["overrides"] else {}
    changed = {"status": RunStatus(whole["status"]), "foreground": bool(whole["foreground"]), "overrides": overrides}
    return RunRecord(**{**whole, **changed})


def slot(row: Row) -> SlotRecord:
    """The slot of a row."""
    whole = _whole(row, SLOT, moments=("slot", "decided_at"))
    place = Slot(whole.pop("pipeline"), whole.pop("slot"))
    return SlotRecord(slot=place, **{**whole, "outcome": Outcome(whole["outcome"])})


def step_run(row: Row) -> StepRunRecord:
    """The step run of a row."""
    whole = _whole(row, STEP_RUN)
    outputs = json.loads(whole["outputs"]) if whole["outputs"] else {}
    changed = {"status": RunStatus(whole["status"]), "outputs": outputs, "reusable": bool(whole["reusable"])}
    return StepRunRecord(**{**whole, **changed})


def key(of: Slot) -> dict[str, str]:
    """The key of a slot's row."""
    return {"pipeline": str(clean(of.pipeline)), "slot": stamp(of.at)}


def written(record: Mapping[str, Any]) -> dict[str, Any]:
    """Values as columns hold them."""
    return {name: _written(value) for name, value in record.items()}


def _written(value: Any) -> Any:
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, bool):
        return int(value)
    return clean(value) if isinstance(value, str) else value


def _whole(row: Row, names: Iterable[str], moments: Iterable[str] = ()) -> dict[str, Any]:
    whole = {name: row[name] for name in names}
    whole |= {name: _moment(whole[name]) for name in moments}
    return whole


def _moment(text: str | None) -> datetime | None:
    return None if text is None else moment(text)


def of_pipeline(into: dict[str, Any], name: str, *, instances: bool) -> str:
    """The condition that a row is a pipeline's, or with `instances` an instance's of it; its parameters go `into`."""
    into["pipeline"] = clean(name)
    if not instances:
        return "pipeline = :pipeline"
    into |= {"from_instance": f"{into['pipeline']}/", "behind_instances": f"{into['pipeline']}0"}  # 0 comes behind /
    return "(pipeline = :pipeline OR pipeline >= :from_instance AND pipeline < :behind_instances)"


def mapping(given: Mapping[str, Any]) -> str | None:
    """Outputs, or overrides, as a column holds them."""
    return json.dumps(dict(given)) if given else None
