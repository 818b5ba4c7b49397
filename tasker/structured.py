"""structlog as tasker has it: without rich, which would double the time to import it and is of no use in JSON.

Whoever forks processes that log imports this first, so that none of them pays for it.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def _without_rich() -> Iterator[None]:
    if "rich" in sys.modules:
        yield
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # the documented way to make an import fail
    try:
        yield
    finally:
        del sys.modules["rich"]


with _without_rich():
    import structlog

__all__ = ["structlog"]
