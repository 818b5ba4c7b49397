"""A real daemon that is killed again and again while files are edited, and what must hold once it has come to rest.

`python -m support.crashing --seconds 600 --seed 7`, which is `make crash`, does it for as long as one likes. What a
daemon does depends on the moment at which it is killed, so that a seed tells what is tried, and not what comes of it.
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
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from support.command import TASKER, eventually, processes_with

from tasker import linux
from tasker.daemon.recovery import MOST_RESUMPTIONS
from tasker.history import ACTIVE, History, HistoryError, RunRecord, RunStatus, SlotRecord, UnfitError
from tasker.pipeline import base_name
from tasker.run import Outcome
from tasker.running.workspace import prune

SETTLING_S = 60.0
"""Seconds in which all that is left over from the crashes is to come to an end."""
_STARTING_S = 20.0
_NEVER = "0 0 0 30 11 *"
"""A schedule that is due on no day of the test; the day is moved where it would be."""
_TASK = '''
import os
import time

from tasker import Task

EDIT = 0


class {name}(Task):
    """Append a line to a file, and then take its time."""

    def run(self, marks: str, edit: int, sleep: float = 0.0, fail: bool = False, before: int = 0) -> dict[str, int]:
        told = self.context
        step = f"{{told.pipeline}} {{told.slot.isoformat()}} {{told.run_id}} {{told.step}}"
        line = f"{{step}} {{told.attempt}} {{edit}} {{EDIT}}\\n"
        descriptor = os.open(marks, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, line.encode())
        os.close(descriptor)
        time.sleep(sleep)
        if fail:
            raise RuntimeError("it is to fail")
        return {{"edit": edit}}
'''
_BROKEN_MODULES = ("def (", "raise RuntimeError('broken')", "import no_such_module", "import os; os._exit(3)")
_BROKEN_FILES = ("tasks = [", "tasks = [ { name = no-such-task } ]", 'schedule = "61 * * * *"\ntasks = []')
_CRONS = ("*/2 * * * * *", "1-59/2 * * * * *", "*/3 * * * * *", "1-59/3 * * * * *")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a pipeline, which appends its line and then does as it is told."""

    id: str
    args: str = ""
    more: str = ""

    def text(self, task: str, marks: Path, edit: str) -> str:
        """The step as it stands in the file."""
        args = ", ".join(filter(None, (f"marks = {marks}, edit = {edit}", self.args)))
        return "{ " + ", ".join(filter(None, (f"id = {self.id}, name = {task}, args {{ {args} }}", self.more))) + " }"


@dataclass(frozen=True, slots=True)
class Kind:
    """What does not change about a pipeline."""

    name: str
    schedule: str
    steps: tuple[Step, ...] = (Step("a"), Step("b", "before = ${outputs.a.edit}"))
    more: str = ""
    finally_: tuple[Step, ...] = ()
    task: str = "mark"
    stays: bool = False
    """Whether it is valid, and has its name, all the time."""
    keys: tuple[str, ...] = ()
    """Those of its `for_each`, which come and go."""

    @property
    def resumes(self) -> bool:
        """Whether a run that was interrupted is resumed."""
        return "resume = never" not in self.more

    @property
    def fails(self) -> set[str]:
        """The steps that fail, and may be tried again."""
        return {step.id for step in self.steps if "fail = true" in step.args}


_SLOW = (Step("a", "sleep = 0.7"), Step("b", "before = ${outputs.a.edit}"), Step("c"))
KINDS = (
    Kind("plain", "overlap = skip, catchup = latest", stays=True),
    Kind("queued", "overlap = queue, catchup = all", stays=True),
    Kind("slow", "overlap = skip, catchup = none", _SLOW, stays=True),
    Kind("allowed", "overlap = allow, catchup = all"),
    Kind("replaced", "overlap = replace, catchup = latest", _SLOW),
    Kind("once", "overlap = queue, catchup = latest", more="resume = never", stays=True),
    Kind("once-all", "overlap = allow, catchup = all", _SLOW, more="resume = never"),
    Kind("once-replaced", "overlap = replace, catchup = all", _SLOW, more="resume = never"),
    Kind("failing", "overlap = skip", (Step("a"), Step("b", "fail = true", "retries { attempts = 2, delay = 100ms }"))),
    Kind("late", "overlap = skip, catchup = all, deadline = 2s"),
    Kind("hooked", "overlap = skip", _SLOW, finally_=(Step("tidy"),)),
    Kind("coded", "overlap = queue, catchup = latest", task="other"),
    Kind("included", "overlap = allow, catchup = latest", more='include "_shared.conf"'),
    Kind("each", "overlap = queue, catchup = latest", _SLOW, keys=("x", "y", "z")),
)


