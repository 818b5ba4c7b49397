"""Faults, told beside the answer of a command that reads conf files."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tasker.document.values import Object
from tasker.duplicates import duplicates
from tasker.faults import Severity
from tasker.pipeline import base_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tasker.faults import Fault, Place
    from tasker.pipeline import Pipeline
    from tasker.project import Loaded, LoadedFile


def faults_of(files: Iterable[LoadedFile]) -> list[Fault]:
    """What is wrong with the files, each and together."""
    files = list(files)
    named = duplicates((file.name, file.named_at) for file in files if file.is_valid)
    return [*(fault for file in files for fault in file.faults), *named]


def pipelines_of(files: Iterable[LoadedFile]) -> Iterator[Pipeline]:
    """The valid pipelines of the files."""
    return (loaded.pipeline for file in files for loaded in file.loaded if loaded.pipeline is not None)


def scheduled_at(loaded: Loaded, key: str = "cron") -> Place:
    """Where a file says this of its schedule, or where the schedule is; the file is valid, and has one."""
    assert loaded.document is not None  # noqa: S101
    schedule = loaded.document.root.fields["schedule"]
    said = schedule.fields.get(key) if isinstance(schedule, Object) else None
    return (said or schedule).place


def are_errors(faults: Iterable[Fault]) -> bool:
    """Whether one of them is no mere warning."""
    return any(fault.severity is Severity.ERROR for fault in faults)


def report_faults(faults: Sequence[Fault]) -> int:
    """Tell the faults on standard error; the exit status that they come to."""
    if not faults:
        return 0
    from tasker.reports import report  # noqa: PLC0415 - only faults need it

    for line in report(faults, colour=sys.stderr.isatty()):
        print(line, file=sys.stderr)  # noqa: T201 - a command line speaks
    return 2 if are_errors(faults) else 0


def report_unscheduled(names: Sequence[str]) -> None:
    """Tell of pipelines that the command has nothing to say of; the instances of a file by their number."""
    if names:
        are = "pipelines have" if len(names) > 1 else "pipeline has"
        of_files: dict[str, list[str]] = {}
        for name in names:
            of_files.setdefault(base_name(name), []).append(name)
        told = (f"{base} ({len(each)} instances)" if len(each) > 1 else each[0] for base, each in of_files.items())
        print(f"tasker: {len(names)} {are} no schedule: {', '.join(told)}", file=sys.stderr)  # noqa: T201 - as above
