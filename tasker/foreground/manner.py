"""How a command has its runs told and kept: `Manner`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from tasker.facts import Fact
    from tasker.foreground.place import Place
    from tasker.foreground.planned import Planned


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """What sets commands apart that carry out runs."""

    audience: Callable[[Sequence[Planned]], AbstractContextManager[Callable[[Fact], None]]]
    """Who is told what happens in runs that go on together, from before the first to after the last one."""
    tell: Callable[[Fact], None]
    """Tells what happens before and after that."""
    guard: Callable[[Callable[[], int]], int]
    """Makes an exit status of what a process raises."""
    unheard: frozenset[int]
    """Of these statuses, those that say that nobody can be told anything."""
    place: Place | None = None
    """Where runs are kept; `None` where they are not."""
