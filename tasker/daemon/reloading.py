"""Conf files and tasks' code, as they change, to the versions of pipelines that are in force.

What is found valid takes the place of what was there before, a file at a time: of a file with `for_each`, all that it
makes come into force together, and those that are as they were are touched as little as another file's. What is not
valid changes nothing: the last good version of that file stays in force, on the code that it was valid with.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from tasker.conf_files import is_pipeline
from tasker.duplicates import duplicates
from tasker.launching.messages import Candidate, Ready, Validated, ValidationEnded
from tasker.pipeline import base_name
from tasker.watching.survey import changes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from tasker.faults import Fault
    from tasker.launching.generation import Generation
    from tasker.launching.messages import Message
    from tasker.launching.snapshot import Snapshot
    from tasker.launching.versions import Version
    from tasker.watching.survey import Survey


@dataclass(frozen=True, slots=True)
class InForce:
    """A version of a pipeline that is to run, the texts that it runs on, and the code that it runs with."""

    version: Version
    snapshot: Snapshot
    generation: Generation

    def is_as(self, before: InForce) -> bool:
        """Whether only texts differ that make no difference to it, as those of other pipelines of its file do."""
        moved = replace(before.version, named_at=self.version.named_at)
        return self.version == moved and self.generation is before.generation


@dataclass(frozen=True, slots=True)
class Change:
    """A pipeline has a new version in force."""

    now: InForce
    before: InForce | None


class Observer(Protocol):
    """Who acts on what reloads come to."""

    def deployed(self, changed: Sequence[Change], same: Sequence[InForce]) -> None:
        """Pipelines have new versions in force; others are the `same` as before, on a newer snapshot of their file."""

    def withdrawn(self, gone: Sequence[InForce]) -> None:
        """Pipelines are gone."""

    def invalid(self, file: str, faults: tuple[Fault, ...], runs_on: Sequence[Version]) -> None:
        """A conf file, or a module of tasks, has faults; the last good versions, where they stay in force."""

    def restored(self, file: str, versions: Sequence[Version]) -> None:
        """The last good versions of a file that is not valid are in force again."""

    def mended(self, file: str) -> None:
        """A file that had faults has none, or is gone."""

    def stranded(self, name: str) -> None:
        """The launcher of what is in force under a base name is dead, and with the newest code it is not valid."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What a file was found to be: pipelines that come into force together."""

    name: str
    """Their base name, which a file has to itself."""
    versions: Mapping[str, Version]
    """By name."""
    snapshot: Snapshot
    generation: Generation

    @property
    def first(self) -> Version:
        """One of them, which tells what they have in common."""
        return next(iter(self.versions.values()))

    @property
    def pipelines(self) -> dict[str, InForce]:
        """Each of them, by name."""
        return {name: InForce(each, self.snapshot, self.generation) for name, each in self.versions.items()}


@dataclass(slots=True)
class _File:
    """A conf file, as far as it is known."""

    in_force: _Found | None = None
    faults: tuple[Fault, ...] = ()
    """What is wrong with it as it stands on the disk."""
    edited: bool = True
    """Whether it differs from what `faults` were told of, and they are to be told again even if they are the same."""
    decided_by: frozenset[str] = frozenset()
    """The paths on which it depends whether it is valid, and as what."""
    asked: int = 0
    """The number of the validation that is to tell of it; 0 where none is under way."""
    last_good: Snapshot | None = None
    """What was in force under an earlier daemon, as long as nothing else has come into force."""
    is_old: bool = False
    """Whether the last validation was of what was last in force, in place of what is on the disk."""

    @property
    def runs_on(self) -> tuple[Version, ...]:
        """The versions that are in force."""
        return tuple(self.in_force.versions.values()) if self.in_force else ()


