"""How much of the machine is ours: its cores and its memory, less what a container's limits take away.

Limits stand in the files of control groups, version 1 and 2. Python's own counts of processors know nothing of them.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_RUNS_A_CORE = 4
"""Runs wait more than they compute."""
_FOR_THE_DAEMON = 128 << 20
"""Bytes that are kept for the daemon, the process that has the tasks imported, and what both of them read."""
_FOR_A_RUN = 64 << 20
"""Bytes that a run with its step is reckoned at: its processes take some 10 MB, what the task holds comes on top."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What there is for the daemon and all of its runs."""

    cores: int
    memory: int | None = None
    """Bytes; `None` where no limit is set."""

    @property
    def runs(self) -> int:
        """How many runs may go on at once: four a core, as far as there is memory for them, and at least one."""
        bound = _RUNS_A_CORE * self.cores
        if self.memory is not None:
            bound = min(bound, (self.memory - _FOR_THE_DAEMON) // _FOR_A_RUN)
        return max(1, bound)


def allowance() -> Allowance:
    """What this process has, as it starts."""
    groups = ""
    with suppress(OSError):
        groups = Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="replace")
    return limited(len(os.sched_getaffinity(0)), groups, Path("/sys/fs/cgroup"))


def limited(cores: int, groups: str, mount: Path) -> Allowance:
    """So many cores, less what the limits say of the groups, which are told as `/proc/PID/cgroup` does."""
    shares = [quota / period for folder in _folders("cpu", groups, mount) for quota, period in _quota(folder)]
    memory = [limit for folder in _folders("memory", groups, mount) for limit in _memory(folder)]
    return Allowance(max(1, min([cores, *map(ceil, shares)])), min(memory, default=None))


def _folders(controller: str, groups: str, mount: Path) -> Iterator[Path]:
    """Where a limit may stand: with our group, and with all above it, whose limits hold for it too.

    In a container the group may be told by its place on the host, while the folder's root is that very group.
    """
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        group = PurePosixPath(path)
        for each in (group, *group.parents):
            yield mount / (controller if controllers else "") / each.relative_to("/")


def _memory(folder: Path) -> Iterator[int]:
    for name in ("memory.max", "memory.limit_in_bytes"):
        yield from _numbers(folder / name)


def _quota(folder: Path) -> Iterator[tuple[int, int]]:
    """Time on processors, and the time in which it may be used, where that is limited."""
    told = [*_numbers(folder / "cpu.max")] or [
        *_numbers(folder / "cpu.cfs_quota_us"),
        *_numbers(folder / "cpu.cfs_period_us"),
    ]
    if len(told) == 2:  # noqa: PLR2004 - without a limit, there is the period alone
        yield told[0], told[1]


def _numbers(file: Path) -> Iterator[int]:
    """The numbers in a file, leaving out the words for "none", which are `max` and -1; none where there is no file."""
    with suppress(OSError):
        yield from (int(word) for word in file.read_text(encoding="ascii").split() if word.isdecimal())
