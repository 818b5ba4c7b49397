"""What the history tells and is told: frozen records, a table's row each."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from tasker.run import Outcome, Slot


class RunStatus(StrEnum):
    """How a run or a step run stands: `tasker.run.Status`, and what there is before the end."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    """Of step runs alone."""
    INTERRUPTED = "interrupted"


ACTIVE = (RunStatus.WAITING, RunStatus.RUNNING)
"""The statuses of runs that have not ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonRecord:
    """A daemon, or a command in the foreground, that writes to the history."""

    id: str
    """Its own, anew whenever it starts."""
    foreground: bool = False
    """Whether it is a command such as `tasker once`, whose runs are nobody else's."""
    host: str
    """Where process ids mean the same: the machine, its boot and the namespace of process ids."""
    pid: int
    pid_started: int
    """When the process started, in ticks since the machine's boot: a process id alone comes again."""
    started_at: datetime
    beat_at: datetime
    """When it last showed that it lives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRecord:
    """What became of a slot."""

    slot: Slot
    outcome: Outcome
    reason: str | None = None
    run_id: str | None = None
    """Its run; where that was resumed, the latest."""
    daemon: str
    decided_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a daemon wants to become of a slot."""

    slot: Slot
    outcome: Outcome
    at: datetime
    """When this was decided."""
    reason: str | None = None
    run_id: str | None = None
    """The id of the run that is to be; given where the outcome is `WAITING`, and only there."""
    revision: str = ""
    snapshot_id: str | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """The answer to a claim."""

    claim: Claim
    won: bool
    """Whether the slot is this daemon's to carry out. Where it is not, it has an outcome already."""
    busy: bool = False
    """Whether another daemon has a run of this pipeline that has not ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run, as far as it has come."""

    id: str
    pipeline: str
    slot: datetime
    revision: str
    snapshot_id: str | None = None
    status: RunStatus
    error: str | None = None
    daemon: str
    claimed_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_s: float | None = None
    late_s: float | None = None
    """Seconds from the slot to the start."""
    pid: int | None = None
    pid_started: int | None = None
    host: str | None = None
    """That of the daemon that claimed or began it: where `pid` means its process."""
    resumed_from: str | None = None
    """The id of the run that this one goes on with."""
    resumption: int = 0
    """How many runs there were before this one, each resumed by the next."""
    lines_dropped: int = 0
    """Lines of its log that are not in the history."""
    foreground: bool = False
    """Whether it is of a command in the foreground: then it has no part in its pipeline's slots, nor in a daemon."""
    workspace: str | None = None
    git_commit: str | None = None
    """Which commit of the conf folder it was read from, as `tasker.commits` tells it."""
    config_id: str | None = None
    """Of the configuration that is kept of it."""
    overrides: Mapping[str, str] = field(default_factory=dict)
    """What `--set` gave."""
    chosen: str | None = None
    """Which steps a person has chosen for it, in the words of the command; `None` where these were all."""
    cancel_at: datetime | None = None
    """When somebody wanted it cancelled."""
    cancel_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRunRecord:
    """One step of a run, as far as it has come."""

    run_id: str
    step: str
    task: str
    status: RunStatus
    attempts: int = 0
    duration_s: float | None = None
    error: str | None = None
    """Why it failed or was skipped."""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    reusable: bool = True
    """Whether a run that resumes this one can use the outputs: not where a secret in them was masked."""
    fingerprint: str = ""
    """A digest of what its outcome depends on; empty where none was told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineRecord:
    """A pipeline as it was last seen valid."""

    name: str
    file: str
    since: datetime
    """From when its slots count: when it was first scheduled, or scheduled anew by another schedule."""
    schedule: Mapping[str, Any] | None = None
    """JSON data of the daemon's."""
    snapshot_id: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Orphan:
    """A run whose daemon is dead; it belongs now to the daemon that was told of it."""

    run: RunRecord
    """As the dead daemon left it: waiting or running. Its `daemon` is the dead one."""
    same_host: bool
    """Whether what the dead daemon started ran here, and `run.pid` is a process of this host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """What is kept. Of each pipeline the last run, the last that succeeded and the last slot are kept in any case."""

    age: timedelta = timedelta(days=30)
    """How long what has ended is kept."""
    runs: int = 10_000
    """How many runs of a pipeline are kept at most."""
