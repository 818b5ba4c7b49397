from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tasker import ClassNotRegisteredException, Task, TaskerError, TaskRegistry, registry
from tasker.errors import DuplicateTaskError
from tasker.registry import where_defined


def task(name: str, module: str = "somewhere") -> type[Task]:
    """A class that has entered no registry, as if written in `module`."""
    return type(name, (Task,), {"__module__": module})


def test_a_registered_task_is_there_under_its_name() -> None:
    tasks = TaskRegistry()
    archive = task("Archive")
    assert tasks.register(archive) is archive
    assert tasks.has("archive")
    assert tasks.get("archive") is archive
    assert isinstance(tasks.create("archive"), archive)


def test_names_and_tasks_come_sorted() -> None:
    tasks = TaskRegistry()
    later, earlier = tasks.register(task("Upload")), tasks.register(task("Archive"))
    assert tasks.registered() == ["archive", "upload"]
    assert list(tasks) == [earlier, later]
    assert len(tasks) == 2


def test_an_unknown_name_is_told_with_the_names_that_there_are() -> None:
    tasks = TaskRegistry()
    tasks.register(task("Archive"))
    with pytest.raises(ClassNotRegisteredException) as caught:
        tasks.create("archve")
    assert str(caught.value) == "no task is named 'archve'; the registered tasks are: archive"
    assert isinstance(caught.value, TaskerError)
    assert isinstance(caught.value, KeyError)
    assert not tasks.has("archve")


def test_an_empty_registry_says_so() -> None:
    with pytest.raises(ClassNotRegisteredException, match="the registered tasks are: none"):
        TaskRegistry().get("archive")


def test_a_name_belongs_to_one_class() -> None:
    tasks = TaskRegistry()
    first = tasks.register(task("Archive", "here"))
    with pytest.raises(DuplicateTaskError) as caught:
        tasks.register(task("Archive", "there"))
    assert str(caught.value) == (
        "two tasks are named 'archive': here.Archive and there.Archive; set `task_name` in one of them"
    )
    assert tasks.get("archive") is first


def test_a_class_written_anew_replaces_itself() -> None:
    tasks = TaskRegistry()
    tasks.register(task("Archive"))
    again = tasks.register(task("Archive"))
    assert tasks.get("archive") is again


def test_a_file_imported_under_two_names_has_the_same_task_and_another_file_has_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test may import `tasks.count` where tasker itself has imported the folder under a name of its own."""
    text = "from tasker import Task\nclass Twice(Task):\n    task_name = 'imported-twice'\n    def run(self): ...\n"
    for folder in ("twice_here", "twice_there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "twice_told.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("twice_here.twice_told")
    monkeypatch.syspath_prepend(tmp_path / "twice_here")
    again = importlib.import_module("twice_told")
    assert registry.get("imported-twice") is again.Twice
    with pytest.raises(DuplicateTaskError):
        importlib.import_module("twice_there.twice_told")


def test_a_class_is_found_in_its_file() -> None:
    class Here(Task):
        def run(self) -> None: ...

    file, line = where_defined(Here).rsplit(":", 1)
    assert file == __file__
    assert int(line) > 1
