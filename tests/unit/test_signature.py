from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from tasker import Task
from tasker.signature import BrokenSignatureError, describe, signature

if TYPE_CHECKING:
    from collections.abc import Callable

FUTURE = "from __future__ import annotations\n"

PREAMBLE = """
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, List, Literal, NotRequired, Optional, TypedDict, Union
from annotated_types import Ge, Interval, MinLen
from tasker import Size, Task
"""


@pytest.fixture(params=["", FUTURE], ids=["annotations", "strings"])
def define(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], type[Task]]:
    """Make the class `T` of a module that an author wrote, with annotations as they are and as strings."""

    def define(source: str) -> type[Task]:
        module = ModuleType("author")
        monkeypatch.setitem(sys.modules, "author", module)
        exec(compile(request.param + PREAMBLE + source, "author.py", "exec", dont_inherit=True), vars(module))
        task: type[Task] = module.T
        return task

    return define


Define = Any


def described(task: type[Task]) -> str:
    return describe(signature(task))


def test_a_parameter_without_a_default_is_mandatory(define: Define) -> None:
    found = signature(define("class T(Task):\n def run(self, source: str, target: Path = Path('/x')) -> bool: ..."))
    source, target = found.parameters
    assert (source.name, source.annotation, source.mandatory) == ("source", str, True)
    assert (target.name, target.annotation, target.mandatory, target.default) == ("target", Path, False, Path("/x"))


def test_a_default_of_none_makes_it_optional(define: Define) -> None:
    (found,) = signature(define("class T(Task):\n def run(self, args: Union[str, List[str]] = None): ...")).parameters
    assert str(found.annotation) == "typing.Union[str, typing.List[str], NoneType]"
    assert not found.mandatory


def test_catch_alls_are_never_mandatory(define: Define) -> None:
    found = signature(define("class T(Task):\n def run(self, one, *args: int, **rest: timedelta): ..."))
    assert [parameter.name for parameter in found.parameters] == ["one"]
    assert found.takes_any
    other = found.get("other")
    assert other is not None
    assert (other.annotation, other.mandatory) == (timedelta, False)


def test_without_a_catch_all_an_unknown_argument_has_no_parameter(define: Define) -> None:
    found = signature(define("class T(Task):\n def run(self, one): ..."))
    assert found.get("two") is None
    assert found.get("one") == found.parameters[0]
    assert found.parameters[0].annotation is Any


@pytest.mark.parametrize("kind", ["staticmethod", "classmethod"])
def test_run_may_be_a_static_or_a_class_method(define: Define, kind: str) -> None:
    first = "cls, " * (kind == "classmethod")
    found = signature(define(f"class T(Task):\n @{kind}\n def run({first}one: int, *, two: int = 2): ..."))
    assert [parameter.name for parameter in found.parameters] == ["one", "two"]


def test_a_type_may_be_defined_within_the_class(define: Define) -> None:
    source = "class T(Task):\n class Colour(Enum):\n  RED = 'red'\n def run(self, colour: Colour): ..."
    assert described(define(source)) == "t(colour: red)"


def test_an_inherited_run_is_read_where_it_was_written(define: Define) -> None:
    assert described(define("class Base(Task):\n def run(self, n: int): ...\nclass T(Base): ...")) == "t(n: int)"


def test_descriptions_come_from_the_docstring(define: Define) -> None:
    source = '''
class T(Task):
    """Do it.

    Args:
        one: of the class
        two: of the class
    """
    def run(self, one: str, two: str, three: str, *rest: str):
        """Do it.

        Args:
            one (str): the first: with a colon
                and a second line
            *rest: what is left

        Returns:
            three: this is no argument
        """
'''
    found = signature(define(source)).parameters
    assert [parameter.description for parameter in found] == [
        "the first: with a colon and a second line",
        "of the class",
        "",
    ]


