"""Conf files and task folders on this machine, to pipelines that are ready to run.

This is where the pure parts (document, discovery, validation, runner) meet the disk, the clock and the environment.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tasker.clock import Clock
from tasker.discovery import Catalogue
from tasker.document import Template, given
from tasker.document.values import Object
from tasker.errors import InvalidFileError
from tasker.facts import Event
from tasker.faults import Place, Severity
from tasker.folder import ConfFolder
from tasker.garbage import collection_paused
from tasker.pipeline import Keep, Keeping, base_name, instance_name
from tasker.registry import registry
from tasker.run import new_run_id
from tasker.running.machine import Machine
from tasker.running.runner import Occasion, Runner
from tasker.running.workspace import is_barred, workspace
from tasker.secrets_folder import SecretsFolder
from tasker.task import WORKSPACE_TEMPORARY
from tasker.validation import validate
from tasker.validation.findings import MOST_FAULTS, Shared
from tasker.validation.instances import check_entries, check_instance, check_size, of_instances
from tasker.validation.parameters import check_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from tasker.document import Document, Entries, Folder
    from tasker.facts import Fact
    from tasker.faults import Fault
    from tasker.pipeline import Pipeline, Schedule
    from tasker.run import Run
    from tasker.running.earlier import Earlier
    from tasker.running.stop import StopRequest
    from tasker.running.workspace import Workspace
    from tasker.settings import Settings
    from tasker.task import Task
    from tasker.variables import Variables

PARAMS = "params"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A conf file as it was read for one run, valid or not."""

    path: Path
    occasion: Occasion
    document: Document | None = None
    """The resolved document; `None` where it could not be resolved."""
    pipeline: Pipeline | None = None
    """The plan; `None` where there are faults."""
    faults: tuple[Fault, ...] = ()
    instance: str | None = None
    """The key of the entry of `for_each` that this was read for."""

    @property
    def named_at(self) -> Place:
        """Where the pipeline's name is written: where its file has none, it is the file's."""
        name = self.document.root.fields.get("name") if self.document else None
        return name.place if name is not None else Place(self.pipeline.file if self.pipeline else str(self.path))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedFile:
    """All pipelines of a conf file: one, or as many as its `for_each` has entries; valid together or not at all."""

    path: Path
    loaded: tuple[Loaded, ...] = ()
    """In the order of the entries; each with its pipeline where no fault is an error."""
    faults: tuple[Fault, ...] = ()
    """What is wrong with any of them, each fault once."""

    def key(self, asked: str) -> str:
        """The key of an instance that is asked for by its key, or by the whole name of its pipeline."""
        return asked.removeprefix(f"{self.name}/")

    def only(self, asked: str) -> LoadedFile:
        """The file with that one instance alone; a fault where a valid file has none of this key, or of this name."""
        if not self.is_valid:
            return self
        instance = self.key(asked)
        keys = [each.instance for each in self.loaded if each.instance is not None]
        try:
            check_instance(instance, keys or None, Place(str(self.path), line=0))
        except InvalidFileError as error:
            unknown = replace(self.loaded[0], pipeline=None, faults=tuple(error.faults))
            return replace(self, loaded=(unknown,), faults=unknown.faults)
        return replace(self, loaded=tuple(each for each in self.loaded if each.instance == instance))

    @property
    def is_valid(self) -> bool:
        """Whether all pipelines of the file may run."""
        return all(each.pipeline is not None for each in self.loaded)

    @property
    def name(self) -> str:
        """What the file's pipelines are named by; the file's own name where that is not known."""
        pipeline = self.loaded[0].pipeline if self.loaded else None
        return base_name(pipeline.name) if pipeline is not None else self.path.stem

    @property
    def named_at(self) -> Place:
        """Where that name is written."""
        return self.loaded[0].named_at if self.loaded else Place(str(self.path))


