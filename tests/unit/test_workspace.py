"""Workspaces: made, taken over, kept for a while and pruned; and nothing else is ever removed."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasker import WORKSPACE_MARKER, WORKSPACE_TEMPORARY
from tasker.running.workspace import Workspace, WorkspaceError, is_barred, prune, workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NOBODY = 65534
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)


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


def worked_in(
    path: Path, run_id: str = "r1", kept_until: datetime | None = NOON + DAY, resumes: Sequence[str] = ()
) -> AbstractContextManager[Workspace]:
    return workspace(path, run_id=run_id, pipeline="p", kept_until=kept_until, resumes=resumes, patience_s=0)


def kept(path: Path, kept_until: datetime | None = NOON + DAY, run_id: str = "r1") -> Path:
    with worked_in(path, run_id, kept_until):
        (path / "left").touch()
    return path


def test_a_workspace_is_private_and_marked(tmp_path: Path) -> None:
    path = tmp_path / "workspaces" / "r1"
    with worked_in(path) as held:
        assert path.stat().st_mode & 0o777 == 0o700
        assert sorted(each.name for each in path.iterdir()) == [WORKSPACE_MARKER, WORKSPACE_TEMPORARY]
        assert (held.made, held.empty) == (True, True)
        (path / "file").touch()
        assert not held.empty


def test_a_workspace_says_whose_it_is_and_for_how_long_it_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "r1"
    with worked_in(path) as held:
        held.kept_until = NOON
    assert json.loads((path / WORKSPACE_MARKER).read_text()) == {
        "workspace": "r1",
        "run_id": "r1",
        "pipeline": "p",
        "kept_until": "2026-11-23T12:00:00+00:00",
    }


def test_a_workspace_is_kept_after_an_error(tmp_path: Path) -> None:
    def fail() -> None:
        with worked_in(tmp_path / "r1"):
            (tmp_path / "r1" / "file").touch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (tmp_path / "r1" / "file").exists()


def test_another_run_goes_on_in_the_workspace_of_one_that_has_ended(tmp_path: Path) -> None:
    path = kept(tmp_path / "r1")
    shutil.rmtree(path / WORKSPACE_TEMPORARY)
    with worked_in(path, "r2") as held:
        assert (held.made, held.empty) == (False, False)
        assert (path / WORKSPACE_TEMPORARY).is_dir()
        assert json.loads((path / WORKSPACE_MARKER).read_text())["run_id"] == "r2"


def test_nobody_goes_on_in_the_workspace_of_a_run_that_another_has_resumed(tmp_path: Path) -> None:
    path = kept(tmp_path / "r1")
    words = "run r1 has been resumed by run r2 meanwhile: resume that one"
    with worked_in(path, "r2", resumes=["r1"]) as held:
        held.begin()
        with pytest.raises(WorkspaceError, match=words), worked_in(path, "r3", resumes=["r1"]):
            pass
    with pytest.raises(WorkspaceError, match=words), worked_in(path, "r3", resumes=["r1"]):
        pass
    with worked_in(path, "r2", resumes=["r1"]):
        pass  # as a daemon starts a run again that has not come far
    with worked_in(path, "r4", resumes=["r3", "r2", "r1"]):
        pass  # r3 has not come so far


def test_a_run_that_ends_before_it_has_begun_keeps_nobody_from_resuming_what_it_was_to_resume(tmp_path: Path) -> None:
    path = kept(tmp_path / "r1")
    with worked_in(path, "r2", resumes=["r1"]):
        pass
    with worked_in(path, "r3", resumes=["r1"]) as held:
        held.begin()
    assert json.loads((path / WORKSPACE_MARKER).read_text())["run_id"] == "r3"


def test_a_mark_that_a_step_has_removed_is_there_again_in_the_end(tmp_path: Path) -> None:
    path = tmp_path / "r1"
    with worked_in(path):
        (path / WORKSPACE_MARKER).unlink()
    with worked_in(path, "r2") as held:
        assert not held.made


def test_a_workspace_in_use_is_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "r1"
    with worked_in(path):
        with pytest.raises(WorkspaceError, match="in use by run r1"), worked_in(path, "r2"):
            pass
        assert prune(tmp_path, NOON + 2 * DAY, within_s=10) == 0
    assert path.exists()


def test_what_is_going_while_another_run_wants_it_is_made_anew(tmp_path: Path) -> None:
    """Who waits for the lock of a mark may get it when the mark has gone with its workspace."""
    path = kept(tmp_path / "r1")
    stale = os.open(path / WORKSPACE_MARKER, os.O_RDWR)
    shutil.rmtree(path)
    with worked_in(path, "r2") as held:
        assert held.made
        fcntl.flock(stale, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it is another mark's lock that is held
    os.close(stale)


def test_a_folder_that_was_made_without_a_mark_when_its_maker_was_killed_is_used(tmp_path: Path) -> None:
    (tmp_path / "r1").mkdir()
    with worked_in(tmp_path / "r1") as held:
        assert held.made


def test_a_folder_that_is_no_workspace_is_not_made_one(tmp_path: Path) -> None:
    (tmp_path / "r1").mkdir()
    (tmp_path / "r1" / "letters").touch()
    with pytest.raises(WorkspaceError, match="File exists"), worked_in(tmp_path / "r1"):
        pass


def test_a_link_to_an_empty_folder_is_not_made_a_workspace(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "r1").symlink_to("elsewhere")
    with pytest.raises(WorkspaceError, match="File exists"), worked_in(tmp_path / "r1"):
        pass
    assert not any((tmp_path / "elsewhere").iterdir())


def test_no_mark_is_left_in_what_a_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    with worked_in(tmp_path / "r1"):
        shutil.rmtree(tmp_path / "r1")
        (tmp_path / "r1").symlink_to("elsewhere")
    assert not any((tmp_path / "elsewhere").iterdir())


def test_what_the_mark_is_another_name_of_stays_as_it_is(tmp_path: Path) -> None:
    precious, mark = tmp_path / "precious", tmp_path / "r1" / WORKSPACE_MARKER
    precious.write_text("precious")
    with worked_in(tmp_path / "r1"):
        mark.unlink()
        mark.hardlink_to(precious)
    assert json.loads(mark.read_text())["run_id"] == "r1"
    mark.unlink()
    mark.hardlink_to(precious)
    with pytest.raises(WorkspaceError, match="File exists"), worked_in(tmp_path / "r1", "r2"):
        pass
    assert precious.read_text() == "precious"


def test_nobody_goes_on_in_what_is_no_workspace_any_more(tmp_path: Path) -> None:
    kept(tmp_path / "good")
    (tmp_path / "blank").mkdir()
    (kept(tmp_path / "unmarked") / WORKSPACE_MARKER).unlink()
    (tmp_path / "link").symlink_to("good")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "file").touch()
    names = ["good", "blank", "nowhere", "unmarked", "link", "dangling", "file"]
    assert [name for name in names if is_barred(tmp_path / name)] == names[3:]


def test_old_workspaces_go(tmp_path: Path) -> None:
    old, new = kept(tmp_path / "r1", NOON - DAY), kept(tmp_path / "r2", NOON + DAY)
    for_ever = kept(tmp_path / "r3", None)
    assert prune(tmp_path, NOON, within_s=10) == 1
    assert [each.exists() for each in (old, new, for_ever)] == [False, True, True]


def test_the_mark_of_an_old_version_counts_from_when_it_was_made(tmp_path: Path) -> None:
    for name, age in (("old", 8 * DAY), ("new", 6 * DAY)):
        mark = tmp_path / name / WORKSPACE_MARKER
        mark.parent.mkdir()
        mark.touch()
        os.utime(mark, times=((NOON - age).timestamp(),) * 2)
    assert prune(tmp_path, NOON, within_s=10) == 1
    assert os.listdir(tmp_path) == ["new"]


def test_nothing_but_workspaces_is_pruned(tmp_path: Path) -> None:
    root = tmp_path / "workspaces"
    old = kept(root / "r1", NOON - DAY)
    (root / "file").touch()
    (root / "letters").mkdir()
    (root / "letters" / "letter").touch()
    (root / "link").symlink_to(kept(tmp_path / "elsewhere", NOON - DAY))
    shutil.copytree(old, root / "copy")
    for name, text in (("number", "7"), ("moment", '{"kept_until": 7}'), ("word", '{"kept_until": "soon"}')):
        (root / name).mkdir()
        (root / name / WORKSPACE_MARKER).write_text(text)
    (root / "fifo").mkdir()
    os.mkfifo(root / "fifo" / WORKSPACE_MARKER)
    assert prune(root, NOON, within_s=10) == 1
    assert sorted(os.listdir(root)) == ["copy", "fifo", "file", "letters", "link", "moment", "number", "word"]
    assert (tmp_path / "elsewhere" / "left").exists()


def test_no_mark_and_nothing_in_a_workspace_keeps_the_others(tmp_path: Path) -> None:
    folder = os.open(kept(tmp_path / "deep", NOON - DAY), os.O_RDONLY)
    for _ in range(2000):
        os.mkdir("x", dir_fd=folder)
        inner = os.open("x", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    for name, text in (
        ("array", "[" * 4000),
        ("bytes", "\udcff"),
        ("years", '{"kept_until": "9999-12-31T23:59-14:00"}'),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / WORKSPACE_MARKER).write_text(text, errors="surrogateescape")
    os.utime(tmp_path / "array" / WORKSPACE_MARKER, times=(2**55, 2**55))
    kept(tmp_path / "old", NOON - DAY)
    assert prune(tmp_path, NOON, within_s=10) == 1
    assert sorted(os.listdir(tmp_path)) == ["array", "bytes", "deep", "years"]
    assert (tmp_path / "deep" / WORKSPACE_MARKER).exists()
    subprocess.run(["rm", "-r", tmp_path / "deep"], check=True)  # pytest could not


def test_pruning_stops_when_its_time_is_up(tmp_path: Path) -> None:
    kept(tmp_path / "r1", NOON - DAY)
    assert prune(tmp_path, NOON, within_s=0) == 0
    assert prune(tmp_path / "nowhere", NOON, within_s=10) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's folder")
def test_the_workspaces_of_another_user_are_left_alone(tmp_path: Path) -> None:
    path = kept(tmp_path / "r1", NOON - DAY)
    os.chown(path, NOBODY, NOBODY)
    assert prune(tmp_path, NOON, within_s=10) == 0


def test_folders_that_may_not_be_changed_go_and_what_links_lead_to_stays(place: Path) -> None:
    outside, path = place / "outside", place / "r1"
    outside.mkdir(mode=0o500)
    with worked_in(path) as held:
        (path / "locked" / "inner").mkdir(parents=True)
        (path / "locked" / "inner" / "file").touch()
        (path / "locked" / "link").symlink_to(outside)
        (path / "locked" / "inner").chmod(0)
        (path / "locked").chmod(0o500)
        held.removed = True
    assert not path.exists()
    assert outside.stat().st_mode & 0o777 == 0o500


def test_a_link_that_a_step_has_put_in_the_place_of_its_workspace_goes_and_what_it_leads_to_stays(place: Path) -> None:
    outside, path = place / "outside", place / "r1"
    (outside / "inner").mkdir(parents=True)
    for folder in (outside / "inner", outside):
        folder.chmod(0o500)
    with worked_in(path) as held:
        shutil.rmtree(path)
        path.symlink_to(outside)
        held.removed = True
    assert not os.path.lexists(path)
    assert [each.stat().st_mode & 0o777 for each in (outside, outside / "inner")] == [0o500, 0o500]


def test_a_workspace_stays_for_as_long_as_something_is_mounted_in_it(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    root = tmp_path / "workspaces"
    script = f"""
        import subprocess
        from datetime import UTC, datetime
        from pathlib import Path
        from tasker.running.workspace import prune, workspace
        root = Path({str(root)!r})
        with workspace(root / "r1", run_id="r1", pipeline="p", kept_until=None) as held:
            (root / "r1" / "bound").mkdir()
            subprocess.run(["mount", "--bind", {str(precious)!r}, root / "r1" / "bound"], check=True)
            held.removed = True
        print(prune(root, datetime.now(UTC), within_s=10))
        subprocess.run(["umount", root / "r1" / "bound"], check=True)
        print(prune(root, datetime.now(UTC), within_s=10))
    """
    # The mount is in a namespace of its own: it ends with the process, whatever comes.
    command = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", textwrap.dedent(script)]
    if subprocess.run([*command[:4], "true"], capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("0\n1\n", "")
    assert (precious / "file").exists()
    assert not any(root.iterdir())


@pytest.mark.parametrize("kind", ["file", "link to nowhere"])
def test_whatever_else_a_step_has_put_in_the_place_of_its_workspace_goes(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "r1"
    with worked_in(path) as held:
        shutil.rmtree(path)
        path.touch() if kind == "file" else path.symlink_to(tmp_path / "nowhere")
        held.removed = True
    assert not os.path.lexists(path)


def test_a_workspace_that_cannot_be_made_says_so(place: Path) -> None:
    place.chmod(0o500)
    with pytest.raises(WorkspaceError, match="Permission denied; set --workspaces to a folder of yours"):  # noqa: SIM117
        with worked_in(place / "r1"):
            pass
    place.chmod(0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's folder")
def test_a_folder_of_workspaces_that_is_anothers_is_not_used(tmp_path: Path) -> None:
    """In a shared folder for temporary files, anyone can take the name first."""
    os.chown(tmp_path, NOBODY, NOBODY)
    with pytest.raises(WorkspaceError, match="belongs to another user"), worked_in(tmp_path / "r1"):
        pass
