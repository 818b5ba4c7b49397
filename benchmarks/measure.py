"""Whole processes, timed side by side: every round runs each contestant once, so a busy moment hits all of them."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Contestant:
    """A command to be timed."""

    name: str
    command: Sequence[str]
    before: Callable[[], None] = lambda: None
    """What is to be done before each time, off the clock."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process took."""

    seconds: float
    megabytes: float = 0.0
    """Peak resident memory of the process itself; 0 where it was not measured."""
    cpu_s: float = 0.0
    """Seconds of a core, those of processes that it started and waited for included; 0 where it was not measured."""


class ContestantFailedError(Exception):
    """A command did not succeed, so its time means nothing."""

    def __init__(self, name: str, status: int, said: str) -> None:
        super().__init__(f"{name} ended with {status}:\n{said}")


def race(
    contestants: Sequence[Contestant], *, rounds: int, folder: Path, environment: Mapping[str, str]
) -> dict[str, Cost]:
    """The median cost of each contestant over `rounds`; of several rounds, the first only warms caches up."""
    costs: dict[str, list[Cost]] = {contestant.name: [] for contestant in contestants}
    for _ in range(rounds if rounds == 1 else rounds + 1):
        for contestant in contestants:
            contestant.before()
            costs[contestant.name].append(_run(contestant, folder, environment))
    return {name: _median(taken[-rounds:]) for name, taken in costs.items()}


def _median(costs: Sequence[Cost]) -> Cost:
    return Cost(
        statistics.median(cost.seconds for cost in costs),
        statistics.median(cost.megabytes for cost in costs),
        statistics.median(cost.cpu_s for cost in costs),
    )


def _run(contestant: Contestant, folder: Path, environment: Mapping[str, str]) -> Cost:
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        process = subprocess.Popen(contestant.command, cwd=folder, env=environment, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise ContestantFailedError(
                contestant.name, process.returncode, said.read()[-2000:].decode(errors="replace")
            )
    return Cost(seconds, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime)
