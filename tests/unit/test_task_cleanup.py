"""The task `cleanup`: what it removes, and everything that it refuses."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from support.tasks import make

from tasker import WORKSPACE_MARKER as MARKER


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    workspace = tmp_path / "runs" / "r1"
    (workspace / "deep" / "er").mkdir(parents=True)
    (workspace / MARKER).touch()
    (workspace / "file").write_text("x")
    (workspace / ".hidden").write_text("x")
    (workspace / "deep" / "er" / "file").write_text("x")
    return workspace


def test_the_runs_own_workspace_is_emptied_and_stays_a_workspace(workspace: Path) -> None:
    task = make("cleanup", workspace)
    assert task.run() == {"removed": 3}
    assert [each.name for each in workspace.iterdir()] == [MARKER]
    assert task.run() == {"removed": 0}


def test_the_folder_for_temporary_files_is_emptied_and_stays(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workspace / ".tmp" / "sub").mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(workspace / ".tmp"))
    make("cleanup", workspace).run()
    assert sorted(each.name for each in workspace.rglob("*")) == [MARKER, ".tmp"]


def test_a_folder_in_a_workspace_is_emptied_alone(workspace: Path) -> None:
    assert make("cleanup", workspace).run(workspace / "deep") == {"removed": 1}
    assert sorted(each.name for each in workspace.iterdir()) == [".hidden", MARKER, "deep", "file"]
    assert make("cleanup", workspace).run(workspace / "not" / "there") == {"removed": 0}


def test_links_are_removed_and_what_they_lead_to_stays(workspace: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("precious")
    (workspace / "link").symlink_to(outside)
    (workspace / "deep" / "link").symlink_to(outside / "file")
    make("cleanup", workspace).run()
    assert (outside / "file").read_text() == "precious"
    assert [each.name for each in workspace.iterdir()] == [MARKER]


def test_a_folder_without_a_marker_is_refused(workspace: Path, tmp_path: Path) -> None:
    (workspace / MARKER).unlink()
    with pytest.raises(ValueError, match="so it is no workspace"):
        make("cleanup", workspace).run()
    with pytest.raises(ValueError, match="so it is no workspace"):
        make("cleanup", workspace).run(tmp_path / "missing")
    assert (workspace / "file").exists()


def test_a_marker_that_is_a_link_marks_nothing(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "real").touch()
    (workspace / MARKER).unlink()
    (workspace / MARKER).symlink_to(tmp_path / "real")
    with pytest.raises(ValueError, match="so it is no workspace"):
        make("cleanup", workspace).run()


def test_the_way_out_of_a_workspace_is_refused(workspace: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "sub").mkdir(parents=True)
    (workspace / "link").symlink_to(outside)
    task = make("cleanup", workspace)
    for way_out in (workspace / "link", workspace / "link" / "sub", workspace / ".." / "..", workspace / "file"):
        with pytest.raises(ValueError, match="is not emptied"):
            task.run(way_out)
    assert (outside / "sub").exists()


def test_the_root_the_home_and_the_current_folder_are_refused_even_with_a_marker(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make("cleanup", workspace)
    with pytest.raises(ValueError, match="is in it"):
        task.run(Path("/"))
    monkeypatch.chdir(workspace / "deep")
    with pytest.raises(ValueError, match="the current folder is in it"):
        task.run()
    monkeypatch.chdir("/")
    monkeypatch.setenv("HOME", str(workspace / "deep" / "er"))
    with pytest.raises(ValueError, match="the home folder is in it"):
        task.run(workspace / "deep")
    assert (workspace / "deep" / "er" / "file").exists()


def test_a_user_without_a_home_cleans_up_as_well(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container, where the user's number may be in no list of users."""
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 9)
    assert make("cleanup", workspace).run() == {"removed": 3}
