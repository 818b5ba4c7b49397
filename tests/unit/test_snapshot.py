"""The texts that a pipeline was read from, kept and read again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tasker.folder import ConfFolder
from tasker.launching.snapshot import RecordingFolder, Snapshot, SnapshotFolder

SNAPSHOT = Snapshot(path="conf.d/a.conf", folder="conf.d", files={"a.conf": "a = é", "sub/b.conf": ""})


def test_a_folder_in_memory_has_the_files_of_its_snapshot_and_no_others() -> None:
    folder = SnapshotFolder(SNAPSHOT)
    assert folder.read("a.conf") == "a = é".encode()
    assert folder.shown("sub/b.conf") == "conf.d/sub/b.conf"
    with pytest.raises(FileNotFoundError):
        folder.read("c.conf")


def test_what_was_read_makes_a_snapshot_and_what_was_asked_for_is_known(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("a = é")
    folder = RecordingFolder(ConfFolder(tmp_path))
    with pytest.raises(FileNotFoundError):
        folder.read("sub/../b")
    folder.read("a.conf")
    assert list(folder.asked) == ["b", "a.conf"]
    assert folder.shown("a.conf") == str(tmp_path / "a.conf")
    assert folder.snapshot("x/a.conf", "x") == Snapshot(path="x/a.conf", folder="x", files={"a.conf": "a = é"})


def test_the_id_changes_with_all_that_is_in_it() -> None:
    others = [
        SNAPSHOT,
        replace(SNAPSHOT, path="b.conf"),
        replace(SNAPSHOT, folder="."),
        replace(SNAPSHOT, files={"a.conf": "a = é"}),
        replace(SNAPSHOT, files={"a.conf": "a = e", "sub/b.conf": ""}),
    ]
    assert len({each.id for each in others}) == len(others)
