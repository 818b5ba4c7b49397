"""From conf files and wishes to the runs that are to be: which instances, which steps, and what they go on with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from tasker.duplicates import duplicates
from tasker.faults import Fault, Place, Severity
from tasker.folder import ConfFolder
from tasker.foreground.planned import Planned
from tasker.launching.snapshot import RecordingFolder
from tasker.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from tasker.launching.snapshot import Snapshot
    from tasker.project import Loaded, LoadedFile, Project


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person wants to run of the files."""

    overrides: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What parameters are set to, by name."""
    instances: tuple[str, ...] = ()
    """The keys of those that are to run, of files with `for_each`; none where these are all."""


@dataclass(frozen=True, slots=True)
class Read:
    """A conf file, as it was read for its runs."""

    file: LoadedFile
    snapshot: Snapshot | None
    """What it was read from; `None` where it has a fault."""
    wanted: tuple[Loaded, ...]
    """The pipelines of it that are to run."""


def read(project: Project, paths: Sequence[Path], wish: Wish) -> tuple[list[Read], list[Fault]]:
    """Read and validate files; with every fault of them, and of what is wanted of them."""
    files = [_read(project, path, wish) for path in paths]
    faults = [fault for each in files for fault in each.file.faults]
    known = {each.file.path.absolute(): each.file for each in files}.values()
    faults += duplicates((file.name, file.named_at) for file in known if not _is_faulty(file))
    return files, [*faults, *_unknown_instances(files, wish)]


def planned(files: Sequence[Read], wish: Wish, at: datetime) -> list[list[Planned]]:
    """The runs of each file that are to be, from the start; there is no fault in them."""
    return [[_planned(loaded, each.snapshot, wish, at) for loaded in each.wanted] for each in files if each.snapshot]


def _read(project: Project, path: Path, wish: Wish) -> Read:
    root = project.settings.folder_of(path)
    folder = RecordingFolder(ConfFolder(root))
    file = project.load_file(path, wish.overrides, folder=folder)
    snapshot = None if _is_faulty(file) else folder.snapshot(str(path), str(root))
    chosen = [loaded for loaded in file.loaded if not wish.instances or loaded.instance in (None, *wish.instances)]
    return Read(file, snapshot, tuple(chosen))


def _is_faulty(file: LoadedFile) -> bool:
    return any(fault.severity is Severity.ERROR for fault in file.faults)


def _unknown_instances(files: Sequence[Read], wish: Wish) -> Iterator[Fault]:
    """A fault for each instance that no file has, unless one has faults that may be why."""
    if any(_is_faulty(each.file) for each in files):
        return
    known = [loaded.instance for each in files for loaded in each.file.loaded if loaded.instance is not None]
    for key in wish.instances:
        if key not in known:
            near = nearest(key, known)
            there_are = f"there are: {', '.join(known[:_MOST_NAMED])}" if known else "no file has for_each"
            hint = f"did you mean '{near}'?" if near else there_are
            yield Fault("unknown-instance", Place(f"--instance {key}", line=0), f"no instance is named '{key}'", hint)


def _planned(loaded: Loaded, snapshot: Snapshot, wish: Wish, at: datetime) -> Planned:
    occasion = replace(loaded.occasion, snapshot=snapshot.id)
    return Planned(loaded=replace(loaded, occasion=occasion), snapshot=snapshot, at=at, overrides=wish.overrides)


_MOST_NAMED = 20
"""Instances that are named at most, where none is like the one that was wanted."""
