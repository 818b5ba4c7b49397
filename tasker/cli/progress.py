"""What a run has come to so far, step by step, as its facts tell it: what a live view draws, without the drawing.

Not to be confused with `run`, whose records say what became of a run that has ended.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tasker.facts import Event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tasker.facts import Fact
    from tasker.pipeline import Pipeline, Step

TAIL = 10
"""The last lines of each step that are kept, to be shown where it fails."""


class State(StrEnum):
    """How a step stands. In the order in which a view that has no room for all gives it to them."""

    RUNNING = "running"
    RETRYING = "retrying"
    FAILED = "failed"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"


_STATES = {
    Event.STEP_STARTED: State.RUNNING,
    Event.STEP_RETRYING: State.RETRYING,
    Event.STEP_FAILED: State.FAILED,
    Event.STEP_SUCCEEDED: State.SUCCEEDED,
    Event.STEP_SKIPPED: State.SKIPPED,
}
_URGENCY = {state: number for number, state in enumerate(State)}


@dataclass(slots=True, kw_only=True)
class StepProgress:
    """How one step stands."""

    id: str
    task: str
    attempts: int = 1
    """How many tries it may have."""
    state: State = State.WAITING
    attempt: int = 0
    """The try that is or was the last one, from one; nought before the first."""
    started: float | None = None
    """When the first attempt began, in monotonic seconds."""
    duration_s: float | None = None
    """What it took in all, once it has ended."""
    reason: str = ""
    """Why it failed, is tried again, or was skipped."""
    traceback: str = ""
    hook: str = ""
    """The list that it stands in, where that is not `tasks`."""
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL))

    def elapsed_s(self, now: float) -> float | None:
        """Seconds that it took, or has been going on for; `None` where it has not started."""
        if self.duration_s is not None or self.started is None:
            return self.duration_s
        return now - self.started if self.state in {State.RUNNING, State.RETRYING} else None


class Progress:
    """How the run of a pipeline stands."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline.name
        self.steps = {step.id: _waiting(step) for step in pipeline.steps}
        """The steps of `tasks`, and those hooks that have come up."""
        self._hooks = {step.id: _waiting(step, phase) for phase, steps in pipeline.hooks.items() for step in steps}
        self.ended: Fact | None = None
        """The last fact of the run."""

    def take(self, fact: Fact, now: float) -> None:
        """Note a fact that comes in at `now`, in monotonic seconds."""
        if fact.step is not None:
            unknown = StepProgress(id=fact.step, task=fact.task or "")
            step = self.steps.setdefault(fact.step, self._hooks.get(fact.step, unknown))
            _note(step, fact, now)
        elif fact.event in {Event.RUN_SUCCEEDED, Event.RUN_FAILED, Event.RUN_INTERRUPTED}:
            self.ended = fact

    def counts(self) -> Mapping[State, int]:
        """How many steps stand how."""
        return Counter(step.state for step in self.steps.values())

    def most_urgent(self, room: int) -> list[StepProgress]:
        """At most `room` steps, those that matter most, in the order of the file."""
        chosen = sorted(self.steps.values(), key=lambda step: _URGENCY[step.state])[: max(0, room)]
        ids = {step.id for step in chosen}
        return [step for step in self.steps.values() if step.id in ids]

    def failures(self) -> list[StepProgress]:
        """The steps that failed, in the order of the file."""
        return [step for step in self.steps.values() if step.state is State.FAILED]


def _waiting(step: Step, hook: str = "") -> StepProgress:
    return StepProgress(id=step.id, task=step.task, attempts=step.retry.attempts, hook=hook)


def _note(step: StepProgress, fact: Fact, now: float) -> None:
    told = fact.details
    if fact.event == Event.STEP_OUTPUT:
        step.tail.append(str(told.get("line", "")))
    elif fact.event in _STATES:
        step.state = _STATES[Event(fact.event)]
        step.attempt = fact.attempt or step.attempt
        step.started = now if step.started is None and step.state is State.RUNNING else step.started
        step.duration_s = told.get("duration_s")
        step.reason = _reason(told)
        step.traceback = str(told.get("traceback", ""))


def _reason(told: Mapping[str, Any]) -> str:
    return str(told.get("error") or told.get("reason") or "")
