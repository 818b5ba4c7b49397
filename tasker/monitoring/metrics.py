"""What happened, counted.

Not to be confused with the history, which knows each run: this knows how many there were since the daemon started. How
Prometheus reads it is `exposition`'s.
"""

from __future__ import annotations

from bisect import bisect_left
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import accumulate
from threading import Lock
from typing import TYPE_CHECKING

from tasker.facts import Event
from tasker.monitoring.overdue import Expectation, Standing
from tasker.run import Status
from tasker.scheduling.timetable import Timetable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tasker.facts import Fact
    from tasker.pipeline import Schedule

MOST = 10_000
"""Pipelines, and files, that have series of their own: a folder that overflows must not overflow Prometheus."""
OTHERS = "(others)"
"""The label of all further ones, and of runs that outlive their pipeline; no pipeline can have this name."""
STATUSES = tuple(map(str, (Status.SUCCEEDED, Status.FAILED, Status.INTERRUPTED)))
OUTCOMES = ("ran", "skipped", "missed", "superseded", "refused")
DURATIONS_S = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 10_800, 43_200)
"""What runs may take: from a blink to a night."""
LATENESS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3600, 21_600)
"""How late slots may start: from waking in time to being made up for in the morning."""

_ENDS = {
    Event.RUN_SUCCEEDED: Status.SUCCEEDED,
    Event.RUN_FAILED: Status.FAILED,
    Event.RUN_INTERRUPTED: Status.INTERRUPTED,
}
_COUNTED = frozenset({*_ENDS, Event.RUN_STARTED, Event.SLOT_DUE, Event.SLOT_SKIPPED, Event.SLOT_MISSED})
_BAD_ENDS = {Status.FAILED: "its last run failed", Status.INTERRUPTED: "its last run was interrupted"}
_BAD_OUTCOMES = ("missed", "refused")


class Histogram:
    """How many values there were up to each bound, and their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def told(self) -> tuple[list[tuple[str, float]], float]:
        """The buckets as Prometheus has them, each with all below it, and the sum."""
        names = (*(str(float(bound)) for bound in self._bounds), "+Inf")
        return list(zip(names, accumulate(self._counts), strict=True)), self._sum


@dataclass(slots=True, kw_only=True)
class Tally:
    """All that is counted of one pipeline."""

    file: str = ""
    standing: Standing | None = None
    """`None` where nothing is known of a schedule."""
    expectation: Expectation | None = None
    runs: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATUSES, 0))
    slots: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    durations: Histogram = field(default_factory=lambda: Histogram(DURATIONS_S))
    running: set[str | None] = field(default_factory=set)
    """Ids of runs."""
    waiting: set[datetime] = field(default_factory=set)
    """Slots whose run has not begun."""

    def overdue(self, now: datetime) -> str | None:
        """Why the pipeline is overdue; `None` where it is not, or has no schedule."""
        if self.expectation is None or self.standing is None:
            return None
        return self.expectation.overdue(replace(self.standing, busy=bool(self.running or self.waiting)), now)

    def start(self, fact: Fact) -> timedelta | None:
        """Count a run that begins; how late it is, where it is its slot's first one."""
        self.running.add(fact.run_id)
        slot = _moment(fact.details.get("slot"))
        self._settle(slot)
        if slot is None or fact.details.get("resumed_from"):
            return None
        self.slots["ran"] += 1
        return max(fact.at - slot, timedelta())

    def end(self, fact: Fact, status: Status) -> None:
        """Count a run that has ended."""
        self.running.discard(fact.run_id)
        self.runs[status] += 1
        self.durations.add(float(fact.details.get("duration_s") or 0))
        if self.standing is None:
            return
        if status is Status.SUCCEEDED:
            self.standing = self.standing.succeed(fact.at)
        else:
            self.standing = replace(self.standing, bad_end=_BAD_ENDS[status])

    def decide(self, fact: Fact) -> None:
        """Count what became of a slot, or that its run waits."""
        slot = _moment(fact.details.get("slot"))
        self._settle(slot)
        if fact.event == Event.SLOT_DUE:
            self.waiting.update(() if slot is None else (slot,))
            return
        outcome = str(fact.details.get("outcome"))
        if outcome in self.slots:
            self.slots[outcome] += 1
        if outcome in _BAD_OUTCOMES and self.standing is not None:
            self.standing = replace(self.standing, bad_end=f"its slot of {fact.details.get('slot')} was {outcome}")

    def _settle(self, slot: datetime | None) -> None:
        if slot is None:
            return
        self.waiting.discard(slot)
        if self.standing is not None:
            self.standing = self.standing.decide(slot)


class Metrics:
    """Counts what happens. Everything may be called from any thread; nothing blocks."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._tallies: dict[str, Tally] = {}
        self.lateness = Histogram(LATENESS_S)

    def observe(self, fact: Fact) -> None:
        """Count a fact: runs and slots."""
        if fact.event not in _COUNTED:
            return
        with self._lock:
            tally = self._tallies.get(fact.pipeline or OTHERS) or self._tallies.setdefault(OTHERS, Tally())
            if fact.event == Event.RUN_STARTED:
                late = tally.start(fact)
                if late is not None:
                    self.lateness.add(late.total_seconds())
            elif fact.event in _ENDS:
                tally.end(fact, _ENDS[Event(fact.event)])
            else:
                tally.decide(fact)

    def keep(
        self,
        pipeline: str,
        *,
        file: str,
        since: datetime,
        schedule: Schedule | None = None,
        timeout: timedelta | None = None,
        succeeded_at: datetime | None = None,
        decided: datetime | None = None,
        last_run: Status | None = None,
    ) -> None:
        """Tell of this pipeline from now on, or of its new version.

        Its slots count from `since` on: when its schedule took effect. A daemon that starts knows from the history when
        it last succeeded, its latest slot that has an outcome (`decided`), and how its last run ended; of a new version
        these may be left out.
        """
        expectation = None if schedule is None else _expectation(schedule, timeout)
        with self._lock:
            if pipeline not in self._tallies and len(self._tallies) >= MOST:
                return
            tally = self._tallies.setdefault(pipeline, Tally())
            before = tally.standing or Standing(since=since, bad_end=last_run and _BAD_ENDS.get(last_run))
            tally.file, tally.expectation = file, expectation
            tally.standing = replace(
                before,
                since=since,
                succeeded_at=succeeded_at or before.succeeded_at,
                decided=decided or before.decided,
            )

    def forget(self, pipeline: str) -> None:
        """The pipeline is gone, and so are its series."""
        with self._lock:
            self._tallies.pop(pipeline, None)

    def overdue(self, now: datetime) -> Mapping[str, str]:
        """Why pipelines are overdue, those that are."""
        told = ((name, tally.overdue(now)) for name, tally in self.tallies().items())
        return {name: reason for name, reason in told if reason}

    def tallies(self) -> dict[str, Tally]:
        """What is counted, by pipeline, as it is now: the numbers in it go on."""
        with self._lock:
            return dict(self._tallies)


def _expectation(schedule: Schedule, timeout: timedelta | None) -> Expectation:
    return Expectation(Timetable.of(schedule).next, jitter=schedule.jitter, timeout=timeout)


def _moment(told: object) -> datetime | None:
    """The slot that a fact tells of, where it does."""
    with suppress(ValueError):
        moment = datetime.fromisoformat(told) if isinstance(told, str) else None
        return moment if moment is not None and moment.tzinfo is not None else None
    return None
