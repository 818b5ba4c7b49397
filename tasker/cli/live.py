"""A run as people watch it on a terminal: the steps as they stand, and what these print scrolling by above them.

It draws from a timer's signal and from no thread: the runner forks, and a fork copies the locks that threads hold.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from tasker.cli.progress import Progress, State, StepProgress
from tasker.clock import Clock
from tasker.durations import format_duration
from tasker.facts import Event, Level
from tasker.reports import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

    from tasker.facts import Fact
    from tasker.pipeline import Pipeline

FRAME_S = 0.1
"""Seconds between two drawings."""
_BACKLOG = 1000
"""Lines that wait for the next drawing at most: a step that floods is drawn at once, and slowed by it."""
_LONGEST_LINE = 2000
"""Characters of a printed line that are shown; the log has them all."""
_TRACEBACK = 40
"""Lines of a traceback that are shown: the last ones tell most."""
_FAILURES = 5
"""Failed steps that are told of at the end in full."""
_ROWS = 40
"""Steps that are listed at most, on the tallest terminal."""
_BELOW = 3
"""Rows of a terminal that are left to the counts, the prompt and a line of output."""
_NAME_WIDTH = 32
"""Columns that ids and names of tasks take at most."""

_STYLES = {
    State.RUNNING: "cyan",
    State.RETRYING: "yellow",
    State.FAILED: "bold red",
    State.WAITING: "dim",
    State.SUCCEEDED: "green",
    State.SKIPPED: "dim",
}
_MARKS = {State.RETRYING: "↻", State.FAILED: "✗", State.WAITING: "·", State.SUCCEEDED: "✓", State.SKIPPED: "-"}
_ASCII_MARKS = {State.RETRYING: "~", State.FAILED: "x", State.WAITING: ".", State.SUCCEEDED: "+", State.SKIPPED: "-"}
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_ASCII_SPINNER = "|/-\\"
_LEVELS = {Level.DEBUG: "dim", Level.INFO: "", Level.WARNING: "yellow", Level.ERROR: "red"}
_ENDS = {
    Event.RUN_SUCCEEDED: (State.SUCCEEDED, "succeeded in"),
    Event.RUN_FAILED: (State.FAILED, "failed after"),
    Event.RUN_INTERRUPTED: (State.FAILED, "was interrupted after"),
}


class LiveView:
    """Shows a run while it goes on: call it with each fact. Only in the main thread, where signals are."""

    def __init__(self, pipeline: Pipeline, console: Console | None = None, clock: Clock | None = None) -> None:
        self._progress = Progress(pipeline)
        self._clock = clock or Clock()
        self._closing = ExitStack()
        self._console = console or self._terminal()
        self._unicode = self._console.encoding.startswith("utf")
        self._live = Live(
            console=self._console,
            get_renderable=self._rows,
            auto_refresh=False,
            redirect_stdout=False,  # steps are forked with the program's streams in place
            redirect_stderr=False,
        )
        self._lines: list[Text] = []
        self._drawing = False

    def __enter__(self) -> Self:
        self._closing.enter_context(self._live)
        before = signal.signal(signal.SIGALRM, self._on_timer)
        self._closing.callback(signal.signal, signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, FRAME_S, FRAME_S)
        self._closing.callback(signal.setitimer, signal.ITIMER_REAL, 0)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._draw()
        self._live.stop()
        if not self._console.is_terminal:
            self._console.line()  # which rich leaves out after a last drawing that no cursor follows
        for text in self._conclusion():
            self._console.print(text, soft_wrap=True)
        self._closing.close()

    def __call__(self, fact: Fact) -> None:
        """Take a fact in; it is seen at the next drawing."""
        self._progress.take(fact, self._clock.monotonic())
        # At once: the timer's signal may come between any two steps of Python's.
        self._lines.extend(list(self._printed(fact)))
        if len(self._lines) >= _BACKLOG:
            self._draw()

    def _terminal(self) -> Console:
        """Standard output, which no character of a step's output makes fail, whatever the terminal's encoding."""
        binary = os.fdopen(os.dup(1), "wb")
        stream = io.TextIOWrapper(binary, encoding=sys.stdout.encoding, errors="backslashreplace", write_through=True)
        self._closing.enter_context(stream)
        return Console(file=stream, highlight=False, markup=False, emoji=False)

    def _on_timer(self, _signum: int, _frame: FrameType | None) -> None:
        self._draw()

    def _draw(self) -> None:
        """Print what has come, and the steps anew below it."""
        if self._drawing:  # the timer's signal came in the middle of it
            return
        self._drawing = True
        lines = self._lines[:]
        del self._lines[: len(lines)]
        with self._console:
            if lines:
                self._console.print(Text("\n").join(lines), soft_wrap=True)
            self._live.refresh()
        self._drawing = False

    # What scrolls by

    def _printed(self, fact: Fact) -> Iterator[Text]:
        """The lines that a fact adds above the steps: what a step prints and logs, and why it is tried again."""
        told = fact.details
        if fact.event == Event.STEP_OUTPUT:
            yield _line(fact.step, str(told.get("line", "")))
        elif fact.event == Event.STEP_RETRYING:
            wait = _duration(told.get("delay_s", 0))
            yield _line(fact.step, f"failed: {told.get('error', '')}; trying again in {wait}", "yellow")
        elif fact.event not in set(Event) and fact.level is not Level.DEBUG:
            facts = (f" {key}={value}" for key, value in told.items() if key != "traceback")
            yield _line(fact.step, f"{fact.event}{''.join(facts)}", _LEVELS[fact.level])
            for line in str(told.get("traceback", "")).splitlines()[-_TRACEBACK:]:
                yield _line(fact.step, line, "dim")

    # The steps

    def _rows(self) -> Group:
        """The steps as they stand, as many as there is room for, and the counts of all where that is not enough."""
        progress = self._progress
        room = min(_ROWS, self._console.size.height - _BELOW)
        steps = progress.most_urgent(room)
        widths = _width(step.id for step in steps), _width(step.task for step in steps)
        rows = [self._row(step, *widths) for step in steps]
        if len(steps) < len(progress.steps):
            rows.append(_fitting(Text(f"  {_counted(progress.counts())}", "dim")))
        return Group(*rows)

    def _row(self, step: StepProgress, id_width: int, task_width: int) -> Text:
        now = self._clock.monotonic()
        elapsed = step.elapsed_s(now)
        return _fitting(
            Text.assemble(
                (self._mark(step.state, now), _STYLES[step.state]),
                f" {set_cell_size(step.id, id_width)} ",
                (f" {set_cell_size(visible(step.task), task_width)} ", "dim"),
                f" {_duration(elapsed) if elapsed is not None else '':>7}",
                (_note(step), _STYLES[step.state]),
            )
        )

    def _mark(self, state: State, now: float) -> str:
        if state is State.RUNNING:
            frames = _SPINNER if self._unicode else _ASCII_SPINNER
            return frames[int(now / FRAME_S) % len(frames)]
        return (_MARKS if self._unicode else _ASCII_MARKS)[state]

    # The end

    def _conclusion(self) -> Iterator[Text]:
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
        told = f"{self._progress.pipeline} {words} {_duration(fact.details.get('duration_s', 0))}"
        yield Text.assemble(
            "\n" if failures else "",
            (f"{self._mark(state, 0)} {visible(told)}", _STYLES[state]),
            f": {visible(str(error))}" if error and not failures else "",
            (f"  {_counted(self._progress.counts())}; run {fact.run_id}", "dim"),
        )

    def _failure(self, step: StepProgress) -> Iterator[Text]:
        yield Text.assemble(
            (f"\n{self._mark(State.FAILED, 0)} step '{step.id}' failed: ", "bold red"), visible(step.reason)
        )
        for line in step.traceback.splitlines()[-_TRACEBACK:]:
            yield Text(f"  {_cut(line)}", "dim")
        if step.tail:
            yield Text("  the last that it printed:", "bold")
        for line in step.tail:
            yield Text(f"  {_cut(line)}")


def _line(step: str | None, line: str, style: str = "") -> Text:
    return Text.assemble((f"{step or 'run'} | ", "dim"), (_cut(line), style))


def _cut(line: str) -> str:
    """The line with every character to be seen, and no longer than anyone reads."""
    if len(line) <= _LONGEST_LINE:
        return visible(line)
    return f"{visible(line[:_LONGEST_LINE])}... ({len(line)} characters)"


def _fitting(row: Text) -> Text:
    row.no_wrap, row.overflow = True, "ellipsis"
    return row


def _width(names: Iterator[str]) -> int:
    return min(_NAME_WIDTH, max((cell_len(visible(name)) for name in names), default=0))


def _note(step: StepProgress) -> str:
    """What there is to say of a step beside its state."""
    again = step.attempt > 1 and step.state is not State.SKIPPED
    attempt = f"attempt {step.attempt} of {step.attempts}" if again else ""
    reason = visible(" ".join(step.reason.split()))[:_LONGEST_LINE]
    return "".join(f"  {words}" for words in (step.hook, attempt, reason) if words)


def _counted(counts: Mapping[State, int]) -> str:
    return ", ".join(f"{counts[state]} {state}" for state in State if counts[state])


def _duration(seconds: float) -> str:
    return format_duration(timedelta(milliseconds=round(seconds * 1000)))
