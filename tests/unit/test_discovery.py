"""What discovery makes of task folders and installed packages, and what it survives."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tasker.discovery import Catalogue, Discovery
from tasker.faults import Severity
from tasker.registry import TaskRegistry, registry

GOOD = "from tasker import Task\n\n\nclass {name}(Task):\n    def run(self, x: int = 1): ...\n"


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    folder = tmp_path / "tasks"
    folder.mkdir()
    return folder


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(textwrap.dedent(text))
    return folder / name


def catalogue(*folders: Path) -> Catalogue:
    found = Catalogue(registry, folders)
    found._installed_loaded = True
    found.load_folders()
    return found


def told(discovery: Discovery) -> list[str]:
    return [str(fault) for fault in discovery.faults]


def test_one_file_is_enough(tasks: Path) -> None:
    write(tasks, "hello.py", GOOD.format(name="Hello"))
    found = catalogue(tasks)
    assert found.find("hello") is not None
    assert found.discovery.faults == []


def test_a_class_written_as_in_the_seed_is_a_task(tasks: Path) -> None:
    write(
        tasks,
        "archive_old.py",
        """\
        from typing import List, Union
        from tasker import Task

        class ArchiveOld(Task):
            def __init__(self):
                super().__init__()

            def run(self, path: str, excludes: Union[str, List[str]] = None) -> bool:
                self.logger.info("archiving")
                return True
        """,
    )
    found = catalogue(tasks).find("archiveold")
    assert found is not None
    assert found().run("x") is True


def test_neighbours_are_imported_relatively_and_hold_no_tasks_themselves(tasks: Path) -> None:
    write(tasks, "_common.py", "NAME = 'from_common'\nraise_if_task = 1\n")
    write(
        tasks,
        "uses.py",
        """\
        from tasker import Task
        from ._common import NAME
        from . import _common

        class Uses(Task):
            task_name = NAME
            def run(self): ...
        """,
    )
    found = catalogue(tasks)
    assert found.find("from_common") is not None
    assert told(found.discovery) == []


BROKEN = {
    "class Broken(Task)\n    pass\n": ("1:19", "its module is not Python: expected ':'"),
    "import a\n\nimport nothing_like_it\n": ("1:1", "ModuleNotFoundError: No module named 'a'"),
    "x = 1\nimport nothing_like_it\n": ("2:1", "ModuleNotFoundError: No module named 'nothing_like_it'"),
    "import sys\nsys.exit('bye')\n": ("2:1", "its module calls sys.exit('bye') when it is imported"),
    "def f():\n    return {}['x']\nf()\n": ("2:12", "KeyError: 'x'"),
    "class Stop(BaseException): ...\nraise Stop\n": ("2:1", "Stop"),
    "class Odd(Exception):\n    def __str__(self): raise ValueError\nraise Odd\n": (
        "3:1",
        "Odd: <exception str() failed>",
    ),
    "raise ValueError('one\\ntwo')\n": ("1:1", "ValueError: one"),
    "raise ValueError('x' * 5000)\n": ("1:1", "ValueError: xxx"),
    "from ._torn import x\n": ("1:1", "_torn.py is not Python: '(' was never closed (line 1)"),
    "from tasker import Task\nclass A(Task):\n    task_name = 5\n    def run(self): ...\n": (
        "2:1",
        "is 5, and not text",
    ),
    "from tasker import Task\nclass A(Task):\n    task_name = ['a']\n    def run(self): ...\n": ("2:1", "TypeError"),
}


@pytest.mark.parametrize(("text", "expected"), BROKEN.items())
def test_a_module_that_does_not_import_is_told_by_file_line_and_reason(
    text: str, expected: tuple[str, str], tasks: Path
) -> None:
    write(tasks, "_torn.py", "x = (\n")
    file = write(tasks, "bad.py", text)
    write(tasks, "good.py", GOOD.format(name="Good"))
    found = catalogue(tasks)
    assert found.find("good") is not None
    assert found.find("bad") is None
    (fault,) = found.discovery.faults
    assert str(fault).startswith(f"{file}:{expected[0]}: broken-task: ")
    assert expected[1] in fault.message
    assert "\n" not in fault.message
    assert len(fault.message) < 300
    assert fault.severity is Severity.WARNING
    assert found.broken("bad") is fault
    assert found.broken("good") is None


def test_what_a_module_prints_does_not_mix_with_what_tasker_answers(
    tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tasks, "loud.py", "print('hello from the module')\n" + GOOD.format(name="Loud"))
    catalogue(tasks)
    assert capsys.readouterr() == ("", "hello from the module\n")


def test_things_that_are_no_modules_cost_nothing_but_themselves(tasks: Path) -> None:
    (tasks / "folder.py").mkdir()
    (tasks / "gone.py").symlink_to(tasks / "nowhere")
    os.mkfifo(tasks / "pipe.py")
    write(tasks, "null.py", "x = '\0'\n")
    (tasks / "latin.py").write_bytes(b"x = '\xe9'\n")
    write(tasks, "good.py", GOOD.format(name="Good"))
    found = catalogue(tasks, tasks.parent / "no_such_folder", tasks / "good.py", tasks)
    assert found.find("good") is not None
    files = [Path(fault.place.file).name for fault in found.discovery.faults]
    assert files == ["no_such_folder", "good.py", "gone.py", "latin.py", "null.py", "pipe.py"]


def test_a_broken_module_costs_no_task_that_another_one_has(tasks: Path) -> None:
    write(tasks, "bad.py", "class Good(Task): ...\nclass Other: ...\n")
    write(tasks, "good.py", GOOD.format(name="Good"))
    found = catalogue(tasks)
    assert found.broken("good") is None
    assert found.broken("other") is found.discovery.faults[0]


def test_a_module_that_fails_halfway_costs_the_tasks_before_that_too(tasks: Path) -> None:
    write(tasks, "half.py", GOOD.format(name="Early") + "1 / 0\n" + GOOD.format(name="Late"))
    for _ in range(2):  # the second time, the early one is registered already
        found = catalogue(tasks)
        assert found.broken("early") is found.broken("late") is found.discovery.faults[0]


def test_two_tasks_of_one_name_are_told_with_both_places_every_time(tasks: Path) -> None:
    first = write(tasks, "a.py", GOOD.format(name="Same"))
    second = write(tasks, "b.py", GOOD.format(name="Before") + GOOD.format(name="Same"))
    for _ in range(2):
        found = catalogue(tasks)
        (fault,) = found.discovery.faults
        assert fault.code == "duplicate-task"
        assert fault.severity is Severity.ERROR
        assert f"{first}:4" in fault.message
        assert f"{second}:9" in fault.message
        assert found.broken("same") is found.broken("before") is fault


PACKAGE = """
import sys
from tasker.discovery import Catalogue
from tasker.registry import registry
catalogue = Catalogue(registry)
print(catalogue.find("installed"), catalogue.broken("torn"), catalogue.broken("half"), catalogue.names(), sep="\\n")
print(*catalogue.discovery.faults, sep="\\n")
"""


def test_installed_packages_offer_tasks_by_entry_points(tmp_path: Path) -> None:
    info = tmp_path / "offering-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: offering\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[tasker.tasks]\ninstalled = offering_installed\ntorn = offering_torn\n"
        "gone = offering_gone\ntwin = offering_twin\n"
    )
    (tmp_path / "offering_installed.py").write_text(GOOD.format(name="Installed"))
    (tmp_path / "offering_torn.py").write_text(GOOD.format(name="Half") + "import nothing_like_it\n")
    (tmp_path / "offering_twin.py").write_text(GOOD.format(name="Installed"))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", PACKAGE], env=environment, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    found, torn, half, names, *faults = ended.stdout.splitlines()
    assert found == "<class 'offering_installed.Installed'>"
    assert "No module named 'nothing_like_it'" in torn
    assert half == torn
    assert "'installed'" in names
    assert [line.split(": ")[1] for line in faults] == ["broken-task", "broken-task", "duplicate-task"]


def test_nothing_installed_is_no_fault() -> None:
    found = Catalogue(TaskRegistry())
    found.load_all()
    assert found.discovery.faults == []


def test_a_script_runs_the_classes_that_it_defines_itself(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text('tasks = [{ name = touch, args { path = ${WHERE}, suffixes = "*.py" } }]\n')
    script = write(
        tmp_path,
        "script.py",
        """\
        from typing import List, Union
        from tasker import Task, Tasker

        class Touch(Task):
            def __init__(self):
                super().__init__()

            def run(self, path: str, suffixes: Union[str, List[str]] = None) -> bool:
                self.logger.info("touching")
                open(path, "w").write(suffixes)
                return True

        print(Tasker("a.conf", {"WHERE": "touched"}).run())
        """,
    )
    ended = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "True"
    assert (tmp_path / "touched").read_text() == "*.py"


def test_a_copy_of_a_file_of_tasks_is_that_file_again(tasks: Path) -> None:
    write(tasks, "hello.py", GOOD.format(name="Hello"))
    installed = tasks.parent / "installed"
    installed.mkdir()
    (installed / "hello.py").write_bytes((tasks / "hello.py").read_bytes())
    found = catalogue(installed, tasks)
    assert found.discovery.faults == []
    assert found.broken("hello") is None


def test_each_module_is_told_of_before_it_is_imported(tasks: Path) -> None:
    file = write(tasks, "hello.py", GOOD.format(name="Hello"))
    told: list[str] = []
    Catalogue(registry, [tasks], importing=told.append).load_folders()
    assert told == [str(file)]


def test_a_module_that_is_refused_is_not_imported_and_costs_what_it_seems_to_define(tasks: Path) -> None:
    file = write(tasks, "hello.py", "raise SystemExit\nclass Hello(Task): ...")
    found = Catalogue(registry, [tasks], refused={str(file): "it ended the process"})
    found._installed_loaded = True
    fault = found.broken("hello")
    assert fault is not None
    assert (fault.code, fault.message) == ("broken-task", "it ended the process")
    assert fault.place.file == str(file)
