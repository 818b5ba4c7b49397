"""What happened, as it is announced to whoever observes: one record for runs, slots, configurations and the daemon."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tasker.faults import Fault


class Event(StrEnum):
    """The names of what tasker announces. They are stable: dashboards and alerts rely on them."""

    CONFIG_LOADED = "config.loaded"
    CONFIG_INVALID = "config.invalid"
    CONFIG_MENDED = "config.mended"
    CONFIG_REMOVED = "config.removed"
    SLOT_DUE = "slot.due"
    SLOT_SKIPPED = "slot.skipped"
    SLOT_MISSED = "slot.missed"
    RUN_STARTED = "run.started"
    RUN_SUCCEEDED = "run.succeeded"
    RUN_FAILED = "run.failed"
    RUN_INTERRUPTED = "run.interrupted"
    STEP_STARTED = "step.started"
    STEP_OUTPUT = "step.output"
    STEP_RETRYING = "step.retrying"
    STEP_SUCCEEDED = "step.succeeded"
    STEP_FAILED = "step.failed"
    STEP_SKIPPED = "step.skipped"
    DAEMON_STARTED = "daemon.started"
    DAEMON_RELOADING = "daemon.reloading"
    DAEMON_STOPPING = "daemon.stopping"
    DAEMON_STOPPED = "daemon.stopped"
    DAEMON_TROUBLED = "daemon.troubled"
    DAEMON_RECOVERED = "daemon.recovered"
    CLOCK_STEPPED = "clock.stepped"
    HISTORY_UNAVAILABLE = "history.unavailable"
    RESUME_NOTHING = "resume.nothing"


class Level(StrEnum):
    """How much a fact matters to someone who reads the log."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing that happened."""

    event: str
    """An `Event`, or the words of a task that logged them itself."""
    at: datetime
    """When it happened, in UTC."""
    level: Level = Level.INFO
    pipeline: str | None = None
    revision: str | None = None
    run_id: str | None = None
    step: str | None = None
    task: str | None = None
    attempt: int | None = None
    details: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """What else there is to say: `error`, `duration_s`, `line`, …; JSON data, secrets masked."""

    def to_json(self) -> dict[str, Any]:
        """The fact as JSON data, without what there is nothing to say of."""
        told = {name: getattr(self, name) for name in _NAMES}
        return {name: value for name, value in told.items() if value is not None} | {
            "at": self.at.isoformat(),
            "level": str(self.level),
            "details": dict(self.details),
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Fact:
        """The fact that `to_json` told of. Raises `KeyError`, `TypeError` or `ValueError` where it is none."""
        fact = cls(**{**told, "at": datetime.fromisoformat(told["at"]), "level": Level(told["level"])})
        texts = (fact.pipeline, fact.revision, fact.run_id, fact.step, fact.task)
        of_type: list[tuple[object, type]] = [(fact.event, str), (fact.details, dict)]
        of_type += [(each, str) for each in texts if each is not None]
        if fact.at.tzinfo is None or not all(isinstance(each, kind) for each, kind in of_type):
            message = "this is no fact"
            raise TypeError(message)
        return fact


_NAMES = tuple(each.name for each in fields(Fact) if each.name not in {"at", "level", "details"})


def config_loaded(name: str, revision: str, file: str, at: datetime) -> Fact:
    """A pipeline is valid, and ready to run."""
    return Fact(event=Event.CONFIG_LOADED, at=at, pipeline=name, revision=revision, details={"file": file})


def config_invalid(fault: Fault, at: datetime, **details: Any) -> Fact:
    """A configuration has a fault."""
    place = {"file": fault.place.file, "line": fault.place.line, "column": fault.place.column}
    told = {"code": fault.code, "error": str(fault), **({"hint": fault.hint} if fault.hint else {})}
    return Fact(event=Event.CONFIG_INVALID, at=at, level=Level(fault.severity), details={**place, **told, **details})
