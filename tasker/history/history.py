"""The history itself: what it is told, in transactions, and what it answers. Synchronous; of one thread."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tasker.history import log, observation, pipelines, presence, runs, slots
from tasker.history.migration import bring_up_to_date, bring_up_to_date_beside, check, version_of
from tasker.history.model import ACTIVE, Orphan, Retention, RunRecord, RunStatus
from tasker.history.retention import pruned
from tasker.history.runs import Process
from tasker.history.salvage import salvage
from tasker.history.sqlite import SqliteDatabase, SqliteGuest, SqliteReader
from tasker.history.urls import is_url
from tasker.run import Outcome, Slot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from tasker.facts import Fact
    from tasker.history.database import Database, Row
    from tasker.history.model import (
        Claim,
        Claimed,
        DaemonRecord,
        PipelineRecord,
        SlotRecord,
        StepRunRecord,
    )
    from tasker.history.sqlite import FolderLock
    from tasker.running.earlier import Earlier


class History:
    """A connection to the history. Every method may raise `HistoryError`, and `DamagedError` where that is why."""

    def __init__(self, database: Database) -> None:
        """Take a connection to a database whose tables are up to date."""
        self._database = database
        self._me: DaemonRecord | None = None
        self._within = False
        """Whether there is a transaction."""
        self._numbers = log.Numbers()
        self._lines: list[Row] = []
        """Of the log; they are written at one go, at the end of the transaction."""

    @staticmethod
    def open(where: str | Path, lock: FolderLock | None = None) -> History:
        """Open a state folder, or a `postgresql://` URL; the daemon does, as it locks and migrates.

        A state folder may be locked by who opens it several times. Raises `HeldError` where another daemon has it,
        and `UnfitError` where it cannot be used at all.
        """
        return _opened(_server(str(where), writes=True) if is_url(where) else SqliteDatabase(Path(where), lock))

    @staticmethod
    def join(where: str | Path) -> History:
        """Open it to write beside whatever daemon has it, as a command does: it locks no state folder.

        A history that is not there is begun. Raises `UnfitError` where it cannot be used at all.
        """
        return _joined(_server(str(where), writes=True) if is_url(where) else SqliteGuest(Path(where)))

    @staticmethod
    def read(where: str | Path) -> History:
        """Open it to read only, whoever writes: locks nothing, migrates nothing, needs no right to write."""
        return _opened(_server(str(where), writes=False) if is_url(where) else SqliteReader(Path(where)))

    @property
    def exclusive(self) -> bool:
        """Whether no other daemon can claim a slot here, as in a state folder, which one daemon has alone."""
        return self._database.exclusive

    @property
    def usable(self) -> bool:
        """Whether this is still a connection to what was opened; if not, it is to be opened again."""
        return self._database.usable

    def close(self) -> None:
        """Let go of it."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is told within is written, or nothing; within another it is part of that one.

        Each method below is a transaction of its own where there is none around it.
        """
        if self._within:
            yield
            return
        try:
            self._database.begin()
            self._within = True
            # Who took turns only later, and had changed rows before, could wait for others that wait for it.
            self._database.take_turns()
            yield
            self._write_lines()
            self._database.commit()
        except BaseException:
            self._database.rollback()
            raise
        finally:
            self._within = False
            self._lines.clear()

    def _write_lines(self) -> None:
        if self._lines:
            log.append(self._database, self._lines)
            self._lines.clear()

    # Daemons

    def enrol(self, me: DaemonRecord) -> bool:
        """Say which daemon this is, in whose name claims are made; whether it was listed already."""
        self._me = me
        return self.beat()

    def beat(self, now: datetime | None = None) -> bool:
        """Show that this daemon lives; whether it still counted as alive. By the server's clock where none is given."""
        with self.transaction():
            return presence.show(self._database, self._daemon, now or self._database.now())

    def leave(self) -> None:
        """The daemon ends in order: whatever of its runs has not ended is at once for others to take over."""
        with self.transaction():
            presence.leave(self._database, self._daemon)

    def lives(self, daemon: str) -> bool:
        """Whether a daemon is listed, and was alive when dead ones were last looked for."""
        return bool(self._database.rows("SELECT 1 FROM daemons WHERE id = :daemon", daemon=daemon))

    def orphans(self, now: datetime | None = None) -> list[Orphan]:
        """The runs of dead daemons that had not ended, oldest first; each is told to one daemon alone, now its owner.

        Asked again with the same moment, it answers the same. Whether another host's daemon is dead is judged by the
        clock of the database.
        """
        me, clock = self._daemon, self._database.now()
        with self.transaction():
            presence.bury(self._database, me, clock, alone=self.exclusive)
            taken = runs.take_over(self._database, me.id, now or clock)
            return [Orphan(run, same_host=run.host == me.host) for run in taken]

    @property
    def _daemon(self) -> DaemonRecord:
        assert self._me is not None, "enrol() comes first"  # noqa: S101 - a fault of ours
        return self._me

    # Slots and runs

    def claim(self, claims: Sequence[Claim]) -> list[Claimed]:
        """Claim slots, each for one daemon alone; answers in the order of the claims.

        With the outcome `WAITING`, the run is there from then on, waiting. Raises `RunIdTakenError` where another run
        has the id of one, and claims nothing.
        """
        with self.transaction():
            return slots.claim(self._database, self._daemon, claims)

    def decide(self, slot: Slot, outcome: Outcome, at: datetime, reason: str | None = None) -> bool:
        """Give a waiting slot its final outcome; whether it was still waiting. Unless it ran, its run is dropped."""
        with self.transaction():
            return slots.decide(self._database, slot, outcome, at, reason)

    def start_soon(self, run_id: str, at: datetime) -> None:
        """A run is to have a process as soon as this is written: from now on no other daemon starts it."""
        with self.transaction():
            runs.start_soon(self._database, run_id, at)

    def wait_again(self, run_id: str) -> None:
        """A run that was to start, or was refused, has done nothing: it waits, and its slot with it."""
        with self.transaction():
            runs.wait_again(self._database, run_id)

    def begin(self, run_id: str, pid: int, pid_started: int, at: datetime) -> None:
        """A run has a process: it is running, its slot `RAN`."""
        with self.transaction():
            runs.begin(self._database, run_id, Process(self._daemon.host, pid, pid_started), at)

    def configured(self, run_id: str, config: str | None, git_commit: str | None) -> None:
        """What a run carries out, as it is to be kept, and the commit that it was read from."""
        with self.transaction():
            config_id = pipelines.keep_config(self._database, config) if config is not None else None
            runs.configured(self._database, run_id, config_id, git_commit)

    def end(self, run_id: str, status: RunStatus, error: str | None, at: datetime) -> bool:
        """A run has ended, by whatever told so first; whether this did. What was left of its steps is interrupted."""
        with self.transaction():
            return runs.end(self._database, run_id, status, error, at)

    def resume(
        self, run_id: str, new_id: str, at: datetime, *, revision: str = "", snapshot_id: str | None = None
    ) -> RunRecord | None:
        """A new waiting run that goes on with one that has ended, for the same slot.

        `None` where there is no such run, it was to be cancelled, or it has been resumed already. `resumption` of the
        answer counts.
        Revision and snapshot are those of the old run where none are given.
        """
        new = RunRecord(
            id=new_id,
            pipeline="",
            slot=at,
            revision=revision,
            snapshot_id=snapshot_id,
            status=RunStatus.WAITING,
            daemon=self._daemon.id,
            host=self._daemon.host,
            claimed_at=at,
        )
        with self.transaction():
            return runs.resume(self._database, run_id, new)

    def restore(self, run: RunRecord) -> None:
        """Put a run of this daemon's back, whose history was replaced by a new one; what is known already stays."""
        with self.transaction():
            runs.restore(self._database, replace(run, daemon=self._daemon.id, host=self._daemon.host))

    def take_from(self, damaged: Path) -> int:
        """Take in what can still be read of a damaged file, but for the logs; how many rows that were."""
        with self.transaction():
            return salvage(damaged, self._database)

    def observe(self, fact: Fact, number: int | None = None) -> None:
        """Take a fact of a run into its log, and what it says into the run and its steps; others are passed over.

        Numbers order the log; a fact whose number the run has already is not taken twice.
        """
        if fact.run_id is None:
            return
        with self.transaction():
            observation.take_in(self._database, self._daemon, fact)
            self._lines.append(log.row(fact, self._numbers.of(fact) if number is None else number))

    def replay(self, facts: Iterable[Fact]) -> int:
        """Take in the facts of a run's journal that are not there yet; how many that were."""
        with self.transaction():
            self._write_lines()
            return log.replay(self._database, self._daemon, facts)

    def dropped(self, run_id: str, lines: int) -> None:
        """So many more lines of the run's log are not kept."""
        with self.transaction():
            self._database.change(
                "UPDATE runs SET lines_dropped = lines_dropped + :lines WHERE id = :run_id", run_id=run_id, lines=lines
            )

    # Runs in the foreground

    def start(self, run: RunRecord, *, snapshot: str | None = None, config: str | None = None) -> None:
        """A run of this command has begun; what is known already stays.

        `snapshot` is the content of `run.snapshot_id`, and `config` what it runs, as it is to be kept.
        """
        me = self._daemon
        with self.transaction():
            if snapshot is not None and run.snapshot_id is not None:
                self.keep_snapshot(run.snapshot_id, snapshot)
            config_id = pipelines.keep_config(self._database, config) if config is not None else None
            runs.put(self._database, replace(run, daemon=me.id, host=me.host, foreground=True, config_id=config_id))

    def settle(self, now: datetime, facts_of: Callable[[str], Iterable[Fact]], left: Sequence[str] = ()) -> list[str]:
        """End the runs of commands whose processes have died; the ids of those whose journals are not needed any more.

        What the journal of such a run tells, by its id, is taken in first. `left` are the runs of which there are
        journals that nobody writes: of some the history may not have heard. Whether another host's command is dead is
        judged by the clock of the database.
        """
        clock, nobody = self._database.now(), presence.this_daemon(now, foreground=True)
        with self.transaction():
            presence.bury_commands(self._database, clock)
            unknown = [run_id for run_id in left if runs.one(self._database, run_id) is None]
            for run_id in [*unknown, *(run.id for run in runs.abandoned(self._database))]:
                log.replay(self._database, nobody, facts_of(run_id))
                run = runs.one(self._database, run_id)
                error = f"interrupted: cancelled by {run.cancel_by}" if run and run.cancel_at else _DIED
                runs.end(self._database, run_id, RunStatus.INTERRUPTED, error, now)
            return [run_id for run_id in left if runs.is_over(self._database, run_id)]

    def has_abandoned(self) -> bool:
        """Whether there are runs of commands whose processes have died, for `settle`."""
        dead = {each.id for each in presence.dead_commands(self._database, self._database.now())}
        active = runs.newest(self._database, None, ACTIVE, _MOST_LOOKED_AT, foreground=True)
        return bool(runs.abandoned(self._database)) or any(run.daemon in dead for run in active)

    def last_run(self, pipeline: str, *, statuses: Sequence[RunStatus] = ()) -> RunRecord | None:
        """The newest run of a pipeline; of some statuses."""
        return next(iter(self.runs(pipeline, statuses=statuses, limit=1)), None)

    # Cancelling

    def cancel(self, run_id: str, by: str, at: datetime) -> None:
        """Somebody wants a run ended; whoever has it sees that by `to_cancel`.

        One that waits where no daemon is there ends at once.
        """
        with self.transaction():
            runs.cancel(self._database, run_id, by, at)
            with self._database.without_daemon() as alone:
                run = runs.one(self._database, run_id)
                if alone and run is not None and run.status is RunStatus.WAITING and not run.foreground:
                    self._drop(run, f"cancelled by {by}", at)

    def _drop(self, run: RunRecord, reason: str, at: datetime) -> None:
        """A run that waits never begins: its slot is skipped; or it goes no further, where it resumes another."""
        if run.resumed_from is None:
            slots.decide(self._database, Slot(run.pipeline, run.slot), Outcome.SKIPPED, at, reason)
        else:
            runs.end(self._database, run.id, RunStatus.INTERRUPTED, f"interrupted: {reason}", at)

    def deserted(self) -> bool:
        """Whether there is no daemon that could heed it."""
        with self._database.without_daemon() as alone:
            return alone

    def to_cancel(self) -> dict[str, str]:
        """This one's runs that are to be cancelled and have not ended, with who wants that."""
        return runs.to_cancel(self._database, self._daemon.id)

    # What a run goes on with

    def earlier(self, run_id: str) -> Earlier:
        """What a run that resumes this one may take over from it, and from those that it resumed itself."""
        return runs.earlier(self._database, run_id)

    def last_of(self, run: RunRecord) -> RunRecord:
        """The last one of the runs that go on with each other, of which this is one, but for those that never began."""
        return runs.last_of(self._database, run)

    def has_done_all(self, run: RunRecord) -> bool:
        """Whether a run has succeeded, and with it, where only some steps were chosen, the last one that was of all."""
        return runs.has_done_all(self._database, run)

    # Pipelines

    def pipelines(self) -> list[PipelineRecord]:
        """The pipelines that are scheduled, by name."""
        return [*pipelines.every(self._database)]

    def keep_pipelines(self, records: Sequence[PipelineRecord], snapshot: str) -> None:
        """The pipelines of a file as they are now; `snapshot` is the content of the `snapshot_id` of them all."""
        with self.transaction():
            for snapshot_id in {record.snapshot_id for record in records}:
                pipelines.keep_snapshot(self._database, snapshot_id, snapshot)
            pipelines.keep(self._database, records)

    def keep_snapshot(self, snapshot_id: str, content: str) -> None:
        """Keep a snapshot. It goes when no pipeline and no run needs it any more."""
        with self.transaction():
            pipelines.keep_snapshot(self._database, snapshot_id, content)

    def snapshot(self, snapshot_id: str) -> str | None:
        """The content of a snapshot."""
        return pipelines.snapshot(self._database, snapshot_id)

    def config(self, config_id: str) -> str | None:
        """What was kept of what a run carries out; it goes with the last run that has it."""
        return pipelines.config(self._database, config_id)

    def forget_pipeline(self, name: str) -> None:
        """A pipeline is gone. Its slots and runs stay until they are old."""
        with self.transaction():
            pipelines.forget(self._database, name)

    def last_slots(self) -> dict[str, datetime]:
        """The greatest slot that is known, of each pipeline that is kept and has one."""
        return slots.greatest(self._database)

    # What is asked

    def runs(
        self,
        pipeline: str | None = None,
        *,
        statuses: Sequence[RunStatus] = (),
        limit: int = 100,
        instances: bool = False,
        foreground: bool | None = None,
    ) -> list[RunRecord]:
        """The newest runs first; of one pipeline, with `instances` of all its instances too, or of some statuses."""
        return [
            *runs.newest(self._database, pipeline, statuses, limit, instances=instances, foreground=foreground),
        ]

    def slots(
        self,
        pipeline: str | None = None,
        *,
        outcomes: Sequence[Outcome] = (),
        limit: int = 100,
        instances: bool = False,
    ) -> list[SlotRecord]:
        """The latest slots first; of one pipeline, with `instances` of all its instances too, or of some outcomes."""
        return [*slots.latest(self._database, pipeline, outcomes, limit, instances=instances)]

    def slot(self, slot: Slot) -> SlotRecord | None:
        """What became of one slot; `None` where it was never claimed."""
        return slots.one(self._database, slot)

    def found(self, start: str, most: int = 2) -> list[RunRecord]:
        """The runs whose ids begin so; one alone where that is a whole id."""
        return [*runs.starting_with(self._database, start, most)]

    def step_runs(self, run_id: str) -> list[StepRunRecord]:
        """The steps of a run, in the order in which they began or were passed over."""
        return [*runs.steps(self._database, run_id)]

    def log(self, run_id: str, after: int = 0, most: int = 1000) -> list[tuple[int, Fact]]:
        """The facts of a run with their numbers, in order; those after a number."""
        return [*log.read(self._database, run_id, after, most)]

    # What is old

    def prune(self, retention: Retention, now: datetime, most: int = 200) -> Iterator[int]:
        """Delete what need not be kept, step by step, each a transaction; how many runs, slots or snapshots went."""
        steps = pruned(self._database, retention, now, most)
        while True:
            with self.transaction():
                gone = next(steps, None)
            if gone is None:
                return
            yield gone

    def keep_house(self, now: datetime) -> None:
        """Delete a little of what is old, as commands do where no daemon has pipelines: each keeps what it is told."""
        if not self.pipelines() and runs.is_any_before(self._database, now - _KEPT.age):
            for _ in islice(self.prune(_KEPT, now), _STEPS_AT_ONCE):
                pass

    def tidy(self) -> None:
        """Give a little of the room back that what was deleted has left."""
        self._database.tidy()


def _server(url: str, *, writes: bool) -> Database:
    from tasker.history.postgres import PostgresDatabase  # noqa: PLC0415 - only who has a server needs it

    return PostgresDatabase(url, writes=writes)


def _opened(database: Database) -> History:
    """The history in a database, its tables brought up to date where that may be."""
    return _checked(database, bring_up_to_date if database.upgradable else None)


def _joined(database: Database) -> History:
    """The history in a database, its tables brought up to date where no daemon of an older tasker has them."""
    return _checked(database, bring_up_to_date_beside)


def _checked(database: Database, bring: Callable[[Database], None] | None) -> History:
    try:
        if bring is not None:
            bring(database)
        check(version_of(database))
    except BaseException:
        database.close()
        raise
    return History(database)


_DIED = "interrupted: its process died"
_KEPT = Retention()
_STEPS_AT_ONCE = 5
"""Steps of pruning that a command carries out."""
_MOST_LOOKED_AT = 1000
"""Runs that are looked at, of those that are under way."""
