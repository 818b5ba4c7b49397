"""Which files hold a task's code."""

from __future__ import annotations

from pathlib import Path

from support.command import write

from tasker import Task
from tasker.discovery import Catalogue
from tasker.launching.code_files import code_files
from tasker.registry import registry

USER = """
    from tasker import Task
    {imports}

    class User(Task):
        def run(self):
            {within}
"""


def files_of_user(folder: Path, imports: str, within: str = "...") -> list[str]:
    write(folder / "user.py", USER.format(imports=imports, within=within))
    task = Catalogue(registry, [folder]).find("user")
    assert task is not None
    return [str(Path(file).relative_to(folder)) for file in code_files(task)]


def test_a_task_is_its_module_and_what_that_imports_and_what_this_imports(tmp_path: Path) -> None:
    write(tmp_path / "_a.py", "from ._b import B")
    write(tmp_path / "_b.py", "from ._a import __name__ as a\nB = 1")
    write(tmp_path / "_other.py", "")
    assert files_of_user(tmp_path, "from . import _a; import os") == ["_a.py", "_b.py", "user.py"]


def test_packages_beside_it_count_with_what_is_in_them(tmp_path: Path) -> None:
    write(tmp_path / "_lib" / "__init__.py", "")
    write(tmp_path / "_lib" / "core.py", "from .deep.one import X\nfrom .. import _top")
    write(tmp_path / "_lib" / "deep" / "one.py", "X = 1")
    write(tmp_path / "_top.py", "")
    found = files_of_user(tmp_path, "from ._lib.core import X")
    assert found == ["_lib/__init__.py", "_lib/core.py", "_lib/deep/one.py", "_top.py", "user.py"]


def test_what_is_imported_only_when_it_runs_counts_too(tmp_path: Path) -> None:
    write(tmp_path / "_late.py", "this is not Python")
    assert files_of_user(tmp_path, "", "from . import _late") == ["_late.py", "user.py"]


def test_what_is_imported_by_a_name_counts_too(tmp_path: Path) -> None:
    write(tmp_path / "_one.py", "")
    write(tmp_path / "_lib" / "two.py", "from importlib import import_module as load\nimport importlib")
    write(tmp_path / "_three.py", "")
    write(tmp_path / "os.py", "")
    within = """
            import_module("._one", __package__), importlib.import_module("._lib.two", package=__package__)
            import_module("os"), import_module(""), import_module("." + self.name, __package__)
    """
    found = files_of_user(tmp_path, "import importlib; from importlib import import_module", within.strip())
    assert found == ["_lib/two.py", "_one.py", "user.py"]


def test_a_task_from_no_task_folder_has_none() -> None:
    class Inline(Task):
        def run(self) -> None: ...

    assert code_files(Inline) == ()
