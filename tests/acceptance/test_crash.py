"""A real daemon is killed again and again while its files are edited; no slot is lost, none runs twice."""

from pathlib import Path

import pytest
from support.crashing import crash

KILLS = 50


@pytest.mark.timeout(240)
def test_no_slot_is_lost_or_run_twice_however_often_the_daemon_is_killed(tmp_path: Path) -> None:
    crashing = crash(tmp_path, 20261122, lambda kills: kills < KILLS)

    assert crashing.complaints == []
    assert {"plain", "queued", "once"} <= set(crashing.figures["ran"])
    assert crashing.figures["outcomes"]["ran"] > KILLS
    assert crashing.figures["resumptions"].keys() >= {0, 1}
