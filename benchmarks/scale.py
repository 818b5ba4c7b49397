"""The daemon at scale: a thousand pipelines due in the same second, as many edits as there is time for, and its rest.

The yardstick is what the machine itself takes to fork and exec as many `/bin/true`, as many of them at once.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import quantiles
from typing import TYPE_CHECKING, Any

from benchmarks.daemon import NAME, Daemon
from benchmarks.inputs import NOOP_TASK
from benchmarks.measure import Contestant, ContestantFailedError, Cost, race
from tasker.allowance import allowance

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

MOST_AT_ONCE = allowance().runs
"""What `tasker watch` lets run at once, where nothing else is said."""
_IDLE_S = 20.0
_IDLE_AIM = 0.01
"""Of a core."""
_EDITS = 100
_SETTLING_S = 3.0
"""Seconds from the last thing that was asked of the daemon until it counts as idle."""
_MINUTES = 5
_NEVER = "@yearly"
_TOO_SLOW = "it took so long to reload that the slot had come before"
_WHEN = "_when.conf"
_PIPELINE = 'include "_when.conf"\nowner = "{owner}"\ntasks = [ {{ name = noop }} ]\n'
_FORK = "fork and exec of as many /bin/true"
_FORKS = """import os, sys
count, room = map(int, sys.argv[1:])
for _ in range(count):
    if not room:
        os.wait()
        room += 1
    if not os.fork():
        os.execv("/bin/true", ["true"])
    room -= 1
try:
    while True:
        os.wait()
except ChildProcessError:
    pass
"""


@dataclass(frozen=True, slots=True)
class _Load:
    """What a number of runs came to, in seconds."""

    started: float
    """From the slot until all have started."""
    ended: float
    late: Sequence[float]
    cpu: tuple[float, float]
    """Of the daemon, and of the launcher and its runs."""
    memory: tuple[float, float, float]
    """Of the daemon, the launcher and its runs, at their highest, in MiB."""


class _Field:
    """A folder of pipelines that do nothing, all due at the moments that one file says."""

    def __init__(self, folder: Path, pipelines: int) -> None:
        self.folder = folder
        self.names = [f"pipeline-{number:05}" for number in range(pipelines)]
        self._conf_dir = folder / "conf.d"
        self._conf_dir.mkdir(parents=True)
        (folder / "tasks").mkdir()
        (folder / "tasks" / "noop.py").write_text(NOOP_TASK)
        self.due([])
        for name in self.names:
            (self._conf_dir / f"{name}.conf").write_text(_PIPELINE.format(owner="nobody"))

    def due(self, moments: Sequence[datetime]) -> None:
        """Have every pipeline due at these moments."""
        crons = ", ".join(f'"{each:%-S %-M %-H %-d %-m} *"' for each in moments) or f'"{_NEVER}"'
        self._replace(_WHEN, f"schedule {{ cron = [{crons}], timezone = UTC, overlap = queue }}\n")

    def edit(self, name: str, owner: str) -> None:
        """Change one pipeline."""
        self._replace(f"{name}.conf", _PIPELINE.format(owner=owner))

    def _replace(self, name: str, text: str) -> None:
        draft = self._conf_dir / f".{name}"
        draft.write_text(text)
        draft.replace(self._conf_dir / name)


def scale(folder: Path, environment: Mapping[str, str], pipelines: int = 1000) -> Iterator[str]:
    """A daemon with so many files: at rest, edited, and with all of them due in the same second."""
    field = _Field(folder / "scale", pipelines)
    forks = _forks(field.folder, environment, pipelines)
    yield f"{pipelines:,} pipelines in `tasker watch`, {MOST_AT_ONCE} runs at once"
    with _watching(field, environment) as daemon:
        yield from _rest(daemon)
        yield from _edits(field, daemon)
        load = _burst(field, daemon)
        yield _line("until all have ended", f"{load.ended:.1f} s", f"{load.ended / forks.seconds:.2g} of {_FORK}")
        yield from _load_lines(load, forks, pipelines, pipelines)
        yield _found(daemon, pipelines)


def endurance(folder: Path, environment: Mapping[str, str], pipelines: int) -> Iterator[str]:
    """So many pipelines due each minute, for five minutes; then the history is read."""
    field = _Field(folder / "endurance", pipelines)
    forks = _forks(field.folder, environment, pipelines)
    yield f"{pipelines:,} pipelines due each minute for {_MINUTES} minutes, {MOST_AT_ONCE} runs at once"
    with _watching(field, environment) as daemon:
        first = _next_minute(pipelines)
        load = _carried_out(field, daemon, [first + timedelta(minutes=number) for number in range(_MINUTES)])
        yield _line("until all have ended", f"{load.ended:.1f} s", "from the last slot on")
        yield from _load_lines(load, forks, pipelines, pipelines * _MINUTES)
        yield _found(daemon, _MINUTES * pipelines)


def _watching(field: _Field, environment: Mapping[str, str]) -> Daemon:
    """A daemon that has validated every file."""
    daemon = Daemon(field.folder, environment)
    try:
        daemon.wait(lambda: daemon.count("config.loaded") >= len(field.names))
    except BaseException:
        daemon.__exit__()
        raise
    return daemon


def _forks(folder: Path, environment: Mapping[str, str], count: int) -> Cost:
    """What the machine's own fork and exec of as many programs costs."""
    command = [sys.executable, "-I", "-S", "-c", _FORKS, str(count), str(MOST_AT_ONCE)]
    costs = race([Contestant(name=_FORK, command=command)], rounds=3, folder=folder, environment=environment)
    return costs[_FORK]


