"""Facts of runs into the history: what each says of the run and its steps. Telling one again changes nothing."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from tasker.facts import Event
from tasker.history import runs
from tasker.history.model import RunRecord, RunStatus, StepRunRecord

if TYPE_CHECKING:
    from tasker.facts import Fact
    from tasker.history.database import Database
    from tasker.history.model import DaemonRecord

ENDS = {
    Event.RUN_SUCCEEDED: RunStatus.SUCCEEDED,
    Event.RUN_FAILED: RunStatus.FAILED,
    Event.RUN_INTERRUPTED: RunStatus.INTERRUPTED,
}
"""The events with which a run has ended."""
_STEPS = {
    Event.STEP_STARTED: RunStatus.RUNNING,
    Event.STEP_RETRYING: RunStatus.RUNNING,
    Event.STEP_SUCCEEDED: RunStatus.SUCCEEDED,
    Event.STEP_FAILED: RunStatus.FAILED,
    Event.STEP_SKIPPED: RunStatus.SKIPPED,
}
COUNT = frozenset({Event.RUN_STARTED, *ENDS, *_STEPS})
"""The events that say what becomes of a run; the others are lines of its log and nothing more."""


def take_in(database: Database, me: DaemonRecord, fact: Fact) -> None:
    """Put what a fact says into the rows of its run and its step."""
    if fact.event in COUNT and fact.run_id is not None:
        if fact.event in _STEPS:
            runs.put_step(database, _step(fact), fact.at)
        else:
            _run(database, me, fact)


def _run(database: Database, me: DaemonRecord, fact: Fact) -> None:
    if fact.event == Event.RUN_STARTED:
        runs.started(database, _started(fact, me), fact.at)
        return
    error, duration_s = fact.details.get("error"), fact.details.get("duration_s")
    runs.end(database, str(fact.run_id), ENDS[Event(fact.event)], error, fact.at, duration_s)


def _started(fact: Fact, me: DaemonRecord) -> RunRecord:
    """The run as its start tells of it, which matters where the history does not know it."""
    slot = fact.details.get("slot")
    return RunRecord(
        id=str(fact.run_id),
        pipeline=str(fact.pipeline),
        slot=datetime.fromisoformat(slot) if slot else fact.at,
        revision=fact.revision or "",
        snapshot_id=fact.details.get("snapshot"),
        status=RunStatus.RUNNING,
        daemon=me.id,
        host=me.host,
        claimed_at=fact.at,
        foreground=me.foreground,
        # Of a command that was killed at once its journal alone may tell; what a daemon resumes it has written before.
        resumed_from=fact.details.get("resumed_from") if me.foreground else None,
        chosen=fact.details.get("chosen"),
        workspace=fact.details.get("workspace"),
    )


def _step(fact: Fact) -> StepRunRecord:
    details, status = fact.details, _STEPS[Event(fact.event)]
    return StepRunRecord(
        run_id=str(fact.run_id),
        step=str(fact.step),
        task=str(fact.task),
        status=status,
        attempts=fact.attempt or 0,
        duration_s=details.get("duration_s"),
        error=details.get("reason" if status is RunStatus.SKIPPED else "error"),
        outputs=details.get("outputs") or {},
        reusable=not details.get("outputs_masked"),
        fingerprint=details.get("fingerprint") or "",
    )
