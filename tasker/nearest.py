"""The known name that someone most likely meant."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST = 60
"""Characters of a name that is looked at: comparing takes the square of that."""

_MOST = 1000
"""Known names that are compared: more are no list that a person chose from."""


def nearest(name: str, known: Iterable[str], *, likeness: float = 0.6) -> str | None:
    """The one of `known` that differs least from `name`, whatever its case; `None` where none is near.

    `likeness` is the share, from 0 to 1, of their characters that must agree.
    """
    import difflib  # noqa: PLC0415 - only a mistake pays for it

    if len(name) > _LONGEST:
        return None
    candidates = {candidate.casefold(): candidate for candidate in islice(known, _MOST)}
    found = difflib.get_close_matches(name.casefold(), candidates, n=1, cutoff=likeness)
    return candidates[found[0]] if found else None
