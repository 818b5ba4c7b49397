"""`tasker new task NAME` and `tasker new pipeline NAME`: a working file to start from, with its test."""

from __future__ import annotations

import keyword
import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from tasker.cli import options
from tasker.errors import UsageError
from tasker.pipeline import NAME, NAME_RULE
from tasker.registry import where_defined

if TYPE_CHECKING:
    import argparse

_TEMPLATES = Path(__file__).parent / "templates"
_TASK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TAKEN_CLASSES = {"Path", "Task", "TypedDict"}
"""Names that the new task's module imports."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("new", help="a working file to start from, with its test", description=__doc__)
    kinds = parser.add_subparsers(title="what to write", metavar="{task,pipeline}", required=True)
    task = kinds.add_parser("task", help="a task, and its test")
    task.add_argument("name", metavar="NAME", help="its name in conf files, and the name of its file")
    first = os.environ.get("TASKER_TASKS", "").split(os.pathsep)[0]
    words = "the folder to write it to; default: tasks [the first of TASKER_TASKS]"
    task.add_argument("--tasks", metavar="DIR", default=first or "tasks", help=words)
    task.set_defaults(command=_new_task)
    pipeline = kinds.add_parser("pipeline", help="a conf file, and its test")
    pipeline.add_argument("name", metavar="NAME", help="its name, and the name of its file")
    options.add(pipeline, "--conf", metavar="DIR", default="conf.d", help="the folder to write it to; default: conf.d")
    pipeline.set_defaults(command=_new_pipeline)
    for kind in (task, pipeline):
        options.add(kind, "--tests", metavar="DIR", default="tests", help="the folder of its test; default: tests")


def _new_task(arguments: argparse.Namespace) -> int:
    name, tasks, tests = arguments.name, Path(arguments.tasks), Path(arguments.tests)
    _check_task_name(name)
    _check_not_taken(name, tasks)
    facts = {"name": name, "class": _class_name(name), "to_tasks": os.path.relpath(tasks, tests)}
    further = [] if tasks == Path("tasks") else ["--tasks", str(tasks)]
    _write({tasks / f"{name}.py": "task.py", tests / f"test_{name}.py": "test_task.py"}, facts)
    _tell_next("tasker", "tasks", *further, name)
    return 0


def _new_pipeline(arguments: argparse.Namespace) -> int:
    name, conf, tests = arguments.name, Path(arguments.conf), Path(arguments.tests)
    if not NAME.fullmatch(name):
        message = f"a pipeline cannot be named '{name}': {NAME_RULE}"
        raise UsageError(message)
    file = conf / f"{name}.conf"
    test = tests / f"test_{re.sub('[.-]', '_', name)}_pipeline.py"
    facts = {"name": name, "file": str(file), "to_conf": os.path.relpath(conf, tests)}
    _write({file: "pipeline.conf", test: "test_pipeline.py"}, facts)
    _tell_next("tasker", "once", str(file))
    return 0


def _check_task_name(name: str) -> None:
    if not _TASK_NAME.fullmatch(name):
        rule = "letters, digits and '_', beginning with a letter"
        near = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_0123456789")
        mend = f"{rule}; '{near}' would do" if near else rule
    elif keyword.iskeyword(name):
        mend = f"it is a word of Python's own; '{name}_task' would do"
    else:
        return
    message = f"a task cannot be named '{name}': {mend}"
    raise UsageError(message)


def _check_not_taken(name: str, folder: Path) -> None:
    """Raise `UsageError` where a task of this name is there already, in whatever file."""
    from argparse import Namespace  # noqa: PLC0415 - argparse is loaded by now

    folders = [str(folder)] if folder.is_dir() else []
    if task := options.catalogue(Namespace(tasks=folders)).find(name):
        message = f"a task is named '{name}' already, at {where_defined(task)}; choose another name"
        raise UsageError(message)


def _class_name(name: str) -> str:
    camel = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
    return f"{camel}Task" if camel in _TAKEN_CLASSES or keyword.iskeyword(camel) else camel


def _write(files: dict[Path, str], facts: dict[str, str]) -> None:
    """Write each file from its template, all or, where one of them is there already, none."""
    for file in files:
        if os.path.lexists(file):
            message = f"{file} is there already, and stays as it is; choose another name, or take it away"
            raise UsageError(message)
    for file, template in files.items():
        text = _filled((_TEMPLATES / f"{template}.template").read_text(encoding="utf-8"), facts)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("x", encoding="utf-8") as opened:
                opened.write(text)
        except OSError as error:
            message = f"{file} cannot be written: {(error.strerror or str(error)).lower()}"
            raise UsageError(message) from None
        print(f"wrote {file}")  # noqa: T201 - a command line speaks by printing


def _filled(template: str, facts: dict[str, str]) -> str:
    return re.sub(r"@(\w+)@", lambda match: facts[match[1]], template)


def _tell_next(*words: str) -> None:
    print(f"next: {shlex.join(words)}")  # noqa: T201 - a command line speaks by printing
