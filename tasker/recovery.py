"""Runs whose daemon died: their leftovers ended, and what is known of them, so that they can be resumed."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasker import journal, linux
from tasker.history import ACTIVE, RunStatus
from tasker.records import from_json
from tasker.run import Status
from tasker.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from tasker.history import History, Orphan, PipelineRecord, RunRecord
    from tasker.run import StepRun

MARK = "TASKER_DAEMON_ID"
"""The variable by which every process that a daemon has started, directly or not, is known as its own."""
DIED = "interrupted: the daemon died"
_PATIENCE_S = 5.0
"""Seconds that killed processes get to be gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What the history knows of a pipeline from earlier daemons."""

    record: PipelineRecord
    snapshot: Snapshot | None
    decided: datetime | None
    """Its latest slot that has an outcome, or is to get one."""
    succeeded_at: datetime | None
    last_run: Status | None
    """How its last run that has ended did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """A run of a dead daemon, as it stands once all that is known of it is in the history."""

    run: RunRecord
    done: Mapping[str, StepRun]
    """The steps that need not run again."""
    snapshot: Snapshot | None

    @property
    def ended(self) -> bool:
        """Whether it had come to its own end."""
        return self.run.status not in (*ACTIVE, RunStatus.INTERRUPTED)

    @property
    def begun(self) -> bool:
        """Whether it had started."""
        return self.run.status is not RunStatus.WAITING


def end_leftovers(orphans: Iterable[Orphan]) -> int:
    """Kill what daemons of this host that died have left running; how many processes there were."""
    daemons = {orphan.run.daemon for orphan in orphans if orphan.same_host}
    ended: set[int] = set()
    for daemon in daemons:
        while left := set(linux.marked(f"{MARK}={daemon}")) - ended:
            for pid in left:
                linux.send(pid, signal.SIGKILL)
            for pid in left:
                linux.wait(pid, _PATIENCE_S)
            ended |= left
    return len(ended)


def recover(history: History, orphans: Sequence[Orphan], journals: Path | None, at: datetime) -> list[Recovered]:
    """Bring the history up to what the journals say, and end there what had begun and not ended."""
    return [_recovered(history, orphan.run.id, journals, at) for orphan in orphans]


def _recovered(history: History, run_id: str, journals: Path | None, at: datetime) -> Recovered:
    if journals is not None:
        history.replay(journal.read(journals / f"{run_id}.jsonl"))
    (run,) = history.found(run_id, 1)
    if run.status is RunStatus.RUNNING:
        history.end(run_id, RunStatus.INTERRUPTED, DIED, at)
        (run,) = history.found(run_id, 1)
    return Recovered(run=run, done=history.finished_steps(run_id), snapshot=_snapshot(history, run.snapshot_id))


def remembered(history: History) -> tuple[list[Remembered], list[Orphan]]:
    """What a daemon that starts is to know of those before it, and the runs that these left, which are now its own."""
    decided = history.last_slots()
    known = [
        Remembered(
            record=record,
            snapshot=_snapshot(history, record.snapshot_id),
            decided=decided.get(record.name),
            succeeded_at=_succeeded_at(history, record.name),
            last_run=_last_run(history, record.name),
        )
        for record in history.pipelines()
    ]
    return known, history.orphans()


def _succeeded_at(history: History, pipeline: str) -> datetime | None:
    runs = history.runs(pipeline, statuses=[RunStatus.SUCCEEDED], limit=1)
    return runs[0].ended_at if runs else None


def _last_run(history: History, pipeline: str) -> Status | None:
    ended = [status for status in RunStatus if status not in ACTIVE]
    runs = history.runs(pipeline, statuses=ended, limit=1)
    return Status(runs[0].status) if runs else None


def _snapshot(history: History, snapshot_id: str | None) -> Snapshot | None:
    content = history.snapshot(snapshot_id) if snapshot_id else None
    return from_json(Snapshot, json.loads(content)) if content is not None else None