@pytest.mark.parametrize(
    ("parameters", "shown"),
    [
        ("source: str, target: str", "source: str, target: str"),
        ("anything", "anything: any"),
        ("wait: timedelta = timedelta(minutes=65)", "wait: duration = 1h 5m"),
        ("args: Union[str, List[str]] = None", "args: str | list of str = null"),
        ("flag: bool = False, name: str = 'x'", 'flag: bool = false, name: str = "x"'),
        ("limit: Size, where: Path = Path('/tmp')", "limit: size, where: path = /tmp"),
        ("n: Annotated[int, Ge(1)] = 3", "n: int (at least 1) = 3"),
        ("n: Annotated[int, Interval(gt=0, le=9)]", "n: int (more than 0, at most 9)"),
        ("n: Annotated[str, MinLen(2)]", "n: str (of length at least 2)"),
        ("mode: Literal['r', 'w', 1, True]", "mode: r | w | 1 | true"),
        ("mode: list[Literal['r', 'w']]", "mode: list of (r | w)"),
        ("rows: dict[str, int], all: dict", "rows: object of int, all: object"),
        ("pair: tuple[int, str], many: tuple[int, ...] = (1, 2)", "pair: [int, str], many: list of int = [1, 2]"),
        ("one: Optional[int]", "one: int | null"),
        ("one: int, **rest", "one: int, ..."),
        ("", ""),
    ],
)
def test_a_signature_is_told_in_the_words_of_a_conf_file(define: Define, parameters: str, shown: str) -> None:
    task = define(f"class T(Task):\n def run(self{', ' * bool(parameters)}{parameters}): ...")
    assert described(task) == f"t({shown})"


def test_shapes_are_told_by_their_keys(define: Define) -> None:
    source = """
class Host(TypedDict):
    name: str
    port: NotRequired[int]
@dataclass
class User:
    name: str
    groups: list[str] = ()
class T(Task):
    def run(self, host: Host, users: list[User]): ...
"""
    assert described(define(source)) == "t(host: {name, port?}, users: list of {name, groups?})"


def test_a_long_list_of_choices_is_cut(define: Define) -> None:
    task = define("class T(Task):\n def run(self, n: Literal[1,2,3,4,5,6,7,8,9,10,11,12,13,14]): ...")
    assert described(task) == "t(n: 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | …)"


SHAPES = """
class Found(TypedDict):
    file: Path
    count: NotRequired[int]
@dataclass
class Made:
    file: Path
"""


@pytest.mark.parametrize(
    ("answer", "outputs"),
    [
        ("Found", {"file": Path, "count": int}),
        ("Found | bool", {"file": Path, "count": int}),
        ("Optional[Found]", {"file": Path, "count": int}),
        ("Made", {"file": Path}),
        ("Found | Made", None),
        ("Found | dict", None),
        ("bool", None),
        ("None", None),
        ("dict[str, int]", None),
    ],
)
def test_outputs_are_what_the_answer_declares(define: Define, answer: str, outputs: dict[str, Any] | None) -> None:
    assert signature(define(f"{SHAPES}\nclass T(Task):\n def run(self) -> {answer}: ...")).outputs == outputs


def test_a_task_without_a_return_annotation_declares_no_outputs(define: Define) -> None:
    assert signature(define("class T(Task):\n def run(self): ...")).outputs is None


ABSENT = "Absent: name 'Absent' is not defined; import what it names outside of `if TYPE_CHECKING`"
UNREADABLE = "1 +: Forward reference must be an expression -- got '1 +'"


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        ("def run(self, one, /): ...", "parameter 'one' is positional only, and a file gives arguments by name"),
        ("async def run(self): ...", "`run()` must be a plain method, without `async` and `yield`"),
        ("def run(self):\n  yield 1", "`run()` must be a plain method, without `async` and `yield`"),
        ("def run(): ...", "`run()` lacks `self`"),
        ("def run(*, one): ...", "`run()` lacks `self`"),
        ("run = 5", "`run` is not a method"),
        (
            "def run(self, one: int, two: 'Absent'): ...",
            f"the annotation of parameter 'two' cannot be resolved: {ABSENT}",
        ),
        (
            "def run(self) -> 'Absent': ...",
            f"the return annotation cannot be resolved: {ABSENT}",
        ),
        (
            "def run(self, one: '1 +'): ...",
            f"the annotation of parameter 'one' cannot be resolved: {UNREADABLE}",
        ),
    ],
)
def test_what_no_file_could_call_is_told(run: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("author")
    monkeypatch.setitem(sys.modules, "author", module)
    exec(compile(f"{PREAMBLE}\nclass T(Task):\n {run}", "author.py", "exec", dont_inherit=True), vars(module))
    with pytest.raises(BrokenSignatureError) as caught:
        signature(module.T)
    assert caught.value.reason == reason
    assert str(caught.value) == f"task 't' (author.T): {reason}"


def test_outputs_that_cannot_be_resolved_are_told(define: Define) -> None:
    source = "class Found(TypedDict):\n file: 'Absent'\nclass T(Task):\n def run(self) -> Found: ..."
    with pytest.raises(BrokenSignatureError, match="the fields of Found, its return annotation, cannot be resolved"):
        signature(define(source))
