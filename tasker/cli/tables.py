"""What commands answer, as tables and text for people; imported only where a terminal shows them."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tasker.annotations import spelled
from tasker.durations import format_duration
from tasker.reports import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_SHORTEST_ID = len("20261123T021500-5ad2")
"""Characters of a run's id that are shown at least: its moment and a part of chance, as fewer may be another's, too."""
_GAP = 2
"""Columns between two columns of a table."""
_NOTE = "  "
"""What stands before an error, or another reason, below its row."""
_NOTE_LINES = 2
"""Lines that such a one takes at most: the log has all of it."""
_STATUS_COLOURS = {
    "succeeded": "green",
    "ran": "green",
    "failed": "bold red",
    "refused": "bold red",
    "interrupted": "yellow",
    "running": "cyan",
    "waiting": "dim",
}
_DIFF_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def print_tasks(tasks: list[dict[str, Any]]) -> None:
    """Print a line for each task."""
    table = _table("task", "what it does", "where")
    for task in tasks:
        table.add_row(Text(task["name"], "bold cyan"), visible(task["description"]), Text(task["file"], "dim"))
    _console().print(table)


def print_task(task: dict[str, Any]) -> None:
    """Print all that is known of one task."""
    console = _console()
    console.print(Text(task["signature"], "bold"))
    console.print(Text(task["file"], "dim"))
    if task["description"]:
        console.print(Padding(_text(task["description"]), (1, 0, 0, 2)))
    if task["arguments"]:
        console.print(Padding(_arguments(task["arguments"]), (1, 0, 0, 0)))
    if task["takes_any"]:
        console.print("Any other argument is taken, too.")
    for name, kind in (task["outputs"] or {}).items():
        console.print(Text.assemble(("hands on ", "dim"), (name, "bold"), f": {kind}"))
    for module in task["requires"]:
        console.print(_requirement(module))


def print_slots(slots: list[dict[str, Any]]) -> None:
    """Print a line for each slot."""
    table = _table("local time", "time zone", "UTC", "pipeline", "")
    for slot in slots:
        local, utc = Text(slot["local_time"], "bold cyan"), Text(slot["utc"], "dim")
        table.add_row(local, slot["timezone"], utc, visible(slot["pipeline"]), Text(slot["note"], "yellow"))
    for column in table.columns[:3]:
        column.no_wrap = True
    _console().print(table)


def _arguments(arguments: list[dict[str, Any]]) -> Table:
    table = _table("argument", "type", "default", "what it is")
    for argument in arguments:
        default = Text("mandatory", "yellow") if argument["mandatory"] else Text(spelled(argument["default"]))
        name = Text(argument["name"], "bold cyan")
        table.add_row(name, Text(argument["type"]), default, _text(argument["description"]))
    return table


def print_runs(runs: Sequence[dict[str, Any]]) -> None:
    """Print a line for each run, with its error below."""
    if not runs:
        _console().print(Text("no runs yet", "dim"))
        return
    digits = _telling([run["run_id"] for run in runs])
    rows = [
        (
            Text(run["run_id"][:digits], "cyan"),
            Text(visible(run["pipeline"])),
            Text(_local(run["slot"])),
            Text(run["status"], _STATUS_COLOURS.get(run["status"], "")),
            Text(format_duration(timedelta(seconds=run["duration_s"])) if "duration_s" in run else ""),
        )
        for run in runs
    ]
    _print_rows(("run", "pipeline", "slot", "status", "took"), rows, [run.get("error", "") for run in runs])


def print_outcomes(slots: Sequence[dict[str, Any]]) -> None:
    """Print a line for each slot, with what became of it, and why below."""
    if not slots:
        _console().print(Text("no slots yet", "dim"))
        return
    digits = _telling([slot["run_id"] for slot in slots if "run_id" in slot])
    rows = [
        (
            Text(_local(slot["slot"])),
            Text(visible(slot["pipeline"])),
            Text(slot["outcome"], _STATUS_COLOURS.get(slot["outcome"], "yellow")),
            Text(slot.get("run_id", "")[:digits], "cyan"),
        )
        for slot in slots
    ]
    _print_rows(("slot", "pipeline", "outcome", "run"), rows, [slot.get("reason", "") for slot in slots])


def _print_rows(headers: Sequence[str], rows: Sequence[Sequence[Text]], notes: Sequence[str]) -> None:
    console = _console()
    for line in _rows(headers, rows, notes, console.width):
        console.print(line, soft_wrap=True)


def print_diff(differing: Mapping[str, tuple[str, str]], lines: Sequence[str]) -> None:
    """Print what two runs differ in, and the lines in which what they carried out does."""
    console = _console()
    for name, (before, after) in differing.items():
        console.print(Text.assemble((f"{name}: ", "dim"), visible(before), (" → ", "dim"), visible(after)))
    for line in lines:
        console.print(Text(visible(line), _DIFF_COLOURS.get(line[:1], "")), soft_wrap=True)
    if not lines:
        console.print(Text("what they carry out is the same", "dim"))


def results(runs: Sequence[dict[str, str]], width: int) -> Iterator[Text]:
    """A line for each run that a command has carried out, with what it came to, and why below."""
    digits = _telling([run["run_id"] for run in runs if "run_id" in run])
    rows = [
        (
            Text(visible(run["pipeline"])),
            Text(run["status"], _STATUS_COLOURS.get(run["status"], "dim")),
            Text(run.get("took", "")),
            Text(visible(run.get("step", ""))),
            Text(run.get("run_id", "")[:digits], "cyan"),
        )
        for run in runs
    ]
    headers = ("pipeline", "status", "took", "failed step", "run")
    return _rows(headers, rows, [run.get("error", "") for run in runs], width)


def _rows(headers: Sequence[str], rows: Sequence[Sequence[Text]], notes: Sequence[str], width: int) -> Iterator[Text]:
    """Lines of cells that are never broken, without columns in which nothing stands; below each a note, cut short."""
    columns = [
        max(len(header), *(row[number].cell_len for row in rows)) if any(row[number] for row in rows) else 0
        for number, header in enumerate(headers)
    ]
    for row, note in zip([[Text(header, "dim") for header in headers], *rows], ["", *notes], strict=True):
        line = Text()
        for cell, cells in zip(row, columns, strict=True):
            if cells:
                line.append_text(cell).append(" " * (cells - cell.cell_len + _GAP))
        line.rstrip()
        yield line
        if note:
            yield Text(f"{_NOTE}{_cut(visible(' '.join(note.split())), _NOTE_LINES * width - 2 * len(_NOTE))}", "dim")


def _cut(text: str, cells: int) -> str:
    return text if cell_len(text) <= cells else f"{set_cell_size(text, max(cells - 1, 0)).rstrip()}…"


def _telling(ids: Sequence[str]) -> int:
    """How many characters tell the ids apart, so that `tasker logs` knows which one is meant."""
    ordered = sorted(set(ids))
    return max([_SHORTEST_ID, *(1 + _alike(*pair) for pair in pairwise(ordered))])


def _alike(one: str, other: str) -> int:
    """How many characters two texts begin with in common."""
    return next((number for number, both in enumerate(zip(one, other, strict=False)) if both[0] != both[1]), len(one))


def _local(moment: str) -> str:
    """A moment in the time zone of the terminal."""
    return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M:%S}"


def _requirement(module: dict[str, Any]) -> Text:
    if module["installed"]:
        return Text.assemble(("needs ", "dim"), module["module"], (", which is installed", "green"))
    install = f"pip install '{module['install']}'"
    return Text.assemble(("needs ", "dim"), module["module"], (f", which is not installed: {install}", "yellow"))


def _text(text: str) -> Text:
    return Text("\n".join(map(visible, text.splitlines())))


def _table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for header in headers:
        table.add_column(header, overflow="fold")
    return table


def _console() -> Console:
    return Console(highlight=False, markup=False, emoji=False)
