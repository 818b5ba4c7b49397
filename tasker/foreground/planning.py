"""From conf files and wishes to the runs that are to be: which instances, which steps, and what they go on with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from tasker.duplicates import duplicates
from tasker.errors import UsageError
from tasker.faults import Fault, Place, Severity
from tasker.folder import ConfFolder
from tasker.foreground.planned import Planned
from tasker.launching.snapshot import RecordingFolder, SnapshotFolder
from tasker.validation.findings import suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from tasker.facts import Fact
    from tasker.foreground.place import Place as Recorded
    from tasker.foreground.resuming import Resumption
    from tasker.launching.snapshot import Snapshot
    from tasker.project import Loaded, LoadedFile, Project
    from tasker.running.chosen import Chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person wants to run of the files."""

    overrides: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What parameters are set to, by name."""
    instances: tuple[str, ...] = ()
    """The keys of those that are to run, of files with `for_each`; none where these are all."""
    resume: str | None = None
    """How the id of the run begins that is to be resumed, or `resuming.LAST`; `None` for none."""
    chosen: Chosen | None = None
    """The steps that are to run, where these are not all."""


@dataclass(frozen=True, slots=True)
class Read:
    """A conf file, as it was read for its runs."""

    file: LoadedFile
    snapshot: Snapshot | None
    """What it was read from; `None` where it has a fault."""
    wanted: tuple[Loaded, ...]
    """The pipelines of it that are to run."""

    @property
    def of(self) -> Snapshot:
        """What it was read from; there is no fault."""
        assert self.snapshot is not None  # noqa: S101
        return self.snapshot


def read(project: Project, paths: Sequence[Path], wish: Wish) -> tuple[list[Read], list[Fault]]:
    """Read and validate files; with every fault of them, and of what is wanted of them."""
    files = [_read(project, path, wish) for path in paths]
    faults = [fault for each in files for fault in each.file.faults]
    known = {each.file.path.absolute(): each.file for each in files}.values()
    faults += duplicates((file.name, file.named_at) for file in known if not _is_faulty(file))
    return files, [*faults, *_unknown_instances(files, wish)]


@dataclass(frozen=True, slots=True)
class Plan:
    """What comes of the wishes."""

    files: list[list[Planned]]
    """The runs of each file."""
    faults: list[Fault] = field(default_factory=list)
    """What keeps them from being run."""
    told: list[Fact] = field(default_factory=list)
    """What a person is to know before they are."""


def planned(project: Project, files: Sequence[Read], wish: Wish, place: Recorded | None, at: datetime) -> Plan:
    """The runs of files in which there is no fault. Raises `HistoryError`, `UsageError`."""
    afresh = Plan([[_planned(loaded, each.of, wish, at) for loaded in each.wanted] for each in files])
    if wish.resume is not None and place is None:
        message = "--resume needs the history, which --history none turns off"
        raise UsageError(message)
    if place is None or (wish.resume is None and wish.chosen is None):
        return _checked(afresh)
    from tasker.history import HistoryError  # noqa: PLC0415 - few runs need the history before they begin

    try:
        return _checked(_going_on(project, files, wish, place, at))
    except HistoryError:
        if wish.resume is not None:
            raise
        return _checked(afresh)  # what the chosen steps read they may hand on themselves


def _going_on(project: Project, files: Sequence[Read], wish: Wish, place: Recorded, at: datetime) -> Plan:
    """The runs that go on with others."""
    from tasker.foreground.resuming import Resumption, opened  # noqa: PLC0415 - few runs do

    plan = Plan([])
    with opened(place) as history:
        # What broke off together is a file's; a run that is named is one of all.
        for group in [files] if wish.resume else [[each] for each in files]:
            names = [_name(loaded) for each in group for loaded in each.wanted]
            resumption = Resumption(history, names, wish.resume)
            plan.told.extend(resumption.told)
            for each in group:
                wanted = [loaded for loaded in each.wanted if _name(loaded) in resumption.names]
                plan.files.append([_resuming(project, loaded, each.of, wish, resumption, at) for loaded in wanted])
    return replace(plan, files=[runs for runs in plan.files if runs])


def _resuming(
    project: Project, loaded: Loaded, snapshot: Snapshot, wish: Wish, resumption: Resumption, at: datetime
) -> Planned:
    """A run that goes on with another, read anew as of the slot and the workspace of that; or one from the start."""
    before, earlier = resumption.going_on.get(_name(loaded)), resumption.earlier(_name(loaded))
    if before is None and resumption.slot is None:
        return _planned(loaded, snapshot, wish, at)
    slot = before.slot if before is not None else resumption.slot
    assert slot is not None  # noqa: S101 - one of the two is there
    occasion = project.occasion(loaded.occasion.run_id, slot, earlier=earlier)
    wish = replace(wish, overrides={**resumption.overrides(_name(loaded)), **wish.overrides})
    folder = SnapshotFolder(snapshot)
    anew = project.load(loaded.path, wish.overrides, folder=folder, occasion=occasion, instance=loaded.instance)
    resumptions = before.resumption + 1 if before is not None else 0
    return replace(_planned(anew, snapshot, wish, at), resumption=resumptions)


def _checked(plan: Plan) -> Plan:
    """The plan with what is wrong with it, each fault once though it were that of all instances."""
    faults: dict[tuple[str, Place, str], Fault] = {}
    for loaded in (run.loaded for runs in plan.files for run in runs):
        found = [*loaded.faults]
        if loaded.pipeline is not None and loaded.occasion.chosen is not None:
            found += loaded.occasion.chosen.faults(loaded.pipeline, loaded.occasion.earlier)
        for fault in found:
            faults.setdefault((fault.code, fault.place, fault.message if fault.place.line else ""), fault)
    return replace(plan, faults=[*faults.values()])


def _name(loaded: Loaded) -> str:
    assert loaded.pipeline is not None  # noqa: S101 - there is no fault
    return loaded.pipeline.name


def _read(project: Project, path: Path, wish: Wish) -> Read:
    root = project.settings.folder_of(path)
    folder = RecordingFolder(ConfFolder(root))
    file = project.load_file(path, wish.overrides, folder=folder)
    snapshot = None if _is_faulty(file) else folder.snapshot(str(path), str(root))
    keys = [file.key(asked) for asked in wish.instances]
    chosen = [loaded for loaded in file.loaded if not keys or loaded.instance in (None, *keys)]
    return Read(file, snapshot, tuple(chosen))


def _is_faulty(file: LoadedFile) -> bool:
    return any(fault.severity is Severity.ERROR for fault in file.faults)


def _unknown_instances(files: Sequence[Read], wish: Wish) -> Iterator[Fault]:
    """A fault for each instance that no file has, unless one has faults that may be why."""
    if any(_is_faulty(each.file) for each in files):
        return
    known = [
        (each.file, loaded.instance) for each in files for loaded in each.file.loaded if loaded.instance is not None
    ]
    for asked in wish.instances:
        if not any(file.key(asked) == key for file, key in known):
            hint = suggestion(asked, dict.fromkeys(key for _, key in known)) or "no file has for_each"
            message = f"no instance is named '{asked}'"
            yield Fault("unknown-instance", Place(f"--instance {asked}", line=0), message, hint)


def _planned(loaded: Loaded, snapshot: Snapshot, wish: Wish, at: datetime) -> Planned:
    occasion = replace(loaded.occasion, snapshot=snapshot.id, chosen=wish.chosen)
    return Planned(loaded=replace(loaded, occasion=occasion), snapshot=snapshot, at=at, overrides=wish.overrides)
