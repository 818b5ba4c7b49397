"""A run as people watch it on a terminal: the steps as they stand, and what these print scrolling by above them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import set_cell_size
from rich.text import Text

from tasker.cli.progress import Progress, State, StepProgress
from tasker.cli.screen import LONGEST_LINE, STYLES, TRACEBACK, Screen, counted, cut, duration, fitting, printed, width
from tasker.facts import Event
from tasker.reports import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from tasker.clock import Clock
    from tasker.facts import Fact
    from tasker.pipeline import Pipeline

_FAILURES = 5
"""Failed steps that are told of at the end in full."""
_ENDS = {
    Event.RUN_SUCCEEDED: (State.SUCCEEDED, "succeeded in"),
    Event.RUN_FAILED: (State.FAILED, "failed after"),
    Event.RUN_INTERRUPTED: (State.FAILED, "was interrupted after"),
}


class LiveView(Screen):
    """Shows a run while it goes on: call it with each fact."""

    def __init__(self, pipeline: Pipeline, console: Console | None = None, clock: Clock | None = None) -> None:
        self._progress = Progress(pipeline)
        super().__init__(console, clock)

    def __call__(self, fact: Fact) -> None:
        """Take a fact in; it is seen at the next drawing."""
        self._progress.take(fact, self._clock.monotonic())
        self.scroll(printed(fact, fact.step or "run"))

    def rows(self, room: int) -> Iterator[Text]:
        """The steps as they stand, as many as there is room for, and the counts of all where that is not enough."""
        progress = self._progress
        steps = progress.most_urgent(room)
        widths = width(step.id for step in steps), width(step.task for step in steps)
        for step in steps:
            yield self._row(step, *widths)
        if len(steps) < len(progress.steps):
            yield fitting(Text(f"  {counted(progress.counts())}", "dim"))

    def _row(self, step: StepProgress, id_width: int, task_width: int) -> Text:
        now = self._clock.monotonic()
        elapsed = step.elapsed_s(now)
        return fitting(
            Text.assemble(
                (self.mark(step.state, now), STYLES[step.state]),
                f" {set_cell_size(step.id, id_width)} ",
                (f" {set_cell_size(visible(step.task), task_width)} ", "dim"),
                f" {duration(elapsed) if elapsed is not None else '':>7}",
                (_note(step), STYLES[step.state]),
            )
        )

    def conclusion(self) -> Iterator[Text]:
        """Why steps failed, and what the run came to; nothing where the run has not come to an end."""
        fact = self._progress.ended
        if fact is None:
            return
        failures = self._progress.failures()
        for step in failures[:_FAILURES]:
            yield from self._failure(step)
        if len(failures) > _FAILURES:
            yield Text(f"\n{len(failures) - _FAILURES} more steps failed", "red")
        state, words = _ENDS[Event(fact.event)]
        error = fact.details.get("error")
        told = f"{self._progress.pipeline} {words} {duration(fact.details.get('duration_s', 0))}"
        yield Text.assemble(
            "\n" if failures else "",
            (f"{self.mark(state, 0)} {visible(told)}", STYLES[state]),
            f": {visible(str(error))}" if error and not failures else "",
            (f"  {counted(self._progress.counts())}; run {fact.run_id}", "dim"),
        )

    def _failure(self, step: StepProgress) -> Iterator[Text]:
        yield Text.assemble(
            (f"\n{self.mark(State.FAILED, 0)} step '{step.id}' failed: ", "bold red"), visible(step.reason)
        )
        for line in step.traceback.splitlines()[-TRACEBACK:]:
            yield Text(f"  {cut(line)}", "dim")
        if step.tail:
            yield Text("  the last that it printed:", "bold")
        for line in step.tail:
            yield Text(f"  {cut(line)}")


def _note(step: StepProgress) -> str:
    """What there is to say of a step beside its state."""
    again = step.attempt > 1 and step.state is not State.SKIPPED
    attempt = f"attempt {step.attempt} of {step.attempts}" if again else ""
    reason = visible(" ".join(step.reason.split()))[:LONGEST_LINE]
    return "".join(f"  {words}" for words in (step.hook, attempt, reason) if words)
