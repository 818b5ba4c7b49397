"""Runs whose daemon died: their leftovers ended, and what is known of them, so that they can be resumed."""

from __future__ import annotations

import json
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from tasker import journal, linux
from tasker.history import ACTIVE, RunStatus
from tasker.launching.snapshot import Snapshot
from tasker.pipeline import Catchup, Overlap, Resume
from tasker.records import from_json
from tasker.run import Outcome, Status
from tasker.settling import settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from tasker.history import History, Orphan, PipelineRecord, RunRecord
    from tasker.launching.versions import Version
    from tasker.running.earlier import Earlier

MARK = "TASKER_DAEMON_ID"
"""The variable by which every process that a daemon has started, directly or not, is known as its own."""
JOURNALS = "journals"
"""The folder in a state folder in which runs of daemons have their journals."""
PLACE = "TASKER_DAEMON_STATE"
"""The variable that tells the state folder of that daemon."""
DIED = "interrupted: the daemon died"
MOST_RESUMPTIONS = 3
"""How often what a slot's run has not finished is taken up again."""
_PATIENCE_S = 10.0
"""Seconds that killed processes get to be gone, all of them: some hang within the kernel, others fork without end."""


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
    told: bool
    """Whether its interruption was known before."""
    next: RunRecord | None = None
    """The run that goes on with it."""
    replaced: bool = False
    """Whether a later slot has taken its place, as the schedule wants it."""
    earlier: Earlier | None
    """What the run that goes on with it may take over; or it itself, where it resumes one and has not begun."""
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
    return end_all(lambda: [pid for daemon in daemons for pid in linux.marked(f"{MARK}={daemon}")])


def end_leftovers_of(state: Path, me: str) -> int:
    """Kill what daemons have left running that had this state folder to themselves, as this one has now."""
    return end_all(lambda: set(linux.marked(f"{PLACE}={state}")) - set(linux.marked(f"{MARK}={me}")))


def end_all(leftovers: Callable[[], Iterable[int]], patience_s: float = _PATIENCE_S) -> int:
    """Kill what `leftovers` finds, with all that is below it, until it finds nothing more; how many there were."""
    give_up = time.monotonic() + patience_s
    ended: set[int] = set()
    while left := {pid for found in leftovers() for pid in (found, *linux.descendants(found))} - ended:
        for pid in left:
            linux.send(pid, signal.SIGKILL)
        for pid in left:
            linux.wait(pid, give_up - time.monotonic())
        ended |= left
        if time.monotonic() >= give_up:
            break
    return len(ended)


@dataclass(frozen=True, slots=True)
class Left:
    """A run that broke off, or was about to begin, when what it ran under died."""

    id: str
    pipeline: str
    told: bool = False
    """Whether it is known to be interrupted, and only what comes of it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How such runs are to be taken up."""

    runs: Sequence[Left]
    versions: Mapping[str, Version]
    """What is in force of their pipelines."""
    at: datetime
    ids: Mapping[str, str]
    """By the id of each run: that of the one which may go on with it."""
    journals: Path


def recover(history: History, plan: Plan) -> list[Recovered]:
    """Bring the history up to what the journals say, end there what had begun and not ended, and have it resumed.

    All of it at one go: a run that is interrupted and not resumed would stay so if this daemon died between the two.
    """
    return [found for run in plan.runs for found in _recovered(history, run, plan)]


def _recovered(history: History, left: Left, plan: Plan) -> Iterator[Recovered]:
    history.replay(journal.read(plan.journals / f"{left.id}.jsonl"))
    for run in history.found(left.id, 1):
        yield _ended_or_resumed(history, run, left, plan)


def _ended_or_resumed(history: History, run: RunRecord, left: Left, plan: Plan) -> Recovered:
    if run.status is RunStatus.RUNNING:
        error = DIED if run.cancel_at is None else f"interrupted: cancelled by {run.cancel_by}"
        history.end(run.id, RunStatus.INTERRUPTED, error, plan.at)
        (run,) = history.found(run.id, 1)
    version = plan.versions.get(run.pipeline)
    replaced = version is not None and _is_replaced(history, run, version)
    resumes = run.status is RunStatus.INTERRUPTED and version is not None and version.resume is Resume.AUTO
    following = None
    if resumes and not replaced and run.resumption < MOST_RESUMPTIONS:
        following = history.resume(run.id, plan.ids[run.id], plan.at)
    return Recovered(
        run=run,
        told=left.told,
        next=following,
        replaced=replaced,
        earlier=_earlier(history, run),
        snapshot=_snapshot(history, run.snapshot_id),
    )


