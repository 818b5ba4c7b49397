"""A log that no reader can hold up."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasker.facts import Event, Fact
from tasker.logs import JsonLog, QueuedOutput, dropped_lines

LIMIT_S = 60
LINE = b"x" * 999 + b"\n"


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe's ends; the writing one is the output's to close."""
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        os.close(reading)


def test_what_is_written_arrives_in_order_and_whole() -> None:
    lines = [b"%d\n" % number for number in range(20_000)]
    with pipe() as (reading, writing), os.fdopen(os.dup(reading), "rb") as reader:
        output = QueuedOutput(writing)
        for line in lines:
            output.write(line)
        assert reader.read(sum(map(len, lines))) == b"".join(lines)
        output.close()
        assert reader.read() == b""


def test_a_reader_that_stalls_holds_up_nobody() -> None:
    with pipe() as (reading, writing), QueuedOutput(writing) as output:
        longest = 0.0
        for _ in range(2000):
            began = time.monotonic()
            assert output.write(LINE) == len(LINE)
            longest = max(longest, time.monotonic() - began)
        assert longest < LIMIT_S / 4
        assert output.backlog > 1500
        assert not output.drain(0)
        began = time.monotonic()
        output.close()
        assert time.monotonic() - began < LIMIT_S / 4
        os.read(reading, 1 << 20)  # so that the thread comes to its end


def test_lines_beyond_the_bound_are_dropped_and_a_line_in_their_place_says_how_many() -> None:
    with pipe() as (reading, writing), QueuedOutput(writing, most=100_000) as output:
        read = bytearray()
        for _ in range(400):
            output.write(LINE)
        assert output.dropped > 100
        dropped = output.dropped
        while output.backlog:
            read += os.read(reading, 4096)
        output.write(b"again\n")
        assert output.drain(LIMIT_S)
        while not read.endswith(b"again\n"):
            read += os.read(reading, 4096)
        *before, gap, after = read.splitlines(keepends=True)
        assert before == [LINE] * (400 - dropped)
        assert json.loads(gap)["event"] == "daemon.troubled"
        assert json.loads(gap)["error"] == f"{dropped} lines of the log dropped: its reader does not keep up"
        assert after == b"again\n"


def test_a_gap_is_told_even_where_nothing_follows_it() -> None:
    with pipe() as (reading, writing), QueuedOutput(writing, most=2000, gap=b"%d missing\n".__mod__) as output:
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
        while not output.dropped:
            output.write(LINE)
        read = b""
        while not read.endswith(b"missing\n"):
            read += os.read(reading, 4096)
        assert read.endswith(b"%d missing\n" % output.dropped)


def test_one_line_that_is_longer_than_all_that_may_wait_is_dropped() -> None:
    with pipe() as (reading, writing), QueuedOutput(writing, most=100, gap=b"%d missing\n".__mod__) as output:
        output.write(LINE)
        assert os.read(reading, 100) == b"1 missing\n"


def test_a_reader_that_has_gone_away_is_told_once_and_nothing_waits_for_it() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    troubles: list[OSError | None] = []
    told = threading.Event()

    def troubled(error: OSError | None) -> None:
        troubles.append(error)
        told.set()

    with QueuedOutput(writing, troubled=troubled) as output:
        output.write(LINE)
        assert told.wait(LIMIT_S)
        assert not output.drain(LIMIT_S)
        for _ in range(10):
            output.write(LINE)
        assert output.backlog == 0
        assert output.dropped == 11
    (error,) = troubles
    assert isinstance(error, BrokenPipeError)


FULL_DISK = """
    import os, resource, signal, sys, threading
    from tasker.logs import QueuedOutput

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
    troubles, changed = [], threading.Semaphore(0)
    with QueuedOutput(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT),
                      troubled=lambda error: (troubles.append(error and error.errno), changed.release())) as output:
        for number in range(5):
            output.write(b"%d" % number * 999 + b"\\n")
        changed.acquire()
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        changed.acquire()
        assert output.drain(20)
    print(troubles)
"""


def test_what_a_full_disk_refuses_waits_and_is_written_once_there_is_room(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", textwrap.dedent(FULL_DISK), str(tmp_path / "log")]
    told = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=LIMIT_S)
    assert told.stdout == f"[{errno.EFBIG}, None]\n"
    assert (tmp_path / "log").read_text() == "".join(f"{str(number) * 999}\n" for number in range(5))


def test_a_descriptor_that_others_have_set_not_to_block_gets_all() -> None:
    with pipe() as (reading, writing), QueuedOutput(writing) as output:
        os.set_blocking(writing, False)
        for _ in range(500):
            output.write(LINE)
        read = 0
        while read < 500 * len(LINE):
            read += len(os.read(reading, 4096))
        assert output.drain(LIMIT_S)


def test_the_log_writes_to_it() -> None:
    with pipe() as (reading, writing), QueuedOutput(writing) as output:
        JsonLog(output).observe(dropped_lines(1))
        assert output.drain(LIMIT_S)
        assert json.loads(os.read(reading, 4096))["error"].startswith("1 line of the log dropped")


@pytest.mark.parametrize("lines", [1, 1000])
def test_close_ends_the_thread_and_closes_the_descriptor(lines: int) -> None:
    with Path(os.devnull).open("wb", buffering=0) as null:
        output = QueuedOutput(os.dup(null.fileno()))
        for _ in range(lines):
            output.write(LINE)
        assert output.drain(LIMIT_S)
        output.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "log" and thread is output._thread]


def test_dropped_lines_are_a_fact_of_the_daemons() -> None:
    fact = dropped_lines(3)
    assert isinstance(fact, Fact)
    assert fact.event == Event.DAEMON_TROUBLED
    assert fact.details["what"] == "log"
