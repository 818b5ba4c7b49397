"""What a survey finds, what it takes for a change, and what it costs."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from support.configmap import ConfigMap

from tasker.watching.survey import MOST_READ, Survey, changes, survey

LATER_NS = 10_000_000_000


def later() -> int:
    """A clock by which every file is old enough to be trusted."""
    return time.time_ns() + LATER_NS


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    folder = tmp_path / "conf.d"
    folder.mkdir()
    return folder


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    folder = tmp_path / "tasks"
    folder.mkdir()
    return folder


@pytest.fixture
def _nobody() -> Iterator[None]:
    """Without the powers of root, who may read everything."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


def found(now: Survey, folder: Path) -> set[str]:
    """The names of what a survey found in a folder."""
    return {str(Path(path).relative_to(folder)) for path in now.files}


def changed(before: Survey | None, after: Survey, folder: Path) -> set[str]:
    """The names of what differs."""
    return {str(Path(path).relative_to(folder)) for path in changes(before, after)}


def test_every_file_of_the_conf_folder_counts_whatever_it_is_called(conf: Path) -> None:
    (conf / "sub" / "deep").mkdir(parents=True)
    for name in ("a.conf", "_b.conf", "c.json", "d", "sub/e.conf", "sub/deep/f.txt"):
        (conf / name).write_text("x")
    assert found(survey(conf, []), conf) == {"a.conf", "_b.conf", "c.json", "d", "sub/e.conf", "sub/deep/f.txt"}


def test_what_is_hidden_does_not_count(conf: Path, tasks: Path) -> None:
    for folder in (conf, tasks):
        (folder / ".git").mkdir()
        (folder / ".git" / "x.py").write_text("x")
        (folder / ".x.py").write_text("x")
    assert survey(conf, [tasks]).files == {}


def test_modules_count_and_those_of_packages_below_and_nothing_else(conf: Path, tasks: Path) -> None:
    for folder in ("lib/inner", "__pycache__", "not-a-package"):
        (tasks / folder).mkdir(parents=True)
    counted = {"archive.py", "_common.py", "lib/__init__.py", "lib/inner/x.py"}
    for name in (*counted, "notes.md", "__pycache__/x.py", "not-a-package/y.py"):
        (tasks / name).write_text("x")
    assert found(survey(conf, [tasks]), tasks.resolve()) == counted


def test_a_task_folder_counts_once_and_by_the_path_that_python_knows(conf: Path, tasks: Path, tmp_path: Path) -> None:
    (tasks / "archive.py").write_text("x")
    (tmp_path / "link").symlink_to(tasks)
    assert set(survey(conf, [tmp_path / "link", tasks]).files) == {str(tasks.resolve() / "archive.py")}


