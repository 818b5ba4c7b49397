"""The real command, on tasks and a conf file written for one test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasker import linux

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

TASKER = (sys.executable, "-m", "tasker")
LIMIT_S = 180
"""Seconds after which a command that does not end is a failed test."""
PATIENCE_S = 60.0
"""Seconds after which what has not come to hold will not: far more than it takes on the busiest machine."""


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


class Command:
    """A command under way, whose events can be waited for."""

    def __init__(
        self, folder: Path, arguments: Sequence[str], environment: Mapping[str, str], *, limit_s: float = LIMIT_S
    ) -> None:
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the command
        self._events: list[dict[str, Any]] = []
        self._watchdog = threading.Timer(limit_s, self.kill)
        self._watchdog.daemon = True
        self.process = subprocess.Popen(
            arguments,
            cwd=folder,
            env={**os.environ, "TASKER_WORKSPACES": str(folder / "workspaces"), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            start_new_session=True,
        )
        self._watchdog.start()

    def wait_for(self, event: str, **facts: Any) -> dict[str, Any]:
        """The next event of this name and with these facts."""
        for told in self._lines():
            if told["event"] == event and facts.items() <= told.items():
                return told
        message = f"the command ended without {event} {facts}: {self._events}"
        raise AssertionError(message)

    def next_of(self, event: str) -> bool:
        """Wait for the next event of this name; whether one came."""
        return any(told["event"] == event for told in self._lines())

    def signal(self, signum: int) -> None:
        """Signal the command alone."""
        self.process.send_signal(signum)

    def kill(self) -> None:
        """End it and all that it started, so that a test which fails does not hang."""
        for pid in (self.process.pid, *linux.descendants(self.process.pid)):
            linux.send(pid, signal.SIGKILL)

    def finish(self) -> Result:
        """Wait for the end."""
        for _ in self._lines():
            pass
        status = self.process.wait()
        self._watchdog.cancel()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._stderr.seek(0)
        with self._stderr:
            return Result(status, self._events, self._stderr.read())

    def _lines(self) -> Iterator[dict[str, Any]]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._events.append(json.loads(line))
            yield self._events[-1]


def run_tasker(folder: Path, *arguments: str, tasks: str = "", conf: str = "", **environment: str) -> Result:
    """Run `tasker ARGUMENTS…` to its end; without arguments, `tasker once` on `conf`."""
    return start_tasker(folder, *arguments, tasks=tasks, conf=conf, **environment).finish()


def start_tasker(folder: Path, *arguments: str, tasks: str = "", conf: str = "", **environment: str) -> Command:
    """Start `tasker ARGUMENTS…`, with the folder's own tasks and place for workspaces."""
    if tasks:
        write(folder / "tasks" / "given.py", tasks)
    if conf:
        write(folder / "pipe.conf", conf)
    return Command(folder, [*TASKER, *(arguments or ("once", "pipe.conf"))], environment)


def write(file: Path, text: str) -> Path:
    """Write a file, with the indentation of the test taken off."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
    return file


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


def gone(mark: str) -> bool:
    """Whether all processes that carry the mark come to an end."""
    return eventually(lambda: not processes_with(mark))


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether something comes to hold in good time, for what announces itself in no other way."""
    give_up = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.01)
    return True
