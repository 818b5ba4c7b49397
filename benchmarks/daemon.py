"""`tasker watch` at work, seen from outside: its log, its processes, what they cost, and its history."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sysconfig
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from benchmarks.measure import ContestantFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

TASKER = str(Path(sysconfig.get_path("scripts")) / "tasker")
_TICKS = os.sysconf("SC_CLK_TCK")
_LOOK_S = 0.02
"""Seconds between looks at the log: what is measured is what its lines say, and not when they are read."""
_PATIENCE_S = 1800.0
NAME = "tasker watch"


class Daemon:
    """A daemon in `conf.d` and `tasks` of a folder; its log and its history stay there."""

    def __init__(self, folder: Path, environment: Mapping[str, str], *options: str) -> None:
        """Start it."""
        self._folder = folder
        self._environment = environment
        self._file = folder / "daemon.log"
        self._read = 0
        self._counts: dict[str, int] = {}
        command = [TASKER, "watch", "conf.d", "--state", "state", *options]
        with self._file.open("wb") as out, (folder / "daemon.err").open("wb") as errors:
            self._process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=errors)
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)

    # What it tells

    def count(self, event: str) -> int:
        """How often it has told of an event so far."""
        for told in self.told():
            self._counts[told["event"]] = self._counts.get(told["event"], 0) + 1
        return self._counts.get(event, 0)

    def told(self) -> Iterator[dict[str, Any]]:
        """The lines of its log since the last time."""
        with self._file.open("rb") as log:
            log.seek(self._read)
            data = log.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        yield from map(json.loads, whole.splitlines())

    def wait(self, holds: Callable[[], bool], meanwhile: Callable[[], None] = lambda: None) -> None:
        """Wait for something. Raises `ContestantFailedError` where it does not come."""
        give_up = time.monotonic() + _PATIENCE_S
        while not holds():
            if self._process.poll() is not None or time.monotonic() > give_up:
                said = (self._folder / "daemon.err").read_text(errors="replace")
                raise ContestantFailedError(NAME, self._process.poll() or 0, said[-2000:])
            meanwhile()
            time.sleep(_LOOK_S)

    def history(self, *options: str) -> list[dict[str, Any]]:
        """What `tasker runs` answers."""
        command = [TASKER, "runs", "--state", "state", "--limit", "1000000", *options]
        answer = subprocess.run(
            command, cwd=self._folder, env=self._environment, check=True, capture_output=True, text=True
        )
        return [json.loads(line) for line in answer.stdout.splitlines()]

    # What it costs

    def cpu_s(self) -> tuple[float, float]:
        """Seconds of a core that have gone into the daemon, and into its launcher with the runs that have ended."""
        own, ended = _cpu_s(self.pid)
        return own, ended + sum(sum(_cpu_s(launcher)) for launcher in _children(self.pid))

    def memory_mb(self) -> tuple[float, float, float]:
        """What the daemon, its launcher and all runs take, in MiB, of shared pages their part."""
        launchers = _children(self.pid)
        runs = [pid for launcher in launchers for pid in _below(launcher)]
        return _pss_mb(self.pid), sum(map(_pss_mb, launchers)), sum(map(_pss_mb, runs))


def _cpu_s(pid: int) -> tuple[float, float]:
    """Seconds of user and system time of a process, and of its children that it has waited for."""
    numbers = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    user, system, users, systems = map(int, numbers[11:15])
    return (user + system) / _TICKS, (users + systems) / _TICKS


def _pss_mb(pid: int) -> float:
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)
    return 0.0


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    return []


def _below(pid: int) -> Iterator[int]:
    for child in _children(pid):
        yield child
        yield from _below(child)
