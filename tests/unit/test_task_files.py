"""How the shipped tasks write files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from support.tasks import TASKS, module

files = module("_files")


def test_what_is_written_takes_the_targets_place_when_the_block_ends_well(tmp_path: Path) -> None:
    target = tmp_path / "new" / "report.txt"
    with files.atomic_path(target) as draft:
        draft.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert os.listdir(target.parent) == ["report.txt"]


def test_an_exception_leaves_the_target_as_it_was_and_no_draft(tmp_path: Path) -> None:
    target = tmp_path / "report.txt"
    target.write_text("old")
    with pytest.raises(UnicodeEncodeError), files.atomic_path(target) as draft:
        draft.write_text("half, then what is no text: \ud800")
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.txt"]


def test_content_that_is_there_already_keeps_its_inode_and_time(tmp_path: Path) -> None:
    target = tmp_path / "report.txt"
    assert files.write_if_changed(target, "same")
    before = target.stat()
    assert not files.write_if_changed(target, "same")
    with files.atomic_path(target) as draft:
        draft.write_text("same")
    after = target.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert files.write_if_changed(target, "other")


def test_a_target_keeps_its_mode_and_a_link_to_it_stays_a_link(tmp_path: Path) -> None:
    target = tmp_path / "report.txt"
    target.write_text("old")
    target.chmod(0o640)
    link = tmp_path / "latest.txt"
    link.symlink_to("report.txt")
    files.write_if_changed(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o640


def test_a_name_as_long_as_names_may_be_can_be_written(tmp_path: Path) -> None:
    target = tmp_path / ("ü" * 127)
    files.write_if_changed(target, "x")
    assert target.read_text() == "x"


def test_what_a_killed_writer_left_is_removed_and_a_living_ones_draft_is_not(tmp_path: Path) -> None:
    target = tmp_path / "report.txt"
    writer = _start_writer(target)
    try:
        files.write_if_changed(target, "mine")
        assert len(list(tmp_path.glob(f"*{files.DRAFT_SUFFIX}"))) == 1
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
    files.write_if_changed(target, "mine again")
    assert os.listdir(tmp_path) == ["report.txt"]


def _start_writer(target: Path) -> subprocess.Popen[str]:
    """A process that is in the middle of writing `target`."""
    code = f"""
        import sys
        sys.path.insert(0, {str(TASKS)!r})
        from pathlib import Path
        from _files import atomic_path
        with atomic_path(Path({str(target)!r})) as draft:
            draft.write_text("half")
            print("writing", flush=True)
            sys.stdin.read()
    """
    writer = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "writing\n"
    return writer
