"""Slots claimed and decided, each once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tasker.history import rows
from tasker.history.database import clean
from tasker.history.errors import RunIdTakenError
from tasker.history.model import ACTIVE, Claim, Claimed, RunStatus, SlotRecord
from tasker.history.times import moment, stamp
from tasker.run import Outcome, Slot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from tasker.history.database import Database
    from tasker.history.model import DaemonRecord

_AT_ONCE = 200
"""Pipelines in one statement."""
_RUN = ("id", "pipeline", "slot", "revision", "snapshot_id", "status", "daemon", "host", "claimed_at")


def claim(database: Database, me: DaemonRecord, claims: Sequence[Claim]) -> list[Claimed]:
    """Claim slots; answers in the order of the claims. Raises `RunIdTakenError`."""
    busy: set[str] = set()
    if not database.exclusive:
        busy = _busy(database, me.id, {each.slot.pipeline for each in claims})
    won = _won(database, me.id, claims)
    waiting = [each for number, each in enumerate(claims) if number in won and each.outcome is Outcome.WAITING]
    _make_runs(database, [_run(each, me) for each in waiting])
    return [Claimed(each, number in won, each.slot.pipeline in busy) for number, each in enumerate(claims)]


def _make_runs(database: Database, wanted: Sequence[dict[str, str | None]]) -> None:
    """Write waiting runs, unless a try that seemed to fail has. Raises `RunIdTakenError`."""
    if _insert(database, "runs", _RUN, wanted) == len(wanted):
        return
    same = ("id", "pipeline", "slot", "daemon")
    for each in wanted:
        there = database.rows(f"SELECT {rows.listed(same)} FROM runs WHERE id = :id", id=each["id"])  # noqa: S608
        if dict(there[0]) != {name: each[name] for name in same}:
            message = f"the run {each['id']} is there already: {dict(there[0])}"
            raise RunIdTakenError(message)


def _busy(database: Database, me: str, pipelines: Iterable[str]) -> set[str]:
    """Those of the pipelines that have runs of others."""
    statuses = {f"status_{number}": str(status) for number, status in enumerate(ACTIVE)}
    statement = (
        f"SELECT DISTINCT pipeline FROM runs WHERE status IN ({rows.given(statuses)})"  # noqa: S608
        " AND daemon <> :me AND foreground = 0 AND pipeline IN ({})"
    )
    wanted, found = [*pipelines], set[str]()
    for start in range(0, len(wanted), _AT_ONCE):
        names = {f"name_{number}": clean(name) for number, name in enumerate(wanted[start : start + _AT_ONCE])}
        there = database.rows(statement.format(rows.given(names)), **statuses, **names, me=me)
        found |= {row["pipeline"] for row in there}
    return found


def _won(database: Database, me: str, claims: Sequence[Claim]) -> set[int]:
    """The numbers of those claims whose rows are these claims': just written, or by a try that seemed to fail."""
    wanted = [_slot(each, me) for each in claims]
    if _insert(database, "slots", rows.SLOT, wanted) == len(claims):
        return set(range(len(claims)))
    return {number for number, each in enumerate(wanted) if each == _row(database, each)}


def _row(database: Database, of: dict[str, str | None]) -> dict[str, str | None] | None:
    statement = f"SELECT {rows.listed(rows.SLOT)} FROM slots WHERE pipeline = :pipeline AND slot = :slot"  # noqa: S608
    found = database.rows(statement, pipeline=of["pipeline"], slot=of["slot"])
    return dict(found[0]) if found else None


def _insert(database: Database, table: str, names: Sequence[str], given: Sequence[dict[str, str | None]]) -> int:
    """Insert those rows whose keys are not there; how many were."""
    statement = f"INSERT INTO {table} ({rows.listed(names)}) VALUES ({rows.given(names)}) ON CONFLICT DO NOTHING"  # noqa: S608
    return database.change_many(statement, given)


