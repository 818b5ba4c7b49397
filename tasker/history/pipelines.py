"""The pipelines that are scheduled, the snapshots that they and their runs are read from, and what these come to."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING

from tasker.history import rows
from tasker.history.database import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tasker.history.database import Database, Row
    from tasker.history.model import PipelineRecord


def every(database: Database) -> Iterator[PipelineRecord]:
    """The pipelines that are kept, by name."""
    return map(rows.pipeline, database.rows(f"SELECT {rows.listed(rows.PIPELINE)} FROM pipelines ORDER BY name"))  # noqa: S608


def keep(database: Database, records: Iterable[PipelineRecord]) -> None:
    """Pipelines as they are now."""
    names = rows.PIPELINE
    changed = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
    database.change_many(
        f"INSERT INTO pipelines ({rows.listed(names)}) VALUES ({rows.given(names)})"  # noqa: S608
        f" ON CONFLICT (name) DO UPDATE SET {changed}",
        [_row(record) for record in records],
    )


def _row(record: PipelineRecord) -> Row:
    schedule = None if record.schedule is None else json.dumps(dict(record.schedule))
    return rows.written({**{name: getattr(record, name) for name in rows.PIPELINE}, "schedule": schedule})


def forget(database: Database, name: str) -> None:
    """A pipeline is gone."""
    database.change("DELETE FROM pipelines WHERE name = :name", name=name)


def keep_snapshot(database: Database, snapshot_id: str, content: str) -> None:
    """A snapshot, which is the same for ever."""
    database.change(
        "INSERT INTO snapshots (id, content) VALUES (:id, :content) ON CONFLICT DO NOTHING",
        id=snapshot_id,
        content=json.dumps(content),
    )


def keep_config(database: Database, content: str) -> str:
    """A configuration, which many runs may have; its id."""
    config_id = sha256(content.encode(errors="surrogatepass")).hexdigest()
    database.change(
        "INSERT INTO configs (id, content) VALUES (:id, :content) ON CONFLICT DO NOTHING",
        id=config_id,
        content=clean(content),
    )
    return config_id


def config(database: Database, config_id: str) -> str | None:
    """The content of a configuration."""
    found = database.rows("SELECT content FROM configs WHERE id = :id", id=config_id)
    return str(found[0]["content"]) if found else None


def snapshot(database: Database, snapshot_id: str) -> str | None:
    """The content of a snapshot."""
    found = database.rows("SELECT content FROM snapshots WHERE id = :id", id=snapshot_id)
    return str(json.loads(found[0]["content"])) if found else None
