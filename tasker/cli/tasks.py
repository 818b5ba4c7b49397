"""`tasker tasks [NAME]`: the tasks there are; one task's arguments, types, defaults and description."""

from __future__ import annotations

import inspect
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasker.annotations import plainly, type_name
from tasker.cli import options
from tasker.discovery import shipped_tasks
from tasker.errors import UsageError
from tasker.faults import Fault, Place, Severity
from tasker.nearest import nearest
from tasker.registry import task_name, where_defined
from tasker.signature import BrokenSignatureError, describe, signature
from tasker.validation.arguments import importable, requirements

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from tasker.discovery import Catalogue
    from tasker.signature import Parameter
    from tasker.task import Task

_SECTION = re.compile(r"^(?:Args|Returns|Raises|Yields|Examples?|Notes?):[ \t]*$", re.MULTILINE)
_LISTED = ("name", "description", "file", "arguments")
"""What the list tells of each task."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("tasks", help="the tasks there are, or all about one", description=__doc__)
    parser.add_argument("name", metavar="NAME", nargs="?", help="a task, to be told all about it")
    options.add_tasks(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Tell the tasks, or all about one of them; 2 where that one is not there or cannot be used."""
    catalogue = options.catalogue(arguments)
    catalogue.load_all()
    faults = list(catalogue.discovery.faults)
    told = list(_told(catalogue, arguments.name, faults))
    _warn(faults)
    if arguments.name is None:
        _show_all(told)
    elif told:
        _show_one(told[0])
    return 0 if told or arguments.name is None else 2


def described(task: type[Task]) -> dict[str, Any]:
    """All there is to know about a task, as JSON data. Raises `BrokenSignatureError`."""
    expected = signature(task)
    requires = requirements(task).items()
    return {
        "name": task_name(task),
        "description": _description(task),
        "file": _where(task),
        "signature": describe(expected),
        "arguments": [_argument(parameter) for parameter in expected.parameters],
        "takes_any": expected.takes_any,
        "outputs": expected.outputs and {name: type_name(kind) for name, kind in expected.outputs.items()},
        "requires": [{"module": name, "install": what, "installed": importable(name)} for name, what in requires],
    }


def _told(catalogue: Catalogue, name: str | None, faults: list[Fault]) -> Iterator[dict[str, Any]]:
    """The tasks that the command tells about, without those that turn out to be broken: these add to `faults`."""
    for task in catalogue.registry if name is None else _named(catalogue, name):
        try:
            yield described(task)
        except BrokenSignatureError as error:
            file, _, line = _where(task).rpartition(":")
            place = Place(file, int(line)) if line.isdigit() else Place(_where(task))
            faults.append(Fault("broken-task", place, error.reason, severity=Severity.WARNING))


def _named(catalogue: Catalogue, name: str) -> Iterator[type[Task]]:
    """The task of this name, or none where its module is broken. Raises `UsageError` where there is no such task."""
    if catalogue.broken(name):
        return
    task = catalogue.find(name)
    if task is None:
        near = nearest(name, catalogue.names())
        mend = f"did you mean '{near}'?" if near else "`tasker tasks` lists those there are"
        message = f"no task is named '{name}'; {mend}"
        raise UsageError(message)
    yield task


def _warn(faults: Iterable[Fault]) -> None:
    from tasker.reports import report  # noqa: PLC0415 - where nothing is broken, there is nothing to report

    for line in report(faults, colour=sys.stderr.isatty()):
        print(line, file=sys.stderr)  # noqa: T201 - a command line speaks by printing


def _show_all(told: list[dict[str, Any]]) -> None:
    listed = [{key: task[key] for key in _LISTED} | {"description": _first_line(task)} for task in told]
    if sys.stdout.isatty():
        from tasker.cli.tables import print_tasks  # noqa: PLC0415 - rich is for terminals

        print_tasks([task | {"file": _briefly(task["file"])} for task in listed])
    else:
        for task in listed:
            print(_json(task))  # noqa: T201 - the answer of the command


def _show_one(task: dict[str, Any]) -> None:
    if sys.stdout.isatty():
        from tasker.cli.tables import print_task  # noqa: PLC0415 - rich is for terminals

        print_task(task)
    else:
        print(_json(task))  # noqa: T201 - the answer of the command


def _json(task: dict[str, Any]) -> str:
    return json.dumps(task, ensure_ascii=True, default=plainly)


def _argument(parameter: Parameter) -> dict[str, Any]:
    default = {} if parameter.mandatory else {"default": parameter.default}
    return {
        "name": parameter.name,
        "type": type_name(parameter.annotation),
        "mandatory": parameter.mandatory,
        **default,
        "description": parameter.description,
    }


def _description(task: type[Task]) -> str:
    """What the docstrings of the class and its `run()` say, without the sections that tell of single arguments."""
    texts = (_SECTION.split(inspect.cleandoc(text or ""))[0].strip() for text in (task.__doc__, task.run.__doc__))
    return "\n\n".join(filter(None, texts))


def _first_line(task: dict[str, Any]) -> str:
    return str(task["description"]).partition("\n")[0]


def _where(task: type[Task]) -> str:
    """The file and line of the class; relative where it is below the working directory."""
    return where_defined(task).removeprefix(f"{Path.cwd()}/")


def _briefly(where: str) -> str:
    """Where a task is; of those that ship, whose paths are long and nobody's to edit, only that they do."""
    return "ships" if Path(where).resolve().is_relative_to(shipped_tasks()) else where
