"""What is old goes, a little at a time; of each pipeline the last run, the last success and the last slot stay."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from tasker.history import rows
from tasker.history.times import stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from tasker.history.database import Database
    from tasker.history.model import Retention

_OLD_RUNS = """
SELECT id FROM runs AS old
WHERE {which}
  AND NOT EXISTS (SELECT 1 FROM runs AS next WHERE next.resumed_from = old.id)
  AND (
    NOT EXISTS (SELECT 1 FROM pipelines WHERE pipelines.name = old.pipeline)
    OR id <> (
      SELECT id FROM runs AS last WHERE last.pipeline = old.pipeline AND last.foreground = old.foreground
      ORDER BY claimed_at DESC, id DESC LIMIT 1
    )
    AND (
      status <> 'succeeded'
      OR id <> (
        SELECT id FROM runs AS last WHERE last.pipeline = old.pipeline AND last.status = 'succeeded'
          AND last.foreground = old.foreground
        ORDER BY claimed_at DESC, id DESC LIMIT 1
      )
    )
  )
ORDER BY claimed_at LIMIT :most
"""
"""Of runs that resume each other the last goes first, so that none that is kept lacks what it goes on with.

A daemon's runs and those of commands are apart: from the former it knows whether a pipeline is overdue.
"""
_BY_AGE = "claimed_at < :before AND ended_at < :before"
_BY_COUNT = "pipeline = :pipeline AND claimed_at < :before AND ended_at IS NOT NULL"
_NEWEST_OF_EACH = """
SELECT name AS pipeline, (
  SELECT claimed_at FROM runs WHERE runs.pipeline = pipelines.name ORDER BY claimed_at DESC LIMIT 1 OFFSET :others
) AS before FROM pipelines
"""
"""How far back the newest runs of each pipeline reach, of which so many others are newer."""
_OLD_SLOTS = """
SELECT pipeline, slot FROM slots AS old
WHERE decided_at < :before AND outcome <> 'waiting'
  AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.id = old.run_id)
  AND (
    NOT EXISTS (SELECT 1 FROM pipelines WHERE pipelines.name = old.pipeline)
    OR slot < (SELECT MAX(last.slot) FROM slots AS last WHERE last.pipeline = old.pipeline)
  )
ORDER BY decided_at LIMIT :most
"""
_UNUSED_SNAPSHOTS = """
SELECT id FROM snapshots
WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.snapshot_id = snapshots.id)
  AND NOT EXISTS (SELECT 1 FROM pipelines WHERE pipelines.snapshot_id = snapshots.id)
LIMIT :most
"""
_UNUSED_CONFIGS = """
SELECT id FROM configs WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.config_id = configs.id) LIMIT :most
"""


def pruned(database: Database, retention: Retention, now: datetime, most: int) -> Iterator[int]:
    """Delete what need not be kept, at most so many rows of a table a step; how many each step deleted."""
    before = stamp(now - retention.age)
    yield from _repeated(most, partial(_runs, database, _BY_AGE, most, before=before))
    for row in database.rows(_NEWEST_OF_EACH, others=retention.runs - 1):
        if row["before"]:
            yield from _repeated(most, partial(_runs, database, _BY_COUNT, most, **row))
    yield from _repeated(most, partial(_slots, database, most, before))
    yield from _repeated(most, partial(_unused, database, "snapshots", _UNUSED_SNAPSHOTS, most))
    yield from _repeated(most, partial(_unused, database, "configs", _UNUSED_CONFIGS, most))


def _repeated(most: int, step: Callable[[], int]) -> Iterator[int]:
    """The step, again and again as long as there may be more; the last time may have been for nothing."""
    while True:
        gone = step()
        yield gone
        if gone < most:
            return


def _runs(database: Database, which: str, most: int, **given: Any) -> int:
    found = [row["id"] for row in database.rows(_OLD_RUNS.format(which=which), most=most, **given)]
    for table, column in (("facts", "run_id"), ("step_runs", "run_id"), ("runs", "id")):
        _delete(database, table, column, found)
    return len(found)


def _slots(database: Database, most: int, before: str) -> int:
    found = database.rows(_OLD_SLOTS, before=before, most=most)
    for row in found:
        database.change("DELETE FROM slots WHERE pipeline = :pipeline AND slot = :slot", **row)
    return len(found)


def _unused(database: Database, table: str, which: str, most: int) -> int:
    found = [row["id"] for row in database.rows(which, most=most)]
    _delete(database, table, "id", found)
    return len(found)


def _delete(database: Database, table: str, column: str, keys: Sequence[str]) -> None:
    if keys:
        given = {f"key_{number}": key for number, key in enumerate(keys)}
        database.change(f"DELETE FROM {table} WHERE {column} IN ({rows.given(given)})", **given)  # noqa: S608