class Reloading:
    """Knows which version of which pipeline is in force, and has what changes validated."""

    observer: Observer
    """Set by whoever makes it, which it tells of what has changed."""

    def __init__(self, folder: Path, new_generation: Callable[[Mapping[str, str] | None], Generation]) -> None:
        """Take the folder of pipelines, as people name it.

        `new_generation` takes the modules that are not to be imported, with the reasons; `None` where all are, and
        each is to be given time.
        """
        self._folder = folder
        self._root = os.path.abspath(folder)  # noqa: PTH100 - links stay as they are named
        self._new_generation = new_generation
        self._survey: Survey | None = None
        self._files: dict[str, _File] = {}
        self._names: dict[str, str] = {}
        """By base name of what is in force: its file."""
        self._moving: dict[str, _Found] = {}
        """By file: what is to come into force under a base name whose own file may give it up."""
        self._leaving: set[str] = set()
        """Files that are gone. What they had in force stays so until it is known whether a new file has its name."""
        self._number = 0
        self._module_faults: dict[str, Fault] = {}
        self._generations: dict[Generation, Ready | None] = {}
        self._importing: Generation | None = None
        self._is_second_try = False
        """Whether what is being imported is what the current code does without."""
        self._left_out: dict[str, tuple[str | None, str]] = {}
        """The modules that have ended a launcher: the digest that they had then, and how."""
        self._touched: set[str] = set()
        """The files to validate once the new code is imported."""
        self.current: Generation | None = None
        """The newest code that is ready."""

    # What there is

    def in_force(self, name: str) -> InForce | None:
        """The version of this pipeline that is in force."""
        found = self._found_by(name)
        version = found.versions.get(name) if found else None
        return InForce(version, found.snapshot, found.generation) if found and version else None

    def _found_by(self, name: str) -> _Found | None:
        """What is in force under the base name of a pipeline."""
        path = self._names.get(base_name(name))
        return self._files[path].in_force if path is not None else None

    def is_stranded(self, name: str) -> bool:
        """Whether there is no code for the version in force, and none to come unless somebody edits something."""
        file = self._files.get(self._names.get(base_name(name), ""))
        waits = self.current is None or self._awaits_code or file is None or file.asked
        return not waits and file is not None and self._lacks_code(file)

    def _lacks_code(self, file: _File) -> bool:
        return file.in_force is not None and file.in_force.generation not in self._generations

    @property
    def pipelines(self) -> list[InForce]:
        """All that is in force."""
        files = (file.in_force for file in self._files.values() if file.in_force)
        return [each for found in files for each in found.pipelines.values()]

    @property
    def generations(self) -> list[Generation]:
        """Every launcher that has not ended."""
        return list(self._generations)

    @property
    def settled(self) -> bool:
        """Whether nothing is left to validate."""
        known = self._survey is not None and self.current is not None and not self._awaits_code
        return known and not any(file.asked for file in self._files.values())

    def lacks(self, file: str) -> bool:
        """Whether this file, as people name it, is there and has no version in force."""
        found = self._files.get(os.path.abspath(file))  # noqa: PTH100 - links stay as they are named
        return found is not None and found.in_force is None

    @property
    def _awaits_code(self) -> bool:
        """Whether newer code is being imported; a second try may come to nothing, and is not waited for."""
        return self._importing is not None and not self._is_second_try

    # What happens

    def found(self, survey: Survey) -> None:
        """The folders were looked at: what differs from the last time is validated."""
        first = self._survey is None
        changed = changes(self._survey, survey)
        self._survey = survey
        if not changed and not first:
            return
        files = {path for path in survey.files if self._is_pipeline(path)}
        self._leaving = self._files.keys() - files
        for path in self._leaving:
            self._files[path].asked = 0
            self._moving.pop(path, None)
        touched = {path for path in files if self._is_touched(path, changed)}
        for path in touched:
            self._files.setdefault(path, _File())
        if first or any(path.endswith(".py") for path in changed):
            self._import(touched)
        else:
            self._touched |= touched if self._importing else set()
            self._validate(touched)
        self._part()

    def revalidate(self) -> None:
        """Validate everything, with code that is imported anew, and tell all that is wrong once more."""
        for file in self._files.values():
            file.edited = True
        self._import(self._files.keys() - self._leaving)

    def remember(self, snapshots: Iterable[Snapshot]) -> None:
        """What an earlier daemon had in force, the newest last, in case that what there is now is not valid."""
        for snapshot in snapshots:
            path = os.path.abspath(snapshot.path)  # noqa: PTH100 - links stay as they are named
            self._files.setdefault(path, _File()).last_good = snapshot

    def hear(self, generation: Generation, message: Message) -> None:
        """A launcher tells something of imports or validations."""
        match message:
            case Ready() if generation is self._importing:
                self._imported(generation, message)
            case Validated():
                path = os.path.abspath(message.path)  # noqa: PTH100 - links stay as they are named
                file = self._files.get(path)
                if file is not None and file.asked == message.number:
                    self._judge(path, file, message, generation)
            case ValidationEnded():
                self._retire()

    def lost(self, generation: Generation) -> None:
        """A launcher has died: what ran with its code needs another. When, is for whoever calls `revalidate` to say."""
        self.gone(generation)
        self.current = None if self.current is generation else self.current
        self._importing = None if self._importing is generation else self._importing

    def gone(self, generation: Generation) -> None:
        """A launcher has ended."""
        self._generations.pop(generation, None)

    # What is touched by a change

    def _is_pipeline(self, path: str) -> bool:
        folder, name = os.path.split(path)
        return folder == self._root and is_pipeline(name)

    def _is_touched(self, path: str, changed: frozenset[str]) -> bool:
        """Whether a change of these files may make a difference to a conf file."""
        file = self._files.get(path)
        if file is None or path in changed or not changed.isdisjoint(file.decided_by):
            if file is not None:
                file.edited = True
            return True
        # What has faults may lack a task, or have the name of another pipeline.
        return bool(file.faults)

    def _import(self, touched: Iterable[str], *, again: bool = False) -> None:
        """Have the tasks' code imported anew, and then the files validated. Raises `OSError`, with nothing lost.

        A module that has ended a launcher, and is as it was then, is left out: it must not hold up the others. Once
        these are in use, everything is tried `again`, with time for each module.
        """
        if self._importing is not None:
            self._importing.retire()
        self._importing = None
        self._touched.update(touched)
        self._is_second_try = again
        self._importing = self._new_generation(None if again else self._still_left_out())
        self._generations[self._importing] = None

    def _still_left_out(self) -> dict[str, str]:
        files = self._survey.files if self._survey else {}
        return {module: how for module, (digest, how) in self._left_out.items() if files.get(module) == digest}

    def _imported(self, generation: Generation, ready: Ready) -> None:
        """New code is imported: pipelines to which it makes no difference move to it, the others are validated."""
        before = self._generations.get(self.current) if self.current else None
        self._generations[generation] = ready
        self.current, self._importing = generation, None
        # With nothing to compare with, any pipeline may find other code than it is valid with.
        touched = self._touched | self._moving.keys() if before else self._files.keys() - self._leaving
        self._touched = set()
        if self._is_second_try and before and before.task_modules != ready.task_modules:
            touched |= {path for path, file in self._files.items() if file.faults}
        self._tell_of_modules({fault.place.file: fault for fault in ready.faults})
        known = before.task_modules if before else {}
        other = {file for task, files in known.items() if ready.task_modules.get(task) != files for file in files}
        for path, file in self._files.items():
            if file.asked or (file.in_force and not file.faults and not other.isdisjoint(file.decided_by)):
                touched.add(path)
            elif path not in touched and file.in_force and not file.faults:
                file.in_force = replace(file.in_force, generation=generation)
        self._validate(touched)
        self._part()
        self._retire()
        self._try_again(generation)

    def _try_again(self, generation: Generation) -> None:
        """Import what was left out, now that nobody waits for it."""
        files = self._survey.files if self._survey else {}
        self._left_out = {module: (files.get(module), how) for module, how in generation.refused.items()}
        if self._left_out and not self._is_second_try:
            with suppress(OSError):  # whatever is imported next brings the next try
                self._import((), again=True)

    def _tell_of_modules(self, faults: Mapping[str, Fault]) -> None:
        """Tell which modules of tasks have faults, and which have none any more."""
        before, self._module_faults = self._module_faults, dict(faults)
        for file in before.keys() - faults.keys():
            self.observer.mended(file)
        for file, fault in faults.items():
            if before.get(file) != fault:
                self.observer.invalid(file, (fault,), ())

    # Validation

    def _validate(self, paths: Iterable[str]) -> None:
        """Have files validated as they are on the disk."""
        there = sorted(path for path in paths if path in self._files and path not in self._leaving)
        for path in there:
            self._files[path].is_old = False
            self._moving.pop(path, None)
        self._ask({path: Candidate(path=self._shown(path)) for path in there})

    def _shown(self, path: str) -> Path:
        """The file as people name it."""
        return self._folder / path.rpartition("/")[2]

    def _ask(self, candidates: Mapping[str, Candidate]) -> None:
        if self.current is None or not candidates:
            return
        self._number += 1
        for path in candidates:
            self._files[path].asked = self._number
        self.current.validate(self._number, list(candidates.values()))

    def _judge(self, path: str, file: _File, told: Validated, generation: Generation) -> None:
        """One file was validated."""
        file.asked = 0
        if told.versions and told.snapshot is not None:
            kept = file.decided_by if file.is_old else ()
            file.decided_by = frozenset(told.files).union(kept, *(each.modules for each in told.versions))
            versions = {each.name: each for each in told.versions}
            self._moving[path] = _Found(base_name(told.versions[0].name), versions, told.snapshot, generation)
        elif not file.is_old and not (
            self._awaits_code and path in self._touched
        ):  # else it is validated with newer code, and told then
            self._refuse(path, told.faults, told.files)
        elif file.in_force is not None and self._lacks_code(file):
            self.observer.stranded(file.in_force.name)
        self._settle_names()
        self._part()

    def _settle_names(self) -> None:
        """Put in force what is valid and has its base name to itself; what can still get it waits."""
        wanted = {path: found.name for path, found in self._moving.items()}
        holders = {name: holder for name in wanted.values() if (holder := self._holder(name)) is not None}
        granted = exchanged(wanted, {holder: name for name, holder in holders.items()})
        self._put({path: self._moving.pop(path) for path in sorted(granted)})
        for path in sorted(wanted.keys() - granted):
            holder = self._names.get(wanted[path])
            if holder is not None and not self._files[holder].asked:
                self._refuse_name(path, self._moving.pop(path), holder)

    def _holder(self, name: str) -> str | None:
        """The file that has this base name, and has to give it up before another can have it."""
        holder = self._names.get(name)
        return None if holder in self._leaving else holder

    def _put(self, granted: Mapping[str, _Found]) -> None:
        """Put what was found in force, all at once: files may exchange their names."""
        names = {found.name for found in granted.values()}
        names |= {was.name for path in granted if (was := self._files[path].in_force) is not None}
        held = [was for name in sorted(names) if (was := self._found_by(name)) is not None]
        before = {name: each for was in held for name, each in was.pipelines.items()}
        leaving = {holder for name in names if (holder := self._names.get(name)) in self._leaving and holder}
        for path in granted.keys() | leaving:
            self._let_go(path)
        for path, found in granted.items():
            file = self._files[path]
            file.in_force, file.last_good = found, None
            self._names[found.name] = path
            if file.is_old:
                self.observer.restored(str(self._shown(path)), file.runs_on)
            elif file.faults:
                file.faults = ()
                self.observer.mended(str(self._shown(path)))
        self._tell(before, {name: each for found in granted.values() for name, each in found.pipelines.items()})

    def _tell(self, before: Mapping[str, InForce], now: Mapping[str, InForce]) -> None:
        """Tell what has become of pipelines that were in force, and of those that are."""
        if gone := [was for name, was in before.items() if name not in now]:
            self.observer.withdrawn(gone)
        same = {name for name, each in now.items() if name in before and each.is_as(before[name])}
        changed = [Change(each, before.get(name)) for name, each in now.items() if name not in same]
        if now:
            self.observer.deployed(changed, [now[name] for name in sorted(same)])

    def _let_go(self, path: str) -> list[InForce]:
        """Take what is in force of a file out of force; none where that has nothing, or another file has its name."""
        was, self._files[path].in_force = self._files[path].in_force, None
        if was is None or self._names.get(was.name) != path:
            return []
        del self._names[was.name]
        return [*was.pipelines.values()]

    def _refuse_name(self, path: str, found: _Found, holder: str) -> None:
        if self._files[path].is_old:
            return  # what is wrong with the file as it stands is told already
        first = self._files[holder].in_force
        assert first is not None  # noqa: S101 - who has a name is in force
        faults = duplicates([(each.name, each.first.named_at) for each in (first, found)])
        self._refuse(path, tuple(faults), self._files[path].decided_by)

    def _refuse(self, path: str, faults: tuple[Fault, ...], decided_by: Iterable[str]) -> None:
        """A file is not valid as it stands: its last good version stays in force, or comes into force again."""
        file = self._files[path]
        is_news = file.edited or faults != file.faults
        file.faults, file.edited = faults, False
        file.decided_by = frozenset(decided_by) | (file.decided_by if file.in_force else frozenset())
        if is_news:
            self.observer.invalid(str(self._shown(path)), faults, file.runs_on)
        if (snapshot := self._to_restore(file)) is not None:
            file.is_old = True
            self._ask({path: Candidate(path=self._shown(path), snapshot=snapshot)})

    def _to_restore(self, file: _File) -> Snapshot | None:
        """What was last in force and is not so with the newest code."""
        if file.in_force is None:
            return file.last_good
        return file.in_force.snapshot if file.in_force.generation is not self.current else None

    def _part(self) -> None:
        """Let go of files that are gone, unless a new one may still prove to have the name of one."""
        new = (path for path, file in self._files.items() if file.in_force is None and path not in self._leaving)
        if not self._leaving or any(self._files[path].asked or path in self._touched for path in new):
            return
        leaving, self._leaving = self._leaving, set()
        for path in sorted(leaving):
            self._touched.discard(path)
            gone = self._let_go(path)
            file = self._files.pop(path)
            if gone:
                self.observer.withdrawn(gone)
            if file.faults:
                self.observer.mended(str(self._shown(path)))
        self._settle_names()
        self._retire()

    def _retire(self) -> None:
        """Let go of the code that no version needs any more."""
        if self._generations.keys() <= {self.current, self._importing}:
            return
        needed = {file.in_force.generation for file in self._files.values() if file.in_force}
        for generation in self._generations.keys() - needed - {self.current, self._importing}:
            generation.retire()


def exchanged(wanted: Mapping[str, str], held: Mapping[str, str]) -> set[str]:
    """The files that get the name they want, where who gets one gives up the one it has; both by file."""
    granted = set(wanted)
    while True:
        taken = {name for file, name in held.items() if file not in granted}
        # Of several that want a name, the last here gets it: who has it, or else the first by its own name.
        order = sorted(granted, key=lambda file: (held.get(file) != wanted[file], file), reverse=True)
        owners = {wanted[file]: file for file in order if wanted[file] not in taken}
        if len(owners) == len(granted):
            return granted
        granted = set(owners.values())