# At rest


def _rest(daemon: Daemon) -> Iterator[str]:
    time.sleep(_SETTLING_S)
    before = sum(daemon.cpu_s())
    time.sleep(_IDLE_S)
    share = (sum(daemon.cpu_s()) - before) / _IDLE_S
    own, launcher, _ = daemon.memory_mb()
    verdict = "reached" if share < _IDLE_AIM else "missed"
    yield _line("at rest: CPU", f"{share:.2%} of a core", f"(aim: under {_IDLE_AIM:.0%}, {verdict})")
    yield _line("at rest: memory", f"{own:.0f} MB", f"and its launcher's {launcher:.0f} MB")


# Edits


def _edits(field: _Field, daemon: Daemon) -> Iterator[str]:
    """One edit after the other, each from the moment the file is there to the line that says it is in force."""
    chance = random.Random(3)  # noqa: S311 - nothing here is secret
    taken = [_edit(field, daemon, chance.choice(field.names), str(number)) for number in range(_EDITS)]
    half, most = _percentiles(taken)
    yield _line("from an edit to its effect", f"{half * 1000:.0f} ms", f"p50, {most * 1000:.0f} ms p99 of {_EDITS}")


def _edit(field: _Field, daemon: Daemon, name: str, owner: str) -> float:
    field.edit(name, owner)
    edited = datetime.now(UTC)
    found: list[datetime] = []

    def loaded() -> bool:
        events = [told for told in daemon.told() if told["event"] == "config.loaded" and told["pipeline"] == name]
        found.extend(_moment(told["timestamp"]) for told in events)
        return bool(found)

    daemon.wait(loaded)
    return (found[0] - edited).total_seconds()


# Under load


def _burst(field: _Field, daemon: Daemon) -> _Load:
    lead = timedelta(seconds=10 + len(field.names) / 100)
    return _carried_out(field, daemon, [(datetime.now(UTC) + lead).replace(microsecond=0)])


def _next_minute(pipelines: int) -> datetime:
    """A whole minute until which there is time to have every pipeline due."""
    return (datetime.now(UTC) + timedelta(seconds=70 + pipelines / 200)).replace(second=0, microsecond=0)


def _carried_out(field: _Field, daemon: Daemon, moments: Sequence[datetime]) -> _Load:
    """Have every pipeline due at these moments, and wait until all runs have ended."""
    loaded, runs = daemon.count("config.loaded") + len(field.names), len(field.names) * len(moments)
    field.due(moments)
    daemon.wait(lambda: daemon.count("config.loaded") >= loaded)
    if datetime.now(UTC) >= moments[0]:
        raise ContestantFailedError(NAME, 0, _TOO_SLOW)
    highest, before = [0.0, 0.0, 0.0], daemon.cpu_s()
    looked_at = 0.0

    def look() -> None:
        nonlocal looked_at
        if time.monotonic() - looked_at > 1.0:
            highest[:] = map(max, highest, daemon.memory_mb())
            looked_at = time.monotonic()

    daemon.wait(lambda: daemon.count("run.succeeded") + daemon.count("run.failed") >= runs, look)
    time.sleep(_SETTLING_S)
    own, launcher = (now - then for now, then in zip(daemon.cpu_s(), before, strict=True))
    told = daemon.history()
    return _Load(
        started=_latest(told, "started_at", moments[-1]),
        ended=_latest(told, "ended_at", moments[-1]),
        late=[each["late_s"] for each in told],
        cpu=(own, launcher),
        memory=(highest[0], highest[1], highest[2]),
    )


def _latest(told: Sequence[Mapping[str, Any]], name: str, slot: datetime) -> float:
    return (max(_moment(each[name]) for each in told) - slot).total_seconds()


def _load_lines(load: _Load, forks: Cost, forked: int, runs: int) -> Iterator[str]:
    """What the runs cost, beside the yardstick of so many forks."""
    half, most = _percentiles(load.late)
    daemon_s, runs_s = load.cpu
    each_s, fork_s = (daemon_s + runs_s) / runs, forks.cpu_s / forked
    own, launcher, below = load.memory
    yield _line("until all have started", f"{load.started:.1f} s", "from the last slot on")
    yield _line("late", f"{half:.1f} s", f"p50, {most:.1f} s p99")
    yield _line("CPU of a run", f"{each_s * 1000:.1f} ms", f"{each_s / fork_s:.2g} of {_FORK}")
    yield _line("of which the daemon's own", f"{daemon_s / runs * 1000:.1f} ms", "")
    yield _line("loaded: memory", f"{own:.0f} MB", f"its launcher's {launcher:.0f} MB, all runs' {below:.0f} MB")
    yield _line(_FORK, f"{forks.seconds:.2f} s", f"{fork_s * 1000:.2f} ms of CPU each")


def _found(daemon: Daemon, slots: int) -> str:
    """What the history has of the slots."""
    outcomes = Counter(each["outcome"] for each in daemon.history("--slots"))
    verdict = "all ran" if outcomes == {"ran": slots} else f"of {slots:,} that were due"
    told = ", ".join(f"{number:,} {outcome}" for outcome, number in outcomes.items())
    return _line("slots in the history", told, f"({verdict})")


def _percentiles(values: Sequence[float]) -> tuple[float, float]:
    """The 50th and the 99th."""
    cuts = quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[98]


def _moment(told: str) -> datetime:
    return datetime.fromisoformat(told)


def _line(what: str, measured: str, more: str) -> str:
    return f"  {what:<34}{measured:>16}  {more}".rstrip()
