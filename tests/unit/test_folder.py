"""The conf folder on a disk gives its own files, and no others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasker.document import OutsideFolderError
from tasker.folder import ConfFolder


@pytest.fixture
def folder(tmp_path: Path) -> ConfFolder:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "outside.conf").write_text("out")
    return ConfFolder(tmp_path / "conf.d")


def test_a_file_is_read_by_its_path(folder: ConfFolder) -> None:
    (folder.root / "sub").mkdir()
    (folder.root / "sub" / "a.conf").write_text("x = 1")
    assert folder.read("sub/a.conf") == b"x = 1"


def test_a_file_is_shown_as_the_folder_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert ConfFolder("./conf.d").shown("a.conf") == "conf.d/a.conf"
    assert ConfFolder(".").shown("a.conf") == "a.conf"
    assert ConfFolder("/etc/tasker").shown("sub/a.conf") == "/etc/tasker/sub/a.conf"


@pytest.mark.parametrize("path", ["../outside.conf", "sub/../../outside.conf", "/etc/passwd", "link.conf"])
def test_a_path_that_leaves_the_folder_is_refused(folder: ConfFolder, path: str) -> None:
    (folder.root / "sub").mkdir()
    (folder.root / "link.conf").symlink_to("../outside.conf")
    with pytest.raises(OutsideFolderError):
        folder.read(path)


def test_the_links_of_a_config_map_stay_in_the_folder(folder: ConfFolder) -> None:
    (folder.root / "..2026_11_22").mkdir()
    (folder.root / "..2026_11_22" / "a.conf").write_text("x = 1")
    (folder.root / "..data").symlink_to("..2026_11_22")
    (folder.root / "a.conf").symlink_to("..data/a.conf")
    assert folder.read("a.conf") == b"x = 1"


def test_a_folder_that_is_itself_a_link_is_read(folder: ConfFolder, tmp_path: Path) -> None:
    (folder.root / "a.conf").write_text("x = 1")
    (tmp_path / "link").symlink_to("conf.d")
    assert ConfFolder(tmp_path / "link").read("a.conf") == b"x = 1"


def test_of_a_file_over_the_limit_no_more_is_read_than_shows_it(folder: ConfFolder) -> None:
    (folder.root / "a.conf").write_bytes(b"x" * 100)
    assert len(ConfFolder(folder.root, 10).read("a.conf")) == 11


def test_what_is_no_file_is_not_opened(folder: ConfFolder) -> None:
    os.mkfifo(folder.root / "pipe.conf")
    for path in ("pipe.conf", ".", "gone.conf"):
        with pytest.raises(OSError, match=r"not a file|No such file"):
            folder.read(path)
