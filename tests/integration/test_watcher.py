"""Every kind of edit, made for real, is seen: by inotify alone, and by polling."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.configmap import ConfigMap
from support.watching import Watching, watching

from tasker.watching.watcher import Pace

ONLY_INOTIFY = Pace(check_s=3600, sweep_s=3600)
"""What is told by looking or by time going by would hide what inotify does not tell."""


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    folder = tmp_path / "conf.d"
    (folder / "includes").mkdir(parents=True)
    (folder / "crm.conf").write_text("tasks = [1]")
    (folder / "includes" / "base.conf").write_text("retries = 1")
    return folder


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    folder = tmp_path / "tasks"
    (folder / "lib").mkdir(parents=True)
    (folder / "archive.py").write_text("x = 1")
    (folder / "lib" / "helper.py").write_text("x = 1")
    return folder


@pytest.fixture(params=["inotify", "poll"])
def at_work(request: pytest.FixtureRequest, conf: Path, tasks: Path) -> Iterator[Watching]:
    poll_s = 0.05 if request.param == "poll" else None
    with watching(conf, [tasks], poll_s=poll_s, pace=ONLY_INOTIFY) as at_work:
        assert at_work.watcher.mode == request.param
        yield at_work


def test_a_file_that_is_written_in_place(at_work: Watching, conf: Path) -> None:
    (conf / "crm.conf").write_text("tasks = [2]")
    at_work.wait_for(conf / "crm.conf")


def test_a_file_that_is_written_bit_by_bit_is_known_by_its_end(at_work: Watching, conf: Path) -> None:
    file = conf / "crm.conf"
    with file.open("w", buffering=1) as stream:
        for number in range(100):
            stream.write(f"line {number}\n")
    at_work.wait_until(lambda: at_work.knows(file))


def test_a_file_that_is_replaced_by_rename(at_work: Watching, conf: Path) -> None:
    for number in range(3):
        (conf / ".draft").write_text(f"tasks = [1, {number}]")
        (conf / ".draft").rename(conf / "crm.conf")
        at_work.wait_for(conf / "crm.conf")


def test_a_file_that_is_new(at_work: Watching, conf: Path) -> None:
    (conf / "erp.conf").write_text("tasks = []")
    at_work.wait_for(conf / "erp.conf")


def test_a_file_that_is_deleted_and_comes_back_as_it_was(at_work: Watching, conf: Path) -> None:
    (conf / "crm.conf").unlink()
    at_work.wait_for(conf / "crm.conf")
    (conf / "crm.conf").write_text("tasks = [1]")
    at_work.wait_for(conf / "crm.conf")


def test_a_file_that_is_moved_out_and_back(at_work: Watching, conf: Path, tmp_path: Path) -> None:
    for where in (tmp_path / "elsewhere", conf / "crm.conf"):
        next(each for each in (conf / "crm.conf", tmp_path / "elsewhere") if each.exists()).rename(where)
        at_work.wait_for(conf / "crm.conf")


def test_a_file_that_changes_its_name(at_work: Watching, conf: Path) -> None:
    (conf / "crm.conf").rename(conf / "_crm.conf")
    at_work.wait_for(conf / "crm.conf", conf / "_crm.conf")


def test_a_file_that_is_restored_to_older_content_and_time(at_work: Watching, conf: Path, tmp_path: Path) -> None:
    shutil.copy2(conf / "crm.conf", tmp_path / "backup")
    (conf / "crm.conf").write_text("tasks = [2]")
    at_work.wait_for(conf / "crm.conf")
    shutil.copy2(tmp_path / "backup", conf / "crm.conf")
    at_work.wait_for(conf / "crm.conf")


def test_two_edits_of_one_length_in_one_moment_are_known_by_the_second(at_work: Watching, conf: Path) -> None:
    for number in range(50):
        (conf / "crm.conf").write_text(f"tasks = [{number:2}]")
    at_work.wait_until(lambda: at_work.knows(conf / "crm.conf"))


def test_an_include_that_only_others_include(at_work: Watching, conf: Path) -> None:
    (conf / "includes" / "base.conf").write_text("retries = 2")
    at_work.wait_for(conf / "includes" / "base.conf")


def test_an_include_in_folders_that_are_new(at_work: Watching, conf: Path) -> None:
    for number in range(3):
        deep = conf / f"new{number}" / "deeper" / "still"
        deep.mkdir(parents=True)
        (deep / "x.json").write_text("{}")
        at_work.wait_for(deep / "x.json")
        (deep / "x.json").write_text("{ }")
        at_work.wait_for(deep / "x.json")


def test_a_folder_of_includes_that_is_moved_out_replaced_and_edited(
    at_work: Watching, conf: Path, tmp_path: Path
) -> None:
    file = conf / "includes" / "base.conf"
    (conf / "includes").rename(tmp_path / "old")
    at_work.wait_for(file)
    (conf / "includes").mkdir()
    file.write_text("retries = 3")
    at_work.wait_for(file)
    file.write_text("retries = 4")
    at_work.wait_for(file)
    shutil.rmtree(conf / "includes")
    at_work.wait_for(file)
    (tmp_path / "old").rename(conf / "includes")
    at_work.wait_for(file)
    file.write_text("retries = 5")
    at_work.wait_for(file)


def test_a_link_that_is_turned_to_another_file(at_work: Watching, conf: Path) -> None:
    (conf / "b").write_text("b")
    (conf / "link.conf").symlink_to("crm.conf")
    at_work.wait_for(conf / "b", conf / "link.conf")
    (conf / ".draft").symlink_to("b")
    (conf / ".draft").rename(conf / "link.conf")
    at_work.wait_for(conf / "link.conf")


def test_the_code_of_a_task_and_of_what_it_imports(at_work: Watching, tasks: Path) -> None:
    real = tasks.resolve()
    (tasks / "archive.py").write_text("x = 2")
    at_work.wait_for(real / "archive.py")
    (tasks / "lib" / "helper.py").write_text("x = 2")
    at_work.wait_for(real / "lib" / "helper.py")
    (tasks / "new.py").write_text("x = 1")
    at_work.wait_for(real / "new.py")


@pytest.mark.parametrize("links_first", [False, True])
def test_a_configmap_in_all_that_a_kubelet_does(tmp_path: Path, *, links_first: bool) -> None:
    conf = tmp_path / "mounted"
    mounted = ConfigMap(conf, links_first=links_first)
    mounted.write({"a.conf": "1", "b.conf": "1"})
    with watching(conf, pace=ONLY_INOTIFY) as at_work:
        for payload, changed in (
            ({"a.conf": "2", "b.conf": "1"}, {"a.conf"}),
            ({"a.conf": "2", "b.conf": "1", "c.conf": "1"}, {"c.conf"}),
            ({"a.conf": "2", "c.conf": "1"}, {"b.conf"}),
            ({"a.conf": "1", "b.conf": "1"}, {"a.conf", "b.conf", "c.conf"}),
            ({"a.conf": "1", "sub/d.conf": "1"}, {"b.conf", "sub/d.conf"}),
            ({"a.conf": "1", "sub/d.conf": "2"}, {"sub/d.conf"}),
        ):
            mounted.write(payload)
            at_work.wait_for(*(conf / name for name in changed))
            assert at_work.changed == set()


def test_a_payload_that_is_half_written_is_not_there_yet(tmp_path: Path) -> None:
    conf = tmp_path / "mounted"
    mounted = ConfigMap(conf)
    mounted.write({"a.conf": "1", "b.conf": "1"})
    with watching(conf, pace=ONLY_INOTIFY) as at_work:
        for step in mounted.steps({"a.conf": "2", "b.conf": "2"}):
            at_work.wait_for_calls(at_work.calls + 1)
            if step == "the link leads to the new folder":
                break
            assert at_work.changed == set()
        at_work.wait_for(conf / "a.conf", conf / "b.conf")


def test_a_kubelet_that_looks_after_its_folder_changes_nothing(tmp_path: Path) -> None:
    mounted = ConfigMap(tmp_path / "mounted")
    mounted.write({"a.conf": "1"})
    with watching(tmp_path / "mounted", pace=ONLY_INOTIFY) as at_work:
        mounted.look_after()
        at_work.wait_for_calls(1)
        assert at_work.changed == set()


FOLDERS_THEMSELVES = Pace(check_s=0.05, sweep_s=3600)


def test_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    conf = tmp_path / "later" / "conf.d"
    with watching(conf, pace=FOLDERS_THEMSELVES) as at_work:
        conf.mkdir(parents=True)
        (conf / "crm.conf").write_text("1")
        at_work.wait_for(conf / "crm.conf")
        (conf / "crm.conf").write_text("2")
        at_work.wait_for(conf / "crm.conf")


def deleted(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def moved_away(folder: Path) -> None:
    folder.rename(folder.with_name("away"))
    folder.mkdir()


def swapped_by_a_link(folder: Path) -> None:
    folder.rename(folder.with_name("v1"))
    folder.with_name("v2").mkdir()
    folder.with_name("draft").symlink_to("v2")
    folder.with_name("draft").rename(folder)


@pytest.mark.parametrize("replace", [deleted, moved_away, swapped_by_a_link])
def test_a_folder_that_is_replaced_is_watched_on(conf: Path, tasks: Path, replace: Callable[[Path], None]) -> None:
    with watching(conf, [tasks], pace=FOLDERS_THEMSELVES) as at_work:
        replace(conf)
        at_work.wait_for(conf / "crm.conf")
        for text in ("one", "two"):
            (conf / "erp.conf").write_text(text)
            at_work.wait_for(conf / "erp.conf")
        assert at_work.watcher.mode == "inotify"


def test_a_file_system_that_is_mounted_over_a_folder_is_watched_and_what_was_under_it_after_it(conf: Path) -> None:
    mount = subprocess.run(["mount", "-t", "tmpfs", "none", conf], capture_output=True, text=True, check=False)
    if mount.returncode:
        pytest.skip(f"nothing may be mounted here: {mount.stderr}")
    subprocess.run(["umount", conf], check=True)
    with watching(conf, pace=FOLDERS_THEMSELVES) as at_work:
        subprocess.run(["mount", "-t", "tmpfs", "none", conf], check=True)
        try:
            at_work.wait_for(conf / "crm.conf")
            for text in ("one", "two"):
                (conf / "erp.conf").write_text(text)
                at_work.wait_for(conf / "erp.conf")
        finally:
            subprocess.run(["umount", "--lazy", conf], check=True)
        at_work.wait_for(conf / "crm.conf", conf / "erp.conf")
        (conf / "crm.conf").write_text("below")
        at_work.wait_for(conf / "crm.conf")


def test_what_links_of_task_folders_lead_to_is_looked_at_from_time_to_time(
    conf: Path, tasks: Path, tmp_path: Path
) -> None:
    (tmp_path / "shared.py").write_text("x = 1")
    (tasks / "shared.py").symlink_to("../shared.py")
    with watching(conf, [tasks], pace=Pace(sweep_s=0.1)) as at_work:
        (tmp_path / "shared.py").write_text("x = 2")
        at_work.wait_for(tasks.resolve() / "shared.py")


def test_what_nobody_reads_tells_nothing(conf: Path, tasks: Path) -> None:
    with watching(conf, [tasks], pace=ONLY_INOTIFY) as at_work:
        (conf / ".git").mkdir()
        (conf / ".git" / "index").write_text("x")
        (conf / ".crm.conf.swp").write_text("x")
        (tasks / "__pycache__").mkdir()
        (tasks / "__pycache__" / "archive.cpython-311.pyc").write_text("x")
        (conf / "crm.conf").read_text()
        time.sleep(0.5)  # nothing comes of it: there is nothing to wait for
        assert at_work.calls == 0


def test_a_thousand_edits_in_a_burst_are_told_a_few_times_and_the_last_one_wins(conf: Path, tasks: Path) -> None:
    for number in range(1000):
        (conf / f"{number}.conf").write_text("tasks = []")
    with watching(conf, [tasks], pace=ONLY_INOTIFY) as at_work:
        begin = time.monotonic()
        for number in range(1000):
            (conf / f"{number % 100}.conf").write_text(f"tasks = [{number}]")
        lasted = time.monotonic() - begin
        at_work.wait_until(lambda: at_work.knows(*conf.glob("*.conf")))
        assert at_work.calls <= 2 + lasted / ONLY_INOTIFY.longest_s
        assert len(at_work.changed) == 100


def test_more_events_than_the_kernel_keeps_leave_the_watch_whole(conf: Path, tasks: Path) -> None:
    """What is lost in an overflow is found by the survey after what was kept."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    files = [conf / f"{number}.conf" for number in range(8)]
    with watching(conf, [tasks], pace=ONLY_INOTIFY) as at_work:
        for number in range(limit // 8):
            for file in files:
                file.write_text(str(number))
        at_work.wait_until(lambda: at_work.knows(*files))
        (conf / "crm.conf").write_text("after")
        at_work.wait_for(conf / "crm.conf")
        assert at_work.troubles == []


WITHIN_LIMITS = """
import sys, threading
from pathlib import Path
from tasker.watching.watcher import Pace, Watcher

conf = Path(sys.argv[1])
told, calls = threading.Semaphore(0), threading.Semaphore(0)
watcher = Watcher([conf], calls.release, troubled=lambda words: (print(words), told.release()), pace=Pace(check_s=0.05))
watcher.start()
print(watcher.mode)
if sys.argv[2] == "grow":
    for number in range(20):
        (conf / f"folder{number}").mkdir()
assert told.acquire(timeout=60)
print(watcher.mode)
assert calls.acquire(timeout=60)
watcher.stop()
"""


def within_limits(conf: Path, limit: str, does: str) -> list[str]:
    """What a watcher says in a user namespace of its own that has so little of inotify."""
    script = f'echo {limit.partition("=")[2]} > /proc/sys/user/{limit.partition("=")[0]} && exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"]
    told = subprocess.run(
        [*command, sys.executable, "-c", WITHIN_LIMITS, str(conf), does], capture_output=True, text=True, check=False
    )
    if "unshare" in told.stderr or "/proc/sys/user" in told.stderr:
        pytest.skip(f"no user namespace with limits of its own is to be had: {told.stderr}")
    assert told.returncode == 0, told.stderr
    return told.stdout.splitlines()


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("max_inotify_watches=1", "no inotify watch is left (raise fs.inotify.max_user_watches): looking every 2 s"),
        (
            "max_inotify_instances=0",
            "no inotify instance is left (raise fs.inotify.max_user_instances): looking every 2 s",
        ),
    ],
)
def test_where_the_system_has_no_room_it_polls_and_says_what_would_mend_it(conf: Path, limit: str, words: str) -> None:
    assert within_limits(conf, limit, "stay") == [words, "poll", "poll"]


def test_where_the_room_ends_later_it_polls_from_then_on(conf: Path) -> None:
    words = "no inotify watch is left (raise fs.inotify.max_user_watches): looking every 2 s"
    assert within_limits(conf, "max_inotify_watches=8", "grow") == ["inotify", words, "poll"]


def test_with_a_thousand_files_it_idles_at_hardly_any_cost(conf: Path, tasks: Path) -> None:
    for number in range(1000):
        (conf / "includes" / f"{number}.conf").write_text("tasks = []")
    with watching(conf, [tasks], pace=Pace(sweep_s=1)) as at_work:
        at_work.wait_for_calls(4)  # by now all files are of an age to be trusted
        used, begin = time.process_time(), time.monotonic()
        at_work.wait_for_calls(at_work.calls + 1)
        assert time.process_time() - used < 0.03 * (time.monotonic() - begin)


def test_descriptors_and_threads_are_given_back(conf: Path, tasks: Path) -> None:
    def held() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    with watching(conf, [tasks]):
        pass
    before = held()
    for _ in range(5):
        with watching(conf, [tasks]) as at_work:
            (conf / "crm.conf").write_text("x")
            at_work.wait_for_calls(1)
    assert held() == before
