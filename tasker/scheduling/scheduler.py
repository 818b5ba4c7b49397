"""Pipelines and a clock to slots, and what becomes of each: decisions, without effects.

Time comes in as an argument. What is decided is carried out by whoever asks: a slot is claimed in the history before
its run starts, and the answer comes back here.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, TypeAlias

from tasker.durations import format_duration
from tasker.pipeline import Catchup, Overlap
from tasker.run import Outcome, Slot
from tasker.scheduling.timetable import Timetable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tasker.pipeline import Schedule

ON_TIME = timedelta(seconds=60)
"""How late a slot may be seen and still count as seen in time: a busy machine is not one where nothing is running."""
MOST_QUEUED = 1000
"""Slots of one pipeline that may wait for each other: more are skipped, or a slow pipeline would wait for ever."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A slot is due, and is to be claimed with this outcome; whether that was won is to be told to `claimed`."""

    slot: Slot
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Settle:
    """A slot that was claimed and waits comes to something other than a run."""

    slot: Slot
    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True)
class Start:
    """The run of a slot is to start; its end is to be told to `ended`."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class Stop:
    """The run of a slot is to be ended."""

    slot: Slot
    reason: str


Decision: TypeAlias = Claim | Settle | Start | Stop


@dataclass(slots=True, eq=False)
class _Waiting:
    """A slot whose run has not started."""

    slot: Slot
    start_at: datetime
    deadline: datetime | None
    queued: bool = False
    """It stands in line whatever the overlap: it is made up for."""
    claimed: bool = False
    due: bool = False
    """It is claimed, and its moment has come."""
    offered: bool = False
    """It waits for a place among the runs that go on at once."""
    gone: bool = False
    """It has come to something else, and lies in a heap still."""


@dataclass(slots=True, eq=False)
class _Line:
    """A pipeline that has a schedule, or had one and has not come to rest."""

    schedule: Schedule
    table: Timetable
    decided: datetime
    """The moment up to which every slot has been decided on."""
    upcoming: datetime | None
    awaited: datetime | None = None
    """The slot that the scheduler wakes for."""
    removed: str | None = None
    """Why it is not scheduled any more."""
    waiting: dict[Slot, _Waiting] = field(default_factory=dict)
    order: list[tuple[datetime, int, _Waiting]] = field(default_factory=list)
    """A heap of those that wait, by slot: none starts before an earlier one has come to something."""
    running: set[Slot] = field(default_factory=set)
    stopping: set[Slot] = field(default_factory=set)

    @property
    def at_rest(self) -> bool:
        return not self.waiting and not self.running

    @property
    def first(self) -> _Waiting | None:
        """The earliest of those that wait."""
        while self.order and self.order[0][2].gone:
            heapq.heappop(self.order)
        return self.order[0][2] if self.order else None

    @property
    def turn(self) -> _Waiting | None:
        """Whose run may start as soon as there is a place."""
        first = self.first
        free = not self.running or self.schedule.overlap is Overlap.ALLOW
        return first if first is not None and first.due and free else None

    def active(self) -> str:
        """What a slot that comes now finds: empty where there is nothing."""
        if self.running:
            return f"the run of {min(self.running)} is still going"
        return f"the run of {self.first.slot} has not started yet" if self.first else ""

    def replacement(self, waiting: _Waiting) -> Slot | None:
        """The latest slot that takes the place of one that waits."""
        if self.schedule.overlap is not Overlap.REPLACE:
            return None
        later = (each.slot for each in self.waiting.values() if not each.queued and each.slot > waiting.slot)
        return max(later, default=None)


class Scheduler:
    """Says what becomes of every slot of every pipeline."""

    def __init__(self, most_at_once: int) -> None:
        """Let at most so many runs go on at once; the others wait, in the order of their slots."""
        self._most_at_once = most_at_once
        self._lines: dict[str, _Line] = {}
        self._numbers = itertools.count()
        self._upcoming: list[tuple[datetime, str]] = []
        self._ready: list[tuple[datetime, int, _Waiting]] = []
        self._timers: list[tuple[datetime, int, _Waiting]] = []
        self._stopped = False
        self.running = 0
        """How many runs go on."""
        self.waiting = 0
        """How many slots wait for their run to start."""

    # What there is to schedule

    def put(self, name: str, schedule: Schedule, now: datetime, since: datetime | None = None) -> list[Decision]:
        """Schedule a pipeline from now on; what its last schedule still asked for is decided first.

        `since` is the moment up to which its slots were decided on before this program began: later ones were missed
        while nothing was running.
        """
        line = self._lines.get(name)
        decisions = self._due(name, line, now) if line else []
        if line is None or line.removed is not None or line.schedule != schedule:
            line = self._lines[name] = self._line(schedule, line, now, since)
            decisions += self._catch_up(name, line, now, now)
            self._await(name, line)
            self._offer(line)
        return decisions + self._launch(now)

    def remove(self, name: str, reason: str, now: datetime) -> list[Decision]:
        """Schedule a pipeline no longer: what waits is skipped, what runs goes on."""
        line = self._lines.get(name)
        if line is None:
            return []
        decisions = self._due(name, line, now)
        line.removed, line.upcoming = reason, None
        claimed = [waiting for waiting in line.waiting.values() if waiting.claimed]
        decisions += [self._settle(waiting, Outcome.SKIPPED, reason) for waiting in claimed]
        self._forget(name, line)
        return decisions + self._launch(now)

    def restore(self, slot: Slot, now: datetime, *, begun: bool) -> list[Decision]:
        """Take up a slot that was claimed before and has come to no end; a deadline is for what has not `begun`.

        The slots of a pipeline are to be restored in their order, after it is put.
        """
        line = self._lines[slot.pipeline]
        if slot in line.running:
            return []
        waiting = line.waiting.get(slot) or self._wait(_Waiting(slot, now, _deadline(slot, line.schedule)), line)
        if begun:
            waiting.deadline = None
        return [*self._admit(waiting, line, now), *self._launch(now)]

    # What happens

    def tick(self, now: datetime) -> list[Decision]:
        """Decide on everything that has come due."""
        decisions: list[Decision] = []
        while self._upcoming and self._upcoming[0][0] <= now:
            at, name = heapq.heappop(self._upcoming)
            line = self._lines.get(name)
            if line and line.awaited == at:
                line.awaited = None
            if line and line.upcoming == at:
                decisions += self._due(name, line, now)
        while self._timers and self._timers[0][0] <= now:
            waiting = heapq.heappop(self._timers)[2]
            if not waiting.gone:
                decisions += self._turn_later(waiting, now)
        return decisions + self._launch(now)

    def claimed(self, slot: Slot, now: datetime, *, won: bool, busy: bool = False) -> list[Decision]:
        """A claim that was to wait was won or lost; `busy`: another daemon has a run of this pipeline under way."""
        line = self._lines.get(slot.pipeline)
        waiting = line.waiting.get(slot) if line else None
        if line is None or waiting is None or waiting.claimed:
            return []
        decisions: list[Decision] = []
        if not waiting.queued and (waiting.deadline is None or now <= waiting.deadline):
            decisions += self._stop_earlier(slot, line)
        if not won:
            self._drop(waiting)
        elif busy and line.schedule.overlap is Overlap.SKIP and not waiting.queued:
            decisions.append(self._settle(waiting, Outcome.SKIPPED, "a run of it is still going elsewhere"))
        else:
            decisions += self._admit(waiting, line, now)
        self._forget(slot.pipeline, line)
        return decisions + self._launch(now)

    def cancel(self, slot: Slot, reason: str, now: datetime) -> list[Decision]:
        """Nobody wants the run of a slot any more, which is claimed and waits; what has started goes on."""
        line = self._lines.get(slot.pipeline)
        waiting = line.waiting.get(slot) if line else None
        if line is None or waiting is None or not waiting.claimed:
            return []
        decisions: list[Decision] = [self._settle(waiting, Outcome.SKIPPED, reason)]
        self._forget(slot.pipeline, line)
        return decisions + self._launch(now)

    def ended(self, slot: Slot, now: datetime) -> list[Decision]:
        """The run of a slot has ended, or could not begin."""
        line = self._lines.get(slot.pipeline)
        if line is None or slot not in line.running:
            return []
        line.running.discard(slot)
        line.stopping.discard(slot)
        self.running -= 1
        self._offer(line)
        self._forget(slot.pipeline, line)
        return self._launch(now)

    def rewind(self, now: datetime) -> None:
        """The clock was set back: slots that have not been claimed are due when their moment comes again."""
        for name, line in self._lines.items():
            if line.removed is None and line.decided > now:
                line.decided, line.upcoming = now, line.table.next(now)
                self._await(name, line)
            for waiting in line.waiting.values():
                # What was due already does not wait for its moment once more.
                waiting.start_at = min(waiting.start_at, now + line.schedule.jitter)
                if waiting.claimed and not waiting.due:
                    self._wake(waiting.start_at, waiting)

    def stop(self) -> None:
        """From now on nothing starts."""
        self._stopped = True

    # What it waits for

    @property
    def turns_at(self) -> datetime | None:
        """The next moment at which a slot that waits may start, or may no longer; stale ones among them."""
        return self._timers[0][0] if self._timers else None

    def is_scheduled(self, name: str) -> bool:
        """Whether the pipeline has a schedule."""
        return name in self._lines and self._lines[name].removed is None

    def upcoming(self, name: str) -> datetime | None:
        """The pipeline's next slot."""
        return self._lines[name].upcoming if name in self._lines else None

    # Which slots are due

    def _due(self, name: str, line: _Line, now: datetime) -> list[Decision]:
        """Decide on the slots up to now."""
        decisions: list[Decision] = []
        if line.upcoming is not None and line.upcoming <= now - ON_TIME:
            seen_in_time = ON_TIME if line.schedule.catchup is Catchup.NONE else timedelta()
            decisions += self._catch_up(name, line, now - seen_in_time, now)
        while line.upcoming is not None and line.upcoming <= now:
            slot = Slot(name, line.upcoming)
            line.decided, line.upcoming = line.upcoming, line.table.next(line.upcoming)
            decisions += self._come(slot, line, now)
        self._await(name, line)
        return decisions

    def _catch_up(self, name: str, line: _Line, until: datetime, now: datetime) -> Iterator[Decision]:
        """Decide on the slots up to `until`, which nothing has seen in time, by the rule for these."""
        if line.upcoming is None or line.upcoming > until:
            return
        first = line.upcoming
        backlog = line.table.between(line.decided, until)
        line.decided, line.upcoming = until, line.table.next(until)
        if backlog.before is not None:
            reason = (
                f"nothing was running until {backlog.before:%Y-%m-%d %H:%M:%S} UTC: it stands for all slots till then"
            )
            yield Claim(Slot(name, first), Outcome.MISSED, reason)
        made_up = _made_up(backlog.slots, line, now)
        for at in backlog.slots:
            if at in made_up:
                yield from self._come(Slot(name, at), line, now, queued=line.schedule.catchup is Catchup.ALL)
            else:
                yield Claim(
                    Slot(name, at), Outcome.MISSED, f"nothing was running, and catchup = {line.schedule.catchup}"
                )

    def _come(self, slot: Slot, line: _Line, now: datetime, *, queued: bool = False) -> Iterator[Decision]:
        """Decide on a slot that has come; `queued` where it is to wait for those before it whatever the overlap."""
        if slot in line.waiting or slot in line.running:
            return  # the clock was set back, and it comes again
        deadline = _deadline(slot, line.schedule)
        if deadline is not None and now > deadline:
            yield Claim(slot, Outcome.MISSED, _too_late(slot, deadline))
            return
        active = line.active()
        if active and line.schedule.overlap is Overlap.SKIP and not queued:
            yield Claim(slot, Outcome.SKIPPED, active)
            return
        if len(line.waiting) >= MOST_QUEUED:
            yield Claim(slot, Outcome.SKIPPED, f"{MOST_QUEUED} slots of this pipeline are waiting already")
            return
        waiting = _Waiting(slot, _start_at(slot, line.schedule), deadline, queued)
        yield from self._supersede(self._wait(waiting, line), line)
        yield Claim(slot, Outcome.WAITING)

    def _supersede(self, newcomer: _Waiting, line: _Line) -> Iterator[Decision]:
        """Let a slot take the place of those that wait and are claimed; the others give way when they are."""
        if newcomer.queued or line.schedule.overlap is not Overlap.REPLACE:
            return
        for waiting in [each for each in line.waiting.values() if each.claimed and each.slot < newcomer.slot]:
            yield self._settle(waiting, Outcome.SUPERSEDED, _replaced_by(newcomer.slot))

    def _stop_earlier(self, slot: Slot, line: _Line) -> Iterator[Decision]:
        """Make way for a slot whose claim has been answered, by whoever has won it."""
        if line.removed is not None or line.schedule.overlap is not Overlap.REPLACE:
            return
        for each in sorted(each for each in line.running - line.stopping if each < slot):
            line.stopping.add(each)
            yield Stop(each, _replaced_by(slot))

    # Whose turn it is

    def _launch(self, now: datetime) -> list[Decision]:
        """Start what may start now, in the order of slots."""
        decisions: list[Decision] = []
        while self._ready and not self._stopped and self.running < self._most_at_once:
            waiting = heapq.heappop(self._ready)[2]
            waiting.offered = False
            if not waiting.gone:
                decisions += self._turn(waiting, self._lines[waiting.slot.pipeline], now)
        return decisions

    def _turn(self, waiting: _Waiting, line: _Line, now: datetime) -> Iterator[Decision]:
        """There is a place for the run of a slot."""
        if waiting.deadline is not None and now > waiting.deadline:
            yield self._settle(waiting, Outcome.MISSED, _too_late(waiting.slot, waiting.deadline))
        elif line.turn is waiting:
            line.running.add(waiting.slot)
            self.running += 1
            self._drop(waiting)
            yield Start(waiting.slot)

    def _turn_later(self, waiting: _Waiting, now: datetime) -> Iterator[Decision]:
        """A slot's own moment has come: that from which on it may start, or after which it may not."""
        line = self._lines[waiting.slot.pipeline]
        if waiting.deadline is not None and now > waiting.deadline:
            yield self._settle(waiting, Outcome.MISSED, _too_late(waiting.slot, waiting.deadline))
        elif waiting.start_at <= now:
            waiting.due = True
            self._offer(line)

    def _admit(self, waiting: _Waiting, line: _Line, now: datetime) -> Iterator[Decision]:
        """Let a slot that is claimed have its turn once its moment has come, if nothing has come between."""
        waiting.claimed = True
        if line.removed is not None:
            yield self._settle(waiting, Outcome.SKIPPED, line.removed)
        elif later := line.replacement(waiting):
            yield self._settle(waiting, Outcome.SUPERSEDED, _replaced_by(later))
        else:
            if waiting.deadline is not None:
                self._wake(waiting.deadline + _INSTANT, waiting)
            if waiting.start_at > now:
                self._wake(waiting.start_at, waiting)
            yield from self._turn_later(waiting, now)

    def _wait(self, waiting: _Waiting, line: _Line) -> _Waiting:
        line.waiting[waiting.slot] = waiting
        self.waiting += 1
        heapq.heappush(line.order, (waiting.slot.at, next(self._numbers), waiting))
        return waiting

    def _offer(self, line: _Line) -> None:
        """Put up the one whose turn it is for a place: the earliest slot of all pipelines gets the next."""
        waiting = line.turn
        if waiting is not None and not waiting.offered:
            waiting.offered = True
            heapq.heappush(self._ready, (waiting.slot.at, next(self._numbers), waiting))

    def _settle(self, waiting: _Waiting, outcome: Outcome, reason: str) -> Settle:
        self._drop(waiting)
        return Settle(waiting.slot, outcome, reason)

    def _drop(self, waiting: _Waiting) -> None:
        waiting.gone = True
        line = self._lines[waiting.slot.pipeline]
        if line.waiting.pop(waiting.slot, None):
            self.waiting -= 1
        self._offer(line)

    def _line(self, schedule: Schedule, before: _Line | None, now: datetime, since: datetime | None) -> _Line:
        """A pipeline with its schedule from now on, or else from where its last slots were decided."""
        table = Timetable.of(schedule)
        # What was decided on before the clock was set back is claimed, and may well come again.
        decided = min(since or now, now) if before is None else now
        line = _Line(schedule, table, decided, table.next(decided))
        if before is not None:
            line.awaited = before.awaited
            line.waiting, line.order = before.waiting, before.order
            line.running, line.stopping = before.running, before.stopping
        return line

    def _await(self, name: str, line: _Line) -> None:
        if line.upcoming is not None and line.upcoming != line.awaited:
            line.awaited = line.upcoming
            heapq.heappush(self._upcoming, (line.upcoming, name))

    def _wake(self, at: datetime, waiting: _Waiting) -> None:
        heapq.heappush(self._timers, (at, next(self._numbers), waiting))

    def _forget(self, name: str, line: _Line) -> None:
        """Let go of a pipeline that is not scheduled any more and has come to rest."""
        if line.removed is not None and line.at_rest:
            del self._lines[name]


