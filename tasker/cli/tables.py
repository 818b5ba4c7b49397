"""What commands answer, as tables and text for people; imported only where a terminal shows them."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tasker.annotations import spelled
from tasker.reports import visible


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
    table = _table("local time", "UTC", "pipeline", "")
    for slot in slots:
        table.add_row(
            Text.assemble((slot["local_time"], "bold cyan"), (f" {slot['timezone']}", "dim")),
            Text(slot["utc"], "dim"),
            visible(slot["pipeline"]),
            Text(slot["note"], "yellow"),
        )
    _console().print(table)


def _arguments(arguments: list[dict[str, Any]]) -> Table:
    table = _table("argument", "type", "default", "what it is")
    for argument in arguments:
        default = Text("mandatory", "yellow") if argument["mandatory"] else Text(spelled(argument["default"]))
        name = Text(argument["name"], "bold cyan")
        table.add_row(name, Text(argument["type"]), default, _text(argument["description"]))
    return table


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
