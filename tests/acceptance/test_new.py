"""`tasker new`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.terminal import tasker


def pytest_in(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # they need none
        capture_output=True,
        text=True,
        check=False,
    )


def files(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file() and file.suffix != ".pyc"}


def test_a_new_task_and_a_new_pipeline_work_as_they_stand(tmp_path: Path) -> None:
    task = tasker("new", "task", "count_lines", cwd=tmp_path)
    assert (task.returncode, task.stderr) == (0, "")
    assert (
        task.stdout == "wrote tasks/count_lines.py\nwrote tests/test_count_lines.py\nnext: tasker tasks count_lines\n"
    )
    pipeline = tasker("new", "pipeline", "hello-world", cwd=tmp_path)
    assert (pipeline.returncode, pipeline.stderr) == (0, "")
    assert pipeline.stdout.endswith("next: tasker once conf.d/hello-world.conf\n")
    ended = pytest_in(tmp_path)
    assert ended.returncode == 0, ended.stdout
    assert "2 passed" in ended.stdout
    assert tasker("tasks", "count_lines", cwd=tmp_path).returncode == 0
    ended = tasker("once", "conf.d/hello-world.conf", "--set", "whom=you", cwd=tmp_path)
    assert ended.returncode == 0
    assert "Hello, you. It is 2" in ended.stdout


def test_other_folders_can_be_named(tmp_path: Path) -> None:
    task = tasker("new", "task", "copy", "--tasks", "my/tasks", "--tests", "checks/unit", cwd=tmp_path)
    assert task.stdout.endswith("next: tasker tasks --tasks my/tasks copy\n")
    tasker("new", "pipeline", "a.b", "--conf", "etc", "--tests", "checks", cwd=tmp_path)
    assert files(tmp_path) == {
        "my/tasks/copy.py",
        "checks/unit/test_copy.py",
        "etc/a.b.conf",
        "checks/test_a_b_pipeline.py",
    }
    ended = pytest_in(tmp_path)
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("there", ["tasks/copy.py", "tests/test_copy.py"])
def test_nothing_is_overwritten_and_nothing_half_done(tmp_path: Path, there: str) -> None:
    (tmp_path / there).parent.mkdir()
    (tmp_path / there).write_text("mine = True\n")
    ended = tasker("new", "task", "copy", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"{there} is there already" in ended.stderr
    assert files(tmp_path) == {there}
    assert (tmp_path / there).read_text() == "mine = True\n"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "conf.d").write_text("a file")
    ended = tasker("new", "pipeline", "a", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "tasker: conf.d/a.conf cannot be written: file exists\n"


def test_the_name_of_a_task_that_there_is_already_is_refused(tmp_path: Path) -> None:
    ended = tasker("new", "task", "archive", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("tasker: a task is named 'archive' already, at ")
    assert files(tmp_path) == set()
