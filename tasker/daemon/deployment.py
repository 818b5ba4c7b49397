"""What reloads come to, acted on: pipelines scheduled, kept in the history and counted, and faults told."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from tasker.facts import Event, Fact, config_invalid, config_loaded
from tasker.faults import in_order
from tasker.history import PipelineRecord
from tasker.pipeline import Schedule
from tasker.records import from_json, to_json
from tasker.scheduling.timetable import Timetable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from tasker.clock import Clock
    from tasker.daemon.dispatch import Dispatch
    from tasker.daemon.recovery import Remembered
    from tasker.daemon.reloading import Change, InForce
    from tasker.faults import Fault
    from tasker.history import History
    from tasker.history.recorder import Recorder
    from tasker.launching.snapshot import Snapshot
    from tasker.launching.versions import Version
    from tasker.monitoring.metrics import Metrics
    from tasker.scheduling.alarm import Alarm
    from tasker.scheduling.scheduler import Scheduler

_NO_SCHEDULE = "its file has no schedule any more"
_NO_FILE = "its file is gone"


class Deployment:
    """Observes reloads."""

    def __init__(
        self,
        scheduler: Scheduler,
        dispatch: Dispatch,
        alarm: Alarm,
        recorder: Recorder,
        announce: Callable[[Fact], None],
        clock: Clock,
        metrics: Metrics | None,
    ) -> None:
        self._scheduler = scheduler
        self._dispatch = dispatch
        self._alarm = alarm
        self._recorder = recorder
        self._announce = announce
        self._clock = clock
        self._metrics = metrics
        self._remembered: dict[str, Remembered] = {}
        self._since: dict[str, datetime] = {}
        """By pipeline: from when on its slots count."""
        self.faults: dict[str, tuple[Fault, ...]] = {}
        """The faults of each file that is not valid as it stands."""
        self.runs_on: dict[str, str] = {}
        """By file that is not valid: the revision of the version that stays in force, or how many instances do."""

    def remember(self, remembered: Iterable[Remembered]) -> None:
        """Take up where earlier daemons left off."""
        self._remembered = {each.record.name: each for each in remembered}

    def settled(self, lacks: Callable[[str], bool]) -> None:
        """All files are validated: what of earlier daemons' pipelines has not come back is gone.

        Unless its file `lacks` a version: there it is not valid, and so was what was in force before.
        """
        for name in [name for name, each in self._remembered.items() if not lacks(each.record.file)]:
            remembered, at = self._remembered.pop(name), self._clock.now()
            self._announce_removal(name, remembered.record.file, at)
            self._decide(remembered, at)
            self._forget(name, at)

    def keep_all(self, pipelines: Iterable[InForce]) -> None:
        """The history has been lost, and is to know of the pipelines again."""
        self._keep(pipelines)

    # What reloads come to

    def deployed(self, changed: Sequence[Change], same: Sequence[InForce]) -> None:
        """Pipelines have new versions in force; others are the same as before, on a newer snapshot of their file."""
        at = self._clock.now()
        remembered = [self._remembered.pop(each.now.version.name, None) for each in changed]
        for change, known in zip(changed, remembered, strict=True):
            self._announce(_loaded(change.now.version, at))
            self._date(change, known, at)
            self._count(change.now.version, known)
        self._dispatch.take_up([each.now.version.name for each in changed])
        for change, known in zip(changed, remembered, strict=True):
            self._schedule(change.now.version, at, known)
        # What is kept of the new schedules must not be there before the claims of the old ones' last slots are.
        self._dispatch.flush()
        self._keep([*(each.now for each in changed), *same])
        self._dispatch.start_waiting()

    def withdrawn(self, gone: Sequence[InForce]) -> None:
        """Pipelines are gone."""
        at = self._clock.now()
        for version in (each.version for each in gone):
            self._announce_removal(version.name, version.file, at, version.revision)
            self._forget(version.name, at)
        self._dispatch.start_waiting()

    def invalid(self, file: str, faults: tuple[Fault, ...], runs_on: Sequence[Version]) -> None:
        """A file has faults; the last good versions, where they stay in force."""
        told = {"runs_on": _summary(runs_on)} if runs_on else {}
        for fault in in_order(faults):
            self._announce(config_invalid(fault, self._clock.now(), **told))
        self.faults = {**self.faults, file: faults}
        self.runs_on = {**self.runs_on, **({file: _summary(runs_on)} if runs_on else {})}

    def restored(self, file: str, versions: Sequence[Version]) -> None:
        """The last good versions of a file that is not valid are in force again."""
        self.runs_on = {**self.runs_on, file: _summary(versions)}

    def mended(self, file: str) -> None:
        """A file that had faults has none, or is gone."""
        self._announce(Fact(event=Event.CONFIG_MENDED, at=self._clock.now(), details={"file": file}))
        self.faults = {name: faults for name, faults in self.faults.items() if name != file}
        self.runs_on = {name: revision for name, revision in self.runs_on.items() if name != file}

    def stranded(self, name: str) -> None:  # noqa: ARG002 - whoever waits for code asks anew
        """No code is left for a version: what waits for it is refused."""
        self._dispatch.start_waiting()

    # The schedule

    def _count(self, version: Version, remembered: Remembered | None) -> None:
        """Have the metrics know of it before its slots come."""
        if self._metrics:
            self._metrics.keep(
                version.name,
                file=version.file,
                since=self._since[version.name],
                schedule=version.schedule,
                timeout=version.timeout,
                succeeded_at=remembered.succeeded_at if remembered else None,
                decided=remembered.decided if remembered else None,
                last_run=remembered.last_run if remembered else None,
            )

    def _date(self, change: Change, remembered: Remembered | None, at: datetime) -> None:
        """Take down from when on the slots of a new version count: its schedule may be the one that there was."""
        version, before = change.now.version, change.before
        schedule_before = before.version.schedule if before else _schedule(remembered)
        if version.name not in self._since or version.schedule != schedule_before:
            unchanged = remembered is not None and version.schedule == schedule_before
            self._since[version.name] = remembered.record.since if remembered and unchanged else at

    def _schedule(self, version: Version, at: datetime, remembered: Remembered | None) -> None:
        """Schedule a version; what the schedule of an earlier daemon still asked for is decided on first."""
        if remembered is not None:
            self._decide(remembered, at)
        if version.schedule is None:
            self._unschedule(version.name, _NO_SCHEDULE, at)
        else:
            self._dispatch.carry_out(self._scheduler.put(version.name, version.schedule, at))
            self._alarm.put(version.name, Timetable.of(version.schedule))

    def _decide(self, remembered: Remembered, at: datetime) -> None:
        """Decide on the slots that came while nothing was running."""
        if (before := _schedule(remembered)) is not None:
            since = max(filter(None, (remembered.record.since, remembered.decided)))
            self._dispatch.carry_out(self._scheduler.put(remembered.record.name, before, at, since))

    def _unschedule(self, name: str, reason: str, at: datetime) -> None:
        self._alarm.remove(name)
        self._dispatch.carry_out(self._scheduler.remove(name, reason, at))
        self._dispatch.flush()

    def _announce_removal(self, name: str, file: str, at: datetime, revision: str | None = None) -> None:
        event = Event.CONFIG_REMOVED
        self._announce(Fact(event=event, at=at, pipeline=name, revision=revision, details={"file": file}))

    def _forget(self, name: str, at: datetime) -> None:
        """A pipeline is scheduled no longer, and the next daemon need not know of it."""
        self._unschedule(name, _NO_FILE, at)
        self._since.pop(name, None)
        self._dispatch.forget(name)
        self._recorder.submit(lambda history: history.forget_pipeline(name))
        if self._metrics:
            self._metrics.forget(name)

    def _keep(self, pipelines: Iterable[InForce]) -> None:
        """Have the next daemon know of them; those of one file at one go, with its texts."""
        at = self._clock.now()
        by_snapshot: dict[str, tuple[Snapshot, list[PipelineRecord]]] = {}
        for each in pipelines:
            _, records = by_snapshot.setdefault(each.snapshot.id, (each.snapshot, []))
            records.append(self._record(each, at))
        for snapshot, records in by_snapshot.values():
            self._recorder.submit(partial(_kept, records, json.dumps(to_json(snapshot))))

    def _record(self, in_force: InForce, at: datetime) -> PipelineRecord:
        version = in_force.version
        return PipelineRecord(
            name=version.name,
            file=version.file,
            since=self._since[version.name],
            schedule=to_json(version.schedule) if version.schedule else None,
            snapshot_id=in_force.snapshot.id,
            updated_at=at,
        )


def _kept(records: Sequence[PipelineRecord], snapshot: str, history: History) -> None:
    history.keep_pipelines(records, snapshot)


def _summary(versions: Sequence[Version]) -> str:
    """What stays in force of a file, in a word: the revision of its pipeline, or how many instances there are."""
    if len(versions) == 1:
        return versions[0].revision
    return f"{len(versions)} instances"


def _loaded(version: Version, at: datetime) -> Fact:
    """The fact that a version is in force, and when it is due from now on."""
    fact, schedule = config_loaded(version.name, version.revision, version.file, at), version.schedule
    if schedule is None:
        return fact
    due = Timetable.of(schedule).next(at)
    told = {"cron": list(schedule.cron), "timezone": schedule.timezone}
    return replace(fact, details={**fact.details, **told, **({"next_slot": due.isoformat()} if due else {})})


def _schedule(remembered: Remembered | None) -> Schedule | None:
    """The schedule that an earlier daemon went by."""
    told: Mapping[str, object] | None = remembered.record.schedule if remembered else None
    return from_json(Schedule, told) if told is not None else None
