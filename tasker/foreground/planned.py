"""A run in the foreground that is to be: what is to run, from which texts, and what it goes on with: `Planned`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from tasker.facts import Event, Fact, Level

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from tasker.launching.snapshot import Snapshot
    from tasker.pipeline import Pipeline
    from tasker.project import Loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A run that is to be carried out now."""

    loaded: Loaded
    """What runs, and on which occasion; there is no fault in it."""
    snapshot: Snapshot
    """What it was read from."""
    at: datetime
    """When this was decided."""
    overrides: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What parameters are set to, by name."""
    resumption: int = 0
    """How many runs there were before it, each resumed by the next."""

    @property
    def id(self) -> str:
        """The id of the run."""
        return self.loaded.occasion.run_id

    def end(self, event: Event, error: str, at: datetime) -> Fact:
        """How it has ended, where it could not tell so itself."""
        return Fact(
            event=event,
            at=at,
            level=Level.ERROR if event is Event.RUN_FAILED else Level.WARNING,
            pipeline=self.pipeline.name,
            revision=self.pipeline.revision,
            run_id=self.id,
            details={"error": error},
        )

    def commit(self) -> str | None:
        """The git commit which its texts are of; asks git."""
        from tasker.commits import commit_of  # noqa: PLC0415 - not before the run has begun

        return commit_of(Path(self.snapshot.folder), self.snapshot.files)

    @property
    def pipeline(self) -> Pipeline:
        """The plan."""
        assert self.loaded.pipeline is not None  # noqa: S101 - there is no fault
        return self.loaded.pipeline
