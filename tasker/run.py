"""The facts of an execution: what a run and its steps came to, and each change on the way.

Not to be confused with `pipeline`, the plan that a run carries out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

DEFAULT_GRACE_S = 10.0
"""Seconds between asking a step to end and killing it: a third of what Kubernetes gives a pod."""


class Status(StrEnum):
    """How a run, or a step of it, ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"


class Event(StrEnum):
    """The names of what tasker announces. They are stable: dashboards and alerts rely on them."""

    CONFIG_LOADED = "config.loaded"
    CONFIG_INVALID = "config.invalid"
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


class Level(StrEnum):
    """How much a fact matters to someone who reads the log."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One change in a run, as it is announced to whoever observes."""

    event: str
    """An `Event`, or the words of a task that logged them itself."""
    at: datetime
    """When it happened, in UTC."""
    pipeline: str
    revision: str
    run_id: str
    level: Level = Level.INFO
    step: str | None = None
    task: str | None = None
    attempt: int | None = None
    details: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """What else there is to say: `error`, `duration_s`, `line`, …; JSON data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRun:
    """What became of one step in a run."""

    step: str
    task: str
    status: Status
    attempts: int = 0
    duration_s: float = 0.0
    """From the start of the first attempt to the end of the last, in seconds."""
    error: str | None = None
    """Why it failed or was skipped, in one sentence."""
    outputs: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What became of one execution of a pipeline."""

    id: str
    pipeline: str
    revision: str
    slot: datetime
    status: Status
    steps: tuple[StepRun, ...]
    duration_s: float
