"""Many applications from one file, killed at random points and resumed each time: nothing is lost, nothing differs."""

from pathlib import Path

from support.applications import interrupt

KILLS = 10


def test_killed_ten_times_and_resumed_they_end_with_the_bytes_of_an_undisturbed_run(tmp_path: Path) -> None:
    told = interrupt(tmp_path, 20261123, KILLS)

    assert told.complaints == []
    assert told.lives == KILLS + 1
    assert told.left_alone > 0