@dataclass(slots=True)
class Entry:
    """A pipeline of a file, as it is to be just now."""

    cron: str
    edit: int = 0


@dataclass(slots=True)
class File:
    """A conf file, as it is to be just now."""

    kind: Kind
    entries: dict[str, Entry]
    """By key; by an empty one where the file has no `for_each`."""
    overlap: str = ""
    """Where it is another than the kind's."""
    renamed: bool = False
    state: str = "valid"
    """Or `broken`, or `gone`."""

    @property
    def name(self) -> str:
        """What its pipelines are named by."""
        return f"{self.kind.name}{'-too' if self.renamed else ''}"

    @property
    def names(self) -> set[str]:
        """The names of its pipelines."""
        return {f"{self.name}/{key}" if key else self.name for key in self.entries}

    def text(self, marks: Path) -> str:
        """What is in it."""
        kind = self.kind
        if kind.keys:
            items = (f'{key} {{ edit = {each.edit}, cron = "{each.cron}" }}' for key, each in self.entries.items())
            for_each, cron, edit = f"for_each {{ {', '.join(items)} }}", "${item.cron}", "${item.edit}"
        else:
            (entry,) = self.entries.values()
            for_each, cron, edit = "", f'"{entry.cron}"', str(entry.edit)
        schedule = f"cron = {cron}, {kind.schedule}" + (f", overlap = {self.overlap}" if self.overlap else "")
        lists = {"tasks": kind.steps, "finally": kind.finally_}
        steps = (
            f"{key} = [ {', '.join(step.text(kind.task, marks, edit) for step in listed)} ]"
            for key, listed in lists.items()
            if listed
        )
        return "\n".join((f"name = {self.name}", for_each, kind.more, f"schedule {{ {schedule} }}", *steps, ""))


@dataclass(slots=True)
class Period:
    """A stretch of time in which a schedule was in force: its slots are those after `start`, up to `end`."""

    cron: str
    start: datetime
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A line that a step has appended."""

    pipeline: str
    slot: datetime
    run_id: str
    step: str
    attempt: int
    edit: int
    code: int
    """The edit of the task's code."""

    @classmethod
    def read(cls, line: str) -> Mark:
        """The line as a record."""
        pipeline, slot, run_id, step, *numbers = line.split()
        return cls(pipeline, datetime.fromisoformat(slot), run_id, step, *map(int, numbers))


@dataclass(slots=True)
class Timeline:
    """Which schedule of a pipeline was in force when, as far as daemons have told and written."""

    periods: list[Period] = field(default_factory=list)
    doubts: list[tuple[datetime, datetime]] = field(default_factory=list)
    """Moments between which it ended, which nothing tells."""

    @property
    def open(self) -> Period | None:
        """What is in force."""
        return self.periods[-1] if self.periods and self.periods[-1].end is None else None

    def loaded(self, cron: str | None, at: datetime) -> None:
        """A version is in force from now on."""
        if self.open is not None and self.open.cron == cron:
            return
        self.removed(at)
        if cron is not None:
            self.periods.append(Period(cron, at))

    def removed(self, at: datetime) -> None:
        """None is."""
        if self.open is not None:
            self.open.end = at

    def written(self, cron: str | None, since: datetime | None, told: datetime, killed: datetime) -> None:
        """What the history had of it when the daemon was dead: what was told before it was written came to nothing."""
        if cron is None or since is None:
            if self.open is not None:
                self.doubts.append((told, killed))
                self.open.end = told
            return
        self.periods = [each for each in self.periods if each.start <= since]
        if self.periods and self.periods[-1].start == since and self.periods[-1].cron == cron:
            self.periods[-1].end = None
            return
        if self.periods and (self.periods[-1].end is None or self.periods[-1].end > since):
            self.periods[-1].end = since
        self.periods.append(Period(cron, since))

    def due(self) -> set[datetime]:
        """Every slot, second by second."""
        found = set()
        for period in self.periods:
            if period.cron == _NEVER:
                continue
            assert period.end is not None, period
            found |= {second for second in seconds(period.start, period.end) if is_due(period.cron, second)}
        return found

    def is_doubtful(self, slot: datetime) -> bool:
        """Whether it may have been due."""
        return any(start < slot <= end for start, end in self.doubts)


