from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasker import WORKSPACE_MARKER
from tasker.running.workspace import TEMPORARY, WorkspaceError, workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of a user for whom permissions count: they do not for root."""
    folder = Path(tempfile.mkdtemp())
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    yield folder
    if is_root:
        os.seteuid(0)
    shutil.rmtree(folder)


def test_a_workspace_is_private_marked_and_gone_afterwards(tmp_path: Path) -> None:
    with workspace(tmp_path / "workspaces" / "run", keep=False) as path:
        assert path.stat().st_mode & 0o777 == 0o700
        assert sorted(each.name for each in path.iterdir()) == [WORKSPACE_MARKER, TEMPORARY]
    assert not path.exists()


def test_a_workspace_is_gone_after_an_error_as_well(tmp_path: Path) -> None:
    def fail() -> None:
        with workspace(tmp_path / "run", keep=False):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not (tmp_path / "run").exists()


def test_a_workspace_that_is_to_be_kept_stays(tmp_path: Path) -> None:
    with workspace(tmp_path / "run", keep=True) as path:
        pass
    assert path.exists()


def test_folders_that_may_not_be_changed_go_and_what_links_lead_to_stays(place: Path) -> None:
    outside = place / "outside"
    outside.mkdir(mode=0o500)
    with workspace(place / "run", keep=False) as path:
        (path / "locked" / "inner").mkdir(parents=True)
        (path / "locked" / "inner" / "file").touch()
        (path / "locked" / "link").symlink_to(outside)
        (path / "locked" / "inner").chmod(0)
        (path / "locked").chmod(0o500)
    assert not path.exists()
    assert outside.stat().st_mode & 0o777 == 0o500


def test_a_link_that_a_step_has_put_in_the_place_of_its_workspace_goes_and_what_it_leads_to_stays(place: Path) -> None:
    outside = place / "outside"
    (outside / "inner").mkdir(parents=True)
    for folder in (outside / "inner", outside):
        folder.chmod(0o500)
    with workspace(place / "run", keep=False) as path:
        shutil.rmtree(path)
        path.symlink_to(outside)
    assert not os.path.lexists(path)
    assert [each.stat().st_mode & 0o777 for each in (outside, outside / "inner")] == [0o500, 0o500]


@pytest.mark.parametrize("kind", ["file", "link to nowhere"])
def test_whatever_else_a_step_has_put_in_the_place_of_its_workspace_goes(tmp_path: Path, kind: str) -> None:
    with workspace(tmp_path / "run", keep=False) as path:
        shutil.rmtree(path)
        path.touch() if kind == "file" else path.symlink_to(tmp_path / "nowhere")
    assert not os.path.lexists(path)


def test_a_workspace_that_cannot_be_made_says_so(place: Path) -> None:
    place.chmod(0o500)
    with pytest.raises(WorkspaceError, match="Permission denied; set --workspace to a folder of yours"):  # noqa: SIM117
        with workspace(place / "run", keep=False):
            pass
    place.chmod(0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's folder")
def test_a_folder_of_workspaces_that_is_anothers_is_not_used(tmp_path: Path) -> None:
    """In a shared folder for temporary files, anyone can take the name first."""
    os.chown(tmp_path, NOBODY, NOBODY)
    with pytest.raises(WorkspaceError, match="belongs to another user"), workspace(tmp_path / "run", keep=False):
        pass
