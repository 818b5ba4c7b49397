"""What a run takes of the machine that it is on: time, processes for its steps, and a way to wait for these."""

from __future__ import annotations

import selectors
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from tasker.clock import Clock
from tasker.running.process import Leftovers, StepProcess
from tasker.running.worker import work

if TYPE_CHECKING:
    from tasker.running.worker import Job


class Machine:
    """The real one. Tests try thousands of runs on another, on which nothing takes any time."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        import_module("tasker.structured")  # which each step would import for itself

    def process(self, job: Job) -> StepProcess:
        """A process that carries out an attempt at a step. Raises `OSError` where none can be had."""
        return StepProcess(partial(work, job))

    def leftovers(self) -> Leftovers:
        """Finds what steps leave behind from now on."""
        return Leftovers()

    def selector(self) -> selectors.BaseSelector:
        """Waits for processes, and for a request to stop."""
        return selectors.DefaultSelector()
