"""When a claimed run is ordered from a launcher: where others share the history, only once that has it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from support.histories import NOON

from tasker.clock import Clock
from tasker.daemon.dispatch import Dispatch
from tasker.history import Claimed
from tasker.launching.snapshot import Snapshot
from tasker.run import Outcome, Slot
from tasker.scheduling.scheduler import Claim, Start, Stop

SLOT = Slot("crm", NOON)


class History:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.claim: Any = None

    def __getattr__(self, name: str) -> Any:
        return lambda *_: self.told.append(name)


class Recorder:
    """Keeps what is submitted until the test has it written."""

    def __init__(self, *, exclusive: bool) -> None:
        self.exclusive = exclusive
        self.history = History()
        self._waiting: list[tuple[Any, Any]] = []

    def submit(self, operation: Any, on_done: Any = None) -> None:
        self._waiting.append((operation, on_done))

    def observe(self, _: object) -> None:
        pass

    def write(self) -> None:
        """Write all that waits, and answer."""
        waiting, self._waiting = self._waiting, []
        for operation, on_done in waiting:
            answer = operation(self.history)
            if on_done is not None:
                on_done(answer)


class Situation:
    """A dispatch with one pipeline in force, and one slot of it that is claimed and may start at once."""

    def __init__(self, *, exclusive: bool) -> None:
        self.orders: list[str] = []
        self.in_force = SimpleNamespace(
            generation=SimpleNamespace(run=lambda order: self.orders.append(order.run_id), stop=lambda *_: None),
            snapshot=Snapshot(path="conf.d/crm.conf", folder="conf.d", files={}),
            version=SimpleNamespace(revision="r1"),
        )
        scheduler = SimpleNamespace(
            claimed=lambda slot, *_, **__: [Start(slot)], ended=lambda *_: [], cancel=lambda *_: []
        )
        reloading = SimpleNamespace(
            in_force=lambda _: self.in_force,
            generations=[self.in_force.generation],
            current=None,
            is_stranded=lambda _: False,
        )
        self.recorder = Recorder(exclusive=exclusive)
        self.recorder.history.claim = lambda claims: [Claimed(each, won=True) for each in claims]
        self.dispatch = Dispatch(
            cast("Any", scheduler),
            cast("Any", reloading),
            cast("Any", self.recorder),
            lambda _: None,
            Clock(),
            Path("journals"),
        )
        self.dispatch.carry_out([Claim(SLOT, Outcome.WAITING)])
        self.dispatch.flush()
        self.recorder.write()


def test_where_nobody_else_claims_slots_a_run_is_ordered_at_once() -> None:
    assert len(Situation(exclusive=True).orders) == 1


def test_where_others_do_it_is_ordered_once_the_history_has_that_it_starts() -> None:
    situation = Situation(exclusive=False)
    assert situation.orders == []
    situation.recorder.write()
    assert situation.recorder.history.told == ["start_soon"]
    assert len(situation.orders) == 1


def test_one_that_is_to_stop_before_that_waits_for_the_next_daemon() -> None:
    situation = Situation(exclusive=False)
    situation.dispatch.stop("the daemon was stopped")
    situation.recorder.write()
    assert situation.recorder.history.told == ["start_soon", "wait_again"]
    assert situation.orders == []


@pytest.mark.parametrize("by", ["a later slot", "somebody"])
def test_one_that_nobody_wants_any_more_before_that_never_starts(by: str) -> None:
    situation = Situation(exclusive=False)
    if by == "somebody":
        (run_id,) = situation.dispatch._runs
        situation.dispatch.cancel(run_id, "cancelled")
    else:
        situation.dispatch.carry_out([Stop(SLOT, "a later slot takes its place")])
    situation.recorder.write()
    assert situation.recorder.history.told == ["start_soon", "wait_again", "decide"]
    assert situation.orders == []
    assert not situation.dispatch.has_runs


def test_one_that_finds_no_launcher_any_more_waits_again_and_is_told_of_anew() -> None:
    situation = Situation(exclusive=False)
    generation, situation.in_force.generation = situation.in_force.generation, None
    situation.recorder.write()
    situation.in_force.generation = generation
    situation.dispatch.start_waiting()
    assert situation.orders == []
    situation.recorder.write()
    assert situation.recorder.history.told == ["start_soon", "wait_again", "start_soon"]
    assert len(situation.orders) == 1
