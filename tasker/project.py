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
from tasker.document import load
from tasker.document.values import Object
from tasker.errors import InvalidFileError
from tasker.faults import Fault, Place
from tasker.folder import ConfFolder
from tasker.nearest import nearest
from tasker.pipeline import base_name
from tasker.registry import registry
from tasker.run import new_run_id
from tasker.running.runner import Occasion, Runner
from tasker.running.workspace import TEMPORARY, workspace
from tasker.secrets_folder import SecretsFolder
from tasker.validation import validate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from tasker.document import Document, Folder
    from tasker.facts import Fact
    from tasker.pipeline import Pipeline, Schedule
    from tasker.run import Run
    from tasker.running.earlier import Earlier
    from tasker.running.stop import StopRequest
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
        if instance is not None:
            fault = Fault("unknown-instance", Place(str(path)), f"the file has no instance '{instance}'")
            occasion = occasion or self.occasion(new_run_id(self._clock.now()), self._clock.now())
            return Loaded(path=path, occasion=occasion, instance=instance, faults=(fault,))
        now = self._clock.now()
        occasion = occasion or self.occasion(new_run_id(now), now)
        folder = folder or ConfFolder(self.settings.folder_of(path))
        loaded = Loaded(path=path, occasion=occasion)
        try:
            if overrides:
                self._check_overrides(self._document(path, folder, occasion, {}), overrides)
            document = self._document(path, folder, occasion, overrides or {})
        except InvalidFileError as error:
            return replace(loaded, faults=tuple(error.faults))
        pipeline, faults = validate(document, stem=path.stem, catalogue=self.catalogue, now=now)
        if pipeline is not None:
            occasion = self._local(occasion, pipeline)
            pipeline = self._masking(pipeline)
        return replace(loaded, occasion=occasion, document=document, pipeline=pipeline, faults=tuple(faults))

    def load_file(
        self, path: Path, overrides: Mapping[str, str] | None = None, *, folder: Folder | None = None
    ) -> LoadedFile:
        """Read and validate all pipelines of a file, each for an occasion of its own that is due now."""
        loaded = self.load(path, overrides, folder=folder)
        return LoadedFile(path=path, loaded=(loaded,), faults=loaded.faults)

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
        with workspace(loaded.occasion.workspace, keep=self.settings.keep_workspace):
            return Runner(
                loaded.pipeline,
                loaded.occasion,
                tasks=registry,
                observers=observers,
                stop=stop,
                clock=self._clock,
                grace_s=self.settings.grace_s,
                code=code,
            ).run()

    def variables(self, path: Path, occasion: Occasion) -> Variables:
        """What the file may read, were it to run on this occasion."""
        return self.settings.variables(path, run_id=occasion.run_id, slot=occasion.slot, workspace=occasion.workspace)

    def occasion(self, run_id: str, slot: datetime, *, earlier: Earlier | None = None, **more: Any) -> Occasion:
        """The occasion of a run, with the workspace that the settings give it, or that of the run that it resumes."""
        name = run_id if earlier is None else earlier.run_id
        workspace = earlier.workspace if earlier and earlier.workspace else self.settings.workspaces / name
        return Occasion(run_id=run_id, slot=slot, workspace=workspace.absolute(), earlier=earlier, **more)

    def _local(self, occasion: Occasion, pipeline: Pipeline) -> Occasion:
        """The occasion in the time zone of the pipeline's schedule, with what its steps find in their environment."""
        environment = {
            "TASKER_RUN_ID": occasion.run_id,
            "TASKER_PIPELINE": pipeline.name,
            "TASKER_WORKSPACE": str(occasion.workspace),
            "TMPDIR": str(occasion.workspace / TEMPORARY),
            **self.settings.handed_on,
        }
        return replace(occasion, slot=_local_time(occasion.slot, pipeline.schedule), environment=environment)

    def _masking(self, pipeline: Pipeline) -> Pipeline:
        """The pipeline, masking also those variables that are secrets and that its file does not read."""
        named = self.settings.secret_variables.values()
        return replace(pipeline, secrets=pipeline.secrets.union(named)) if named else pipeline

    def _document(self, path: Path, folder: Folder, occasion: Occasion, overrides: Mapping[str, str]) -> Document:
        variables = self.variables(path, occasion)
        return load(
            os.path.relpath(path, self.settings.folder_of(path)),
            folder=folder,
            variables=variables,
            secrets=SecretsFolder(self.settings.secrets, self.settings.secret_variables),
            secret_variables=self.settings.secret_env,
            overrides={f"{PARAMS}.{name}": value for name, value in overrides.items()},
            of_a_run=variables.of_a_run,
            partial=True,
        )

    def _check_overrides(self, document: Document, overrides: Mapping[str, str]) -> None:
        """Refuse to set what the file does not declare: raises `InvalidFileError`."""
        params = document.root.fields.get(PARAMS)
        declared = list(params.fields) if isinstance(params, Object) else []
        faults = [
            Fault(
                "unknown-parameter",
                Place(f"--set {name}", line=0),
                f"the pipeline declares no parameter '{name}'",
                _parameter_hint(name, declared),
            )
            for name in overrides
            if name.partition(".")[0] not in declared
        ]
        if faults:
            raise InvalidFileError(faults)


def _local_time(slot: datetime, schedule: Schedule | None) -> datetime:
    if schedule is None:
        return slot
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - only files with a schedule pay for it

    return slot.astimezone(ZoneInfo(schedule.timezone))


def _parameter_hint(name: str, declared: list[str]) -> str:
    near = nearest(name, declared)
    return f"did you mean '{near}'?" if near else f"it declares: {', '.join(declared) or 'none'}"
