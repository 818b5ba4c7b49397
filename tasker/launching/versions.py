"""What a validation found a pipeline to be, kept for as long as runs of it may start: `Version`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from tasker.faults import Place
from tasker.launching.snapshot import Snapshot
from tasker.pipeline import Resume, Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One pipeline, as it was valid at one moment: all that is needed to know when it is due, and to run it then."""

    name: str
    file: str
    """The conf file, as people name it."""
    named_at: Place
    """Where the name is written: where its file has none, it is the file's."""
    revision: str
    snapshot: Snapshot
    """What was validated, which is what runs."""
    schedule: Schedule | None = None
    resume: Resume = Resume.AUTO
    timeout: timedelta | None = None
    files: tuple[str, ...] = ()
    """The absolute paths that decide on it: the files that it was read from, and those that includes looked for."""
    modules: tuple[str, ...] = ()
    """The absolute paths of the task folders' files that hold the code of its tasks, with all that these import."""
