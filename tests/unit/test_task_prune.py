"""The task `prune`: which backups go, and that the last good one never does."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tasks import SLOT, make, module

prune = module("prune")
DAYS_30 = timedelta(days=30)


def backup(folder: Path, name: str, age: timedelta | None = None, content: str = "x") -> Path:
    file = folder / name
    file.write_text(content)
    if age is not None:
        moment = (SLOT - age).timestamp()
        os.utime(file, (moment, moment))
    return file


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_old_files_go_by_their_time(tmp_path: Path) -> None:
    for days in (1, 10, 29, 31):
        backup(tmp_path, f"b{days}", timedelta(days=days))
    outputs = make("prune", tmp_path).run(tmp_path, DAYS_30)
    assert outputs == {
        "deleted": ["b31"],
        "deleted_count": 1,
        "deleted_size": 1,
        "kept": ["b1", "b10", "b29"],
        "kept_count": 3,
        "undated": [],
    }
    assert names(tmp_path) == ["b1", "b10", "b29"]


def test_old_files_go_by_the_newest_date_in_their_name(tmp_path: Path) -> None:
    for name in (
        "crm_2026-11-21.tar.gz",
        "crm_20261020.tar.gz",
        "from_2026-01-01_to_2026-11-20.tar.gz",
        "crm_2026-13-45.tar.gz",
        "crm_120261020.tar.gz",
        "crm.tar.gz",
    ):
        backup(tmp_path, name, timedelta(days=400))
    outputs = make("prune", tmp_path).run(tmp_path, DAYS_30, by="name")
    assert outputs["deleted"] == ["crm_20261020.tar.gz"]
    assert outputs["undated"] == ["crm.tar.gz", "crm_120261020.tar.gz", "crm_2026-13-45.tar.gz"]


def test_a_date_in_a_name_counts_from_the_end_of_its_day_in_the_schedules_time_zone(tmp_path: Path) -> None:
    slot = datetime(2026, 11, 22, 0, 30, tzinfo=ZoneInfo("Australia/Sydney"))
    for name in ("b-2026-11-22", "b-2026-11-20", "b-2026-11-19"):
        backup(tmp_path, name)
    outputs = make("prune", tmp_path, slot=slot).run(tmp_path, timedelta(days=2), by="name")
    assert outputs["deleted"] == ["b-2026-11-19"]


def test_old_files_go_by_a_manifest(tmp_path: Path) -> None:
    for name in ("new", "old", "unlisted"):
        backup(tmp_path, name, timedelta(days=400))
    moments = {"new": "2026-11-21T00:00:00+00:00", "old": "2025-01-01", "gone": "2020-01-01T00:00:00Z"}
    (tmp_path / "manifest.json").write_text(json.dumps(moments))
    outputs = make("prune", tmp_path).run(tmp_path, DAYS_30, by="manifest")
    assert outputs["deleted"] == ["old"]
    assert outputs["undated"] == ["manifest.json", "unlisted"]


@pytest.mark.parametrize("text", ["[]", "{", '{"a": 1}', '{"a": "yesterday"}', "\0"])
def test_a_manifest_that_is_none_deletes_nothing(text: str, tmp_path: Path) -> None:
    backup(tmp_path, "a", timedelta(days=400))
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match="is not a manifest"):
        make("prune", tmp_path).run(tmp_path, DAYS_30, by="manifest")
    assert names(tmp_path) == ["a", "manifest.json"]


def test_a_missing_manifest_or_folder_is_a_failure_and_a_folder_without_a_match_is_not(tmp_path: Path) -> None:
    task = make("prune", tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no manifest"):
        task.run(tmp_path, DAYS_30, by="manifest")
    with pytest.raises(NotADirectoryError, match="`path` does not exist"):
        task.run(tmp_path / "missing", DAYS_30)
    assert task.run(tmp_path, DAYS_30)["deleted"] == []


def test_the_newest_stay_however_old_they_are(tmp_path: Path) -> None:
    for days in (100, 200, 300, 400):
        backup(tmp_path, f"b{days}", timedelta(days=days))
    task = make("prune", tmp_path)
    assert task.run(tmp_path, DAYS_30, keep_last=3)["deleted"] == ["b400"]
    assert task.run(tmp_path, DAYS_30, maximum_share=1.0)["deleted"] == ["b300", "b200"]
    assert task.run(tmp_path, DAYS_30, maximum_share=1.0)["deleted"] == []
    assert names(tmp_path) == ["b100"]


def test_an_empty_file_never_stands_for_the_last_good_backup(tmp_path: Path) -> None:
    backup(tmp_path, "good", timedelta(days=100))
    backup(tmp_path, "empty", timedelta(days=1), content="")
    backup(tmp_path, "old", timedelta(days=200))
    assert make("prune", tmp_path).run(tmp_path, DAYS_30)["deleted"] == ["old"]
    assert names(tmp_path) == ["empty", "good"]


def test_more_than_the_share_is_a_failure_that_deletes_nothing(tmp_path: Path) -> None:
    for days in (1, 100, 200, 300):
        backup(tmp_path, f"b{days}", timedelta(days=days))
    with pytest.raises(ValueError, match=r"3 of 4 backups would be deleted, more than the share of 0\.5"):
        make("prune", tmp_path).run(tmp_path, DAYS_30)
    assert len(names(tmp_path)) == 4


def test_a_dry_run_says_what_would_go_and_deletes_nothing(tmp_path: Path) -> None:
    backup(tmp_path, "new", timedelta(days=1))
    backup(tmp_path, "old", timedelta(days=100))
    task = make("prune", tmp_path)
    assert task.run(tmp_path, DAYS_30, dry_run=True)["deleted"] == ["old"]
    assert task.logger.records == [("info", "would be deleted", {"file": "old"})]
    assert names(tmp_path) == ["new", "old"]


def test_a_dry_run_lists_what_is_over_the_share_and_warns_that_it_would_be_refused(tmp_path: Path) -> None:
    for days in (1, 100, 200, 300):
        backup(tmp_path, f"b{days}", timedelta(days=days))
    task = make("prune", tmp_path)
    assert task.run(tmp_path, DAYS_30, dry_run=True)["deleted"] == ["b300", "b200", "b100"]
    level, event, facts = task.logger.records[-1]
    assert (level, facts) == ("warning", {"maximum_share": 0.5})
    assert "would refuse" in event
    assert len(names(tmp_path)) == 4


def test_only_what_matches_is_judged_and_links_hidden_files_and_folders_are_not(tmp_path: Path) -> None:
    old = timedelta(days=100)
    backup(tmp_path, "a.gz", timedelta(days=1))
    for name in ("b.gz", ".hidden.gz", "b.txt"):
        backup(tmp_path, name, old)
    (tmp_path / "link.gz").symlink_to("b.txt")
    (tmp_path / "folder.gz").mkdir()
    assert make("prune", tmp_path).run(tmp_path, DAYS_30, pattern="*.gz")["deleted"] == ["b.gz"]
    assert names(tmp_path) == [".hidden.gz", "a.gz", "b.txt", "folder.gz", "link.gz"]


def test_folders_can_be_the_backups(tmp_path: Path) -> None:
    for day in ("2026-11-21", "2026-10-01"):
        (tmp_path / day).mkdir()
        backup(tmp_path / day, "data")
    outputs = make("prune", tmp_path).run(tmp_path, DAYS_30, by="name", folders=True)
    assert (outputs["deleted"], outputs["deleted_size"]) == (["2026-10-01"], 1)
    assert names(tmp_path) == ["2026-11-21"]


backups = st.lists(
    st.builds(
        lambda number, hours, size: prune.Backup(Path(f"b{number}"), SLOT - timedelta(hours=hours), size),
        st.integers(),
        st.integers(-100, 5000),
        st.integers(0, 2),
    ),
    unique_by=lambda each: each.path,
    max_size=12,
)


@given(backups, st.integers(0, 4000), st.integers(1, 4), st.floats(0, 1))
def test_whatever_there_is_the_promises_hold(
    there: Sequence[Any], hours: int, keep_last: int, maximum_share: float
) -> None:
    limit = SLOT - timedelta(hours=hours)
    try:
        going = prune.decide(there, limit, keep_last, maximum_share)
    except ValueError:
        return
    staying = [each for each in there if each not in going]
    assert all(each.created < limit for each in going)
    assert len(going) <= maximum_share * len(there)
    assert bool(staying) == bool(there)
    good = sum(bool(each.size) for each in there)
    assert sum(bool(each.size) for each in staying) >= min(keep_last, good)
    assert prune.decide(staying, limit, keep_last, 1.0) == []


def test_the_moment_is_the_slots_not_the_clocks(tmp_path: Path) -> None:
    backup(tmp_path, "a", timedelta(days=40))
    backup(tmp_path, "b", timedelta(days=39))
    early = make("prune", tmp_path, slot=datetime(2026, 10, 1, tzinfo=UTC))
    assert early.run(tmp_path, DAYS_30)["deleted"] == []