class Project:
    """What can be run here: conf files by their path, with the tasks that are found."""

    def __init__(self, settings: Settings, clock: Clock | None = None, *, catalogue: Catalogue | None = None) -> None:
        """Take the tasks of a catalogue, or else those of the folders that the settings name."""
        self.settings = settings
        self._clock = clock or Clock()
        self._catalogue = catalogue

    @cached_property
    def catalogue(self) -> Catalogue:
        """The tasks there are; their modules are imported when they are first asked for."""
        return self._catalogue or Catalogue(registry, self.settings.task_folders)

    def within(self, conf_dir: Path) -> Project:
        """The same project, for files of a conf folder."""
        return Project(replace(self.settings, conf_dir=conf_dir), self._clock, catalogue=self.catalogue)

    def load(
        self,
        path: Path,
        overrides: Mapping[str, str] | None = None,
        *,
        folder: Folder | None = None,
        occasion: Occasion | None = None,
        instance: str | None = None,
    ) -> Loaded:
        """Read and validate a file for a run on an occasion: one that is due now, where none is given.

        `overrides` are parameters by name; `folder` has the file and what it includes, if it is not the conf folder.
        `instance` is the key of one of its entries, where it has a `for_each`.
        """
        now = self._clock.now()
        occasion = occasion or self.occasion(new_run_id(now), now)
        loaded = Loaded(path=path, occasion=occasion, instance=instance)
        try:
            template, entries = self._read(path, folder, occasion, overrides or {})
            check_instance(instance, entries.keys if entries is not None else None, Place(str(path), line=0))
            loaded = self._resolved(loaded, template)
        except InvalidFileError as error:
            return replace(loaded, faults=tuple(error.faults))
        found = self._validated(loaded, now, alone=instance is not None)
        return found if entries is None else replace(found, faults=of_instances({instance: found.faults}, entries))

    def load_file(
        self, path: Path, overrides: Mapping[str, str] | None = None, *, folder: Folder | None = None
    ) -> LoadedFile:
        """Read and validate all pipelines of a file, each for an occasion of its own that is due now."""
        now = self._clock.now()
        first = Loaded(path=path, occasion=self.occasion(new_run_id(now), now))
        with collection_paused():
            try:
                template, entries = self._read(path, folder, first.occasion, overrides or {})
                if entries is None:
                    first = self._validated(self._resolved(first, template), now)
                    return LoadedFile(path=path, loaded=(first,), faults=first.faults)
                loaded, faults = self._instances(path, template, entries, now)
            except InvalidFileError as error:
                first = replace(first, faults=tuple(error.faults))
                return LoadedFile(path=path, loaded=(first,), faults=first.faults)
        if any(fault.severity is Severity.ERROR for fault in faults):
            loaded = [replace(each, pipeline=None, faults=faults) for each in loaded]
        return LoadedFile(path=path, loaded=tuple(loaded), faults=faults)

    def _instances(
        self, path: Path, template: Template, entries: Entries, now: datetime
    ) -> tuple[list[Loaded], tuple[Fault, ...]]:
        """A pipeline for each entry: all documents first, as only together they tell what the file is read for."""
        loaded = [Loaded(path=path, occasion=self.occasion(new_run_id(now), now), instance=key) for key in entries.keys]
        told: dict[str | None, tuple[Fault, ...]] = {}
        errors = 0
        shared: Shared = {}
        for number, each in enumerate(loaded):
            try:
                loaded[number] = self._resolved(each, template)
            except InvalidFileError as error:
                told[each.instance] = tuple(error.faults)
                return loaded, of_instances(told, entries)
        check_size([each.document for each in loaded if each.document is not None], entries)
        for number, each in enumerate(loaded):
            loaded[number] = self._validated(each, now, shared=shared)
            told[each.instance] = loaded[number].faults
            errors += sum(fault.severity is Severity.ERROR for fault in loaded[number].faults)
            if errors >= MOST_FAULTS:
                break
        return loaded, of_instances(told, entries)

    def run(
        self,
        loaded: Loaded,
        *,
        observers: Iterable[Callable[[Fact], None]],
        stop: StopRequest,
        code: Callable[[type[Task]], str] | None = None,
    ) -> Run:
        """Run what was loaded, in the workspace of its occasion; `code` is as a `Runner` takes it.

        Raises `InvalidFileError`, `WorkspaceError`.
        """
        if loaded.pipeline is None:
            raise InvalidFileError(loaded.faults)
        pipeline, occasion = loaded.pipeline, loaded.occasion
        if self.settings.keep_workspace:
            pipeline = replace(pipeline, workspace=Keeping(keep=Keep.ALWAYS, for_=None))
        keeping, now = pipeline.workspace, self._clock.now
        with workspace(
            occasion.workspace,
            run_id=occasion.run_id,
            pipeline=pipeline.name,
            kept_until=keeping.until(now()),
            resumes=(earlier.run_id, *earlier.resumed) if (earlier := occasion.earlier) is not None else (),
        ) as held:

            def mark(fact: Fact) -> None:
                """Last of all who observe: who is killed before has neither begun nor taken the workspace."""
                if fact.event == Event.RUN_STARTED:
                    held.begin()

            run = Runner(
                pipeline,
                replace(occasion, files_lost=_files_lost(held, occasion.earlier, pipeline)),
                tasks=registry,
                observers=[*observers, mark],
                stop=stop,
                machine=Machine(self._clock),
                grace_s=self.settings.grace_s,
                code=code,
            ).run()
            # What was done of chosen steps may not be all that is to be done in another run's workspace.
            held.removed = not keeping.keeps(bad=run.status.is_bad) and (held.made or occasion.chosen is None)
            held.kept_until = keeping.until(now())
        return run

    def occasion(self, run_id: str, slot: datetime, *, earlier: Earlier | None = None, **more: Any) -> Occasion:
        """The occasion of a run, with the workspace that the settings give it, or that of the run that it resumes.

        Where something else has taken the place of that one, the run has one of its own.
        """
        workspace = self.settings.workspaces / (run_id if earlier is None else earlier.run_id)
        if earlier is not None and earlier.workspace is not None:
            there = os.path.lexists(earlier.workspace)
            workspace = earlier.workspace if there else self.settings.workspaces / earlier.workspace.name
        if earlier is not None and is_barred(workspace):
            workspace = self.settings.workspaces / run_id
        return Occasion(run_id=run_id, slot=slot, workspace=workspace.absolute(), earlier=earlier, **more)

    def _variables(self, path: Path, occasion: Occasion, instance: str | None = None) -> Variables:
        """What the file may read, were it to run on this occasion."""
        variables = self.settings.variables(
            path, run_id=occasion.run_id, slot=occasion.slot, workspace=occasion.workspace
        )
        return replace(variables, of_instance=instance_name("", instance))

    def _local(self, occasion: Occasion, pipeline: Pipeline) -> Occasion:
        """The occasion in the time zone of the pipeline's schedule, with what its steps find in their environment."""
        environment = {
            "TASKER_RUN_ID": occasion.run_id,
            "TASKER_PIPELINE": pipeline.name,
            "TASKER_WORKSPACE": str(occasion.workspace),
            "TMPDIR": str(occasion.workspace / WORKSPACE_TEMPORARY),
            **self.settings.handed_on,
        }
        return replace(occasion, slot=_local_time(occasion.slot, pipeline.schedule), environment=environment)

    def _masking(self, pipeline: Pipeline) -> Pipeline:
        """The pipeline, masking also those variables that are secrets and that its file does not read."""
        named = self.settings.secret_variables.values()
        return replace(pipeline, secrets=pipeline.secrets.union(named)) if named else pipeline

    def _read(
        self, path: Path, folder: Folder | None, occasion: Occasion, overrides: Mapping[str, str]
    ) -> tuple[Template, Entries | None]:
        """The file's text, with parameters set, and the entries of its `for_each`. Raises `InvalidFileError`."""
        folder = folder or ConfFolder(self.settings.folder_of(path))
        variables = self._variables(path, occasion)
        template, entries = self._template(path, folder, variables, overrides)
        if overrides:
            self._check_overrides(path, folder, variables, overrides)
        return template, entries

    def _template(
        self, path: Path, folder: Folder, variables: Variables, overrides: Mapping[str, str]
    ) -> tuple[Template, Entries | None]:
        template = Template(
            os.path.relpath(path, self.settings.folder_of(path)),
            folder=folder,
            secrets=SecretsFolder(self.settings.secrets, self.settings.secret_variables),
            secrets_at=str(self.settings.secrets),
            secret_variables=self.settings.secret_env,
            overrides={f"{PARAMS}.{name}": value for name, value in overrides.items()},
            of_a_run=variables.of_a_run,
        )
        entries = template.entries(variables)
        if entries is not None:
            check_entries(entries)
        return template, entries

    def _resolved(self, loaded: Loaded, template: Template) -> Loaded:
        """With the document of the one instance. Raises `InvalidFileError`."""
        variables = self._variables(loaded.path, loaded.occasion, loaded.instance)
        return replace(loaded, document=template.document(variables, loaded.instance))

    def _validated(self, loaded: Loaded, now: datetime, *, alone: bool = False, shared: Shared | None = None) -> Loaded:
        """With the pipeline, or with what is wrong. `alone` where other instances of the file were not resolved."""
        assert loaded.document is not None  # noqa: S101 - what is validated is resolved
        pipeline, faults = validate(
            loaded.document,
            stem=loaded.path.stem,
            catalogue=self.catalogue,
            now=now,
            instance=loaded.instance,
            alone=alone,
            shared=shared,
        )
        if pipeline is not None and loaded.occasion.chosen is not None:
            unfit = [*loaded.occasion.chosen.faults(pipeline, loaded.occasion.earlier)]
            pipeline, faults = None if unfit else pipeline, [*faults, *unfit]
        if pipeline is None:
            return replace(loaded, faults=tuple(faults))
        occasion = self._local(loaded.occasion, pipeline)
        return replace(loaded, occasion=occasion, pipeline=self._masking(pipeline), faults=tuple(faults))

    def _check_overrides(self, path: Path, folder: Folder, variables: Variables, overrides: Mapping[str, str]) -> None:
        """Refuse to set what no pipeline of the file declares, or has another type there: raises `InvalidFileError`."""
        template, entries = self._template(path, folder, variables, {})
        documents = [template.document(variables, key) for key in (entries.keys if entries is not None else [None])]
        params = [document.root.fields.get(PARAMS) for document in documents]
        declared = [each for each in params if isinstance(each, Object)]
        faults = [*check_parameters({name: given(name, value) for name, value in overrides.items()}, declared)]
        if faults:
            raise InvalidFileError(faults)


def _files_lost(held: Workspace, earlier: Earlier | None, pipeline: Pipeline) -> bool:
    """Whether nothing is left of what an earlier run had in its workspace.

    A step may have emptied it, and the steps after it know that. A hook may have, too, and they do not.
    """
    if earlier is None:
        return False
    hooks = {step.id for steps in pipeline.hooks.values() for step in steps}
    return held.made or (held.empty and not hooks.isdisjoint(earlier.ran_in))


def _local_time(slot: datetime, schedule: Schedule | None) -> datetime:
    if schedule is None:
        return slot
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - only files with a schedule pay for it

    return slot.astimezone(ZoneInfo(schedule.timezone))
