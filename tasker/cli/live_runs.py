"""Several runs as people watch them on a terminal: a row each while they go on, and a table of what they came to."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.cells import set_cell_size
from rich.text import Text

from tasker.cli.progress import Progress, State
from tasker.cli.screen import STYLES, Screen, counted, duration, fitting, printed, width
from tasker.cli.tables import results
from tasker.facts import Event
from tasker.reports import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from tasker.clock import Clock
    from tasker.facts import Fact
    from tasker.pipeline import Pipeline

_STATES = {
    Event.RUN_SUCCEEDED: State.SUCCEEDED,
    Event.RUN_FAILED: State.FAILED,
    Event.RUN_INTERRUPTED: State.FAILED,
}
_URGENCY = {state: number for number, state in enumerate(State)}


class _Watched:
    """How one run stands."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.name = pipeline.name
        self.progress = Progress(pipeline)
        self.started: float | None = None

    @property
    def state(self) -> State:
        """How it stands, as if it were a step."""
        if self.progress.ended is not None:
            return _STATES[Event(self.progress.ended.event)]
        return State.WAITING if self.started is None else State.RUNNING

    def take(self, fact: Fact, now: float) -> None:
        """Note a fact of it."""
        self.started = now if self.started is None else self.started
        self.progress.take(fact, now)

    def elapsed_s(self, now: float) -> float | None:
        """Seconds that it took, or has been going on for."""
        if self.progress.ended is not None:
            return float(self.progress.ended.details.get("duration_s") or 0)
        return None if self.started is None else now - self.started

    @property
    def note(self) -> str:
        """What there is to say of it: which steps go on, or why it failed."""
        if self.progress.ended is not None:
            return " ".join(str(self.progress.ended.details.get("error") or "").split())
        going = [step.id for step in self.progress.steps.values() if step.state in {State.RUNNING, State.RETRYING}]
        return ", ".join(going)

    def result(self) -> dict[str, str]:
        """What it came to, for a table."""
        ended = self.progress.ended
        if ended is None:
            return {"pipeline": self.name, "status": "not run" if self.started is None else "running"}
        failed = [step.id for step in self.progress.failures() if not step.hook]
        return {
            "pipeline": self.name,
            "status": ended.event.removeprefix("run."),
            "took": duration(ended.details.get("duration_s") or 0),
            "step": failed[0] if failed else "",
            "run_id": ended.run_id or "",
            "error": str(ended.details.get("error") or ""),
        }


class RunsView(Screen):
    """Shows runs while they go on: call it with each fact of any of them."""

    def __init__(
        self, pipelines: Sequence[Pipeline], console: Console | None = None, clock: Clock | None = None
    ) -> None:
        self._runs = {pipeline.name: _Watched(pipeline) for pipeline in pipelines}
        super().__init__(console, clock)

    def __call__(self, fact: Fact) -> None:
        """Take a fact in; it is seen at the next drawing."""
        run = self._runs.get(fact.pipeline or "")
        if run is not None:
            run.take(fact, self._clock.monotonic())
        who = " ".join(part for part in (fact.pipeline, fact.step) if part)
        self.scroll(printed(fact, who or "tasker"))

    def rows(self, room: int) -> Iterator[Text]:
        """The runs as they stand, as many as there is room for, and the counts of all where that is not enough."""
        runs = sorted(self._runs.values(), key=lambda run: _URGENCY[run.state])[: max(0, room)]
        names = {run.name for run in runs}
        columns = width(names)
        for run in self._runs.values():
            if run.name in names:
                yield self._row(run, columns)
        if len(runs) < len(self._runs):
            yield fitting(Text(f"  {counted(Counter(run.state for run in self._runs.values()))}", "dim"))

    def _row(self, run: _Watched, columns: int) -> Text:
        now = self._clock.monotonic()
        elapsed = run.elapsed_s(now)
        return fitting(
            Text.assemble(
                (self.mark(run.state, now), STYLES[run.state]),
                f" {set_cell_size(visible(run.name), columns)} ",
                f" {duration(elapsed) if elapsed is not None else '':>7}",
                (f"  {visible(run.note)}", STYLES[run.state]),
            )
        )

    def conclusion(self) -> Iterator[Text]:
        """What each came to."""
        yield from results([run.result() for run in self._runs.values()], self._console.width)
        yield Text(counted(Counter(run.state for run in self._runs.values())), "dim")
