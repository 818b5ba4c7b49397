"""Which step of a phase may start next, and which is passed over: decisions, without effects.

Not to be confused with `course`, which goes on from phase to phase.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

from tasker.conversion import Mismatch, convert
from tasker.pipeline import OnFailure
from tasker.references import Known, MissingOutputError, resolved
from tasker.run import Status, StepRun
from tasker.running.reading import read_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tasker.pipeline import Step
    from tasker.running.reuse import Reuse


@dataclass(frozen=True, slots=True)
class Pass:
    """A step that does not start, and why: it is skipped, has failed already, or succeeded in an earlier run."""

    step: Step
    status: Status
    reason: str
    wanted: bool = False
    """Whether this is as it is to be: it is done already, or a person leaves it out."""


class Order:
    """The order of one phase's steps: each comes up once, when all that it needs has ended."""

    def __init__(
        self,
        steps: Sequence[Step],
        *,
        mask: Callable[[str], str] = str,
        ended: dict[str, StepRun] | None = None,
        reuse: Reuse | None = None,
        run: Mapping[str, str] | None = None,
    ) -> None:
        """Take the steps, and what is known before them.

        `ended` has what became of earlier steps of the run, and is added to; `reuse` judges which steps need not run;
        `run` is what the run has come to, for `${run.KEY}`.
        """
        self.ended: dict[str, StepRun] = {} if ended is None else ended
        self._reuse = reuse
        self._run = run or {}
        self._mask = mask
        self._steps = {step.id: step for step in steps}
        self._index = {step.id: index for index, step in enumerate(steps)}
        self._ids = list(self._steps)
        self._left = len(self._steps)
        self._graph = TopologicalSorter({step.id: step.needs for step in steps})
        self._graph.prepare()
        self._ready: list[int] = []
        self._stopped = ""

    def stop(self, reason: str) -> None:
        """From now on every step that has not started is passed over, for `reason`."""
        self._stopped = self._stopped or reason

    def end(self, step_run: StepRun) -> None:
        """A step has ended, or was passed over: what needed it may come up."""
        self.ended[step_run.step] = step_run
        self._left -= 1
        self._graph.done(step_run.step)
        if step_run.status.is_bad and self._steps[step_run.step].on_failure is OnFailure.STOP:
            self.stop(f"step '{step_run.step}' {step_run.status}")

    def next(self) -> Step | Pass | None:
        """What comes up next, in the order of the file; `None` while everything left waits for a step that runs."""
        for step_id in self._graph.get_ready():
            heapq.heappush(self._ready, self._index[step_id])
        if not self._ready:
            return None
        step = self._steps[self._ids[heapq.heappop(self._ready)]]
        return next(self._passes(step), step)

    def known(self, step: Step) -> Known:
        """What the step may know of what it refers to."""
        return Known(
            outputs={reference.step: self.ended[reference.step].outputs for reference in read_by(step)}, run=self._run
        )

    def passed(self, passed: Pass) -> StepRun:
        """What a step that is passed over comes to: one that succeeded before hands on what it handed on then."""
        before = self._reuse.before(passed.step) if self._reuse else None
        if passed.status is Status.SUCCEEDED and before is not None:
            return before
        return StepRun(step=passed.step.id, task=passed.step.task, status=passed.status, error=passed.reason)

    @property
    def finished(self) -> bool:
        """Whether every step has ended or was passed over."""
        return not self._left

    def _passes(self, step: Step) -> Iterator[Pass]:
        """The reasons, if any, for which the step does not start."""
        unmet = next(self._unmet(step), None)
        if self._reuse is not None:
            if reason := self._reuse.left_out(step):
                yield Pass(step, Status.SUCCEEDED if self._reuse.before(step) else Status.SKIPPED, reason, wanted=True)
            elif unmet is None and (reason := self._reuse.done(step, self.ended, self.known(step))):
                yield Pass(step, Status.SUCCEEDED, reason, wanted=True)
        if self._stopped:
            yield Pass(step, Status.SKIPPED, self._stopped)
        if unmet is not None:
            yield unmet

    def _unmet(self, step: Step) -> Iterator[Pass]:
        """What the step asks for itself that does not hold."""
        for reference in read_by(step):
            status = self.ended[reference.step].status
            if status is not Status.SUCCEEDED and not reference.optional:
                yield Pass(step, Status.SKIPPED, f"it reads outputs of step '{reference.step}', which {_past(status)}")
        try:
            if not self._when(step):
                yield Pass(step, Status.SKIPPED, "its `when` is false")
        except (MissingOutputError, Mismatch) as error:
            yield Pass(step, Status.FAILED, f"'when': {error}")

    def _when(self, step: Step) -> bool:
        if isinstance(step.when, bool):
            return step.when
        value = resolved(step.when.value, self.known(step), self._mask)
        return value is None or bool(convert(value, step.when.annotation))


def _past(status: Status) -> str:
    return {Status.SKIPPED: "was skipped", Status.INTERRUPTED: "was interrupted"}.get(status, status.value)