def seconds(start: datetime, end: datetime) -> Iterator[datetime]:
    """The whole seconds after the one moment, up to the other."""
    at = start.replace(microsecond=0)
    while (at := at + timedelta(seconds=1)) <= end:
        yield at


def is_due(cron: str, at: datetime) -> bool:
    """Whether one of our expressions is due: only their seconds say anything."""
    which, *rest = cron.split()
    if rest != ["*"] * 5:
        return False
    stretch, _, step = which.partition("/")
    first = 0 if stretch == "*" else int(stretch.split("-")[0])
    return at.second >= first and (at.second - first) % int(step or 1) == 0


class Crashing:
    """Keeps a daemon going, edits its files, and kills it."""

    def __init__(self, folder: Path, seed: int) -> None:
        """Write the files of a project."""
        self.folder = folder
        self.random = random.Random(seed)
        self.kills: Counter[str] = Counter()
        self.edits: Counter[str] = Counter()
        self.timelines: dict[str, Timeline] = defaultdict(Timeline)
        self.complaints: list[str] = []
        self._mark = f"CRASHING_IN={folder}"
        self._lives = 0
        self._marks = folder / "marks"
        self._state = folder / "state"
        self._modules = {"mark": True, "other": True}
        self._edit = 0
        self._daemon: subprocess.Popen[bytes] | None = None
        self.figures: dict[str, Any] = {}
        for inner in ("conf.d", "tasks", "logs"):
            (folder / inner).mkdir()
        for name in self._modules:
            self._write_module(name, _TASK.format(name=name.capitalize()))
        self._write("_shared.conf", "max_parallel = 2\n")
        self._files = {
            kind.name: File(kind, {key: Entry(self.random.choice(_CRONS)) for key in kind.keys or ("",)})
            for kind in KINDS
        }
        for file in self._files.values():
            for entry in file.entries.values():
                entry.edit = self._next_edit()
            self._put(file)

    # Lives

    def live_and_die(self) -> None:
        """One life of a daemon, with edits all along."""
        self._start()
        how = self.random.choices(
            (
                self._kill_alone,
                self._kill_with_launchers,
                self._kill_all,
                self._kill_launcher_first,
                self._kill_run_first,
            ),
            (55, 15, 12, 8, 10),
        )[0]
        if self.random.random() < 0.6:
            self._edit_for(self.random.uniform(0.0, 0.8))
        else:
            self._wait_for("slot.due")
            self._edit_for(self.random.choice((0.02, 0.1, 0.3, 0.6, 1.5)) * self.random.random())
        how()
        self.kills[how.__name__.lstrip("_")] += 1
        self._bury()
        if self.random.random() < 0.3:
            self._edit_something()

    def stop_in_order(self) -> None:
        """A life that ends as it should, in the middle of everything."""
        self._start()
        self._wait_for("slot.due")
        self._edit_for(self.random.random())
        self._stop()

    def settle(self) -> None:
        """Mend everything, let nothing be due any more, and wait until the daemon has nothing left to do."""
        for name in self._modules:
            self._write_module(name, _TASK.format(name=name.capitalize()))
        for file in self._files.values():
            file.state = "gone" if not file.kind.stays and self.random.random() < 0.2 else "valid"
            for entry in file.entries.values():
                entry.cron = _NEVER
            self._put(file)
        self._start()
        if not self._eventually(self._is_at_rest):
            self._complain("it does not come to rest", self._unrest())
        self._stop()

    def _start(self) -> None:
        self._lives += 1
        with self._log.open("wb") as out, (self.folder / "stderr").open("ab") as err:
            self._daemon = subprocess.Popen(
                [*TASKER, "watch", "conf.d", "--state", str(self._state), "--grace", "1", "--log-format", "json"],
                cwd=self.folder,
                env={
                    **os.environ,
                    "TASKER_WORKSPACES": str(self.folder / "workspaces"),
                    "CRASHING_IN": str(self.folder),
                },
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def _log(self) -> Path:
        return self.folder / "logs" / f"{self._lives:04}.jsonl"

    @property
    def _process(self) -> subprocess.Popen[bytes]:
        assert self._daemon is not None
        return self._daemon

    def _stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(SETTLING_S)
        except subprocess.TimeoutExpired:
            self._complain("it does not stop", self._process.pid)
            self._process.kill()
            status = self._process.wait()
        if status != 128 + signal.SIGTERM:
            self._complain("its exit status is not that of SIGTERM", status)
        self._note_life()

    def _bury(self) -> None:
        self._process.wait()
        self._note_life()

    def _wait_for(self, event: str) -> None:
        """Wait until the daemon has told of an event, editing now and then; it may be that none comes."""
        give_up = time.monotonic() + _STARTING_S
        while time.monotonic() < give_up and self._process.poll() is None:
            if f'"event": "{event}"' in self._log.read_text(encoding="utf-8", errors="replace"):
                return
            time.sleep(0.02)
        self._complain(f"no {event} came", self._log.name)

    # How it dies

    def _kill_alone(self) -> None:
        self._process.kill()

    def _kill_with_launchers(self) -> None:
        launchers = linux.children(self._process.pid)
        self._process.kill()
        for pid in launchers:
            linux.send(pid, signal.SIGKILL)

    def _kill_all(self) -> None:
        """As a machine does that runs out of memory, or a container that is torn down."""
        below = linux.descendants(self._process.pid)
        for pid in (self._process.pid, *below):
            linux.send(pid, signal.SIGKILL)

    def _kill_launcher_first(self) -> None:
        for pid in linux.children(self._process.pid):
            linux.send(pid, signal.SIGKILL)
        self._edit_for(self.random.uniform(0.0, 0.5))
        self._process.kill()

    def _kill_run_first(self) -> None:
        runs = [run for launcher in linux.children(self._process.pid) for run in linux.children(launcher)]
        if runs:
            linux.send(self.random.choice(runs), signal.SIGKILL)
        self._edit_for(self.random.uniform(0.0, 0.3))
        self._process.kill()

    # Edits

    def _edit_for(self, span_s: float) -> None:
        """Edit things for so many seconds."""
        end = time.monotonic() + span_s
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, self.random.expovariate(4.0)))
            if time.monotonic() < end:
                self._edit_something()

    def _edit_something(self) -> None:
        edits: tuple[Callable[[], None], ...] = (
            self._touch,
            self._touch,
            self._reschedule,
            self._reschedule,
            self._change_overlap,
            self._rename,
            self._remove_or_add,
            self._break_or_mend,
            self._break_or_mend,
            self._edit_module,
            self._edit_include,
            self._remove_or_add_entry,
        )
        edit = self.random.choice(edits)
        edit()
        self.edits[edit.__name__.lstrip("_")] += 1

    def _any(self, *, stays: bool = True) -> File:
        return self.random.choice([file for file in self._files.values() if stays or not file.kind.stays])

    def _touch(self) -> None:
        file = self._any()
        self.random.choice([*file.entries.values()]).edit = self._next_edit()
        self._put(file)

    def _reschedule(self) -> None:
        file = self._any()
        entry = self.random.choice([*file.entries.values()])
        entry.cron, entry.edit = self.random.choice(_CRONS), self._next_edit()
        self._put(file)

    def _change_overlap(self) -> None:
        file = self._any(stays=False)
        file.overlap = self.random.choice(("", "skip", "queue", "allow", "replace"))
        self._put(file)

    def _rename(self) -> None:
        file = self._any(stays=False)
        file.renamed = not file.renamed
        self._put(file)

    def _remove_or_add(self) -> None:
        file = self._any(stays=False)
        file.state = "valid" if file.state == "gone" else "gone"
        self._put(file)

    def _remove_or_add_entry(self) -> None:
        file = self.random.choice([file for file in self._files.values() if file.kind.keys])
        key = self.random.choice(file.kind.keys)
        if key not in file.entries:
            file.entries[key] = Entry(self.random.choice(_CRONS), self._next_edit())
        elif len(file.entries) > 1:
            del file.entries[key]
        self._put(file)

    def _break_or_mend(self) -> None:
        file = self._any(stays=False)
        file.state = "valid" if file.state == "broken" else "broken"
        self._put(file)

    def _edit_module(self) -> None:
        name = self.random.choice(("mark", "other"))
        self._modules[name] = name == "mark" or not self._modules[name]
        text = _TASK.format(name=name.capitalize()).replace("EDIT = 0", f"EDIT = {self._next_edit()}")
        self._write_module(name, text if self._modules[name] else self.random.choice(_BROKEN_MODULES))

    def _edit_include(self) -> None:
        self._write("_shared.conf", f"max_parallel = {self.random.randint(1, 3)}\n")

    def _next_edit(self) -> int:
        self._edit += 1
        return self._edit

    def _put(self, file: File) -> None:
        """Have a file be as it is to be."""
        name = f"{file.kind.name}.conf"
        match file.state:
            case "gone":
                (self.folder / "conf.d" / name).unlink(missing_ok=True)
            case "broken":
                self._write(name, self.random.choice(_BROKEN_FILES))
            case _:
                self._write(name, file.text(self._marks))

    def _write(self, name: str, text: str) -> None:
        """Write a conf file, in place or by renaming."""
        path = self.folder / "conf.d" / name
        if self.random.random() < 0.5:
            path.write_text(text, encoding="utf-8")
        else:
            _renamed(path, text)

    def _write_module(self, name: str, text: str) -> None:
        _renamed(self.folder / "tasks" / f"{name}_task.py", text)

    # What it leaves

    def _note_life(self) -> None:
        """Take down what the daemon has told, and what of it was written."""
        killed, told = datetime.now(UTC), datetime.min.replace(tzinfo=UTC)
        for line in self._log.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):  # the last one may be torn
                fact = json.loads(line)
                told = max(told, datetime.fromisoformat(fact["timestamp"]))
                self._note(fact)
        written = self._written()
        for name in {*written, *self.timelines}:
            cron, since = written.get(name, (None, None))
            self.timelines[name].written(cron, since, told, killed)

    def _note(self, fact: Mapping[str, Any]) -> None:
        at = datetime.fromisoformat(fact["timestamp"])
        match fact["event"]:
            case "config.loaded":
                self.timelines[fact["pipeline"]].loaded(" ".join(fact.get("cron", [])) or None, at)
            case "config.removed":
                self.timelines[fact["pipeline"]].removed(at)
            case "daemon.troubled" if fact["what"] != "tasks":
                self._complain("it was in trouble", fact)

    def _written(self) -> dict[str, tuple[str | None, datetime]]:
        """By name of each pipeline that the history knows: its expression, and since when."""
        try:
            with History.read(self._state) as history:
                known = history.pipelines()
        except UnfitError:  # it was dead before it had one
            return {}
        return {each.name: (each.schedule["cron"][0] if each.schedule else None, each.since) for each in known}

    def _is_at_rest(self) -> bool:
        return not self._unrest()

    def _unrest(self) -> list[Any]:
        """What is not over."""
        try:
            with History.read(self._state) as history:
                wanted = {name for file in self._files.values() if file.state == "valid" for name in file.names}
                known = {each.name: each.schedule or {} for each in history.pipelines()}
                stale = [name for name, schedule in known.items() if schedule.get("cron") != [_NEVER]]
                waiting = [*history.slots(outcomes=[Outcome.WAITING]), *history.runs(statuses=ACTIVE)]
                return [*(wanted ^ known.keys()), *stale, *waiting]
        except HistoryError as error:
            return [error]

    def _eventually(self, holds: Callable[[], bool]) -> bool:
        give_up = time.monotonic() + SETTLING_S
        while not holds():
            if time.monotonic() > give_up or self._process.poll() is not None:
                return False
            time.sleep(0.1)
        return True

    def _complain(self, words: str, *about: object) -> None:
        self.complaints.append(f"{words}: {', '.join(map(str, about))}")

    # What must hold

    def judge(self) -> None:
        """Hold what is left against what was promised."""
        with History.read(self._state) as history:
            slots = {(each.slot.pipeline, each.slot.at): each for each in history.slots(limit=10**6)}
            runs = {each.id: each for each in history.runs(limit=10**6)}
            steps = {(run_id, each.step): each.status for run_id in runs for each in history.step_runs(run_id)}
        marks = [Mark.read(line) for line in self._marks.read_text(encoding="utf-8").splitlines()]
        self._judge_slots(slots)
        self._judge_runs(slots, runs)
        self._judge_marks(slots, runs, marks)
        self._judge_steps(runs, marks, steps)
        self._judge_leftovers()
        self.figures = {
            "lives": self._lives,
            "kills": dict(self.kills),
            "edits": sum(self.edits.values()),
            "slots": len(slots),
            "outcomes": dict(Counter(str(each.outcome) for each in slots.values())),
            "runs": dict(Counter(str(each.status) for each in runs.values())),
            "resumptions": dict(sorted(Counter(each.resumption for each in runs.values()).items())),
            "lines": len(marks),
            "ran": sorted({self._kind(mark.pipeline).name for mark in marks}),
        }

    def _judge_slots(self, slots: Mapping[tuple[str, datetime], SlotRecord]) -> None:
        due = {(name, at) for name, timeline in self.timelines.items() for at in timeline.due()}
        for name, at in sorted(due - slots.keys()):
            self._complain("a due slot is not in the history", name, at, self.timelines[name].periods)
        for name, at in sorted(slots.keys() - due):
            if not self.timelines[name].is_doubtful(at):
                self._complain("a slot is in the history that was not due", name, at, slots[name, at])
        for each in slots.values():
            if each.outcome is Outcome.WAITING:
                self._complain("a slot still waits", each)

    def _judge_runs(self, slots: Mapping[tuple[str, datetime], SlotRecord], runs: Mapping[str, RunRecord]) -> None:
        resumed = {each.resumed_from for each in runs.values()}
        last: dict[tuple[str, datetime], list[str]] = defaultdict(list)
        for run in runs.values():
            slot = slots.get((run.pipeline, run.slot))
            kind = self._kind(run.pipeline)
            if run.status in ACTIVE or run.ended_at is None:
                self._complain("a run has no end", run)
            if slot is None or slot.outcome is not Outcome.RAN:
                self._complain("a run's slot did not run", run, slot)
            if run.resumption > (MOST_RESUMPTIONS if kind.resumes else 0):
                self._complain("a run was resumed too often", run)
            if run.id not in resumed:
                last[run.pipeline, run.slot].append(run.id)
                if run.status is RunStatus.INTERRUPTED and kind.resumes and kind.stays and run.resumption < 3:
                    self._complain("a run was interrupted and not resumed", run)
        for key, slot in slots.items():
            if last.get(key, []) != ([slot.run_id] if slot.outcome is Outcome.RAN else []):
                self._complain("a slot has not one row of runs, whose last is its own", slot, last.get(key))

    def _judge_marks(
        self, slots: Mapping[tuple[str, datetime], SlotRecord], runs: Mapping[str, RunRecord], marks: list[Mark]
    ) -> None:
        edits: dict[tuple[str, datetime], set[int]] = defaultdict(set)
        for mark in marks:
            run, slot = runs.get(mark.run_id), slots.get((mark.pipeline, mark.slot))
            if run is None or (run.pipeline, run.slot) != (mark.pipeline, mark.slot):
                self._complain("a step ran of a run that is not in the history", mark)
            if slot is None or slot.outcome is not Outcome.RAN:
                self._complain("a step ran of a slot that did not", mark, slot)
            edits[mark.pipeline, mark.slot].add(mark.edit)
        for key, found in edits.items():
            if len(found) > 1:
                self._complain("a slot ran on more than one version of its file", *key, found)
        for mark, count in Counter(marks).items():
            if count > 1:
                self._complain("an attempt was made twice", mark)

    def _judge_steps(
        self, runs: Mapping[str, RunRecord], marks: list[Mark], steps: Mapping[tuple[str, str], RunStatus]
    ) -> None:
        """What of each slot was done, step by step."""
        done: dict[tuple[str, datetime], dict[str, list[Mark]]] = defaultdict(lambda: defaultdict(list))
        for mark in marks:
            done[mark.pipeline, mark.slot][mark.step].append(mark)
        for (name, _), by_step in done.items():
            kind = self._kind(name)
            for step in kind.steps:
                of_step = by_step.get(step.id, [])
                if not kind.resumes and len(of_step) > 1:
                    self._complain("a step ran again though its run is not to be resumed", *of_step)
                for before, after in pairwise(of_step):
                    again = before.run_id == after.run_id and step.id not in kind.fails
                    spared = before.code == after.code and not _earlier_again(kind, step, by_step, after.run_id)
                    if again or (spared and steps.get((before.run_id, step.id)) is RunStatus.SUCCEEDED):
                        self._complain("a step ran again that had succeeded", before, after)
        for run in runs.values():
            if run.status is RunStatus.SUCCEEDED:
                kind = self._kind(run.pipeline)
                missing = {step.id for step in kind.steps} - done[run.pipeline, run.slot].keys()
                hooks = {
                    step.id
                    for step in kind.finally_
                    if not any(mark.run_id == run.id for mark in done[run.pipeline, run.slot][step.id])
                }
                if missing | hooks:
                    self._complain("a run succeeded, and steps of it did not run", run, missing | hooks)

    def _judge_leftovers(self) -> None:
        if not eventually(lambda: not processes_with(self._mark)):
            self._complain("processes are left behind", *map(_told, processes_with(self._mark)))
        prune(self.folder / "workspaces", datetime.now(UTC) + timedelta(days=8), within_s=60)
        for name in ("workspaces", "state/journals"):
            if left := sorted(os.listdir(self.folder / name) if (self.folder / name).exists() else []):
                self._complain(f"there is something left in {name}", *left)
        if told := (self.folder / "stderr").read_text(encoding="utf-8", errors="replace"):
            self._complain("something was printed on standard error", told[-4000:])

    @staticmethod
    def _kind(name: str) -> Kind:
        return next(kind for kind in KINDS if kind.name == base_name(name).removesuffix("-too"))

    def close(self) -> None:
        """Leave nothing behind, whatever happened."""
        for pid in processes_with(self._mark):
            linux.send(pid, signal.SIGKILL)
        if self._daemon is not None:
            self._daemon.wait()


