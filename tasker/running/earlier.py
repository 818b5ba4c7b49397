"""What a run may take over from an earlier one: its workspace, and the steps that succeeded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from tasker.run import StepRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """The run whose finished steps a new one may reuse, together with the runs that it resumed itself."""

    run_id: str
    steps: Mapping[str, StepRun] = field(default_factory=lambda: MappingProxyType({}))
    """By id: the steps that succeeded when they ran last, and whose outputs can be used again."""
    ran_in: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """By id: the number of the run in which a step ran last, whatever came of it; the first of all has 0."""
    resumed: tuple[str, ...] = ()
    """The ids of the runs that it goes on with, the last one first."""
    workspace: Path | None = None
    """The folder that it worked in; `None` where it is the one that has its id."""
