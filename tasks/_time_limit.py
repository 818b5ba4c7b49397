"""A bound on how long Python code may take, by the alarm clock of the process.

Not to be confused with a step's `timeout`, which ends the whole step: here one piece of its work is given up, and the
step goes on with the next.
"""

from __future__ import annotations

import gc
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


_AGAIN_S = 0.5
"""Seconds until the alarm rings again: Python drops an exception that is raised within a finalizer."""


class TimeLimitExceeded(Exception):  # noqa: N818 - it says what happened
    """The work took longer than it may."""


class _Alarm(BaseException):
    """Not an `Exception`, so that no handler in the work that is to end can take it for one of its own."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `TimeLimitExceeded` where the block takes longer; only for the main thread, and not one in another.

    Garbage is not collected meanwhile: an alarm that rings within the collector would be dropped.
    """

    def ring(_signal: int, _frame: object) -> None:
        raise _Alarm

    collecting = gc.isenabled()
    gc.disable()
    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN_S)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except _Alarm:
        message = f"it took longer than {seconds:g} s"
        raise TimeLimitExceeded(message) from None
    finally:
        signal.signal(signal.SIGALRM, before)
        if collecting:
            gc.enable()
