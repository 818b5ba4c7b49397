"""What a step costs, a file of many applications, and a graph of steps beside its longest path.

The yardstick is what the machine itself takes to fork and exec `/bin/true` from a small process, again and again.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.daemon import TASKER
from benchmarks.inputs import APPLICATIONS, AT_ONCE, HUNDRED, LAYERS, NAP_S, WIDTH, write_pipelines
from benchmarks.measure import Contestant, Cost, race

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_ROUNDS = 5
_FORKS = """import os, sys
for _ in range(int(sys.argv[1])):
    if not os.fork():
        os.execv("/bin/true", ["true"])
    os.wait()
"""
_ONE, _ALL = "one", "all"
_NO_FORKS, _SOME_FORKS = "no forks", "some forks"
SOME = 300


def steps_and_applications(folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """The comparisons as lines of a table, as they are measured."""
    write_pipelines(folder)
    for compare in (_step, _applications, _graph):
        yield from compare(folder, environment)
        yield ""


def _step(folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    costs = _race([_once(_ONE, "step1.conf"), _once(_ALL, "step100.conf"), *_forks()], folder, environment)
    step, fork = _more(costs).seconds / (HUNDRED - 1), _fork(costs).seconds
    yield f"A step that does nothing, in its process: of {HUNDRED} one after the other, medians of {_ROUNDS}"
    yield f"  {_ms(step)} each; {step / fork:.3g} times fork and exec, which take {_ms(fork)}"


def _applications(folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """A file with `for_each`: validated, and run."""
    yield f"A file of {APPLICATIONS} applications, one step that does nothing each, medians of {_ROUNDS}"
    files = {_ONE: "each1.conf", _ALL: f"each{APPLICATIONS}.conf"}
    validate = [Contestant(name, [TASKER, "validate", "--cache", "", file]) for name, file in files.items()]
    yield f"  validated{_beside_one(_race(validate, folder, environment))}"
    costs = _race([*(_once(name, file) for name, file in files.items()), *_forks()], folder, environment)
    run, fork = _more(costs).cpu_s / (APPLICATIONS - 1), _fork(costs).cpu_s
    yield f"  run, {AT_ONCE} at once{_beside_one(costs)}"
    yield f"  CPU of one more: {_ms(run)}; {run / fork:.3g} times fork and exec, which take {_ms(fork)}"


def _graph(folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Layers of steps, each of which needs all of the layer before it."""
    costs = _race([_once(_ONE, "step1.conf"), _once(_ALL, "graph.conf")], folder, environment)
    took, path = _more(costs).seconds, LAYERS * NAP_S
    yield f"{LAYERS * WIDTH} steps of {_ms(NAP_S)}, {WIDTH} wide, without the start of the process, median of {_ROUNDS}"
    yield f"  {_ms(took)}; {took / path:.3g} times the longest path, which is {_ms(path)}"


def _race(contestants: Sequence[Contestant], folder: Path, environment: Mapping[str, str]) -> dict[str, Cost]:
    return race(contestants, rounds=_ROUNDS, folder=folder, environment=environment)


def _once(name: str, file: str) -> Contestant:
    return Contestant(name, [TASKER, "once", "--history", "none", file])


def _forks() -> list[Contestant]:
    command = [sys.executable, "-S", "-E", "-c", _FORKS]
    return [Contestant(name, [*command, str(count)]) for name, count in ((_NO_FORKS, 0), (_SOME_FORKS, SOME))]


def _fork(costs: Mapping[str, Cost]) -> Cost:
    """What one of them takes."""
    none, some = costs[_NO_FORKS], costs[_SOME_FORKS]
    return Cost((some.seconds - none.seconds) / SOME, cpu_s=(some.cpu_s - none.cpu_s) / SOME)


def _more(costs: Mapping[str, Cost]) -> Cost:
    """What all take more than one."""
    one, every = costs[_ONE], costs[_ALL]
    return Cost(every.seconds - one.seconds, cpu_s=every.cpu_s - one.cpu_s)


def _beside_one(costs: Mapping[str, Cost]) -> str:
    one, every = costs[_ONE].seconds, costs[_ALL].seconds
    return f": {_ms(every)}; {every / one:.3g} times one, which takes {_ms(one)}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.3g} ms" if seconds < 1 else f"{seconds * 1000:,.0f} ms"