_INSTANT = timedelta(microseconds=1)


def _made_up(slots: Iterable[datetime], line: _Line, now: datetime) -> set[datetime]:
    """The slots of a backlog that are made up for."""
    match line.schedule.catchup:
        case Catchup.ALL:
            return set(slots)
        case Catchup.LATEST:
            return {max(slots, default=now)}
    return set()


def _deadline(slot: Slot, schedule: Schedule) -> datetime | None:
    return slot.at + schedule.deadline if schedule.deadline is not None else None


def _start_at(slot: Slot, schedule: Schedule) -> datetime:
    """When it may start: half of the deadline is left for what makes it late by accident."""
    longest = schedule.jitter if schedule.deadline is None else min(schedule.jitter, schedule.deadline / 2)
    return slot.at + _jitter(slot, longest)


def _replaced_by(slot: Slot) -> str:
    return f"the slot of {slot} takes its place"


def _too_late(slot: Slot, deadline: datetime) -> str:
    return f"it is later than its deadline of {format_duration(deadline - slot.at)}"


def _jitter(slot: Slot, longest: timedelta) -> timedelta:
    """The same for a slot whoever asks, and evenly spread over slots and pipelines."""
    digest = sha256(f"{slot.pipeline} {slot.at.timestamp()}".encode()).digest()
    return longest * (int.from_bytes(digest[:4], "big") / 2**32)
