from __future__ import annotations

import pytest

from tasker import Task, registry


def test_a_subclass_with_a_run_enters_the_registry() -> None:
    class Packing(Task):
        def run(self) -> bool:
            return True

    assert registry.get("packing") is Packing


def test_a_task_may_choose_its_name() -> None:
    class Packing(Task):
        task_name = "pack_it"

        def run(self) -> bool:
            return True

    assert registry.get("pack_it") is Packing
    assert not registry.has("packing")


def test_the_name_that_a_task_chose_is_not_its_childrens() -> None:
    class Packing(Task):
        task_name = "pack_it"

        def run(self) -> bool:
            return True

    class Posting(Packing): ...

    assert registry.get("posting") is Posting
    assert registry.get("pack_it") is Packing


def test_a_base_without_a_run_is_no_task() -> None:
    class CloudTask(Task): ...

    assert not registry.has("cloudtask")


def test_the_constructor_may_be_written_as_it_always_was() -> None:
    class Old(Task):
        def __init__(self) -> None:
            super().__init__()

        def run(self) -> bool:
            return True

    assert registry.create("old").run() is True


def test_a_task_without_work_says_so() -> None:
    with pytest.raises(NotImplementedError):
        Task().run()
