"""The course of a run: its steps, then `on_failure` or `on_success`, then `finally`; decisions, without effects."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from tasker.durations import format_duration
from tasker.pipeline import Phase
from tasker.run import Status, StepRun
from tasker.running.order import Order

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tasker.pipeline import Pipeline, Step
    from tasker.references import Known
    from tasker.running.order import Pass
    from tasker.running.reuse import Reuse


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a run has come to; the first thing that goes wrong decides, and nothing later hides it."""

    status: Status = Status.SUCCEEDED
    error: str = ""
    """What went wrong, in one sentence."""
    failed_step: str = ""
    """The id of the first step that failed or was interrupted."""

    def told(self, duration_s: float) -> Mapping[str, str]:
        """What `${run.KEY}` stands for, after so many seconds."""
        duration = format_duration(timedelta(seconds=round(duration_s, 3)))
        return {
            "status": str(self.status),
            "failed_step": self.failed_step,
            "error": self.error,
            "duration": duration,
        }


class Course:
    """How one run goes on: step by step within a phase, and from phase to phase."""

    def __init__(self, pipeline: Pipeline, *, mask: Callable[[str], str] = str, reuse: Reuse | None = None) -> None:
        """Take the plan; `reuse` judges which steps need not run, but hooks run in any case."""
        self.phase = Phase.TASKS
        self.standing = Standing()
        self.ended: dict[str, StepRun] = {}
        """What became of each step so far, in the order of their ends."""
        self._phases = pipeline.phases
        self._mask = mask
        self._order = Order(pipeline.steps, mask=mask, ended=self.ended, reuse=reuse)
        self._halted: tuple[Status, str] | None = None
        self.finished = False
        """Whether the last phase has ended."""
        self._given_up = ""

    def next(self) -> Step | Pass | None:
        """What comes up next in this phase; `None` while everything left of it waits for a step that runs."""
        return self._order.next()

    def known(self, step: Step) -> Known:
        """What the step may know of what it refers to."""
        return self._order.known(step)

    def passed(self, passed: Pass) -> StepRun:
        """What a step that is passed over comes to."""
        return self._order.passed(passed)

    def end(self, step_run: StepRun) -> None:
        """A step has ended, or was passed over."""
        self._order.end(step_run)

    def stop(self, reason: str) -> None:
        """Pass over what has not started in this phase; the run goes on with the next one."""
        self._order.stop(reason)

    def halt(self, status: Status, reason: str) -> None:
        """The run as a whole is stopped, and comes to `status` if nothing was wrong before. Hooks have time to end."""
        self._halted = self._halted or (status, reason)
        if self.phase is Phase.TASKS:
            self.stop(reason)

    def give_up(self, reason: str) -> None:
        """Start nothing any more, not even hooks."""
        self._given_up = self._given_up or reason
        self.stop(reason)

    @property
    def phase_ended(self) -> bool:
        """Whether every step of this phase has ended or was passed over."""
        return self._order.finished

    def proceed(self, duration_s: float) -> bool:
        """Go on to the next phase, once this one has ended; whether there is one. The run has taken `duration_s`."""
        self._judge()
        phase = self._following()
        if phase is None:
            self.finished = True
            return False
        self.phase = phase
        run = {key: self._mask(told) for key, told in self.standing.told(duration_s).items()}
        self._order = Order(self._phases[phase], mask=self._mask, ended=self.ended, run=run)
        if self._given_up:
            self._order.stop(self._given_up)
        return True

    def _following(self) -> Phase | None:
        match self.phase:
            case Phase.TASKS:
                return Phase.ON_FAILURE if self.standing.status.is_bad else Phase.ON_SUCCESS
            case Phase.ON_FAILURE | Phase.ON_SUCCESS:
                return Phase.FINALLY
        return None

    def _judge(self) -> None:
        """Let the phase that has ended count, unless something went wrong before it."""
        if self.standing.status.is_bad:
            return
        bad = next((each for each in self.ended.values() if each.status.is_bad), None)
        failed_step = bad.step if bad else ""
        status, error = self._halted or (Status.SUCCEEDED, "")
        if status is Status.FAILED or (self._halted and self.phase is Phase.TASKS):
            self.standing = Standing(status=status, error=error, failed_step=failed_step)
        elif bad:
            self.standing = Standing(
                status=bad.status, error=f"step '{bad.step}': {bad.error}", failed_step=failed_step
            )
