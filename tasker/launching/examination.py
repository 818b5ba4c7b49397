"""Conf files to versions or faults, in processes that none of them can wear out.

Not to be confused with `validation`, which judges one document and trusts that it is of a bearable size.
"""

from __future__ import annotations

import os
import resource
import signal
from collections import deque
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from tasker.durations import format_duration
from tasker.faults import Fault, Place
from tasker.folder import ConfFolder
from tasker.launching.code_files import code_files
from tasker.launching.messages import Validated
from tasker.launching.snapshot import RecordingFolder, SnapshotFolder
from tasker.launching.versions import Version
from tasker.running.process import death

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tasker.launching.messages import Bounds, Candidate
    from tasker.pipeline import Pipeline
    from tasker.project import Project

_BATCH = 50
"""Files that one process looks at: enough that starting it costs nothing, few enough that its memory stays small."""
_OUT_OF_MEMORY = 12
"""The exit status of a process that got no more memory."""


class Examination:
    """A validation under way: which files are to be looked at next, and what is to be told of those that wear out."""

    def __init__(self, number: int, candidates: Iterable[Candidate], bounds: Bounds) -> None:
        self.number = number
        self._bounds = bounds
        self._waiting = deque(candidates)
        self._late: deque[Candidate] = deque()
        """Files that have worn out a process: each is looked at once more, alone, when all others are done."""
        self.running = 0
        """Processes that look at files."""

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to do."""
        return not (self._waiting or self._late or self.running)

    def next(self) -> Batch | None:
        """The files to look at now, in a process of their own."""
        if self._waiting:
            files = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            return Batch(self.number, files, self._bounds, self._bounds.hurried_s)
        if self._late and not self.running:
            return Batch(self.number, [self._late.popleft()], self._bounds, self._bounds.validating_s, alone=True)
        return None

    def put_off(self, batch: Batch) -> None:
        """Look at a batch later, for which there was no process."""
        (self._late if batch.alone else self._waiting).extendleft(reversed(batch.files))

    def over(self, batch: Batch, done: int, status: int) -> Validated | None:
        """Take note of how a batch's process ended, after so many files; what is to be told of the next one."""
        left = batch.files[done:]
        if not left:
            return None
        if batch.alone:
            return batch.worn_out(left[0], status)
        self._late.append(left[0])
        self._waiting.extendleft(reversed(left[1:]))
        return None


class Batch:
    """Some files for one process."""

    def __init__(
        self, number: int, files: list[Candidate], bounds: Bounds, seconds: float, *, alone: bool = False
    ) -> None:
        self.files = files
        self.alone = alone
        self._number = number
        self._bounds = bounds
        self._seconds = seconds

    def look_at(self, project: Project, tell: Callable[[Validated], None], progress: int) -> int:
        """Validate one file after the other; a byte on `progress` for each that has been told. The exit status."""
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        _limit_memory(self._bounds.memory)
        try:
            for candidate in self.files:
                signal.setitimer(signal.ITIMER_REAL, self._seconds)
                found = _validated(project, self._number, candidate)
                signal.setitimer(signal.ITIMER_REAL, 0)
                tell(found)
                os.write(progress, b".")
        except MemoryError:
            return _OUT_OF_MEMORY
        return 0

    def worn_out(self, candidate: Candidate, status: int) -> Validated:
        """What to tell of a file that a process did not survive."""
        code, hint = "too-large", "what makes it so large? substitutions that repeat others grow fast"
        if status == -signal.SIGALRM:
            message = f"validating it took over {format_duration(timedelta(seconds=self._seconds))}"
        elif status in (_OUT_OF_MEMORY, -signal.SIGKILL):
            message = f"validating it took over {self._bounds.memory >> 20} MiB of memory"
        else:
            code, hint = "not-validated", "standard error may tell more"
            message = f"it could not be validated: {death(status)}"
        fault = Fault(code, Place(str(candidate.path)), message, hint)
        return Validated(
            number=self._number,
            path=candidate.path,
            faults=(fault,),
            files=(os.path.abspath(candidate.path),),  # noqa: PTH100
        )


def _validated(project: Project, number: int, candidate: Candidate) -> Validated:
    """What a file is found to be."""
    kept = candidate.snapshot
    project = project if kept is None else project.within(Path(kept.folder))
    root = project.settings.folder_of(candidate.path)
    folder = RecordingFolder(ConfFolder(root) if kept is None else SnapshotFolder(kept))
    file = project.load_file(candidate.path, folder=folder)
    pipelines = [each.pipeline for each in file.loaded if each.pipeline is not None]
    versions = tuple(_version(project, each, file.named_at) for each in pipelines)
    valid = bool(versions) and len(versions) == len(file.loaded)
    return Validated(
        number=number,
        path=candidate.path,
        versions=versions if valid else (),
        snapshot=(kept or folder.snapshot(str(candidate.path), str(root))) if valid else None,
        faults=file.faults,
        files=tuple(os.path.abspath(root / path) for path in folder.asked),  # noqa: PTH100 - links stay as they are
    )


def _version(project: Project, pipeline: Pipeline, named_at: Place) -> Version:
    steps = chain.from_iterable(pipeline.phases.values())
    tasks = {project.catalogue.registry.get(step.task) for step in steps}
    return Version(
        name=pipeline.name,
        file=pipeline.file,
        named_at=named_at,
        revision=pipeline.revision,
        schedule=pipeline.schedule,
        resume=pipeline.resume,
        timeout=pipeline.timeout,
        modules=tuple(sorted({file for task in tasks for file in code_files(task)})),
    )


def _limit_memory(more: int) -> None:
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + more, now + more))
