"""How much of what has no end is tried: as much as a change can wait for, or all of it where THOROUGH is set."""

from __future__ import annotations

import os

THOROUGH = bool(os.environ.get("THOROUGH"))


def budget(whole: int, *, share: int = 4) -> int:
    """So many, where one has the time for all of them; a share of them otherwise."""
    return whole if THOROUGH else max(1, whole // share)
