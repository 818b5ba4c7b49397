"""A machine on which a run's steps take no time: processes that follow a script, and a clock that jumps."""

from __future__ import annotations

import os
import selectors
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tasker.clock import Clock
from tasker.running.worker import Job

_LONG_AGO = datetime(2026, 11, 22, tzinfo=UTC)
_FIRST_PID = 2**22
"""No process has an id like this one, or a greater one."""


@dataclass(frozen=True, slots=True)
class Script:
    """What a process does, unless it is ended before."""

    seconds: float
    answer: Mapping[str, Any] | None
    """What it sends when it ends; `None` where it dies without."""
    heeds: float | None = 0.0
    """Seconds that it needs to end when it is told to; `None` where it does not heed that."""


class Messages:
    """The receiving end of a process's channel."""

    def __init__(self) -> None:
        self.waiting: list[Mapping[str, Any]] = []
        self.ended = False

    def receive(self, _packets: int | None = None) -> Iterator[Mapping[str, Any]]:
        while self.waiting:
            yield self.waiting.pop()

    def close(self) -> None:
        pass


@dataclass(eq=False, slots=True)
class Process:
    """As `StepProcess`, but for the process."""

    machine: SimulatedMachine
    job: Job
    script: Script
    pid: int
    ends_at: float
    messages: Messages = field(default_factory=Messages)
    pidfd: int = field(init=False)
    stdout: int = field(init=False)
    stderr: int = field(init=False)
    status: int | None = None
    killed_by: int = 0

    def __post_init__(self) -> None:
        self.pidfd = -self.pid
        self.stdout, self.stderr = self.machine.empty_stream(), self.machine.empty_stream()

    def signal(self, signum: int) -> None:
        """End at once, or when it heeds what it is told."""
        after = 0.0 if signum == signal.SIGKILL else self.script.heeds
        if after is not None and self.machine.time + after < self.ends_at:
            self.ends_at, self.killed_by = self.machine.time + after, signum

    def end(self) -> None:
        self.messages.ended = True
        self.status = -self.killed_by
        if not self.killed_by and self.script.answer is None:
            self.status = 1
        elif not self.killed_by:
            self.messages.waiting.append(self.script.answer or {})

    def exit_status(self) -> int:
        assert self.status is not None, "it is waited for, and runs"
        return self.status

    def close(self) -> None:
        if self not in self.machine.living:
            return
        self.machine.living.discard(self)
        for descriptor in (self.stdout, self.stderr):
            os.close(descriptor)
        if not self.machine.dead:
            self.machine.ended(self)


class NoLeftovers:
    """No process of these leaves others behind."""

    def claim(self, _living: set[int], _step: int) -> bool:
        return False

    def kill(self, _living: set[int], _step: int | None = None) -> int:
        return 0


class Stop:
    """A request to stop that comes at certain moments."""

    def __init__(self, moments: list[float], heard: Callable[[], None]) -> None:
        self.moments = moments
        self._heard = heard

    def hear(self) -> str:
        self.moments.pop(0)
        self._heard()
        return "interrupted"


class SimulatedMachine:
    """Starts what `script` tells of each job, and passes the time by jumping to the next thing that happens."""

    def __init__(
        self, script: Callable[[Job], Script], mix: Callable[[list[Any]], None], ended: Callable[[Process], None]
    ) -> None:
        """Things that happen at one moment are told in the order to which `mix` brings them.

        `ended` is told of each process that the runner has seen the end of.
        """
        self.time = 0.0
        self.clock = Clock(now=lambda: _LONG_AGO + timedelta(seconds=self.time), monotonic=lambda: self.time)
        self.living: set[Process] = set()
        self.processes = 0
        self.ended = ended
        self.dead = False
        """Whether the process of the run was killed: what it does from now on, it does not do."""
        self._script = script
        self._mix = mix
        self._empty = os.open(os.devnull, os.O_RDONLY)

    def process(self, job: Job) -> Process:
        script = self._script(job)
        self.processes += 1
        process = Process(self, job, script, _FIRST_PID + self.processes, self.time + script.seconds)
        self.living.add(process)
        return process

    def leftovers(self) -> NoLeftovers:
        return NoLeftovers()

    def selector(self) -> SimulatedSelector:
        return SimulatedSelector(self, self._mix)

    def empty_stream(self) -> int:
        return os.dup(self._empty)

    def close(self) -> None:
        """What was abandoned is gone."""
        self.dead = True
        for process in list(self.living):
            process.close()
        os.close(self._empty)


class SimulatedSelector:
    """Waits for processes of a simulated machine, and for a request to stop."""

    def __init__(self, machine: SimulatedMachine, mix: Callable[[list[Any]], None]) -> None:
        self._machine = machine
        self._mix = mix
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, what: Any, events: int, data: Any = None) -> None:
        assert what not in self._keys
        self._keys[what] = selectors.SelectorKey(what, 0, events, data)

    def unregister(self, what: Any) -> None:
        del self._keys[what]

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys

    def select(self, timeout: float) -> list[tuple[selectors.SelectorKey, int]]:
        machine = self._machine
        stop = next((each for each in self._keys if isinstance(each, Stop) and each.moments), None)
        moments = [process.ends_at for process in machine.living if process.status is None]
        moments += stop.moments[:1] if stop else []
        machine.time = max(machine.time, min([machine.time + timeout, *moments]))
        for process in machine.living:
            if process.status is None and process.ends_at <= machine.time:
                process.end()
        ready: list[Any] = [stop] if stop and stop.moments[0] <= machine.time else []
        for process in sorted(machine.living, key=lambda each: each.pid):
            if process.status is not None:
                ready += [process.pidfd, process.messages, process.stdout, process.stderr]
        found = [self._keys[each] for each in ready if each in self._keys]
        self._mix(found)
        return [(key, selectors.EVENT_READ) for key in found]

    def close(self) -> None:
        self._keys.clear()
