"""The daemon when the machine's clock is set, and when a time zone's clocks change: each slot has one outcome."""

from __future__ import annotations

import signal
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.command import Command, write

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path(__file__).parents[1] / "support" / "stepped_daemon.py"
OUTCOMES = {"slot.due": "ran", "slot.missed": "missed", "slot.skipped": "skipped"}


class SteppedDaemon:
    """A daemon whose clock a test sets."""

    def __init__(self, folder: Path, moment: str, schedule: str) -> None:
        self._clock = folder / "clock"
        self._set(datetime.fromisoformat(moment) - timedelta(minutes=20))  # time for it to start
        write(
            folder / "conf.d" / "p.conf",
            f"schedule {{ {schedule} }}\ntasks = [{{ name = shell_script, args {{ command = true }} }}]",
        )
        self.command = Command(folder, [sys.executable, str(PROGRAM), "clock"], {})
        self.command.wait_for("config.loaded")
        self.set(moment)

    def set(self, moment: str) -> float:
        """Set the clock; by how many seconds the daemon says it was."""
        self._set(datetime.fromisoformat(moment))
        return float(self.command.wait_for("clock.stepped")["by_s"])

    def _set(self, moment: datetime) -> None:
        draft = self._clock.with_suffix(".new")
        draft.write_text(moment.isoformat())
        draft.replace(self._clock)

    def wait_for_slot(self, event: str, slot: str) -> dict[str, Any]:
        """Wait until a slot is told of."""
        return self.command.wait_for(event, slot=f"{slot}:00+00:00")

    def outcomes(self) -> dict[str, str]:
        """Stop it; the outcome of each slot, of which none may have two."""
        self.command.signal(signal.SIGTERM)
        ended = self.command.finish()
        assert ended.status == 128 + signal.SIGTERM, ended.stderr
        told = [(each["slot"][:16], OUTCOMES[each["event"]]) for each in ended.events if each["event"] in OUTCOMES]
        assert max(Counter(slot for slot, _ in told).values()) == 1, told
        return dict(told)


@pytest.fixture
def daemons() -> Iterator[list[SteppedDaemon]]:
    """Those that a test starts, ended with it."""
    started: list[SteppedDaemon] = []
    yield started
    for daemon in started:
        daemon.command.kill()


def start(daemons: list[SteppedDaemon], folder: Path, moment: str, schedule: str) -> SteppedDaemon:
    daemons.append(SteppedDaemon(folder, f"{moment}+00:00", schedule))
    return daemons[-1]


def test_where_the_clock_is_set_forward_the_slots_between_are_made_up_for_as_catchup_says(
    tmp_path: Path, daemons: list[SteppedDaemon]
) -> None:
    daemon = start(daemons, tmp_path, "2026-11-22T11:59:59", 'cron = "0 * * * *", overlap = queue')
    daemon.wait_for_slot("slot.due", "2026-11-22T12:00")
    assert daemon.set("2026-11-22T15:10:00+00:00") == pytest.approx(3 * 3600 + 600, abs=60)
    daemon.wait_for_slot("slot.due", "2026-11-22T15:00")
    assert daemon.outcomes() == {
        "2026-11-22T12:00": "ran",
        "2026-11-22T13:00": "missed",
        "2026-11-22T14:00": "missed",
        "2026-11-22T15:00": "ran",
    }


def test_where_the_clock_is_set_back_no_slot_runs_again_and_those_that_did_not_run_are_due(
    tmp_path: Path, daemons: list[SteppedDaemon]
) -> None:
    daemon = start(daemons, tmp_path, "2026-11-22T11:59:59", 'cron = "0 * * * *", overlap = queue')
    daemon.wait_for_slot("slot.due", "2026-11-22T12:00")
    assert daemon.set("2026-11-22T10:59:58+00:00") < -3600
    daemon.wait_for_slot("slot.due", "2026-11-22T11:00")
    daemon.set("2026-11-22T11:59:59+00:00")
    daemon.set("2026-11-22T12:59:59+00:00")
    daemon.wait_for_slot("slot.due", "2026-11-22T13:00")
    assert daemon.outcomes() == dict.fromkeys(("2026-11-22T12:00", "2026-11-22T11:00", "2026-11-22T13:00"), "ran")


def test_a_nightly_slot_in_the_hour_that_is_skipped_runs_once_when_the_clocks_go_forward(
    tmp_path: Path, daemons: list[SteppedDaemon]
) -> None:
    # In Berlin, 29 March 2026 has no 02:30: at 02:00, which is 01:00 UTC, it is 03:00.
    daemon = start(daemons, tmp_path, "2026-03-29T00:59:59", 'cron = "30 2 * * *", timezone = Europe/Berlin')
    daemon.wait_for_slot("slot.due", "2026-03-29T01:00")
    daemon.set("2026-03-29T03:00:00+00:00")
    assert daemon.outcomes() == {"2026-03-29T01:00": "ran"}


def test_a_nightly_slot_in_the_hour_that_comes_twice_runs_once_when_the_clocks_go_back(
    tmp_path: Path, daemons: list[SteppedDaemon]
) -> None:
    # In Berlin, 25 October 2026 has 02:30 twice: at 00:30 and 01:30 UTC.
    daemon = start(daemons, tmp_path, "2026-10-25T00:29:59", 'cron = "30 2 * * *", timezone = Europe/Berlin')
    daemon.wait_for_slot("slot.due", "2026-10-25T00:30")
    daemon.set("2026-10-25T01:29:59+00:00")
    daemon.set("2026-10-26T01:29:59+00:00")
    daemon.wait_for_slot("slot.due", "2026-10-26T01:30")
    assert daemon.outcomes() == {"2026-10-25T00:30": "ran", "2026-10-26T01:30": "ran"}


def test_no_slot_runs_twice_where_the_clock_is_set_back_while_nothing_can_be_written(
    tmp_path: Path, daemons: list[SteppedDaemon]
) -> None:
    daemon = start(daemons, tmp_path, "2026-11-22T12:00:00", 'cron = "* * * * * *", overlap = allow')
    daemon.command.wait_for("run.succeeded")
    with closing(sqlite3.connect(tmp_path / ".tasker" / "history.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        daemon.command.wait_for("daemon.troubled", what="history")
        slot = datetime.fromisoformat(daemon.command.wait_for("slot.due")["slot"])
        daemon.set((slot - timedelta(seconds=2)).isoformat())
        daemon.command.wait_for("run.started", slot=(slot + timedelta(seconds=2)).isoformat())
        other.execute("ROLLBACK")
    daemon.command.wait_for("daemon.recovered", what="history")
    daemon.command.signal(signal.SIGTERM)
    started = Counter(told["slot"] for told in daemon.command.finish().named("run.started"))
    assert set(started.values()) == {1}