def test_a_conf_file_is_called_by_the_folder_as_it_was_given(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (conf / "a.conf").write_text("x")
    (conf.parent / "current").symlink_to("conf.d")
    monkeypatch.chdir(conf.parent)
    assert set(survey(Path("current"), []).files) == {str(conf.parent / "current" / "a.conf")}


def test_what_is_new_gone_or_other_has_changed(conf: Path) -> None:
    for name in ("same", "gone", "other"):
        (conf / name).write_text("x")
    before = survey(conf, [])
    (conf / "gone").unlink()
    (conf / "other").write_text("y")
    (conf / "new").write_text("x")
    after = survey(conf, [], before)
    assert changed(before, after, conf) == {"gone", "other", "new"}
    assert changed(None, after, conf) == {"same", "other", "new"}


def test_a_file_that_is_written_again_with_the_same_content_has_not_changed(conf: Path) -> None:
    (conf / "a.conf").write_text("x")
    before = survey(conf, [])
    (conf / "b").write_text("x")
    (conf / "b").rename(conf / "a.conf")
    os.utime(conf / "a.conf", (1, 1))
    assert changes(before, survey(conf, [], before)) == frozenset()


def test_an_older_content_that_is_restored_with_its_times_is_a_change(conf: Path) -> None:
    file = conf / "a.conf"
    file.write_text("old")
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    first = survey(conf, [], clock=later)
    file.write_text("new")
    second = survey(conf, [], first, clock=later)
    file.write_text("old")
    os.utime(file, ns=times)
    third = survey(conf, [], second, clock=later)
    assert changed(first, second, conf) == changed(second, third, conf) == {"a.conf"}
    assert third.files == first.files


def test_a_file_that_was_young_when_it_was_read_is_read_again_though_its_state_is_the_same(conf: Path) -> None:
    """The clock of a file system stands still for up to two seconds: a second edit may leave every time as it was."""
    (conf / "a.conf").write_text("x")
    young = with_digest("of the edit before", survey(conf, []))
    assert changed(young, survey(conf, [], young, clock=later), conf) == {"a.conf"}


def test_a_file_that_was_old_when_it_was_read_is_not_read_again_while_its_state_is_the_same(conf: Path) -> None:
    (conf / "a.conf").write_text("x")
    old = with_digest("as it was read", survey(conf, [], clock=later))
    assert survey(conf, [], old, clock=later).files == old.files
    os.utime(conf / "a.conf")
    assert changed(old, survey(conf, [], old, clock=later), conf) == {"a.conf"}


def with_digest(digest: str, found: Survey) -> Survey:
    """The survey, had it read something else."""
    seen = {path: replace(each, digest=digest) for path, each in found.seen.items()}
    return replace(found, files=dict.fromkeys(found.files, digest), seen=seen)


def test_links_count_by_what_they_lead_to_and_those_that_lead_nowhere_do_not(conf: Path) -> None:
    (conf / "a.conf").write_text("x")
    (conf / "link.conf").symlink_to("a.conf")
    (conf / "nowhere.conf").symlink_to("missing")
    (conf / "itself.conf").symlink_to("itself.conf")
    before = survey(conf, [])
    assert found(before, conf) == {"a.conf", "link.conf"}
    (conf / "a.conf").write_text("y")
    assert changed(before, survey(conf, [], before), conf) == {"a.conf", "link.conf"}


def test_a_link_out_of_the_conf_folder_is_seen_and_not_followed(conf: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.conf").write_text("x")
    (conf / "x.conf").symlink_to("../outside/x.conf")
    (conf / "folder").symlink_to("../outside")
    before = survey(conf, [], clock=later)
    (tmp_path / "outside" / "x.conf").write_text("y")
    outside = survey(conf, [], before, clock=later)
    assert found(outside, conf) == {"x.conf"}
    assert changes(before, outside) == frozenset()
    (conf / "y").write_text("y")
    (conf / "x.conf").unlink()
    (conf / "x.conf").symlink_to("y")
    assert changed(outside, survey(conf, [], outside, clock=later), conf) == {"x.conf", "y"}


def test_modules_may_be_links_to_anywhere(conf: Path, tasks: Path, tmp_path: Path) -> None:
    (tmp_path / "shared" / "lib").mkdir(parents=True)
    (tmp_path / "shared" / "lib" / "x.py").write_text("x")
    (tmp_path / "shared" / "y.py").write_text("y")
    (tasks / "lib").symlink_to("../shared/lib")
    (tasks / "y.py").symlink_to("../shared/y.py")
    assert found(survey(conf, [tasks]), tasks.resolve()) == {"lib/x.py", "y.py"}


def test_folders_that_are_links_to_each_other_are_looked_at_and_left(conf: Path) -> None:
    for one, other in (("a", "b"), ("b", "a")):
        (conf / one).mkdir()
        (conf / one / "x").write_text("x")
        (conf / one / "other").symlink_to(f"../{other}")
        (conf / one / "above").symlink_to("..")
    assert found(survey(conf, []), conf) == {"a/x", "b/x", "a/other/x", "b/other/x"}


def test_pipes_and_devices_are_no_files_and_keep_nobody_waiting(conf: Path) -> None:
    os.mkfifo(conf / "pipe.conf")
    (conf / "device.conf").symlink_to("/dev/zero")
    assert survey(conf, []).files == {}


def test_a_long_file_is_read_in_part_and_known_by_size_and_time(conf: Path) -> None:
    file = conf / "long"
    file.write_bytes(b"x" * (MOST_READ + 2))
    before = survey(conf, [])
    with file.open("r+b") as stream:
        stream.seek(MOST_READ + 1)
        stream.write(b"y")
    os.utime(file, ns=(0, 0))
    assert changed(before, survey(conf, [], before), conf) == {"long"}


@pytest.mark.usefixtures("_nobody")
def test_a_file_that_may_not_be_read_is_other_than_one_that_may() -> None:
    with tempfile.TemporaryDirectory() as folder:
        conf, file = Path(folder), Path(folder) / "a.conf"
        file.write_text("x")
        before = survey(conf, [])
        file.chmod(0)
        denied = survey(conf, [], before)
        assert changed(before, denied, conf) == {"a.conf"}
        assert denied.files[str(file)] == "unreadable: Permission denied"
        file.chmod(0o600)
        assert survey(conf, [], denied).files == before.files


@pytest.mark.usefixtures("_nobody")
def test_a_folder_that_may_not_be_listed_is_told_and_loses_nothing() -> None:
    with tempfile.TemporaryDirectory() as folder:
        conf, sub = Path(folder), Path(folder) / "sub"
        sub.mkdir()
        (sub / "a.conf").write_text("x")
        before = survey(conf, [])
        sub.chmod(0)
        denied = survey(conf, [], before)
        sub.chmod(0o700)
        assert denied.files == before.files
        assert denied.troubles == (f"the folder {sub} cannot be read: Permission denied",)
        assert survey(conf, [], denied) == before


def test_a_folder_that_is_not_there_is_told_and_what_was_in_it_counts_as_being_there(conf: Path, tasks: Path) -> None:
    (conf / "a.conf").write_text("x")
    (tasks / "t.py").write_text("x")
    before = survey(conf, [tasks])
    conf.rename(conf.with_name("away"))
    missing = survey(conf, [tasks], before)
    assert changes(before, missing) == frozenset()
    assert missing.troubles == (
        f"the folder {conf} cannot be read: No such file or directory: make it, and it is watched from then on",
    )
    conf.mkdir()
    back = survey(conf, [tasks], missing)
    assert changed(missing, back, conf) == {"a.conf"}
    assert back.troubles == ()


def test_a_folder_below_that_is_gone_is_gone(conf: Path) -> None:
    (conf / "sub").mkdir()
    (conf / "sub" / "a").write_text("x")
    before = survey(conf, [])
    (conf / "sub").rename(conf.with_name("elsewhere"))
    after = survey(conf, [], before)
    assert changed(before, after, conf) == {"sub/a"}
    assert after.troubles == ()


def test_a_folder_of_more_than_is_looked_at_is_told_and_loses_nothing(conf: Path) -> None:
    for number in range(5):
        (conf / f"{number}.conf").write_text("x")
    before = survey(conf, [], most=5)
    assert before.troubles == ()
    (conf / "more.conf").write_text("x")
    after = survey(conf, [], before, most=5)
    assert set(before.files) <= set(after.files)
    assert after.troubles == (f"{conf} holds over 5 files: not all of them are watched",)


@pytest.mark.parametrize("links_first", [False, True])
def test_a_configmap_is_known_by_its_visible_names_whatever_its_folder_is_called(
    conf: Path, *, links_first: bool
) -> None:
    mounted = ConfigMap(conf, links_first=links_first)
    mounted.write({"a.conf": "1", "b.conf": "1", "sub/c.conf": "1"})
    before = survey(conf, [])
    assert found(before, conf) == {"a.conf", "b.conf", "sub/c.conf"}
    mounted.write({"a.conf": "1", "b.conf": "2", "sub/c.conf": "1", "d.conf": "1"})
    after = survey(conf, [], before)
    assert changed(before, after, conf) == {"b.conf", "d.conf"}
    mounted.write({"a.conf": "1", "b.conf": "1", "sub/c.conf": "1"})
    assert survey(conf, [], after).files == before.files


@pytest.mark.parametrize("links_first", [False, True])
def test_at_every_step_of_a_swap_each_file_is_the_old_or_the_new_one(conf: Path, *, links_first: bool) -> None:
    mounted = ConfigMap(conf, links_first=links_first)
    mounted.write({"a.conf": "old", "gone.conf": "old"})
    old = survey(conf, [])
    halfway = list(surveys(mounted, {"a.conf": "new", "new.conf": "new"}, old))
    new = halfway[-1]
    assert found(new, conf) == {"a.conf", "new.conf"}
    for step in halfway:
        assert step.troubles == ()
        for path, digest in step.files.items():
            assert digest in (old.files.get(path), new.files.get(path))


def surveys(mounted: ConfigMap, payload: dict[str, str], before: Survey) -> Iterator[Survey]:
    """What is found after each step."""
    for _ in mounted.steps(payload):
        before = survey(mounted.folder, [], before)
        yield before


def test_an_unchanged_thousand_costs_no_more_than_looking_at_each(conf: Path, tasks: Path) -> None:
    """Counted in the time of as many plain looks on the same machine, busy or not: 2.5 of them are usual."""
    for number in range(900):
        (conf / f"{number}.conf").write_text(f"tasks = [{number}]")
    for number in range(100):
        (tasks / f"t{number}.py").write_text(f"x = {number}")
    settled = survey(conf, [tasks], clock=later)

    def looks() -> None:
        for path in settled.files:
            os.stat(path)  # noqa: PTH116 - as the survey does

    def unchanged() -> None:
        assert survey(conf, [tasks], settled, clock=later).seen == settled.seen

    assert best(unchanged) < 8 * best(looks) + 0.002


def best(act: Callable[[], None], times: int = 7) -> float:
    """The shortest time that it took, in seconds."""
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        act()
        taken.append(time.perf_counter() - begin)
    return min(taken)


def test_a_secret_that_comes_changes_or_goes_is_seen_without_being_read(tmp_path: Path) -> None:
    conf, secrets = tmp_path / "conf.d", tmp_path / "secrets"
    conf.mkdir()
    before = survey(conf, [], secrets=secrets)
    assert not before.files
    secrets.mkdir()
    (secrets / "TOKEN").write_text("first")
    come = survey(conf, [], before, secrets=secrets)
    assert changes(before, come) == {str(secrets / "TOKEN")}
    assert sha256(b"first").hexdigest() not in str(come.files)
    (secrets / "TOKEN").write_text("another")
    changed = survey(conf, [], come, secrets=secrets)
    assert changes(come, changed) == {str(secrets / "TOKEN")}
    (secrets / "TOKEN").unlink()
    assert changes(changed, survey(conf, [], changed, secrets=secrets)) == {str(secrets / "TOKEN")}
