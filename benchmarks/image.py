"""`make bench-image`: what the container image weighs, how soon its first step runs, and what an idle daemon takes.

Trust the ratios and not the milliseconds: everything that is compared ran side by side on the same machine.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from support import image as images
from support.command import write
from support.daemons import SAYS, conf

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_ROUNDS = 15
_PIPELINES = 100
_REST_S = 5.0
"""Seconds after which a daemon that has validated everything is at rest."""
_MB = 1e6
_PYTHON = ("--entrypoint=python",)
_LINE = ("-c", "print('step.started')")
_ONCE = ("once", "conf.d/params.conf")
_INSIDE = f"""
import subprocess, sys, time
for _ in range({_ROUNDS}):
    for command in ([sys.executable, *{_LINE!r}], ["tasker", *{_ONCE!r}]):
        began = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            print(next(time.monotonic() - began for line in process.stdout if "step.started" in line))
            process.stdout.read()
"""
"""The same within one container, without what it takes to make one."""
_ANON = ("sh", "-c", "grep -hE '^(anon|total_rss) ' /sys/fs/cgroup/memory.stat /sys/fs/cgroup/memory/memory.stat")


def layers(image: str) -> Iterator[str]:
    """The size of each layer that has any, the base's last."""
    yield "The image, layer by layer, uncompressed"
    told = json.loads(images.podman("history", "--format=json", "--no-trunc", image).stdout)
    total = 0
    for layer in told:
        total += layer["size"]
        if layer["size"]:
            words = layer["CreatedBy"].removeprefix("/bin/sh -c ").removeprefix("#(nop) ").split(" && ")[0].strip()
            yield f"  {layer['size'] / _MB:>7.1f} MB  {words[:90]}"
    yield f"  {total / _MB:>7.1f} MB  together"


def start(image: str) -> Iterator[str]:
    """From the start of a container to the first step, against Python that only says so."""
    taken: dict[str, list[float]] = {"python, until its first line": [], "tasker once, until its first step": []}
    for _ in range(_ROUNDS):
        for name, options, words in zip(taken, (_PYTHON, ()), (_LINE, _ONCE), strict=True):
            taken[name].append(_seconds(image, options, words))
    yield from _compared("From `podman run`", taken)
    told = images.podman("run", "--rm", "--no-healthcheck", *images.HARDENED, *_PYTHON, image, "-c", _INSIDE).stdout
    inside = [float(line) for line in told.splitlines()]
    yield ""
    yield from _compared("Within the container", dict(zip(taken, (inside[::2], inside[1::2]), strict=True)))


def _compared(title: str, taken: Mapping[str, Sequence[float]]) -> Iterator[str]:
    yield f"{title}, median of {_ROUNDS}"
    yardstick, first_step = (median(each) for each in taken.values())
    for name, each in taken.items():
        yield f"  {median(each) * 1000:>7.0f} ms  {name}"
    yield f"  {first_step / yardstick:>7.2f}     ratio"


def idle(image: str) -> Iterator[str]:
    """The memory of a daemon at rest."""
    with tempfile.TemporaryDirectory(prefix="tasker-bench-") as name:
        folder = Path(name)
        write(folder / "tasks" / "says.py", SAYS)
        for number in range(_PIPELINES):
            write(folder / "conf.d" / f"p{number}.conf", conf())
        with images.ContainedDaemon(folder, image) as daemon:
            for number in range(_PIPELINES):
                daemon.wait_for("config.loaded", pipeline=f"p{number}")
            time.sleep(_REST_S)
            told = daemon.execute(*_ANON).stdout.split()
            processes = daemon.execute("sh", "-c", "ls -d /proc/[0-9]* | wc -l").stdout.strip()
    yield f"A daemon with {_PIPELINES} pipelines, at rest"
    yield f"  {int(told[1]) / _MB:>7.1f} MB  of the container's own, without what files have in the cache"
    yield f"  {int(processes) - 2:>7}     processes"


def _seconds(image: str, options: Sequence[str], words: Sequence[str]) -> float:
    """How long a container takes until it has told of a first step; its end is not the point."""
    command = ["podman", "run", "--rm", "--no-healthcheck", *images.HARDENED, *options, image, *words]
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        took = next(time.monotonic() - began for line in process.stdout if "step.started" in line)
        process.stdout.read()
    return took


def main() -> int:
    """Measure everything; 1 where there is nothing to measure."""
    if reason := images.missing():
        print(f"cannot measure: {reason}", file=sys.stderr)
        return 1
    image = images.built()
    for measure in (layers, start, idle):
        for line in measure(image):
            print(line, flush=True)
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