def _earlier(history: History, run: RunRecord) -> Earlier | None:
    begun = run.id if run.status is not RunStatus.WAITING else run.resumed_from
    return history.earlier(begun) if begun is not None else None


def _is_replaced(history: History, run: RunRecord, version: Version) -> bool:
    """Whether a later slot has taken the place of a run; not of one that still waits and is made up for."""
    schedule = version.schedule
    if schedule is None or schedule.overlap is not Overlap.REPLACE:
        return False
    if run.status is RunStatus.WAITING and schedule.catchup is Catchup.ALL:
        return False
    latest = history.slots(run.pipeline, outcomes=[Outcome.WAITING, Outcome.RAN], limit=1)
    return bool(latest) and latest[0].slot.at > run.slot


def clear_away(journals: Iterable[Path]) -> None:
    """Remove journals that nobody needs any more."""
    for each in journals:
        with suppress(OSError):
            each.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Memory:
    """What a daemon that starts is to know of those before it."""

    pipelines: Sequence[Remembered]
    orphans: Sequence[Orphan]
    """The runs that they left, which are now its own."""
    broken_off: Sequence[Left]
    """Runs of theirs that were interrupted, in order or not, and of which nobody has said what is to come of them."""
    over: Sequence[Path]
    """The journals of other runs that have ended, those of commands among them."""


def remembered(history: History, state: Path, at: datetime) -> Memory:
    """What is known of the daemons before this one, whose runs become this one's; theirs is the same state folder."""
    decided, records = history.last_slots(), history.pipelines()
    snapshots = {each: _snapshot(history, each) for each in {record.snapshot_id for record in records}}
    known = [
        Remembered(
            record=record,
            snapshot=snapshots[record.snapshot_id],
            decided=decided.get(record.name),
            succeeded_at=_succeeded_at(history, record.name),
            last_run=_last_run(history, record.name),
        )
        for record in records
    ]
    orphans = history.orphans(at)
    broken_off, over = _journalled(history, state / JOURNALS)
    return Memory(known, orphans, broken_off, [*over, *settle(history, state / journal.FOREGROUND, at)])


def _journalled(history: History, journals: Path) -> tuple[list[Left], list[Path]]:
    """Which runs that are not active have a journal still, broken off or over.

    Whoever hears that a run's process has ended lets go of its journal: where one is left, nobody had. A run that the
    history does not know was under way when that was lost.
    """
    broken_off: list[Left] = []
    over: list[Path] = []
    for path in sorted(journals.glob("*.jsonl")):
        run = next((run for run in history.found(path.stem, 1) if run.id == path.stem), None)
        if run is None:
            broken_off += [Left(path.stem, str(fact.pipeline)) for fact in islice(journal.read(path), 1)]
        elif run.status is RunStatus.INTERRUPTED and not history.lives(run.daemon):
            broken_off.append(Left(run.id, run.pipeline, told=True))
        elif run.status not in ACTIVE and not history.lives(run.daemon):
            over.append(path)
    return broken_off, over


def _succeeded_at(history: History, pipeline: str) -> datetime | None:
    runs = history.runs(pipeline, statuses=[RunStatus.SUCCEEDED], limit=1, foreground=False)
    return runs[0].ended_at if runs else None


def _last_run(history: History, pipeline: str) -> Status | None:
    ended = [status for status in RunStatus if status not in ACTIVE]
    runs = history.runs(pipeline, statuses=ended, limit=1, foreground=False)
    return Status(runs[0].status) if runs else None


def _snapshot(history: History, snapshot_id: str | None) -> Snapshot | None:
    content = history.snapshot(snapshot_id) if snapshot_id else None
    return from_json(Snapshot, json.loads(content)) if content is not None else None
