"""Runs of commands whose processes have died: ended in the history, with what their journals tell."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tasker import journal

if TYPE_CHECKING:
    from pathlib import Path

    from tasker.history import History

_YOUNG = timedelta(minutes=1)
"""How old a journal is at most of whose run nothing is known as it has just begun."""


def settle(history: History, journals: Path, now: datetime) -> list[Path]:
    """End such runs, whose journals are in this folder; the journals that nobody needs once that is written for good.

    Raises `HistoryError`.
    """
    over = history.settle(now, lambda run_id: journal.read(journals / f"{run_id}.jsonl"), _left(journals, now))
    return [journals / f"{run_id}.jsonl" for run_id in over]


def _left(journals: Path, now: datetime) -> list[str]:
    """The runs of which there are journals that nobody writes."""
    found = (path for path in sorted(journals.glob("*.jsonl")) if not journal.is_being_written(path))
    return [path.stem for path in found if not _begins(path, now)]


def _begins(path: Path, now: datetime) -> bool:
    """Whether a journal may be one that has been made and not yet locked."""
    try:
        state = path.stat()
    except OSError:
        return True
    return not state.st_size and datetime.fromtimestamp(state.st_mtime, UTC) > now - _YOUNG


def settle_seen(seen: History, where: str | Path, journals: Path) -> None:
    """Settle what who only reads can see to have died, if it may write there."""
    from tasker.history import History, HistoryError  # noqa: PLC0415 - a command imports it beside its run

    if seen.has_abandoned():
        with suppress(HistoryError, OSError), History.join(where) as history:
            for path in settle(history, journals, datetime.now(UTC)):
                path.unlink(missing_ok=True)
