"""What commands answer, as tables and text for people; imported only where a terminal shows them."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tasker.annotations import spelled
from tasker.durations import format_duration
from tasker.reports import visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SHORTEST_ID = 8
"""Characters of a run's id that are shown at least: fewer may soon be another's, too."""
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
    """Print a line for each run."""
    if not runs:
        _console().print(Text("no runs yet", "dim"))
        return
    table = _table("run", "pipeline", "slot", "status", "took", "error")
    digits = _telling([run["run_id"] for run in runs])
    for run in runs:
        took = format_duration(timedelta(seconds=run["duration_s"])) if "duration_s" in run else ""
        table.add_row(
            Text(run["run_id"][:digits], "cyan"),
            visible(run["pipeline"]),
            _local(run["slot"]),
            Text(run["status"], _STATUS_COLOURS.get(run["status"], "")),
            took,
            Text(visible(run.get("error", "")), "dim"),
        )
    table.columns[0].no_wrap = True
    _console().print(table)


def print_outcomes(slots: Sequence[dict[str, Any]]) -> None:
    """Print a line for each slot, with what became of it."""
    if not slots:
        _console().print(Text("no slots yet", "dim"))
        return
    table = _table("slot", "pipeline", "outcome", "run", "reason")
    digits = _telling([slot["run_id"] for slot in slots if "run_id" in slot])
    for slot in slots:
        table.add_row(
            _local(slot["slot"]),
            visible(slot["pipeline"]),
            Text(slot["outcome"], _STATUS_COLOURS.get(slot["outcome"], "yellow")),
            Text(slot.get("run_id", "")[:digits], "cyan"),
            Text(visible(slot.get("reason", "")), "dim"),
        )
    table.columns[3].no_wrap = True
    _console().print(table)


def print_diff(differing: Mapping[str, tuple[str, str]], lines: Sequence[str]) -> None:
    """Print what two runs differ in, and the lines in which what they carried out does."""
    console = _console()
    for name, (before, after) in differing.items():
        console.print(Text.assemble((f"{name}: ", "dim"), visible(before), (" → ", "dim"), visible(after)))
    for line in lines:
        console.print(Text(visible(line), _DIFF_COLOURS.get(line[:1], "")), soft_wrap=True)
    if not lines:
        console.print(Text("what they carry out is the same", "dim"))


def results(runs: Sequence[dict[str, str]]) -> Table:
    """A row for each run that a command has carried out, with what it came to."""
    table = _table("pipeline", "status", "took", "failed step", "error")
    for run in runs:
        table.add_row(
            visible(run["pipeline"]),
            Text(run["status"], _STATUS_COLOURS.get(run["status"], "dim")),
            run.get("took", ""),
            visible(run.get("step", "")),
            Text(visible(run.get("error", "")), "dim"),
        )
    for column in table.columns[:3]:
        column.no_wrap = True
    return table


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
