"""What a run and its steps came to.

Not to be confused with `pipeline`, the plan that a run carries out, nor with `facts`, each change on the way.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

DEFAULT_GRACE_S = 10.0
"""Seconds between asking a step to end and killing it: a third of what Kubernetes gives a pod."""

_HOOK_SHARE = 0.25
"""The part of the grace period that each phase of hooks has in any case."""
_HOOK_LEAST_S = 1.0
"""Seconds that it has however short the grace period is."""
_RANDOM_BYTES = 8
"""Of an id: thousands of runs are decided on in one second, and no two of them, ever, are to have the same one."""


def hooks_have_s(grace_s: float) -> float:
    """Seconds that each phase of hooks has, though nothing is left of the grace period."""
    return max(_HOOK_SHARE * grace_s, _HOOK_LEAST_S)


def hooks_end_s(grace_s: float) -> float:
    """Seconds that hooks whose time is over have to end, before they are killed."""
    return _HOOK_SHARE * grace_s


def longest_stop_s(grace_s: float) -> float:
    """Seconds in which a run that is asked to stop has ended: its steps, `on_failure` and `finally`, at their worst."""
    return grace_s + 2 * (hooks_have_s(grace_s) + hooks_end_s(grace_s))


def new_run_id(at: datetime) -> str:
    """An id for a run that is decided on at this moment: ids sort by it, to the second."""
    return f"{at:%Y%m%dT%H%M%S}-{os.urandom(_RANDOM_BYTES).hex()}"


class Status(StrEnum):
    """How a run, or a step of it, ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"

    @property
    def is_bad(self) -> bool:
        """Whether it is one that no run, and no step, is to have."""
        return self in {Status.FAILED, Status.INTERRUPTED}


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
    fingerprint: str = ""
    """A digest of what its outcome depends on: its task, the code of that, and its arguments; empty if not known."""


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


class Outcome(StrEnum):
    """What a due slot comes to: exactly one of these, of which only the first is not final."""

    WAITING = "waiting"
    """It is claimed, and its run has not begun."""
    RAN = "ran"
    SKIPPED = "skipped"
    """An earlier run was still going."""
    MISSED = "missed"
    """It was too late, or nothing was running when it came."""
    SUPERSEDED = "superseded"
    """A later slot took its place before its run had begun."""
    REFUSED = "refused"
    """When its run was to begin, the file was not valid."""


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """One moment at which a pipeline is due."""

    pipeline: str
    at: datetime
    """In UTC."""

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} UTC"
