"""A part of a terminal that is drawn anew again and again, below lines that scroll by: `Screen`.

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

from rich.cells import cell_len
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from tasker.cli.progress import State
from tasker.clock import Clock
from tasker.durations import format_duration
from tasker.facts import Event, Level
from tasker.reports import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import FrameType

    from tasker.facts import Fact

FRAME_S = 0.1
"""Seconds between two drawings."""
TRACEBACK = 40
"""Lines of a traceback that are shown: the last ones tell most."""
_BACKLOG = 1000
"""Lines that wait for the next drawing at most: a step that floods is drawn at once, and slowed by it."""
LONGEST_LINE = 2000
"""Characters of a printed line that are shown; the log has them all."""
_ROWS = 40
"""Rows that there are at most, on the tallest terminal."""
_BELOW = 3
"""Rows of a terminal that are left to the counts, the prompt and a line of output."""
_NAME_WIDTH = 32
"""Columns that names take at most."""

STYLES = {
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


class Screen:
    """Shows what goes on while it does. Only in the main thread, where signals are."""

    def __init__(self, console: Console | None = None, clock: Clock | None = None) -> None:
        """Be ready to draw; whoever inherits from this has `rows` ready before."""
        self._clock = clock or Clock()
        self._closing = ExitStack()
        self._console = console or self._terminal()
        self._unicode = self._console.encoding.startswith("utf")
        self._live = Live(
            console=self._console,
            get_renderable=lambda: Group(*self.rows(min(_ROWS, self._console.size.height - _BELOW))),
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
        for each in self.conclusion():
            self._console.print(each, soft_wrap=True)
        self._closing.close()

    def rows(self, room: int) -> Iterator[Text]:
        """What is drawn, in at most so many rows and one of counts."""
        raise NotImplementedError

    def conclusion(self) -> Iterator[Text]:
        """What is said at the end."""
        raise NotImplementedError

    def scroll(self, lines: Iterable[Text]) -> None:
        """Have lines scroll by above what is drawn, at the next drawing."""
        # At once: the timer's signal may come between any two steps of Python's.
        self._lines.extend(list(lines))
        if len(self._lines) >= _BACKLOG:
            self._draw()

    def mark(self, state: State, now: float) -> str:
        """The sign of a state."""
        if state is State.RUNNING:
            frames = _SPINNER if self._unicode else _ASCII_SPINNER
            return frames[int(now / FRAME_S) % len(frames)]
        return (_MARKS if self._unicode else _ASCII_MARKS)[state]

    def _terminal(self) -> Console:
        """Standard output, which no character of a step's output makes fail, whatever the terminal's encoding."""
        binary = os.fdopen(os.dup(1), "wb")
        stream = io.TextIOWrapper(binary, encoding=sys.stdout.encoding, errors="backslashreplace", write_through=True)
        self._closing.enter_context(stream)
        return Console(file=stream, highlight=False, markup=False, emoji=False)

    def _on_timer(self, _signum: int, _frame: FrameType | None) -> None:
        self._draw()

    def _draw(self) -> None:
        """Print what has come, and the rows anew below it."""
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


def printed(fact: Fact, who: str) -> Iterator[Text]:
    """The lines that a fact adds above what is drawn: what a step prints and logs, and why it is tried again."""
    told = fact.details
    if fact.event == Event.STEP_OUTPUT:
        yield _line(who, str(told.get("line", "")))
    elif fact.event == Event.STEP_RETRYING:
        wait = duration(told.get("delay_s", 0))
        yield _line(who, f"failed: {told.get('error', '')}; trying again in {wait}", "yellow")
    elif fact.event not in set(Event) and fact.level is not Level.DEBUG:
        facts = (f" {key}={value}" for key, value in told.items() if key != "traceback")
        yield _line(who, f"{fact.event}{''.join(facts)}", _LEVELS[fact.level])
        for line in str(told.get("traceback", "")).splitlines()[-TRACEBACK:]:
            yield _line(who, line, "dim")


def _line(who: str, line: str, style: str = "") -> Text:
    return Text.assemble((f"{who} | ", "dim"), (cut(line), style))


def cut(line: str) -> str:
    """The line with every character to be seen, and no longer than anyone reads."""
    if len(line) <= LONGEST_LINE:
        return visible(line)
    return f"{visible(line[:LONGEST_LINE])}... ({len(line)} characters)"


def fitting(row: Text) -> Text:
    """The row, cut where the terminal ends."""
    row.no_wrap, row.overflow = True, "ellipsis"
    return row


def width(names: Iterable[str]) -> int:
    """The columns that names take, one below the other."""
    return min(_NAME_WIDTH, max((cell_len(visible(name)) for name in names), default=0))


def counted(counts: Mapping[State, int]) -> str:
    """How many stand how."""
    return ", ".join(f"{counts[state]} {state}" for state in State if counts[state])


def duration(seconds: float) -> str:
    """A duration as people read it."""
    return format_duration(timedelta(milliseconds=round(seconds * 1000)))
