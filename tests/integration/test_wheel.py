"""What is installed from a package index: a wheel of its own, in a venv that knows no checkout."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(file.name for file in (ROOT / "tasks").glob("*.py"))
TASKS = [name.removesuffix(".py") for name in SHIPPED if not name.startswith("_")]


def command_output(*command: str | Path, cwd: Path) -> str:
    ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command_output(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (file,) = folder.iterdir()
    return file


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a venv that has the wheel, and only borrows what the wheel depends on.

    The borrowed folder's own `.pth` files are not read, so the checkout that is installed there stays out of reach.
    """
    folder = tmp_path_factory.mktemp("venv")
    venv.EnvBuilder(symlinks=True).create(folder)
    programs = folder / "bin"
    pip = (
        sys.executable,
        "-m",
        "pip",
        "--python",
        programs / "python",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
    )
    command_output(*pip, wheel, cwd=folder)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return programs


def test_the_wheel_has_one_package_and_the_shipped_tasks_inside_it(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {"tasker", f"tasker-{version('tasker')}.dist-info"}
    assert sorted(Path(name).name for name in names if name.startswith("tasker/tasks/")) == SHIPPED
    assert "tasker/py.typed" in names


def test_an_installed_tasker_is_the_wheels(scripts: Path, tmp_path: Path) -> None:
    printed = command_output(scripts / "python", "-c", "import tasker; print(tasker.__file__)", cwd=tmp_path)
    assert Path(printed).is_relative_to(scripts.parent)


def test_an_installed_tasker_brings_no_package_named_tasks(scripts: Path, tmp_path: Path) -> None:
    find = "import importlib.util; print(importlib.util.find_spec('tasks'))"
    assert command_output(scripts / "python", "-c", find, cwd=tmp_path) == "None\n"


def test_an_installed_tasker_has_its_tasks(scripts: Path, tmp_path: Path) -> None:
    listed = command_output(scripts / "tasker", "tasks", cwd=tmp_path)
    assert [name for name in TASKS if name not in listed] == []


def test_an_installed_tasker_runs_a_pipeline(scripts: Path, tmp_path: Path) -> None:
    (tmp_path / "hello.conf").write_text(
        "tasks = [ { name = shell_script, args { command = echo, arguments = [hi] } } ]"
    )
    assert "run.succeeded" in command_output(scripts / "tasker", "once", "hello.conf", cwd=tmp_path)
