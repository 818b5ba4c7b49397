"""A real daemon is killed again and again while its files are edited; no slot is lost, none runs twice."""

from pathlib import Path

import pytest
from support.crashing import crash
from support.sharing import share

KILLS = 50


@pytest.mark.timeout(240)
def test_no_slot_is_lost_or_run_twice_however_often_the_daemon_is_killed(tmp_path: Path) -> None:
    crashing = crash(tmp_path, 20261122, lambda kills: kills < KILLS)

    assert crashing.complaints == []
    assert {"plain", "queued", "once"} <= set(crashing.figures["ran"])
    assert crashing.figures["outcomes"]["ran"] > KILLS
    assert crashing.figures["resumptions"].keys() >= {0, 1}


@pytest.mark.timeout(240)
def test_of_two_daemons_that_share_a_server_one_is_killed_and_each_slot_runs_once(
    postgres_url: str, tmp_path: Path
) -> None:
    """`make crash-shared` does it with 200 pipelines for a minute."""
    sharing = share(tmp_path, postgres_url, 10, 20261123, lambda kills: kills < 2)

    assert sharing.complaints == []
    assert all(sharing.figures["runs by"].values())
    assert sharing.figures["steps"] > 10
