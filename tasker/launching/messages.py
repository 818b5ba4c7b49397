"""What the daemon and a launcher tell each other: records, which cross the channels between them as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tasker.facts import Fact
from tasker.faults import Fault
from tasker.launching.snapshot import Snapshot
from tasker.launching.versions import Version
from tasker.records import from_json, to_json
from tasker.running.chosen import Chosen
from tasker.running.earlier import Earlier
from tasker.settings import Settings

LARGEST = 32 * 1024 * 1024
"""Bytes that a message may have: the texts of one document, however many of their characters JSON has to escape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a launcher lets authors' modules and files cost."""

    importing_s: float = 60.0
    """Seconds that importing one module may take, when it is its turn again."""
    hurried_importing_s: float = 10.0
    """Seconds after which a module is left out, until all others can be used."""
    validating_s: float = 30.0
    """Seconds that validating one file may take, when it is its turn again."""
    hurried_s: float = 3.0
    """Seconds after which a file waits until all others have been validated."""
    memory: int = 2 << 30
    """Bytes that validating may take beside what the launcher has."""


# What the daemon asks for


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """How a launcher is to work. It comes first."""

    settings: Settings
    bounds: Bounds
    path: tuple[str, ...]
    """Where Python is to look for modules, as in the daemon."""
    refused: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Modules that are not to be imported, by their name in `Importing`, with the reasons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A conf file to be validated."""

    path: Path
    snapshot: Snapshot | None = None
    """What to validate instead of what is on the disk: a version, under another generation of the tasks' code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOrder:
    """A run that is to start now."""

    run_id: str
    snapshot: Snapshot
    slot: datetime
    instance: str | None = None
    """The key of the pipeline to run, of a file that makes several by `for_each`."""
    overrides: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What parameters are set to, by name."""
    journal: Path | None = None
    """The file that the run appends its facts to."""
    foreground: bool = False
    """Whether somebody waits for it: then its journal has all its facts, and it is late for no slot."""
    earlier: Earlier | None = None
    """The run that this one resumes."""
    chosen: Chosen | None = None
    """The steps to do, where not all are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validate:
    """Files are to be validated."""

    number: int
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A run is to be stopped."""

    run_id: str
    reason: str
    at_once: bool = False
    """Whether it is stopping already, and is to wait no longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retire:
    """The launcher is to end when its runs and validations have."""


# What only a generation hears


@dataclass(frozen=True, slots=True, kw_only=True)
class Importing:
    """A module is about to be imported."""

    module: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A run cannot go on, for a reason that no fact of it tells; its `RunEnded` follows."""

    run_id: str
    error: str


# What a generation tells the daemon


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The tasks are imported. It comes first, once a generation."""

    faults: tuple[Fault, ...]
    """What is wrong with task modules; each costs only the pipelines that use it."""
    task_modules: Mapping[str, tuple[str, ...]]
    """By the name of each task, the absolute paths of the task folders' files that hold its code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated:
    """What one file was found to be."""

    number: int
    """The number that the validation was asked for under."""
    path: Path
    """As the candidate has it."""
    versions: tuple[Version, ...] = ()
    """Its pipelines, several where it has `for_each`; none where a fault is an error."""
    snapshot: Snapshot | None = None
    """What was validated, which is what runs; `None` where there is no version."""
    faults: tuple[Fault, ...] = ()
    files: tuple[str, ...] = ()
    """The absolute paths that decide on it: the files that it was read from, and those that includes looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationEnded:
    """Each candidate of a validation has been told of."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBegan:
    """A run has its process. It comes before all that is told of the run; not at all where no process could be had."""

    run_id: str
    pid: int
    pid_started: int
    """When the process started, as `linux.started` has it: with the id, it is one process and no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """What a run is about to carry out, for the record. It comes before all that is told of the run."""

    run_id: str
    config: str | None = None
    """As `tasker.shown` has it."""
    commit: str | None = None
    """As `tasker.commits` tells it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Something happened in a run."""

    fact: Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """A run's process is gone, with all that it started. It comes after the run's last `Told`.

    Each run that was ordered ends by exactly one of this and `Refused`.
    """

    run_id: str
    status: int
    """The exit status of its process, negative for the signal that killed it: 0 worked, 1 a step failed, 128 and the
    signal where it was stopped."""
    error: str | None = None
    """Why it ended without having told so itself; `None` where a fact of the run tells how it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A run that did not start, as its file is not valid now: a secret is gone, or a variable is not set."""

    run_id: str
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The launcher has died unasked. Nothing more can be started here; what runs is stopping, and is still told."""

    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """The launcher and all its runs are gone. It is the last message."""

    status: int


Message = Ready | Validated | ValidationEnded | RunBegan | Configured | Told | RunEnded | Refused | Lost | Gone


_KINDS: dict[str, type[Any]] = {
    each.__name__: each
    for each in (
        *(Begin, Validate, RunOrder, Stop, Retire, Importing, Broken),
        *(Ready, Validated, ValidationEnded, RunBegan, Configured, RunEnded, Refused),
    )
}


def packed(message: Any) -> dict[str, Any]:
    """A message as JSON data."""
    if isinstance(message, Told):
        return {"kind": "Told", "fact": message.fact.to_json()}
    return {"kind": type(message).__name__, **to_json(message)}


def unpacked(data: Mapping[str, Any]) -> Any:
    """The message that was packed; `None` where it is none of ours: a module can write what it likes to the channel."""
    try:
        if data["kind"] == "Told":  # most are: a run may tell of tens of thousands of lines a second
            return Told(fact=Fact.from_json(data["fact"]))
        return from_json(_KINDS[data["kind"]], data)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
