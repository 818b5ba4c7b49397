"""The task `archive`."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import tarfile
from pathlib import Path

import pytest
from support.tasks import make, module

from tasker import WORKSPACE_MARKER

SUFFIXES = [".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    (folder / "sub" / "empty").mkdir(parents=True)
    (folder / "b.txt").write_text("b")
    (folder / "sub" / "a.sh").write_text("#!/bin/sh\n")
    (folder / "sub" / "a.sh").chmod(0o700)
    (folder / "link").symlink_to("sub/a.sh")
    return folder


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_content_gives_the_same_bytes_whoever_wrote_it_when_and_in_what_order(
    suffix: str, folder: Path, tmp_path: Path
) -> None:
    twin = tmp_path / "twin"
    (twin / "sub").mkdir(parents=True)
    (twin / "link").symlink_to("sub/a.sh")
    (twin / "sub" / "a.sh").write_text("#!/bin/sh\n")
    (twin / "sub" / "a.sh").chmod(0o755)
    (twin / "sub" / "empty").mkdir(mode=0o700)
    (twin / "b.txt").write_text("b")
    (twin / "b.txt").chmod(0o600)
    os.utime(twin / "b.txt", (1, 1))
    one, other = tmp_path / f"one{suffix}", tmp_path / f"other{suffix}"
    make("archive", tmp_path).run(folder, one)
    make("archive", tmp_path).run(twin, other)
    assert one.read_bytes() == other.read_bytes()


def test_entries_are_sorted_and_have_no_owner_and_no_time(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.tar.gz"
    make("archive", tmp_path).run(folder, target)
    with tarfile.open(target) as archive:
        entries = archive.getmembers()
    assert [entry.name for entry in entries] == ["b.txt", "link", "sub", "sub/a.sh", "sub/empty"]
    assert {(each.uid, each.gid, each.uname, each.gname, each.mtime) for each in entries} == {(0, 0, "", "", 0)}
    assert [oct(entry.mode) for entry in entries] == ["0o644", "0o777", "0o755", "0o755", "0o755"]
    assert target.read_bytes()[3:8] == bytes(5), "neither name nor time in the gzip header"


def test_it_hands_on_what_it_wrote(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "out.tar.gz"
    outputs = make("archive", tmp_path).run(folder, target)
    content = target.read_bytes()
    assert outputs == {
        "file": str(target),
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "entries": 5,
    }
    assert os.listdir(target.parent) == ["out.tar.gz"]


def test_an_archive_that_is_right_already_is_not_written_again(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.tar.gz"
    task = make("archive", tmp_path)
    task.run(folder, target)
    before = target.stat()
    task.run(folder, target)
    after = target.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert [event for _, event, _ in task.logger.records] == ["archive is written", "archive is unchanged"]
    (folder / "b.txt").write_text("changed")
    task.run(folder, target)
    assert target.stat().st_ino != before.st_ino


def test_an_archive_inside_its_folder_does_not_hold_itself(folder: Path, tmp_path: Path) -> None:
    target = folder / "out.tar"
    make("archive", tmp_path).run(folder, target)
    first = target.read_bytes()
    make("archive", tmp_path).run(folder, target)
    assert target.read_bytes() == first
    with tarfile.open(target) as archive:
        assert "out.tar" not in archive.getnames()


def test_a_workspaces_marker_and_the_drafts_of_others_are_left_out(folder: Path, tmp_path: Path) -> None:
    files = module("_files")
    (folder / WORKSPACE_MARKER).touch()
    (folder / f".x{files.DRAFT_SUFFIX}").touch()
    assert make("archive", tmp_path).run(folder, tmp_path / "out.tar")["entries"] == 5


def test_the_temporary_files_of_a_workspace_are_left_out_and_those_of_others_are_not(
    folder: Path, tmp_path: Path
) -> None:
    (folder / WORKSPACE_MARKER).touch()
    for each in (folder, folder / "sub"):
        (each / ".tmp").mkdir()
        (each / ".tmp" / "file").touch()
    make("archive", tmp_path).run(folder, tmp_path / "out.tar")
    with tarfile.open(tmp_path / "out.tar") as archive:
        assert [name for name in archive.getnames() if ".tmp" in name] == ["sub/.tmp", "sub/.tmp/file"]


def test_what_is_excluded_is_left_out_with_what_is_in_it(folder: Path, tmp_path: Path) -> None:
    make("archive", tmp_path).run(folder, tmp_path / "out.tar", exclude=["sub", "li*"])
    with tarfile.open(tmp_path / "out.tar") as archive:
        assert archive.getnames() == ["b.txt"]


def test_a_folder_that_is_missing_or_without_a_file_is_refused(tmp_path: Path) -> None:
    task = make("archive", tmp_path)
    (tmp_path / "empty" / "sub").mkdir(parents=True)
    with pytest.raises(NotADirectoryError, match="does not exist"):
        task.run(tmp_path / "missing", tmp_path / "out.tar")
    with pytest.raises(ValueError, match="no file to pack"):
        task.run(tmp_path / "empty", tmp_path / "out.tar")
    assert os.listdir(tmp_path) == ["empty"]


def test_a_folder_of_which_all_is_excluded_is_refused_and_says_so(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no file to pack in .*in: `exclude` leaves out 5 of the 5 entries"):
        make("archive", tmp_path).run(folder, tmp_path / "out.tar", exclude=["*"])


@pytest.mark.parametrize("leads_to", ["/etc/passwd", "../other", "sub/../../other"])
def test_a_link_that_leads_out_of_the_folder_is_refused(leads_to: str, folder: Path, tmp_path: Path) -> None:
    (folder / "bad").symlink_to(leads_to)
    with pytest.raises(ValueError, match="leads out of"):
        make("archive", tmp_path).run(folder, tmp_path / "out.tar")
    assert not (tmp_path / "out.tar").exists()


def test_what_is_neither_file_folder_nor_link_is_refused(folder: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        with pytest.raises(ValueError, match="neither a file, a folder nor a link"):
            make("archive", tmp_path).run(folder, tmp_path / "out.tar")
        make("archive", tmp_path).run(folder, tmp_path / "out.tar", exclude=["s"])


def test_a_name_that_is_no_archives_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends with one of \.tar, "):
        make("archive", tmp_path).run(folder, tmp_path / "out.rar")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_packed_comes_out_the_same(suffix: str, folder: Path, tmp_path: Path) -> None:
    target, out = tmp_path / f"one{suffix}", tmp_path / "out"
    make("archive", tmp_path).run(folder, target)
    make("extract", tmp_path).run(target, out)
    again = tmp_path / f"again{suffix}"
    make("archive", tmp_path).run(out, again)
    assert again.read_bytes() == target.read_bytes()
    shutil.rmtree(out)
