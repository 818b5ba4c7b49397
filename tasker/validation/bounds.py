"""Bounds on reserved keys, in the vocabulary that `annotated_types` gives the authors of tasks.

Ours are classes of our own, since importing that package costs more than validating a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class AtLeast:
    """The value may be `ge` or more."""

    ge: Any


@dataclass(frozen=True, slots=True)
class MoreThan:
    """The value must be more than `gt`."""

    gt: Any
