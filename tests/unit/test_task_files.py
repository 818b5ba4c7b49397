"""How the shipped tasks write files."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@pytest.mark.parametrize("leads_to", ["/proc/self/nowhere", "."])
def test_where_no_file_can_be_the_error_names_the_target_and_not_its_draft(leads_to: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(leads_to)
    with pytest.raises(OSError, match=os.path.realpath(tmp_path / "link")) as caught:
        files.write_if_changed(tmp_path / "link", "text")
    assert files.DRAFT_SUFFIX not in str(caught.value)


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


def test_what_a_killed_writer_left_is_written_over(tmp_path: Path) -> None:
    target = tmp_path / "report.txt"
    writer = _start_writer(target)
    writer.kill()
    writer.communicate()
    assert len(os.listdir(tmp_path)) == 1
    files.write_if_changed(target, "mine")
    assert os.listdir(tmp_path) == ["report.txt"]
    assert target.read_text() == "mine"


def test_writers_of_one_file_wait_for_each_other(tmp_path: Path) -> None:
    target = tmp_path / "report.txt"
    writers = [_start_writer(target)]
    writers += [_start_writer(target, wait=False) for _ in range(3)]
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    assert target.read_text() == "whole"
    assert os.listdir(tmp_path) == ["report.txt"]


@pytest.mark.parametrize("plant", [os.symlink, os.link])
def test_a_link_that_waits_under_the_drafts_name_is_not_written_to(
    plant: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("safe")
    target = tmp_path / "report.txt"
    with files.atomic_path(target) as draft:
        pass
    plant(precious, draft)
    target.unlink()
    files.write_if_changed(target, "mine")
    assert precious.read_text() == "safe"
    assert target.read_text() == "mine"


def _draft_of(target: Path) -> Path:
    """The name that the draft of a target has."""
    with files.atomic_path(target) as draft:
        return Path(draft)


@pytest.mark.parametrize("read", [False, True], ids=["unread", "read"])
def test_a_pipe_that_waits_under_the_drafts_name_is_neither_waited_for_nor_written_to(
    read: bool, tmp_path: Path
) -> None:
    target = tmp_path / "report.txt"
    draft = _draft_of(target)
    os.mkfifo(draft)
    reader = os.open(draft, os.O_RDONLY | os.O_NONBLOCK) if read else None
    with _within(5):
        files.write_if_changed(target, "mine")
    assert target.read_text() == "mine"
    if reader is not None:
        assert os.read(reader, 1) == b""
        os.close(reader)


def test_a_strangers_lock_on_a_file_under_the_drafts_name_is_not_waited_for(tmp_path: Path) -> None:
    """A stranger's file, as what has a second name is none of ours."""
    target = tmp_path / "report.txt"
    draft = _draft_of(target)
    (tmp_path / "stranger").touch()
    draft.hardlink_to(tmp_path / "stranger")
    with draft.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with _within(5):
            files.write_if_changed(target, "mine")
    assert target.read_text() == "mine"


@contextmanager
def _within(seconds: int) -> Iterator[None]:
    """Fail a test that would hang."""

    def give_up(_signum: int, _frame: object) -> None:
        raise AssertionError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _start_writer(target: Path, *, wait: bool = True) -> subprocess.Popen[str]:
    """A process that writes `target` and, where it is to `wait`, stops in the middle of it until its input ends."""
    code = f"""
        import sys
        sys.path.insert(0, {str(TASKS)!r})
        from pathlib import Path
        from _files import atomic_path
        with atomic_path(Path({str(target)!r})) as draft, draft.open("w") as stream:
            stream.write("wh")
            print("writing", flush=True)
            sys.stdin.read()
            stream.write("ole")
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    end = subprocess.PIPE if wait else subprocess.DEVNULL
    writer = subprocess.Popen(command, stdin=end, stdout=subprocess.PIPE, text=True)
    if wait:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
    return writer
