"""Where a command in the foreground keeps its runs: `Place`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasker.journal import FOREGROUND

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where runs in the foreground are kept."""

    history: str | Path
    """A state folder, or a URL."""
    journals: Path
    """The folder of their journals."""

    @classmethod
    def of(cls, history: str | Path, state: Path) -> Place:
        """A history, with the journals in a state folder."""
        return cls(history=history, journals=state / FOREGROUND)

    def journal(self, run_id: str) -> Path:
        """The journal of a run."""
        return self.journals / f"{run_id}.jsonl"
