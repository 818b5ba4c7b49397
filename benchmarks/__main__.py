"""`make bench`: tasker beside its peers, and its daemon beside the machine, in one run, as one table of ratios.

With a number of pipelines (`make bench SCALE=5000`) it has instead so many due each minute, for five minutes; in all
that takes ten.

Trust the ratios and not the milliseconds: everything that is compared ran side by side on the same machine.
The interpreter is the venv's own, never a shim of a version manager, which would cost more than what is measured.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.daemon import TASKER
from benchmarks.inputs import write_corpus, write_runs
from benchmarks.measure import Contestant, ContestantFailedError, Cost, race
from benchmarks.pipelines import steps_and_applications
from benchmarks.scale import endurance, scale

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PYPYR = str(Path(sysconfig.get_path("scripts")) / "pypyr")

BARE = "python -c pass"
IMPORT = "python -c 'import pyhocon'"
PARSE = "pyhocon, parsing alone"
PEER = "pypyr"
ONCE = "tasker once"
COLD = "tasker validate, cold"
WARM = "tasker validate, nothing changed"

_PARSE_EACH = "import sys; from pyhocon import ConfigFactory; [ConfigFactory.parse_file(file) for file in sys.argv[1:]]"


@dataclass(frozen=True, slots=True)
class Aim:
    """How much of the yardstick's time a contestant may take."""

    name: str
    yardstick: str
    most: float


@dataclass(frozen=True, slots=True)
class Result:
    """One comparison, measured."""

    title: str
    costs: Mapping[str, Cost]
    aims: Sequence[Aim]

    def lines(self) -> Iterator[str]:
        """The comparison as lines of a table: median time, peak memory, and the ratio to the yardstick."""
        yield self.title
        aims = {aim.name: aim for aim in self.aims}
        for name, cost in self.costs.items():
            spent = f"{cost.seconds * 1000:>10,.0f} ms{cost.megabytes:>7.0f} MB"
            yield f"  {name:<34}{spent}  {self._ratio(aims.get(name))}".rstrip()

    def _ratio(self, aim: Aim | None) -> str:
        if aim is None:
            return ""
        ratio = self.costs[aim.name].seconds / self.costs[aim.yardstick].seconds
        verdict = "reached" if ratio <= aim.most else "missed"
        return f"{ratio:.3g} of {aim.yardstick} (aim: at most {aim.most:g}, {verdict})"


def start_up(folder: Path, environment: Mapping[str, str]) -> Result:
    """One step that does nothing, a whole process each time."""
    contestants = [
        Contestant(name=BARE, command=[sys.executable, "-c", "pass"]),
        Contestant(name=IMPORT, command=[sys.executable, "-c", "import pyhocon"]),
        Contestant(name=PEER, command=[PYPYR, "one"]),
        Contestant(name=ONCE, command=[TASKER, "once", "one.conf"]),
    ]
    costs = race(contestants, rounds=15, folder=folder, environment=environment)
    return Result("One no-op step: the whole process, median of 15", costs, [Aim(ONCE, PEER, 1.5)])


def processes(folder: Path, environment: Mapping[str, str]) -> Result:
    """A hundred programs, one after the other; only tasker gives each step a process of its own."""
    contestants = [
        Contestant(name=PEER, command=[PYPYR, "hundred"]),
        Contestant(name=ONCE, command=[TASKER, "once", "hundred.conf"]),
    ]
    costs = race(contestants, rounds=5, folder=folder, environment=environment)
    return Result("100 steps of /bin/true: the whole process, median of 5", costs, [Aim(ONCE, PEER, 2)])


def validation(folder: Path, environment: Mapping[str, str]) -> Result:
    """A folder of realistic files: validated, against merely parsed by pyhocon (all of them, once: it takes long)."""
    files = write_corpus(folder / "conf.d")
    size = sum(file.stat().st_size for file in files)
    cache = Path(environment["XDG_CACHE_HOME"])
    validate = [TASKER, "validate", "conf.d"]
    parse = [sys.executable, "-c", _PARSE_EACH, *map(str, files)]
    costs = race([Contestant(name=PARSE, command=parse)], rounds=1, folder=folder, environment=environment)
    forget = Contestant(name=COLD, command=validate, before=lambda: shutil.rmtree(cache, ignore_errors=True))
    costs |= race([forget], rounds=3, folder=folder, environment=environment)
    costs |= race([Contestant(name=WARM, command=validate)], rounds=5, folder=folder, environment=environment)
    title = f"{len(files)} files of together {size:,} bytes, medians (pyhocon: once)"
    return Result(title, costs, [Aim(COLD, PARSE, 1 / 10), Aim(WARM, PARSE, 1 / 100)])


def main() -> int:
    """Measure everything, or with a number of pipelines how many the daemon runs; 1 where a command did not succeed."""
    with tempfile.TemporaryDirectory(prefix="tasker-bench-") as name:
        folder = Path(name)
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": name,
            "TMPDIR": name,  # workspaces go with it
            "XDG_CACHE_HOME": str(folder / "cache"),
            "TODAY": "2026-11-22",  # tasker knows it; pyhocon reads it from here
        }
        try:
            for line in _lines(folder, environment, [int(number) for number in sys.argv[1:]]):
                print(line, flush=True)
        except ContestantFailedError as error:
            print(f"cannot measure: {error}", file=sys.stderr)
            return 1
    return 0


def _lines(folder: Path, environment: Mapping[str, str], pipelines: Sequence[int]) -> Iterator[str]:
    """The table, line by line as it is measured."""
    if pipelines:
        yield from endurance(folder, environment, *pipelines)
        return
    write_runs(folder)
    for compare in (start_up, processes, validation):
        yield from compare(folder, environment).lines()
        yield ""
    yield from steps_and_applications(folder, environment)
    yield ""
    yield from scale(folder, environment)


if __name__ == "__main__":
    sys.exit(main())