def _slot(claim: Claim, me: str) -> dict[str, str | None]:
    return rows.key(claim.slot) | {
        "outcome": str(claim.outcome),
        "reason": clean(claim.reason),
        "run_id": claim.run_id,
        "daemon": me,
        "decided_at": stamp(claim.at),
    }


def _run(claim: Claim, me: DaemonRecord) -> dict[str, str | None]:
    return rows.key(claim.slot) | {
        "id": claim.run_id,
        "revision": claim.revision,
        "snapshot_id": claim.snapshot_id,
        "status": str(RunStatus.WAITING),
        "daemon": me.id,
        "host": me.host,
        "claimed_at": stamp(claim.at),
    }


def decide(database: Database, of: Slot, outcome: Outcome, at: datetime, reason: str | None) -> bool:
    """Give a waiting slot its outcome; whether it was waiting, or has just this from a try that seemed to fail."""
    before = one(database, of)
    if before is None or before.outcome is not Outcome.WAITING:
        return before is not None and (before.outcome, before.decided_at) == (outcome, at)
    kept = before.run_id if outcome is Outcome.RAN else None
    database.change(
        "UPDATE slots SET outcome = :outcome, reason = :reason, decided_at = :at, run_id = :run_id"
        " WHERE pipeline = :pipeline AND slot = :slot",
        **rows.key(of),
        outcome=str(outcome),
        reason=clean(reason),
        at=stamp(at),
        run_id=kept,
    )
    if kept is None:
        for statement in _DROP_RUN:
            database.change(statement, run_id=before.run_id)
    return True


_DROP_RUN = (
    "DELETE FROM facts WHERE run_id = :run_id",
    "DELETE FROM runs WHERE id = :run_id",
)


def ran(database: Database, of: Slot, run_id: str, daemon: str, at: datetime) -> None:
    """The run of a slot has begun."""
    names = rows.SLOT
    database.change(
        f"INSERT INTO slots ({rows.listed(names)}) VALUES ({rows.given(names)})"  # noqa: S608
        " ON CONFLICT (pipeline, slot) DO UPDATE SET outcome = excluded.outcome, decided_at = excluded.decided_at"
        " WHERE slots.outcome = 'waiting'",
        **rows.key(of),
        outcome=str(Outcome.RAN),
        reason=None,
        run_id=run_id,
        daemon=daemon,
        decided_at=stamp(at),
    )


def one(database: Database, of: Slot) -> SlotRecord | None:
    """What became of one slot."""
    row = _row(database, {**rows.key(of)})
    return rows.slot(row) if row else None


def latest(
    database: Database, pipeline: str | None, outcomes: Iterable[Outcome], limit: int, *, instances: bool = False
) -> Iterator[SlotRecord]:
    """The latest slots first; with `instances`, of all instances of a pipeline as well."""
    where, given = _where(pipeline, outcomes, instances=instances)
    statement = f"SELECT {rows.listed(rows.SLOT)} FROM slots {where} ORDER BY slot DESC, pipeline LIMIT :limit"  # noqa: S608
    return map(rows.slot, database.rows(statement, **given, limit=limit))


def _where(pipeline: str | None, outcomes: Iterable[Outcome], *, instances: bool) -> tuple[str, dict[str, Any]]:
    given: dict[str, Any] = {f"outcome_{number}": str(outcome) for number, outcome in enumerate(outcomes)}
    parts = [f"outcome IN ({rows.given(given)})"] if given else []
    if pipeline is not None:
        parts.append(rows.of_pipeline(given, pipeline, instances=instances))
    return (f"WHERE {' AND '.join(parts)}" if parts else ""), given


def greatest(database: Database) -> dict[str, datetime]:
    """The greatest slot of each pipeline that is kept and has one."""
    statement = (
        "SELECT name, (SELECT MAX(slot) FROM slots WHERE slots.pipeline = pipelines.name) AS slot FROM pipelines"
    )
    return {row["name"]: moment(row["slot"]) for row in database.rows(statement) if row["slot"]}
