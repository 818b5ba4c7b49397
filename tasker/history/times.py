"""Moments as the history writes them: text of one width, in UTC, that sorts as the moments do."""

from __future__ import annotations

from datetime import UTC, datetime


def stamp(moment: datetime) -> str:
    """The text of a moment: `2026-11-22T02:15:00.000000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def moment(text: str) -> datetime:
    """The moment of such a text."""
    return datetime.fromisoformat(text)
