"""When hints are told, and how a watcher chooses to watch: without a file system of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from errno import EMFILE, ENOSPC, ENOSYS
from pathlib import Path

import pytest
from support.watching import watching

from tasker.watching.watcher import Hints, Pace, Watcher

PACE = Pace(quiet_s=0.05, longest_s=0.3)


def test_without_hints_there_is_nothing_to_tell() -> None:
    assert Hints(PACE).due() is None


def test_a_hint_is_told_after_a_moment_of_quiet() -> None:
    hints = Hints(PACE)
    assert hints.add(10.0)
    assert hints.due() == 10.05


def test_hints_that_keep_coming_are_told_in_the_end() -> None:
    hints = Hints(PACE)
    assert [hints.add(10.0 + number / 100) for number in range(100)] == [True] + [False] * 99
    assert hints.due() == 10.3


def test_what_comes_after_hints_were_told_is_told_anew() -> None:
    hints = Hints(PACE)
    hints.add(10.0)
    hints.clear()
    assert hints.due() is None
    assert hints.add(20.0)
    assert hints.due() == 20.05


class FakeObservation:
    """Watches nothing; hints when it is told to, and is whole for as long as it is said to be."""

    def __init__(self, folders: Sequence[str], hint: Callable[[], None]) -> None:
        self.folders = folders
        self.hint = hint
        self.whole = True
        self.stopped = threading.Event()

    def is_whole(self) -> bool:
        return self.whole

    def stop(self) -> None:
        self.stopped.set()


class FakeInotify:
    """Begins observations, unless it is told to fail."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.begun: list[FakeObservation] = []

    def __call__(self, folders: Sequence[str], hint: Callable[[], None]) -> FakeObservation:
        if self.error:
            raise self.error
        self.begun.append(FakeObservation(folders, hint))
        return self.begun[-1]


def mounted(folder: Path, kind: str) -> Callable[[], str]:
    """A table that says that a folder is on such a file system."""
    return lambda: f"27 1 254:0 / / rw - ext4 /dev/vda rw\n40 27 0:40 / {os.path.realpath(folder)} rw - {kind} x rw\n"


def test_where_inotify_serves_it_is_used(tmp_path: Path) -> None:
    inotify = FakeInotify()
    with watching(tmp_path, observe=inotify, mounts=mounted(tmp_path, "tmpfs")) as at_work:
        assert (at_work.watcher.mode, at_work.watcher.reason) == ("inotify", "inotify sees every change")
        assert inotify.begun[0].folders == [os.path.realpath(tmp_path)]
    assert at_work.troubles == []
    assert inotify.begun[0].stopped.is_set()


def test_who_asks_for_polling_gets_it_and_no_word_of_trouble(tmp_path: Path) -> None:
    inotify = FakeInotify()
    with watching(tmp_path, poll_s=0.01, pace=Pace(quiet_s=0), observe=inotify) as at_work:
        assert (at_work.watcher.mode, at_work.watcher.reason) == ("poll", "it was asked for")
        at_work.wait_for_calls(3)
    assert inotify.begun == []
    assert at_work.troubles == []


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "9p"])
def test_a_file_system_that_others_write_to_is_polled_and_the_reason_is_told(tmp_path: Path, kind: str) -> None:
    inotify, pace = FakeInotify(), Pace(quiet_s=0, poll_s=0.01)
    with watching(tmp_path, pace=pace, observe=inotify, mounts=mounted(tmp_path, kind)) as at_work:
        reason = f"{tmp_path} is on {kind}, and inotify does not see what others change there: looking every 0.01 s"
        assert (at_work.watcher.mode, at_work.watcher.reason) == ("poll", reason)
        at_work.wait_for_calls(3)
    assert inotify.begun == []
    assert at_work.troubles == [reason]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            OSError(ENOSPC, "inotify watch limit reached"),
            "no inotify watch is left (raise fs.inotify.max_user_watches)",
        ),
        (OSError(EMFILE, "x"), "no inotify instance is left (raise fs.inotify.max_user_instances)"),
        (OSError(ENOSYS, "not here"), f"inotify cannot be had: [Errno {ENOSYS}] not here"),
        (RuntimeError("can't start new thread"), "inotify cannot be had: can't start new thread"),
    ],
)
def test_where_inotify_cannot_be_had_it_polls_and_tells_what_would_mend_it(
    tmp_path: Path, error: Exception, words: str
) -> None:
    with watching(tmp_path, pace=Pace(quiet_s=0, poll_s=0.01), observe=FakeInotify(error)) as at_work:
        assert at_work.watcher.mode == "poll"
        at_work.wait_for_calls(3)
    assert at_work.troubles == [f"{words}: looking every 0.01 s"]


