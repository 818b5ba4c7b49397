"""`tasker watch` for real: a daemon in a folder of its own, whose log can be waited for, counted and timed."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from support.command import PATIENCE_S, TASKER, Command, write

from tasker import linux

_LIFE_S = 1800.0
"""Seconds after which a daemon is ended, whatever happened to its test; many tests may share it."""
NEVER = "@yearly"
EACH_SECOND = "* * * * * *"


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment in the life of a daemon."""

    at: datetime
    index: int
    """How many lines it had logged by then."""


class Daemon:
    """A daemon at work in `conf.d` and `tasks` of a folder."""

    def __init__(
        self, folder: Path, *options: str, prefix: Sequence[str] = (), program: Sequence[str] = (), **environment: str
    ) -> None:
        """Start it; `prefix` is what it is started by, and `program` another that starts one in the folder."""
        self.folder = folder
        (folder / "conf.d").mkdir(parents=True, exist_ok=True)
        self.port = _free_port()
        own = (*TASKER, "watch", "conf.d", "--http", f":{self.port}", *options)
        arguments = [*prefix, *(program or own)]
        self._command = Command(folder, arguments, {"TASKER_STATE": "state", **environment}, limit_s=_LIFE_S)
        self.process = self._command.process
        self._lines: list[dict[str, Any]] = []
        self._told = threading.Condition()
        self._ended = False
        self._status: int | None = None
        self.stderr = ""
        self._reading = threading.Event()
        self._reading.set()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on()
        if self._status is None:
            self._command.kill()
            self.end()

    # What it tells

    @property
    def events(self) -> list[dict[str, Any]]:
        """All that it has logged so far."""
        with self._told:
            return list(self._lines)

    def moment(self) -> Moment:
        """Now."""
        with self._told:
            return Moment(datetime.now(UTC), len(self._lines))

    def wait_for(self, event: str, after: Moment | None = None, **facts: Any) -> dict[str, Any]:
        """The first such line, after a moment if one is given."""
        wanted = {"event": event, **facts}
        return self.wait_until(lambda told: wanted.items() <= told.items(), after, f"{event} {facts}")

    def wait_until(
        self, holds: Callable[[dict[str, Any]], bool], after: Moment | None = None, words: str = "it"
    ) -> dict[str, Any]:
        """The first line of which something holds."""
        index, give_up = after.index if after else 0, time.monotonic() + PATIENCE_S
        with self._told:
            while True:
                while index < len(self._lines):
                    index += 1
                    if holds(self._lines[index - 1]):
                        return self._lines[index - 1]
                assert not self._ended, f"the daemon ended without {words}: {self._shown(after)}"
                assert time.monotonic() < give_up, f"it did not tell of {words}: {self._shown(after)}"
                self._told.wait(1)

    def named(self, event: str, after: Moment | None = None, **facts: Any) -> list[dict[str, Any]]:
        """All such lines so far."""
        wanted = {"event": event, **facts}.items()
        return [told for told in self.events[after.index if after else 0 :] if wanted <= told.items()]

    def settled(self) -> Self:
        """Wait until the first validation is over."""
        give_up = time.monotonic() + PATIENCE_S
        while self.get("/readyz")[0] != 200:
            assert time.monotonic() < give_up, f"it does not get ready: {self._shown(None)}"
            time.sleep(0.02)
        return self

    def get(self, path: str) -> tuple[int, str]:
        """What it answers over HTTP; nought where nobody does."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def readiness(self) -> dict[str, Any]:
        """What `/readyz` says."""
        told: dict[str, Any] = json.loads(self.get("/readyz")[1])
        return told

    def metric(self, name: str, **labels: str) -> float | None:
        """The value of a metric."""
        shown = ",".join(f'{label}="{value}"' for label, value in labels.items())
        pattern = rf"^{name}{re.escape('{' + shown + '}') if shown else ''} (\S+)$"
        found = re.search(pattern, self.get("/metrics")[1], re.MULTILINE)
        return float(found[1]) if found else None

    # What is done to it

    def conf(self, name: str, word: str = "x", *, cron: str = NEVER, more: str = "") -> Path:
        """Write a pipeline that says a word."""
        return write(self.folder / "conf.d" / f"{name}.conf", conf(word, cron=cron, more=more))

    def task(self, name: str, text: str) -> Path:
        """Write a module of tasks."""
        return write(self.folder / "tasks" / f"{name}.py", text)

    def send(self, signum: int) -> None:
        """Signal the daemon alone."""
        self._command.signal(signum)

    def stall(self) -> None:
        """Read its log no longer."""
        self._reading.clear()

    def go_on(self) -> None:
        """Read its log again."""
        self._reading.set()

    def launchers(self) -> list[int]:
        """The processes that have the tasks imported."""
        found = linux.children(self.process.pid)
        return [pid for pid in found if _name(pid) == "tasker-launcher"]

    def end(self) -> int:
        """Wait for the end; the exit status."""
        self._reader.join(PATIENCE_S)
        if self._status is None:
            result = self._command.finish()
            self._status, self.stderr = result.status, result.stderr
        return self._status

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Stop it; the exit status."""
        self.send(signum)
        return self.end()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._reading.wait()
            with self._told:
                self._lines.append(json.loads(line))
                self._told.notify_all()
        with self._told:
            self._ended = True
            self._told.notify_all()

    def _shown(self, after: Moment | None) -> str:
        return "\n".join(map(str, self._lines[after.index if after else 0 :][-40:]))


def conf(word: str = "x", *, cron: str = NEVER, more: str = "") -> str:
    """The text of a pipeline that says a word."""
    schedule = f'schedule {{ cron = "{cron}", timezone = UTC }}'
    return f'{more}\n{schedule}\ntasks = [{{ name = says, args {{ word = "{word}" }} }}]\n'


SAYS = """
    from tasker import Task

    class Says(Task):
        def run(self, word: str = "x"):
            print("says", word)
"""


@contextmanager
def daemon(folder: Path, *options: str, **environment: str) -> Iterator[Daemon]:
    """A daemon for as long as the block lasts, ready, with a task that says a word."""
    write(folder / "tasks" / "says.py", SAYS)
    with Daemon(folder, *options, **environment) as started:
        yield started.settled()


def seconds(told: dict[str, Any], since: Moment) -> float:
    """How long after a moment something was logged."""
    return (datetime.fromisoformat(told["timestamp"]) - since.at).total_seconds()


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def replace_by_rename(file: Path, text: str) -> None:
    """Write a file as careful editors do: whole, under another name, and renamed."""
    draft = file.parent / f".{file.name}.draft"
    draft.write_text(text)
    os.rename(draft, file)  # noqa: PTH104 - that it is one rename is what matters
