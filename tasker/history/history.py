"""The history itself: what it is told, in transactions, and what it answers. Synchronous; of one thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

    from tasker.facts import Fact
    from tasker.history.model import (
        Claim,
        Claimed,
        DaemonRecord,
        Orphan,
        PipelineRecord,
        Retention,
        RunRecord,
        RunStatus,
        SlotRecord,
        StepRunRecord,
    )
    from tasker.run import Outcome, Slot, StepRun


class History:
    """A connection to the history. Every method may raise `HistoryError`, and `DamagedError` where that is why."""

    exclusive: bool
    """Whether no other daemon can claim a slot here: this one holds the lock of the state folder."""

    @staticmethod
    def open(where: str | Path, *, create: bool = True) -> History:
        """Open a state folder, or a `postgresql://` URL; the daemon does, as it locks and migrates.

        Raises `UnfitError` where it cannot be used at all.
        """
        raise NotImplementedError

    @staticmethod
    def read(where: str | Path) -> History:
        """Open it to read only, whoever writes: locks nothing, migrates nothing, needs no right to write."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of it."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def transaction(self) -> AbstractContextManager[None]:
        """All that is told within is written, or nothing; within another it is part of that one.

        Each method below is a transaction of its own where there is none around it.
        """
        raise NotImplementedError

    # Daemons

    def enrol(self, me: DaemonRecord) -> None:
        """Say which daemon this is. Claims are made, and orphans taken over, in its name."""
        raise NotImplementedError

    def beat(self, now: datetime | None = None) -> bool:
        """Show that this daemon lives; whether it still counted as alive. By the server's clock where none is given."""
        raise NotImplementedError

    def leave(self) -> None:
        """The daemon ends in order: whatever of its runs has not ended is at once for others to take over."""
        raise NotImplementedError

    def orphans(self, now: datetime | None = None) -> list[Orphan]:
        """The runs of dead daemons that had not ended, oldest first; each is told to one daemon alone, now its owner.

        Also those of this daemon's predecessors that a daemon took over and then died with.
        """
        raise NotImplementedError

    # Slots and runs

    def claim(self, claims: Sequence[Claim]) -> list[Claimed]:
        """Claim slots, each for one daemon alone; answers in the order of the claims.

        With the outcome `WAITING`, the run is there from then on, waiting.
        """
        raise NotImplementedError

    def decide(self, slot: Slot, outcome: Outcome, at: datetime, reason: str | None = None) -> bool:
        """Give a waiting slot its final outcome; whether it was still waiting. Unless it ran, its run is dropped."""
        raise NotImplementedError

    def begin(self, run_id: str, pid: int, pid_started: int, at: datetime) -> None:
        """A run has a process: it is running, its slot `RAN`."""
        raise NotImplementedError

    def end(self, run_id: str, status: RunStatus, error: str | None, at: datetime) -> bool:
        """A run has ended, by whatever told so first; whether this did. What was left of its steps is interrupted."""
        raise NotImplementedError

    def resume(
        self, run_id: str, new_id: str, at: datetime, *, revision: str = "", snapshot_id: str | None = None
    ) -> RunRecord | None:
        """A new waiting run that goes on with one that was interrupted, for the same slot.

        `None` where there is no such run, or it has been resumed already. `resumption` of the answer counts.
        Revision and snapshot are those of the old run where none are given.
        """
        raise NotImplementedError

    def observe(self, fact: Fact, number: int | None = None) -> None:
        """Take a fact of a run into its log, and what it says into the run and its steps; others are passed over.

        Numbers order the log; a fact whose number the run has already is not taken twice.
        """
        raise NotImplementedError

    def replay(self, facts: Iterable[Fact]) -> int:
        """Take in the facts of a run's journal that are not there yet; how many that were."""
        raise NotImplementedError

    def dropped(self, run_id: str, lines: int) -> None:
        """So many more lines of the run's log are not kept."""
        raise NotImplementedError

    def finished_steps(self, run_id: str) -> dict[str, StepRun]:
        """The steps that succeeded in this run, or in those that it resumed, and whose outputs can be used again."""
        raise NotImplementedError

    # Pipelines

    def pipelines(self) -> list[PipelineRecord]:
        """The pipelines that are scheduled, by name."""
        raise NotImplementedError

    def keep_pipeline(self, record: PipelineRecord, snapshot: str) -> None:
        """A pipeline as it is now; `snapshot` is the content of `record.snapshot_id`."""
        raise NotImplementedError

    def keep_snapshot(self, snapshot_id: str, content: str) -> None:
        """Keep a snapshot. It goes when no pipeline and no run needs it any more."""
        raise NotImplementedError

    def snapshot(self, snapshot_id: str) -> str | None:
        """The content of a snapshot."""
        raise NotImplementedError

    def forget_pipeline(self, name: str) -> None:
        """A pipeline is gone. Its slots and runs stay until they are old."""
        raise NotImplementedError

    def last_slots(self) -> dict[str, datetime]:
        """The greatest slot that is known, of each pipeline that is kept and has one."""
        raise NotImplementedError

    # What is asked

    def runs(
        self,
        pipeline: str | None = None,
        *,
        statuses: Sequence[RunStatus] = (),
        limit: int = 100,
    ) -> list[RunRecord]:
        """The newest runs first; of one pipeline, or of some statuses."""
        raise NotImplementedError

    def slots(
        self,
        pipeline: str | None = None,
        *,
        outcomes: Sequence[Outcome] = (),
        limit: int = 100,
    ) -> list[SlotRecord]:
        """The latest slots first; of one pipeline, or of some outcomes."""
        raise NotImplementedError

    def slot(self, slot: Slot) -> SlotRecord | None:
        """What became of one slot; `None` where it was never claimed."""
        raise NotImplementedError

    def found(self, start: str, most: int = 2) -> list[RunRecord]:
        """The runs whose ids begin so; one alone where that is a whole id."""
        raise NotImplementedError

    def step_runs(self, run_id: str) -> list[StepRunRecord]:
        """The steps of a run, in the order in which they began or were passed over."""
        raise NotImplementedError

    def log(self, run_id: str, after: int = 0, most: int = 1000) -> list[tuple[int, Fact]]:
        """The facts of a run with their numbers, in order; those after a number."""
        raise NotImplementedError

    def prune(self, retention: Retention, now: datetime, most: int = 200) -> int:
        """Delete at most so many runs, and slots, that need not be kept; how many went."""
        raise NotImplementedError
