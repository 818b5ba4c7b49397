"""The real command, on tasks and a conf file written for one test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TASKER = (sys.executable, "-m", "tasker")
LIMIT_S = 60
"""Seconds after which a command that does not end is a failed test."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a command came to."""

    status: int
    events: list[dict[str, Any]]
    """The lines of its standard output, each one whole JSON object."""
    stderr: str

    def of(self, step: str) -> list[dict[str, Any]]:
        """What is told of one step."""
        return [event for event in self.events if event.get("step") == step]

    def end(self, step: str) -> dict[str, Any]:
        """How a step ended."""
        (end,) = (each for each in self.of(step) if each["event"] in {"step.succeeded", "step.failed", "step.skipped"})
        return end

    def output(self, step: str, stream: str = "stdout") -> list[str]:
        """The lines that a step printed."""
        return [each["line"] for each in self.of(step) if each["event"] == "step.output" and each["stream"] == stream]

    def named(self, event: str) -> list[dict[str, Any]]:
        """Every event of one name."""
        return [each for each in self.events if each["event"] == event]


def run_tasker(folder: Path, *arguments: str, tasks: str = "", conf: str = "", **environment: str) -> Result:
    """Run `tasker ARGUMENTS…` to its end; without arguments, `tasker once` on `conf`."""
    process = start_tasker(folder, *arguments, tasks=tasks, conf=conf, **environment)
    return finished(process)


def start_tasker(
    folder: Path, *arguments: str, tasks: str = "", conf: str = "", **environment: str
) -> subprocess.Popen[str]:
    """Start `tasker ARGUMENTS…`, with the folder's own tasks and place for workspaces."""
    if tasks:
        write(folder / "tasks" / "given.py", tasks)
    if conf:
        write(folder / "pipe.conf", conf)
    return subprocess.Popen(
        [*TASKER, *(arguments or ("once", "pipe.conf"))],
        cwd=folder,
        env={**os.environ, "TASKER_WORKSPACE": str(folder / "workspaces"), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="surrogateescape",
    )


def finished(process: subprocess.Popen[str]) -> Result:
    """Wait for a command that was started."""
    try:
        stdout, stderr = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return Result(process.returncode, [json.loads(line) for line in stdout.splitlines()], stderr)


def write(file: Path, text: str) -> Path:
    """Write a file, with the indentation of the test taken off."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
    return file


def steps(*ids: str, more: str = "") -> str:
    """A pipeline of steps that each run the task of their own name."""
    return "tasks = [\n" + "\n".join(f"  {{ name = {each}, {more} }}" for each in ids) + "\n]\n"


def processes_with(mark: str) -> list[int]:
    """The processes that have `mark` in their environment as they started, or in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                told = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if mark.encode() in told:
                found.append(int(entry.name))
    return found
