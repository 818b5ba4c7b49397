"""Two real daemons that share a history on PostgreSQL, of which one is killed again and again; each slot runs once.

`python -m support.sharing --seconds 60 --pipelines 200`, which is `make crash-shared`, is the whole of it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

from support import postgres
from support.command import TASKER, processes_with, write
from support.crashing import seconds

from tasker import linux
from tasker.history import ACTIVE, History, HistoryError, SlotRecord
from tasker.run import Outcome

SETTLING_S = 90.0
"""Seconds in which all that is under way or waits is to come to an end."""
_STARTING_S = 30.0
_EACH_SECOND = "* * * * * *"
_NEVER = "@yearly"
_TASK = """
    import os

    from tasker import Task

    class Mark(Task):
        def run(self, file: str):
            descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(descriptor, f"{self.context.pipeline} {self.context.slot.isoformat()}\\n".encode())
            os.close(descriptor)
"""


class Sharing:
    """Keeps two daemons going, and kills the second."""

    def __init__(self, folder: Path, url: str, pipelines: int, seed: int) -> None:
        """Write a file of so many pipelines."""
        self.folder = folder
        self.complaints: list[str] = []
        self.figures: dict[str, Any] = {}
        self.kills = 0
        self._url = url
        self._names = [f"p{number}" for number in range(pipelines)]
        self._random = random.Random(seed)
        self._mark = f"SHARING_IN={folder}"
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._begins: dict[str, int] = {}
        """Where the log of this life of each begins."""
        self._write(_EACH_SECOND)
        write(folder / "tasks" / "mark.py", _TASK)

    def go(self, goes_on: Callable[[int], bool]) -> None:
        """Have the second die for as long as `goes_on` says of the number of kills; let all come to rest, and judge."""
        self._start("first")
        self._wait_for("first", b'"config.loaded"', len(self._names))
        while goes_on(self.kills):
            self._start("second")
            self._wait_for("second", b'"run.started"')
            time.sleep(self._random.uniform(0.0, 2.0))
            self._daemons["second"].kill()
            self._daemons["second"].wait()
            self.kills += 1
        self._start("second")
        self._wait_for("second", b'"daemon.started"')
        self._write(_NEVER)
        if not self._comes_to_rest():
            self.complaints.append(f"it does not come to rest: {self._unrest()[:10]}")
        for name, process in self._daemons.items():
            process.send_signal(signal.SIGTERM)
            if process.wait(SETTLING_S) != 128 + signal.SIGTERM:
                self.complaints.append(f"the {name} daemon did not end as it was told to: {process.returncode}")
        self._judge()

    def close(self) -> None:
        """Leave nothing behind, whatever happened."""
        for pid in processes_with(self._mark):
            linux.send(pid, signal.SIGKILL)
        for process in self._daemons.values():
            process.wait()

    def _write(self, cron: str) -> None:
        write(
            self.folder / "conf.d" / "shared.conf",
            f"""
            schedule {{ cron = "{cron}", overlap = skip, catchup = latest }}
            resume = never
            for_each = [{", ".join(self._names)}]
            tasks = [{{ name = mark, args {{ file = {self.folder}/marks }} }}]
            """,
        )

    def _start(self, name: str) -> None:
        with self._log(name).open("ab") as out, (self.folder / "stderr").open("ab") as err:
            self._begins[name] = out.tell()
            self._daemons[name] = subprocess.Popen(
                [*TASKER, "watch", "conf.d", "--state", name, "--grace", "1", "--log-format", "json"],
                cwd=self.folder,
                env={
                    **os.environ,
                    "TASKER_HISTORY": self._url,
                    "TASKER_WORKSPACES": str(self.folder / "workspaces"),
                    "SHARING_IN": str(self.folder),
                },
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def _wait_for(self, name: str, word: bytes, count: int = 1) -> None:
        """Wait until this life of a daemon has told of something so often."""
        give_up = time.monotonic() + _STARTING_S
        while time.monotonic() < give_up:
            if self._log(name).read_bytes().count(word, self._begins[name]) >= count:
                return
            time.sleep(0.05)
        self.complaints.append(f"the {name} daemon does not tell of {word!r}")

    def _comes_to_rest(self) -> bool:
        give_up = time.monotonic() + SETTLING_S
        while self._unrest():
            if time.monotonic() > give_up:
                return False
            time.sleep(0.2)
        return True

    def _unrest(self) -> list[Any]:
        """What is not over."""
        try:
            with History.read(self._url) as history:
                due = [each.name for each in history.pipelines() if (each.schedule or {}).get("cron") != [_NEVER]]
                return [*due, *history.slots(outcomes=[Outcome.WAITING]), *history.runs(statuses=ACTIVE)]
        except HistoryError as error:
            return [error]

    def _judge(self) -> None:
        with History.read(self._url) as history:
            slots = {(each.slot.pipeline, each.slot.at): each for each in history.slots(limit=10**6)}
        marks = Counter(
            (name, datetime.fromisoformat(at))
            for name, at in map(str.split, (self.folder / "marks").read_text(encoding="utf-8").splitlines())
        )
        self._judge_slots(slots)
        for key, count in marks.items():
            if count > 1:
                self.complaints.append(f"a slot ran {count} times: {key}")
            if key not in slots or slots[key].outcome is not Outcome.RAN:
                self.complaints.append(f"a slot ran of which the history says otherwise: {key}, {slots.get(key)}")
        told = {name: self._told(name) for name in self._daemons}
        decided = Counter(
            (each["pipeline"], each["slot"])
            for each in chain(*told.values())
            if each["event"] in {"slot.due", "slot.missed"}
        )
        self.complaints += [f"the logs tell {count} times of {key}" for key, count in decided.items() if count > 1]
        if printed := (self.folder / "stderr").read_text(encoding="utf-8", errors="replace"):
            self.complaints.append(f"something was printed on standard error: {printed[-4000:]}")
        self.figures = {
            "kills": self.kills,
            "slots": len(slots),
            "outcomes": dict(Counter(str(each.outcome) for each in slots.values())),
            "steps": marks.total(),
            "runs by": {name: sum(each["event"] == "run.started" for each in told[name]) for name in told},
        }

    def _judge_slots(self, slots: dict[tuple[str, datetime], SlotRecord]) -> None:
        """Each second of each pipeline has come to something, from the first to the last."""
        for name in self._names:
            of_it = sorted(at for pipeline, at in slots if pipeline == f"shared/{name}")
            missing = {*seconds(of_it[0], of_it[-1])} - {*of_it} if of_it else {"all"}
            if missing:
                self.complaints.append(f"slots of {name} are not in the history: {sorted(map(str, missing))[:5]}")

    def _told(self, name: str) -> list[dict[str, Any]]:
        """What a daemon has told, in all its lives; the last line of each may be torn."""
        told = []
        for line in self._log(name).read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):
                told.append(json.loads(line))
        return told

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


def share(folder: Path, url: str, pipelines: int, seed: int, goes_on: Callable[[int], bool]) -> Sharing:
    """Have two daemons share so many pipelines, and kill one for as long as `goes_on` says of the number of kills."""
    sharing = Sharing(folder, url, pipelines, seed)
    try:
        sharing.go(goes_on)
    finally:
        sharing.close()
    return sharing


def main() -> int:
    """Do it for as long as the command line says; 1 where something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--pipelines", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None)
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if arguments.seed is None else arguments.seed
    if reason := postgres.missing():
        print(reason, file=sys.stderr)  # noqa: T201
        return 1
    with tempfile.TemporaryDirectory(prefix="share-") as name, postgres.server() as server:
        end = time.monotonic() + arguments.seconds
        sharing = share(Path(name).resolve(), server.url, arguments.pipelines, seed, lambda _: time.monotonic() < end)
    print(f"seed {seed}: {json.dumps(sharing.figures)}")  # noqa: T201
    for complaint in sharing.complaints:
        print(complaint, file=sys.stderr)  # noqa: T201
    return 1 if sharing.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
