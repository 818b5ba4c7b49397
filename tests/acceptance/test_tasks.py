"""`tasker tasks`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support.terminal import on_terminal, tasker

GREET = '''
from datetime import timedelta
from pathlib import Path
from typing import TypedDict
from tasker import Task

class Greeted(TypedDict):
    file: Path

class Greet(Task):
    """Say hello.

    At length.
    """

    requires = {"no_such_module": "some[extra]"}

    def run(self, name: str, wait: timedelta = timedelta(minutes=5), to: Path = Path("x"), **more: str) -> Greeted:
        """Say it to a file.

        Args:
            name: Whom to greet.
        """
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "greet.py").write_text(GREET)
    return tmp_path


def test_in_a_pipe_each_task_is_an_object_on_a_line(folder: Path) -> None:
    ended = tasker("tasks", cwd=folder)
    assert (ended.returncode, ended.stderr) == (0, "")
    tasks = {task["name"]: task for task in map(json.loads, ended.stdout.splitlines())}
    assert {"archive", "greet", "shell_script"} <= set(tasks)
    assert list(tasks) == sorted(tasks)
    assert set(tasks["greet"]) == {"name", "description", "file", "arguments"}
    assert tasks["greet"]["description"] == "Say hello."
    assert tasks["greet"]["file"] == "tasks/greet.py:10"


def test_all_about_one_task(folder: Path) -> None:
    task = json.loads(tasker("tasks", "greet", cwd=folder).stdout)
    assert task == {
        "name": "greet",
        "description": "Say hello.\n\nAt length.\n\nSay it to a file.",
        "file": "tasks/greet.py:10",
        "signature": "greet(name: str, wait: duration = 5m, to: path = x, ...)",
        "arguments": [
            {"name": "name", "type": "str", "mandatory": True, "description": "Whom to greet."},
            {"name": "wait", "type": "duration", "mandatory": False, "default": "5m", "description": ""},
            {"name": "to", "type": "path", "mandatory": False, "default": "x", "description": ""},
        ],
        "takes_any": True,
        "outputs": {"file": "path"},
        "requires": [{"module": "no_such_module", "install": "some[extra]", "installed": False}],
    }


def test_a_terminal_shows_tables(folder: Path) -> None:
    shown = on_terminal("tasks", cwd=folder, columns=120)
    assert shown.status == 0
    (row,) = [line for line in shown.text.splitlines() if line.startswith("greet ")]
    assert row.rstrip().endswith("  tasks/greet.py:10")
    assert "Say hello." in row
    (row,) = [line for line in shown.text.splitlines() if line.startswith("archive ")]
    assert row.rstrip().endswith("  ships")
    text = on_terminal("tasks", "greet", cwd=folder, columns=120).text
    for part in ("mandatory", "Whom to greet.", "hands on file: path", "pip install 'some[extra]'", "At length."):
        assert part in text


def test_an_unknown_name_gets_the_nearest_one(folder: Path) -> None:
    ended = tasker("tasks", "archve", cwd=folder)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "tasker: no task is named 'archve'; did you mean 'archive'?\n"


def test_a_broken_module_is_a_warning_and_an_error_for_who_asks_for_its_task(folder: Path) -> None:
    (folder / "tasks" / "broken.py").write_text("import nothing_of_that_name\n")
    ended = tasker("tasks", cwd=folder)
    assert ended.returncode == 0
    assert "tasks/broken.py:1:1: warning: broken-task: " in ended.stderr
    assert "greet" in ended.stdout
    ended = tasker("tasks", "broken", cwd=folder)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "nothing_of_that_name" in ended.stderr


def test_a_task_whose_signature_cannot_be_read_is_a_warning(folder: Path) -> None:
    (folder / "tasks" / "odd.py").write_text(
        "from tasker import Task\n\nclass Odd(Task):\n    def run(self, what: 'Nothing'): ...\n"
    )
    ended = tasker("tasks", cwd=folder)
    assert ended.returncode == 0
    assert "tasks/odd.py:3:1: warning: broken-task: " in ended.stderr
    assert tasker("tasks", "odd", cwd=folder).returncode == 2


@pytest.mark.parametrize("requires", ["['sqlglot']", "{'sqlglot': 3}", "None"])
def test_a_task_that_requires_what_nobody_can_read_is_a_warning(folder: Path, requires: str) -> None:
    (folder / "tasks" / "odd.py").write_text(
        f"from tasker import Task\n\nclass Odd(Task):\n    requires = {requires}\n    def run(self): ...\n"
    )
    ended = tasker("tasks", cwd=folder)
    assert ended.returncode == 0
    assert "tasks/odd.py:3:1: warning: broken-task: `requires` is no mapping" in ended.stderr
    assert tasker("tasks", "odd", cwd=folder).returncode == 2


def test_a_package_that_fails_as_it_is_imported_is_not_installed(folder: Path) -> None:
    (folder / "bad").mkdir()
    (folder / "bad" / "__init__.py").write_text("raise RuntimeError('no')\n")
    (folder / "tasks" / "odd.py").write_text(
        "from tasker import Task\n\nclass Odd(Task):\n    requires = {'bad.part': 'good'}\n    def run(self): ...\n"
    )
    ended = tasker("tasks", "odd", cwd=folder, env={"PYTHONPATH": f"{folder}:{os.environ.get('PYTHONPATH', '')}"})
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["requires"] == [{"module": "bad.part", "install": "good", "installed": False}]


def test_further_folders_can_be_named(folder: Path, tmp_path: Path) -> None:
    (folder / "tasks").rename(folder / "mine")
    assert tasker("tasks", "greet", cwd=folder).returncode == 2
    assert tasker("tasks", "--tasks", "mine", "greet", cwd=folder).returncode == 0
    assert tasker("tasks", "greet", cwd=folder, env={"TASKER_TASKS": f"none:{tmp_path / 'mine'}"}).returncode == 0
