"""What the history has kept of a run, so that it can be repeated or compared."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tasker.errors import UsageError
from tasker.launching.snapshot import Snapshot
from tasker.records import from_json

if TYPE_CHECKING:
    from tasker.history import History, RunRecord


def snapshot_of(history: History, record: RunRecord) -> Snapshot:
    """The texts that a run was read from. Raises `UsageError`."""
    content = history.snapshot(record.snapshot_id) if record.snapshot_id else None
    if content is None:
        message = f"of {record.id} the texts are not kept that it was read from"
        raise UsageError(message)
    return from_json(Snapshot, json.loads(content))
