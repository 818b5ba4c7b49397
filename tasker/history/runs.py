"""Runs and their steps, from the claim to the end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tasker.history import rows, slots
from tasker.history.database import clean
from tasker.history.model import ACTIVE, RunRecord, RunStatus, StepRunRecord
from tasker.history.times import stamp
from tasker.run import Slot, Status, StepRun
from tasker.running.earlier import Earlier

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from tasker.history.database import Database

_SELECT = f"SELECT {rows.listed(rows.RUN)} FROM runs"  # noqa: S608
_INSERT = f"INSERT INTO runs ({rows.listed(rows.RUN)}) VALUES ({rows.given(rows.RUN)})"  # noqa: S608
_CARRIED_OUT = ("snapshot_id", "workspace", "git_commit", "config_id", "overrides")
"""The columns that tell what a run carries out."""
_MOST_RESUMED = 100
"""Runs that are looked at, one resumed by the next: the daemon ends such a row long before."""


def one(database: Database, run_id: str) -> RunRecord | None:
    """One run, by its whole id."""
    found = database.rows(f"{_SELECT} WHERE id = :run_id", run_id=run_id)
    return rows.run(found[0]) if found else None


def is_over(database: Database, run_id: str) -> bool:
    """Whether nothing is to come of a run: it has ended, or there is none."""
    run = one(database, run_id)
    return run is None or run.ended_at is not None


class Process(NamedTuple):
    """A process of one host."""

    host: str
    pid: int
    pid_started: int


def begin(database: Database, run_id: str, process: Process, at: datetime) -> None:
    """A run has a process."""
    database.change(
        "UPDATE runs SET host = :host, pid = :pid, pid_started = :pid_started WHERE id = :run_id",
        run_id=run_id,
        **process._asdict(),
    )
    run = one(database, run_id)
    if run is not None:
        started(database, run, at)


def start_soon(database: Database, run_id: str, at: datetime) -> None:
    """A run counts as running, though it has no process yet."""
    run = one(database, run_id)
    if run is not None:
        started(database, run, at)


def wait_again(database: Database, run_id: str) -> None:
    """A run has not started after all; the slot of one that resumes another has run all the same."""
    database.change(
        "UPDATE runs SET status = 'waiting', started_at = NULL, late_s = NULL, pid = NULL, pid_started = NULL"
        " WHERE id = :run_id AND ended_at IS NULL",
        run_id=run_id,
    )
    database.change(
        "UPDATE slots SET outcome = 'waiting' WHERE run_id = :run_id AND outcome = 'ran'"
        " AND EXISTS (SELECT 1 FROM runs WHERE id = :run_id AND status = 'waiting' AND resumed_from IS NULL)",
        run_id=run_id,
    )


def started(database: Database, run: RunRecord, at: datetime) -> None:
    """A run has started, be it known already or not; on which version, only the run itself can tell."""
    late_s = None if run.foreground else (at - run.slot).total_seconds()
    record = replace(run, status=RunStatus.RUNNING, started_at=at, late_s=late_s)
    database.change(
        f"{_INSERT} ON CONFLICT (id) DO UPDATE SET revision = excluded.revision,"
        " snapshot_id = COALESCE(excluded.snapshot_id, runs.snapshot_id),"
        " workspace = COALESCE(excluded.workspace, runs.workspace),"
        " started_at = COALESCE(runs.started_at, excluded.started_at), late_s = COALESCE(runs.late_s, excluded.late_s),"
        " status = CASE WHEN runs.ended_at IS NULL THEN excluded.status ELSE runs.status END",
        **_columns(record),
    )
    _slot_ran(database, run, at)


def configured(database: Database, run_id: str, config_id: str | None, git_commit: str | None) -> None:
    """What a run carries out, and from which commit."""
    database.change(
        "UPDATE runs SET config_id = :config_id, git_commit = :git_commit WHERE id = :run_id",
        run_id=run_id,
        config_id=config_id,
        git_commit=clean(git_commit),
    )


def _slot_ran(database: Database, run: RunRecord, at: datetime) -> None:
    if not run.foreground:
        slots.ran(database, Slot(run.pipeline, run.slot), run.id, run.daemon, at)


def end(
    database: Database,
    run_id: str,
    status: RunStatus,
    error: str | None,
    at: datetime,
    duration_s: float | None = None,
) -> bool:
    """A run has ended; whether this is the first to tell, or told just this before."""
    run = one(database, run_id)
    if run is None or run.ended_at is not None:
        return run is not None and (run.status, run.ended_at) == (status, at)
    if duration_s is None and run.started_at is not None:
        duration_s = round((at - run.started_at).total_seconds(), 3)
    database.change(
        "UPDATE runs SET status = :status, error = :error, ended_at = :at, duration_s = :duration_s WHERE id = :run_id",
        run_id=run_id,
        status=str(status),
        error=clean(error),
        at=stamp(at),
        duration_s=duration_s,
    )
    database.change(
        "UPDATE step_runs SET status = 'interrupted', error = :error WHERE run_id = :run_id AND status = 'running'",
        run_id=run_id,
        error=clean(error),
    )
    _slot_ran(database, run, at)
    return True


def resume(database: Database, run_id: str, new: RunRecord) -> RunRecord | None:
    """A new run that goes on with one that has ended, and that nobody wanted cancelled; `new` says what is its own."""
    old = one(database, run_id)
    if old is None or old.ended_at is None or old.cancel_at is not None:
        return None
    record = replace(
        new,
        pipeline=old.pipeline,
        slot=old.slot,
        revision=new.revision or old.revision,
        snapshot_id=new.snapshot_id or old.snapshot_id,
        resumed_from=run_id,
        resumption=old.resumption + 1,
        workspace=old.workspace,
        git_commit=old.git_commit,
        config_id=old.config_id,
        overrides=old.overrides,
    )
    if not database.change(f"{_INSERT} ON CONFLICT DO NOTHING", **_columns(record)):
        before = one(database, new.id)
        return before if before is not None and before.resumed_from == run_id else None
    database.change(
        "UPDATE slots SET run_id = :new WHERE pipeline = :pipeline AND slot = :slot",
        new=new.id,
        **rows.key(Slot(old.pipeline, old.slot)),
    )
    return record


def restore(database: Database, run: RunRecord) -> None:
    """Put a run back that a new history does not know."""
    database.change(f"{_INSERT} ON CONFLICT DO NOTHING", **_columns(run))


def _columns(run: RunRecord) -> dict[str, Any]:
    given = {name: getattr(run, name) for name in rows.RUN}
    return rows.written({**given, "overrides": rows.mapping(run.overrides)})


# Steps


def put_step(database: Database, record: StepRunRecord, at: datetime) -> None:
    """How a step of a run stands now."""
    names = (*rows.STEP_RUN, "began_at")
    changed = ", ".join(f"{name} = excluded.{name}" for name in names[3:-1])
    given = {name: getattr(record, name) for name in rows.STEP_RUN}
    database.change(
        f"INSERT INTO step_runs ({rows.listed(names)}) VALUES ({rows.given(names)})"  # noqa: S608
        f" ON CONFLICT (run_id, step) DO UPDATE SET {changed}",
        **rows.written({**given, "outputs": rows.mapping(record.outputs)}),
        began_at=stamp(at),
    )


def steps(database: Database, run_id: str) -> Iterator[StepRunRecord]:
    """The steps of a run, in the order in which they began."""
    statement = f"SELECT {rows.listed(rows.STEP_RUN)} FROM step_runs WHERE run_id = :run_id ORDER BY began_at, step"  # noqa: S608
    return map(rows.step_run, database.rows(statement, run_id=run_id))


def earlier(database: Database, run_id: str) -> Earlier:
    """What a run may take over that resumes this one: what its steps came to when they ran last, in it or before it."""
    resumed = [*_resumed(database, run_id)]
    last: dict[str, StepRunRecord] = {}
    ran_in: dict[str, int] = {}
    for number, run in reversed([*enumerate(reversed(resumed))]):
        for step in steps(database, run.id):
            if step.status is not RunStatus.SKIPPED and step.step not in last:
                last[step.step], ran_in[step.step] = step, number
    succeeded = (step for step in last.values() if step.status is RunStatus.SUCCEEDED and step.reusable)
    workspace = next((run.workspace for run in resumed if run.workspace), None)
    return Earlier(
        run_id=run_id,
        steps={step.step: _step_run(step) for step in succeeded},
        ran_in=ran_in,
        resumed=tuple(run.id for run in resumed[1:]),
        workspace=Path(workspace) if workspace else None,
    )


def _resumed(database: Database, run_id: str) -> Iterator[RunRecord]:
    """The run, the one that it resumed, and so on."""
    run = one(database, run_id)
    for _ in range(_MOST_RESUMED):
        if run is None:
            return
        yield run
        run = one(database, run.resumed_from) if run.resumed_from else None


def last_of(database: Database, run: RunRecord) -> RunRecord:
    """The last one of the runs that go on with each other, of which this is one.

    One that has ended before it began has done nothing, and what it was to resume is as it was.
    """
    for _ in range(_MOST_RESUMED):
        before = one(database, run.resumed_from) if run.resumed_from and _has_not_begun(run) else None
        run = before or run
        active = rows.given(given := _numbered("status", ACTIVE))
        found = database.rows(
            f"{_SELECT} WHERE resumed_from = :id AND (started_at IS NOT NULL OR status IN ({active}))"
            " ORDER BY claimed_at DESC, id DESC LIMIT 1",
            id=run.id,
            **given,
        )
        if found:
            run = rows.run(found[0])
        elif before is None:
            break
    return run


def has_done_all(database: Database, run: RunRecord) -> bool:
    """Whether a run has succeeded, and of those with it that it goes on with the last one that was of all steps."""
    of_all = (each for each in _resumed(database, run.id) if each.chosen is None)
    return all(each is not None and each.status is RunStatus.SUCCEEDED for each in (run, next(of_all, None)))


def _has_not_begun(run: RunRecord) -> bool:
    return run.started_at is None and run.ended_at is not None


def _step_run(record: StepRunRecord) -> StepRun:
    return StepRun(
        step=record.step,
        task=record.task,
        status=Status.SUCCEEDED,
        attempts=record.attempts,
        duration_s=record.duration_s or 0.0,
        outputs=record.outputs,
        fingerprint=record.fingerprint,
    )


# Of commands in the foreground


def put(database: Database, run: RunRecord) -> None:
    """Write a run that a command in the foreground has begun; of one that is known, what only the command knows."""
    own = ("pid", "pid_started", "resumed_from", "chosen", *_CARRIED_OUT)
    changed = ", ".join(f"{name} = COALESCE(runs.{name}, excluded.{name})" for name in own)
    database.change(
        f"{_INSERT} ON CONFLICT (id) DO UPDATE SET {changed}, resumption = excluded.resumption", **_columns(run)
    )


def abandoned(database: Database) -> list[RunRecord]:
    """The runs of commands that are not listed any more, and have not told of their ends."""
    active = rows.given(given := _numbered("status", ACTIVE))
    statement = (
        f"{_SELECT} WHERE status IN ({active}) AND foreground = 1"  # noqa: S608
        " AND daemon NOT IN (SELECT id FROM daemons)"
        " ORDER BY claimed_at, id"
    )
    return [*map(rows.run, database.rows(statement, **given))]


def is_any_before(database: Database, moment: datetime) -> bool:
    """Whether there is a run from before a moment."""
    return bool(database.rows("SELECT 1 FROM runs WHERE claimed_at < :moment LIMIT 1", moment=stamp(moment)))


# Cancelling


def cancel(database: Database, run_id: str, by: str, at: datetime) -> None:
    """Somebody wants a run ended; whoever asked first is told of."""
    database.change(
        "UPDATE runs SET cancel_at = :at, cancel_by = :by"
        " WHERE id = :run_id AND ended_at IS NULL AND cancel_at IS NULL",
        run_id=run_id,
        by=clean(by),
        at=stamp(at),
    )


def to_cancel(database: Database, me: str) -> dict[str, str]:
    """The runs of a daemon, or a command, that are to be cancelled, with who wants that."""
    found = database.rows(
        "SELECT id, cancel_by FROM runs WHERE cancel_at IS NOT NULL AND ended_at IS NULL AND daemon = :me", me=me
    )
    return {row["id"]: row["cancel_by"] for row in found}


# What is asked


def newest(
    database: Database,
    pipeline: str | None,
    statuses: Iterable[RunStatus],
    limit: int,
    *,
    instances: bool = False,
    foreground: bool | None = None,
) -> Iterator[RunRecord]:
    """The newest runs first; with `instances`, of all instances of a pipeline as well."""
    given: dict[str, Any] = _numbered("status", statuses)
    parts = [f"status IN ({rows.given(given)})"] if given else []
    if pipeline is not None:
        parts.append(rows.of_pipeline(given, pipeline, instances=instances))
    if foreground is not None:
        parts.append("foreground = :foreground")
        given["foreground"] = int(foreground)
    where = f" WHERE {' AND '.join(parts)}" if parts else ""
    return map(
        rows.run,
        database.rows(f"{_SELECT}{where} ORDER BY claimed_at DESC, id DESC LIMIT :limit", **given, limit=limit),
    )


def _numbered(name: str, values: Iterable[str]) -> dict[str, str]:
    return {f"{name}_{number}": str(value) for number, value in enumerate(values)}


def starting_with(database: Database, start: str, most: int) -> Sequence[RunRecord]:
    """The runs whose ids begin so; one alone where that is a whole id."""
    whole = one(database, start)
    if whole is not None:
        return [whole]
    found = database.rows(
        f"{_SELECT} WHERE id >= :start AND id < :behind ORDER BY id LIMIT :most",
        start=start,
        behind=f"{start}\U0010ffff",
        most=most,
    )
    return [*map(rows.run, found)]


def take_over(database: Database, me: str, at: datetime) -> list[RunRecord]:
    """Make the runs that have not ended and whose daemon is not there any more this one's; as they were."""
    active = rows.given(given := _numbered("status", ACTIVE))
    database.change(
        f"UPDATE runs SET taken_from = daemon, taken_at = :at, daemon = :me WHERE status IN ({active})"  # noqa: S608
        " AND foreground = 0 AND daemon NOT IN (SELECT id FROM daemons)",
        **given,
        at=stamp(at),
        me=me,
    )
    statement = (
        f"SELECT {rows.listed(rows.RUN)}, taken_from FROM runs WHERE status IN ({active})"  # noqa: S608
        " AND daemon = :me AND taken_at = :at ORDER BY claimed_at, id"
    )
    found = database.rows(statement, **given, me=me, at=stamp(at))
    return [replace(rows.run(row), daemon=row["taken_from"]) for row in found]