def test_a_folder_that_comes_to_be_on_another_file_system_is_watched_as_that_one_needs(tmp_path: Path) -> None:
    kinds, folder = ["tmpfs"], tmp_path / "conf.d"

    def table() -> str:
        return mounted(folder, kinds[-1])()

    pace = Pace(quiet_s=0, check_s=0.01, poll_s=0.01)
    with watching(folder, pace=pace, observe=FakeInotify(), mounts=table) as at_work:
        assert at_work.watcher.mode == "inotify"
        kinds.append("nfs4")
        folder.mkdir()
        assert at_work.wait_for_trouble().startswith(f"{folder} is on nfs4")
        kinds.append("tmpfs")
        folder.rmdir()
        at_work.wait_until(lambda: at_work.watcher.mode == "inotify")


def test_an_observation_that_is_no_longer_whole_is_begun_again(tmp_path: Path) -> None:
    inotify = FakeInotify()
    with watching(tmp_path, pace=Pace(check_s=0.01, sweep_s=60), observe=inotify, mounts=str) as at_work:
        inotify.begun[0].whole = False
        at_work.wait_for_calls(1)
        assert inotify.begun[0].stopped.is_set()
        assert len(inotify.begun) == 2


def test_where_it_cannot_be_begun_again_it_polls(tmp_path: Path) -> None:
    inotify = FakeInotify()
    with watching(tmp_path, pace=Pace(quiet_s=0, check_s=0.01, poll_s=0.01), observe=inotify, mounts=str) as at_work:
        inotify.error = OSError(ENOSPC, "x")
        inotify.begun[0].whole = False
        assert at_work.wait_for_trouble().startswith("no inotify watch is left")
        at_work.wait_for_calls(at_work.calls + 3)
        assert at_work.watcher.mode == "poll"


def test_without_any_hint_it_tells_from_time_to_time(tmp_path: Path) -> None:
    with watching(tmp_path, pace=Pace(sweep_s=0.01, quiet_s=0), observe=FakeInotify(), mounts=str) as at_work:
        at_work.wait_for_calls(5)


def test_a_listener_that_fails_is_told_of_and_called_again(tmp_path: Path) -> None:
    calls: list[int] = []
    troubles: list[str] = []
    enough = threading.Event()

    def fails() -> None:
        calls.append(1)
        if len(calls) == 3:
            enough.set()
        raise ValueError("no")  # noqa: EM101

    def fails_too(words: str) -> None:
        troubles.append(words)
        raise ValueError(words)

    watcher = Watcher([tmp_path], fails, troubled=fails_too, poll_s=0.01, pace=Pace(quiet_s=0))
    watcher.start()
    assert enough.wait(60)
    watcher.stop()
    assert set(troubles) == {"watching went wrong once: ValueError('no')"}


def test_what_happens_during_a_call_is_told_by_one_more(tmp_path: Path) -> None:
    inotify = FakeInotify()
    entered, go_on, calls = threading.Semaphore(0), threading.Semaphore(0), []

    def slow() -> None:
        calls.append(1)
        entered.release()
        go_on.acquire()

    watcher = Watcher([tmp_path], slow, troubled=print, pace=Pace(sweep_s=60), mounts=str, observe=inotify)
    watcher.start()
    inotify.begun[0].hint()
    assert entered.acquire(timeout=60)
    for _ in range(1000):
        inotify.begun[0].hint()
    go_on.release()
    assert entered.acquire(timeout=60)
    go_on.release(100)
    watcher.stop()
    assert len(calls) == 2


def test_after_the_end_nothing_is_called(tmp_path: Path) -> None:
    inotify = FakeInotify()
    with watching(tmp_path, observe=inotify, mounts=str) as at_work:
        pass
    inotify.begun[0].hint()
    at_work.watcher.stop()
    assert at_work.calls == 0


def test_a_watcher_that_never_began_can_be_ended(tmp_path: Path) -> None:
    watcher = Watcher([tmp_path], print, troubled=print)
    watcher.stop()
    assert (watcher.mode, watcher.reason) == ("poll", "watching has not begun")


def test_a_listener_may_end_the_watch(tmp_path: Path) -> None:
    ended = threading.Event()

    def end() -> None:
        watcher.stop()
        ended.set()

    watcher = Watcher([tmp_path], end, troubled=print, poll_s=0.01)
    watcher.start()
    assert ended.wait(20)
