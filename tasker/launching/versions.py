"""What a validation found a pipeline to be, kept for as long as runs of it may start: `Version`.

The texts that it was found in are a `Snapshot`, which the pipelines of a file have in common.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from tasker.faults import Place
from tasker.pipeline import Resume, Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One pipeline, as it was valid at one moment: all that is needed to know when it is due."""

    name: str
    file: str
    """The conf file, as people name it."""
    named_at: Place
    """Where the name is written: where its file has none, it is the file's."""
    revision: str
    schedule: Schedule | None = None
    resume: Resume = Resume.AUTO
    timeout: timedelta | None = None
    modules: tuple[str, ...] = ()
    """The absolute paths of the task folders' files that hold the code of its tasks, with all that these import."""
