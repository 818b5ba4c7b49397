"""What the scheduler decides, carried out: slots claimed in the history, runs started and stopped in launchers.

Not to be confused with `runner`, which carries out one run, in a process of its own.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from tasker.daemon.recovery import MOST_RESUMPTIONS, Left, Plan, recover
from tasker.facts import Event, Fact, Level, config_invalid
from tasker.faults import in_order
from tasker.history import Claim, Claimed, RunRecord, RunStatus
from tasker.launching.messages import RunEnded, RunOrder
from tasker.pipeline import Resume, instance_of
from tasker.run import Outcome, Slot, new_run_id
from tasker.running.channel import TooLargeError
from tasker.scheduling.scheduler import Settle, Start, Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from tasker.clock import Clock
    from tasker.daemon.recovery import Recovered
    from tasker.daemon.reloading import Reloading
    from tasker.history import History
    from tasker.history.recorder import Recorder
    from tasker.launching.generation import Generation
    from tasker.launching.messages import Configured, Refused, RunBegan
    from tasker.launching.snapshot import Snapshot
    from tasker.running.earlier import Earlier
    from tasker.scheduling.scheduler import Decision, Scheduler

_UNTOLD = "its process ended without telling how"
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_SLOT_EVENTS = {Outcome.WAITING: (Event.SLOT_DUE, Level.INFO), Outcome.MISSED: (Event.SLOT_MISSED, Level.WARNING)}


@dataclass(slots=True)
class DueRun:
    """A run whose slot is claimed, and which has not ended."""

    id: str
    slot: Slot
    revision: str
    snapshot: Snapshot | None = None
    """What it is to run on, where it resumes another; else it is what is in force when it starts."""
    resumption: int = 0
    """How many runs there were before it, each resumed by the next."""
    earlier: Earlier | None = None
    """The run that it resumes."""
    generation: Generation | None = None
    """Where it runs; `None` while it waits."""
    configured: Configured | None = None
    """What it carries out."""
    known: bool = False
    """Whether a history that others share has been told that it starts."""
    interrupted: bool = False
    cancelled: bool = False
    """Whether somebody wanted it to end; then nothing goes on with it."""


class Dispatch:
    """Carries decisions out, and tells the scheduler what they come to."""

    def __init__(
        self,
        scheduler: Scheduler,
        reloading: Reloading,
        recorder: Recorder,
        announce: Callable[[Fact], None],
        clock: Clock,
        journals: Path,
    ) -> None:
        """Keep the journals of runs in this folder."""
        self._scheduler = scheduler
        self._reloading = reloading
        self._recorder = recorder
        self._announce = announce
        self._clock = clock
        self._journals = journals
        self._claims: list[Claim] = []
        """Those of this turn of the main loop, which go to the history together."""
        self._unanswered: dict[Slot, Claim] = {}
        self._runs: dict[str, DueRun] = {}
        self._by_slot: dict[Slot, DueRun] = {}
        self._left: dict[str, list[Left]] = {}
        """By pipeline: runs that dead daemons have left, and that are still to be taken up."""
        self._without_code: list[DueRun] = []
        """Those whose turn has come while there is no launcher to run them in."""
        self._starting: list[DueRun] = []
        """Those that start as soon as the history has it that they do, so that no other daemon starts them as well."""
        self._latest: dict[str, datetime] = {}
        """By pipeline: the latest slot that was won."""
        self.on_credit = False
        """Whether claims are taken for won before they are written: the history is out of order, and no one else's."""
        self._stopping = ""
        self.running = 0
        """How many runs have been started and have not ended."""

    # Decisions

    def carry_out(self, decisions: Iterable[Decision]) -> None:
        """Carry decisions out; claims are only gathered, for `flush`."""
        for decision in decisions:
            match decision:
                case Settle(slot, outcome, reason):
                    self._settle(slot, outcome, reason)
                case Start(slot):
                    self._start(self._by_slot[slot])
                case Stop(slot, reason):
                    self._replace(self._by_slot[slot], reason)
                case claim:
                    self._claims.append(self._claim(claim.slot, claim.outcome, claim.reason))

    def flush(self) -> None:
        """Claim what this turn of the main loop has gathered, in one go."""
        claims, self._claims = self._claims, []
        if not claims:
            return
        self._unanswered |= {claim.slot: claim for claim in claims}
        self._recorder.submit(lambda history: history.claim(claims), self._answered)
        if self.on_credit:
            self._take_on_credit()

    def history_troubled(self) -> None:
        """Nothing can be written now. Where nobody else could claim a slot, what is due runs all the same."""
        self.on_credit = self._recorder.exclusive
        if self.on_credit:
            self._take_on_credit()

    def history_replaced(self) -> None:
        """There is a new history, which is to know of every run that has not ended."""
        at = self._clock.now()
        for run in self._runs.values():
            self._recorder.submit(partial(_put_back, self._record(run, at)))
            if run.configured is not None:
                self._recorder.submit(partial(_keep, run.configured))

    def _record(self, run: DueRun, at: datetime) -> RunRecord:
        return RunRecord(
            id=run.id,
            pipeline=run.slot.pipeline,
            slot=run.slot.at,
            revision=run.revision,
            snapshot_id=run.snapshot.id if run.snapshot else None,
            status=RunStatus.WAITING if run.generation is None else RunStatus.RUNNING,
            daemon="",
            claimed_at=at,
            started_at=None if run.generation is None else at,
            resumed_from=run.earlier.run_id if run.earlier else None,
            resumption=run.resumption,
        )

    def history_recovered(self) -> None:
        """Claims are answered again."""
        self.on_credit = False

    # What dead daemons have left

    def adopt(self, runs: Iterable[Left]) -> None:
        """Runs of dead daemons are this one's now. They are taken up when their pipelines are in force."""
        for run in runs:
            self._left.setdefault(run.pipeline, []).append(run)

    def take_up(self, pipelines: Iterable[str]) -> None:
        """Take up what is left of these pipelines, before anything that is claimed from now on."""
        runs = [run for name in pipelines for run in self._left.pop(name, ())]
        if not runs:
            return
        at = self._clock.now()
        versions = {run.pipeline: version for run in runs if (version := self._version(run.pipeline)) is not None}
        ids = {run.id: new_run_id(at) for run in runs}
        plan = Plan(runs=runs, versions=versions, at=at, ids=ids, journals=self._journals)
        self._recorder.submit(lambda history: recover(history, plan), self._recovered)

    def take_up_rest(self) -> None:
        """Take up what is left of pipelines that have not come into force."""
        self.take_up(list(self._left))

    def forget(self, pipeline: str) -> None:
        """A pipeline is gone, and nothing is to be known of it any more."""
        self._latest.pop(pipeline, None)

    def _recovered(self, answer: Sequence[Recovered] | Exception) -> None:
        if isinstance(answer, Exception):
            raise answer
        for each in sorted(answer, key=lambda each: each.run.slot):
            self._resume(each)
        for each in answer:
            if each.begun:
                self._forget_journal(each.run.id)

    def _resume(self, recovered: Recovered) -> None:
        """Go on with a run of a dead daemon, if there is anything to go on with."""
        old, snapshot = recovered.run, recovered.snapshot
        slot = Slot(old.pipeline, old.slot)
        if recovered.begun and not recovered.ended and not recovered.told:
            self._announce_end(DueRun(old.id, slot, old.revision, interrupted=True), old.error or "")
        if not recovered.begun:
            snapshot = snapshot if recovered.earlier is not None else None
            run = DueRun(old.id, slot, old.revision, snapshot, old.resumption, recovered.earlier)
            self._take_up(run, replaced=recovered.replaced, cancelled_by=old.cancel_by)
        elif (new := recovered.next) is not None:
            self._take_up(DueRun(new.id, slot, old.revision, snapshot, new.resumption, recovered.earlier))

    def _take_up(self, run: DueRun, *, replaced: bool = False, cancelled_by: str | None = None) -> None:
        """Have a run that is claimed start when its turn comes."""
        self._add(run)
        if cancelled_by is not None:
            self._settle(run.slot, Outcome.SKIPPED, f"cancelled by {cancelled_by}")
        elif replaced:
            self._settle(run.slot, Outcome.SUPERSEDED, "a later slot has taken its place")
        elif self._scheduler.is_scheduled(run.slot.pipeline):
            begun = run.earlier is not None
            self.carry_out(self._scheduler.restore(run.slot, self._clock.now(), begun=begun))
        else:
            self._settle(run.slot, Outcome.SKIPPED, "its pipeline is not scheduled any more")

    # What comes of it

    def start_waiting(self) -> None:
        """There is a launcher to run in, or a pipeline that was without one has another version: start what waits."""
        waiting, self._without_code = self._without_code, []
        for run in waiting:
            self._start(run)

    def began(self, told: RunBegan) -> None:
        """A run has its process."""
        at = self._clock.now()
        self._recorder.submit(lambda history: history.begin(told.run_id, told.pid, told.pid_started, at))

    def configured(self, told: Configured) -> None:
        """A run tells what it carries out."""
        if told.run_id in self._runs:
            self._runs[told.run_id].configured = told
        self._recorder.submit(partial(_keep, told))

    def told(self, fact: Fact) -> None:
        """A run tells what happens in it."""
        if fact.event == Event.RUN_INTERRUPTED and fact.run_id in self._runs:
            self._runs[fact.run_id].interrupted = True
        self._recorder.observe(fact)
        self._announce(fact)

    def ended(self, told: RunEnded) -> None:
        """A run's process is gone."""
        run = self._runs[told.run_id]
        lost = run.generation not in self._reloading.generations
        if told.error is not None:
            run.interrupted = bool(self._stopping) or lost
            self._announce_end(run, told.error)
        if run.interrupted and self._stopping and not run.cancelled:
            self._leave_to_the_next(run)
        at, status = self._clock.now(), RunStatus.INTERRUPTED if run.interrupted else RunStatus.FAILED
        self._recorder.submit(
            lambda history: history.end(run.id, status, _UNTOLD, at), lambda _: self._forget_journal(run.id)
        )
        self._let_go(run)
        if run.interrupted and lost and not (self._stopping or run.cancelled):
            self.adopt([Left(run.id, run.slot.pipeline, told=True)])
            self.take_up([run.slot.pipeline])

    def refused(self, told: Refused) -> None:
        """A run did not start, as its file is not valid now."""
        run = self._runs[told.run_id]
        now = self._clock.now()
        reason = f"the file is not valid now: {told.faults[0]}" if told.faults else "the file is not valid now"
        for fault in in_order(told.faults):
            self._announce(config_invalid(fault, now, run_id_=run.id))
        self._settle(run.slot, Outcome.REFUSED, reason)
        self._let_go(run)

    @property
    def has_runs(self) -> bool:
        """Whether there is a run that has not ended, waiting or running."""
        return bool(self._runs)

    def cancel(self, run_id: str, reason: str) -> None:
        """Somebody wants a run to end: where it has not begun, it never does."""
        run = self._runs.get(run_id)
        if run is None or run.cancelled:
            return
        if run.generation is not None:
            run.cancelled = True
            self._stop(run, reason)
        elif run in self._without_code or run in self._starting:
            self._withdraw(run, Outcome.SKIPPED, reason)
        else:
            self.carry_out(self._scheduler.cancel(run.slot, reason, self._clock.now()))

    # The end

    def stop(self, reason: str) -> None:
        """Stop every run in order; what they leave unfinished is for the next daemon."""
        self._stopping = reason
        for run in self._starting:
            self._wait_again(run)
        self._starting.clear()
        for run in list(self._runs.values()):
            self._stop(run, reason)

    def kill(self) -> None:
        """Stop every run at once."""
        for run in self._runs.values():
            if run.generation is not None:
                run.generation.kill(run.id)

    # Claims

    def _claim(self, slot: Slot, outcome: Outcome, reason: str) -> Claim:
        in_force = self._reloading.in_force(slot.pipeline)
        now = self._clock.now()
        return Claim(
            slot=slot,
            outcome=outcome,
            at=now,
            reason=reason or None,
            run_id=new_run_id(now) if outcome is Outcome.WAITING else None,
            revision=in_force.version.revision if in_force else "",
            snapshot_id=in_force.snapshot.id if in_force else None,
        )

    def _answered(self, answers: Sequence[Claimed] | Exception) -> None:
        """The history has answered claims; those that were taken for won meanwhile are not among the unanswered."""
        if isinstance(answers, Exception):
            raise answers
        for answer in answers:
            if self._unanswered.get(answer.claim.slot) is answer.claim:
                self._won_or_lost(answer.claim, won=answer.won, busy=answer.busy)

    def _take_on_credit(self) -> None:
        """Take claims for won, but of slots that may have been won before: the clock may have been set back."""
        for claim in list(self._unanswered.values()):
            if claim.slot.at > self._latest.get(claim.slot.pipeline, _LONG_AGO):
                self._won_or_lost(claim, won=True)

    def _won_or_lost(self, claim: Claim, *, won: bool, busy: bool = False) -> None:
        del self._unanswered[claim.slot]
        if won:
            self._latest[claim.slot.pipeline] = max(claim.slot.at, self._latest.get(claim.slot.pipeline, _LONG_AGO))
            self._announce_slot(claim.slot, claim.outcome, claim.reason, claim.revision)
        if claim.run_id is None:
            return
        if won:
            self._add(DueRun(claim.run_id, claim.slot, claim.revision))
        self.carry_out(self._scheduler.claimed(claim.slot, self._clock.now(), won=won, busy=busy))

    def _settle(self, slot: Slot, outcome: Outcome, reason: str) -> None:
        """A slot whose run was to start comes to something else."""
        run, at = self._by_slot.pop(slot), self._clock.now()
        self._runs.pop(run.id)
        if run.earlier is not None:
            run.interrupted = True
            self._announce_end(run, f"it is not resumed: {reason}")
            return
        self._recorder.submit(partial(_decide, run.id, slot, outcome, at, reason))
        self._announce_slot(slot, outcome, reason, run.revision)

    def _announce_slot(self, slot: Slot, outcome: Outcome, reason: str | None, revision: str) -> None:
        event, level = _SLOT_EVENTS.get(outcome, (Event.SLOT_SKIPPED, Level.WARNING))
        details: dict[str, Any] = {"slot": slot.at.isoformat()}
        if outcome is not Outcome.WAITING:
            details |= {"outcome": outcome, "reason": reason}
        if outcome is Outcome.REFUSED:
            level = Level.ERROR
        now = self._clock.now()
        fact = Fact(event=event, at=now, level=level, pipeline=slot.pipeline, revision=revision, details=details)
        self._announce(fact)

    # Runs

    def _add(self, run: DueRun) -> None:
        self._runs[run.id] = self._by_slot[run.slot] = run

    def _version(self, name: str) -> Any:
        in_force = self._reloading.in_force(name)
        return in_force.version if in_force else None

    def _start(self, run: DueRun) -> None:
        """Order the run from the launcher that has the code which its version is valid with."""
        in_force = self._reloading.in_force(run.slot.pipeline)
        if in_force is None and run.snapshot is None:
            self._settle(run.slot, Outcome.SKIPPED, "its pipeline is gone")
            self._let_go(run)
            return
        generation = in_force.generation if in_force and run.snapshot is None else self._reloading.current
        snapshot = run.snapshot or (in_force.snapshot if in_force else None)
        if generation is None or snapshot is None or generation not in self._reloading.generations:
            self._await_code(run)
            return
        if not (run.known or self._recorder.exclusive):
            self._start_soon(run)
            return
        run.generation = generation
        self.running += 1
        run.revision = run.revision if run.snapshot or in_force is None else in_force.version.revision
        order = RunOrder(
            run_id=run.id,
            snapshot=snapshot,
            slot=run.slot.at,
            instance=instance_of(run.slot.pipeline),
            journal=self._journal(run.id),
            earlier=run.earlier,
        )
        try:
            generation.run(order)
        except TooLargeError as error:
            words = f"what its steps had handed on comes to {error} bytes, too much to resume it with"
            self.ended(RunEnded(run_id=run.id, status=1, error=words))

    def _start_soon(self, run: DueRun) -> None:
        """Start a run once the history has it that it does: were this daemon to die, another would start it again."""
        run.known, at = True, self._clock.now()
        self._starting.append(run)
        self._recorder.submit(lambda history: history.start_soon(run.id, at), partial(self._start_now, run))

    def _start_now(self, run: DueRun, answer: Exception | None) -> None:
        """The history has it that a run starts, which nobody may want any more."""
        if isinstance(answer, Exception):
            raise answer
        if run in self._starting:
            self._starting.remove(run)
            self._start(run)

    def _wait_again(self, run: DueRun) -> None:
        """A run does not start just now, whatever the history has been told."""
        if run.known:
            run.known = False
            self._recorder.submit(lambda history: history.wait_again(run.id))

    def _await_code(self, run: DueRun) -> None:
        """Have a run wait for a launcher, if there is to be one for it."""
        self._wait_again(run)
        if run.snapshot is None and self._reloading.is_stranded(run.slot.pipeline):
            self._settle(run.slot, Outcome.REFUSED, "the tasks' code is not what its last good version needs")
            self._let_go(run)
        else:
            self._without_code.append(run)

    def _replace(self, run: DueRun, reason: str) -> None:
        """Stop a run that a later slot takes the place of; where it has not been ordered, it never starts."""
        if run in self._without_code or run in self._starting:
            self._withdraw(run, Outcome.SUPERSEDED, reason)
        else:
            self._stop(run, reason)

    def _withdraw(self, run: DueRun, outcome: Outcome, reason: str) -> None:
        """A run that waits for a launcher, or for the history, is not to start."""
        (self._without_code if run in self._without_code else self._starting).remove(run)
        self._settle(run.slot, outcome, reason)
        self._let_go(run)

    def _stop(self, run: DueRun, reason: str) -> None:
        if run.generation is not None:
            run.generation.stop(run.id, reason)

    def _announce_end(self, run: DueRun, error: str) -> None:
        """Tell of the end of a run that could not tell of it itself."""
        event, level = (Event.RUN_INTERRUPTED, Level.WARNING) if run.interrupted else (Event.RUN_FAILED, Level.ERROR)
        fact = Fact(
            event=event,
            at=self._clock.now(),
            level=level,
            pipeline=run.slot.pipeline,
            revision=run.revision,
            run_id=run.id,
            details={"error": error},
        )
        self._recorder.observe(fact)
        self._announce(fact)

    def _leave_to_the_next(self, run: DueRun) -> None:
        """Have a run that this daemon's end interrupts taken up by the next one."""
        version, at = self._version(run.slot.pipeline), self._clock.now()
        if run.resumption < MOST_RESUMPTIONS and version is not None and version.resume is Resume.AUTO:
            new_id = new_run_id(at)
            self._recorder.submit(lambda history: history.resume(run.id, new_id, at))

    def _let_go(self, run: DueRun) -> None:
        """A run has ended: others have room."""
        self._runs.pop(run.id, None)
        self.running -= run.generation is not None
        if self._by_slot.get(run.slot) is run:
            del self._by_slot[run.slot]
        self.carry_out(self._scheduler.ended(run.slot, self._clock.now()))

    def _journal(self, run_id: str) -> Path:
        return self._journals / f"{run_id}.jsonl"

    def _forget_journal(self, run_id: str) -> None:
        """The history has it all, and the process of the run is gone."""
        with suppress(OSError):
            self._journal(run_id).unlink(missing_ok=True)


def _keep(told: Configured, history: History) -> None:
    """Have a history keep what a run carries out."""
    history.configured(told.run_id, told.config, told.commit)


def _decide(run_id: str, slot: Slot, outcome: Outcome, at: datetime, reason: str, history: History) -> None:
    """Have a slot come to something else than its run, which the history may take for started."""
    history.wait_again(run_id)
    history.decide(slot, outcome, at, reason)


def _put_back(run: RunRecord, history: History) -> None:
    """Have a history know of a run, and of its slot."""
    history.restore(run)
    slot = Slot(run.pipeline, run.slot)
    history.claim([Claim(slot=slot, outcome=Outcome.WAITING, at=run.claimed_at, run_id=run.id)])
    if run.status is RunStatus.RUNNING:
        history.decide(slot, Outcome.RAN, run.claimed_at)