def _earlier_again(kind: Kind, step: Step, by_step: Mapping[str, list[Mark]], run_id: str) -> bool:
    """Whether a step before this one, which it needs, was done in a run: then it is to be done again, too."""
    earlier = kind.steps[: kind.steps.index(step)]
    return any(mark.run_id == run_id for each in earlier for mark in by_step.get(each.id, ()))


def _told(pid: int) -> str:
    with suppress(OSError):
        return f"{pid} {Path(f'/proc/{pid}/comm').read_text(encoding='utf-8').strip()}"
    return str(pid)


def _renamed(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def crash(folder: Path, seed: int, goes_on: Callable[[int], bool]) -> Crashing:
    """Kill a daemon in a folder for as long as `goes_on` says of the number of kills, and judge what is left."""
    crashing = Crashing(folder, seed)
    try:
        while goes_on(crashing.kills.total()):
            crashing.live_and_die()
            if crashing.random.random() < 0.06:
                crashing.stop_in_order()
        crashing.settle()
        crashing.judge()
    finally:
        crashing.close()
    return crashing


def main() -> int:
    """Do it for as long as the command line says; 1 where something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--keep", type=Path, help="a folder that is to be made, and left")
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if arguments.seed is None else arguments.seed
    end = time.monotonic() + arguments.seconds
    with tempfile.TemporaryDirectory(prefix="crash-") as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        crashing = crash(folder.resolve(), seed, lambda _: time.monotonic() < end)
    print(f"seed {seed}: {json.dumps(crashing.figures)}")  # noqa: T201
    for complaint in crashing.complaints:
        print(complaint, file=sys.stderr)  # noqa: T201
    return 1 if crashing.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
