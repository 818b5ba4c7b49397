"""Reloads without processes: generations that a test has import and validate, and an observer that keeps the books."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from tasker.daemon.reloading import Change, InForce, Reloading
from tasker.faults import Fault, Place
from tasker.launching.generation import Generation
from tasker.launching.messages import Candidate, Ready, Validated, ValidationEnded
from tasker.launching.snapshot import Snapshot
from tasker.launching.versions import Version
from tasker.watching.survey import Survey

ROOT = Path("/project/conf.d")
CODE = "/project/tasks/says.py"


@dataclass(eq=False)
class FakeGeneration:
    """Knows what the code was when it was imported, and answers only when it is told to."""

    number: int
    code: str
    asked: list[tuple[int, list[Candidate]]] = field(default_factory=list)
    retired: bool = False
    refused: dict[str, str] = field(default_factory=dict)

    def validate(self, number: int, candidates: list[Candidate]) -> None:
        """Take a validation in."""
        self.asked.append((number, candidates))

    def retire(self) -> None:
        """End when all is done."""
        self.retired = True


@dataclass
class Books:
    """Has the pipelines that are in force, as an observer knows of them."""

    scheduled: dict[str, Version] = field(default_factory=dict)
    kept: dict[str, Snapshot] = field(default_factory=dict)
    """What the history would have of each."""
    invalid_files: dict[str, tuple[Fault, ...]] = field(default_factory=dict)
    told: list[tuple[str, str]] = field(default_factory=list)

    def deployed(self, changed: Sequence[Change], same: Sequence[InForce]) -> None:
        """Pipelines have new versions."""
        assert changed or same
        for change in changed:
            held = self.scheduled.get(change.now.version.name)
            assert held == (change.before.version if change.before else None)
            self.told.append(("deployed", change.now.version.name))
        assert all(self.scheduled[each.version.name].revision == each.version.revision for each in same)
        for each in (*(change.now for change in changed), *same):
            self.scheduled[each.version.name] = each.version
            self.kept[each.version.name] = each.snapshot

    def withdrawn(self, gone: Sequence[InForce]) -> None:
        """Pipelines are gone."""
        assert gone
        for each in gone:
            del self.scheduled[each.version.name], self.kept[each.version.name]
            self.told.append(("withdrawn", each.version.name))

    def invalid(self, file: str, faults: tuple[Fault, ...], runs_on: Sequence[Version]) -> None:
        """A file has faults."""
        assert faults
        assert all(self.scheduled[each.name] == each for each in runs_on)
        self.invalid_files[file] = faults
        self.told.append(("invalid", file))

    def restored(self, file: str, versions: Sequence[Version]) -> None:
        """Last good versions are in force again."""
        assert file in self.invalid_files
        assert {each.file for each in versions} == {file}
        self.told.append(("restored", file))

    def mended(self, file: str) -> None:
        """A file has no faults any more."""
        del self.invalid_files[file]
        self.told.append(("mended", file))

    def stranded(self, name: str) -> None:
        """There is no code for what is in force."""
        self.told.append(("stranded", name))


class Disk:
    """A conf folder and the code of one task.

    A text is `NAME`, `NAME CODE` where it asks for some code, or `bad`. The name may have keys behind it, each with a
    revision: `NAME/a:1,b:2` makes two pipelines.
    """

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.code = "1"
        self.books = Books()
        self.generations: list[FakeGeneration] = []
        self.tries: list[Mapping[str, str] | None] = []
        """What each generation was made without; `None` for a second try."""
        self.reloading = Reloading(ROOT, self._new_generation)
        self.reloading.observer = self.books

    def look(self, code: str | None = None, **texts: str | None) -> None:
        """Edit files, with `None` to delete one, and have the reloading look."""
        self.code = code or self.code
        for name, text in texts.items():
            if text is None:
                self.texts.pop(name, None)
            else:
                self.texts[name] = text
        files = {str(ROOT / f"{name}.conf"): text for name, text in self.texts.items()}
        self.reloading.found(Survey(files={**files, CODE: self.code}))

    def imported(self, *, answers: bool = True) -> None:
        """The generation that was made last has imported its code; and then does as it is asked."""
        ready = Ready(faults=(), task_modules={"says": (CODE,)})
        self.reloading.hear(as_generation(self.generations[-1]), ready)
        if answers:
            self.answer()

    def answer(self) -> None:
        """Have every generation answer all that it was asked, and is asked because of that."""
        while any(generation.asked for generation in self.generations):
            for generation in self.generations:
                self.answer_one(generation)

    def answer_one(self, generation: FakeGeneration) -> None:
        """Have a generation answer what it was asked first."""
        if not generation.asked:
            return
        number, candidates = generation.asked.pop(0)
        for candidate in candidates:
            self.reloading.hear(as_generation(generation), self._found(number, candidate, generation.code))
        self.reloading.hear(as_generation(generation), ValidationEnded(number=number))

    def lose(self, generation: FakeGeneration) -> None:
        """A launcher dies."""
        generation.asked.clear()
        self.reloading.lost(as_generation(generation))

    def names(self) -> dict[str, str]:
        """The file of each pipeline that is in force."""
        return {name: Path(version.file).stem for name, version in self.books.scheduled.items()}

    def in_force(self, name: str) -> InForce:
        """What is in force of a pipeline that is there."""
        in_force = self.reloading.in_force(name)
        assert in_force is not None
        return in_force

    def code_of(self, name: str) -> str:
        """The code that a pipeline runs with."""
        return cast("FakeGeneration", self.in_force(name).generation).code

    def _new_generation(self, refused: Mapping[str, str] | None) -> Generation:
        self.generations.append(FakeGeneration(len(self.generations) + 1, self.code, refused=dict(refused or {})))
        self.tries.append(refused)
        return as_generation(self.generations[-1])

    def _found(self, number: int, candidate: Candidate, code: str) -> Validated:
        name = candidate.path.stem
        text = candidate.snapshot.files[name] if candidate.snapshot else self.texts.get(name, "bad")
        own = (str(candidate.path),)
        wanted, _, needs = text.partition(" ")
        if wanted == "bad" or (needs and needs != code):
            fault = Fault("bad", Place(str(candidate.path)), text)
            return Validated(number=number, path=candidate.path, faults=(fault,), files=own)
        return Validated(
            number=number,
            path=candidate.path,
            versions=versions(candidate.path, text),
            snapshot=snapshot(candidate.path.stem, text),
            files=own,
        )


def names(text: str) -> dict[str, str]:
    """By name of each pipeline that a valid text makes: its revision."""
    base, _, keys = text.partition(" ")[0].partition("/")
    if not keys:
        return {base: text}
    instances = (each.partition(":") for each in keys.split(","))
    return {f"{base}/{key}": revision for key, _, revision in instances}


def versions(path: Path, text: str) -> tuple[Version, ...]:
    """The versions that a valid text makes."""
    modules = (CODE,) if " " in text else ()
    place = Place(str(path), column=len(text) + 1)
    return tuple(
        Version(name=name, file=str(path), named_at=place, revision=revision, modules=modules)
        for name, revision in names(text).items()
    )


def snapshot(stem: str, text: str) -> Snapshot:
    """What a text is kept as."""
    files: Mapping[str, str] = {stem: text}
    return Snapshot(path=str(ROOT / f"{stem}.conf"), folder=str(ROOT), files=files)


def as_generation(fake: Any) -> Generation:
    """A fake, for who expects a real one."""
    return cast("Generation", fake)
