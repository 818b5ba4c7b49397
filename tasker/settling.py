"""Runs of commands whose processes have died: ended in the history, with what their journals tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasker import journal

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from tasker.history import History


def settle(history: History, journals: Path, now: datetime) -> list[Path]:
    """End such runs, whose journals are in this folder; the journals that nobody needs once that is written for good.

    Raises `HistoryError`.
    """
    left = [path.stem for path in sorted(journals.glob("*.jsonl")) if not journal.is_being_written(path)]
    over = history.settle(now, lambda run_id: journal.read(journals / f"{run_id}.jsonl"), left)
    return [journals / f"{run_id}.jsonl" for run_id in over]
