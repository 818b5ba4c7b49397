"""What `--set` may set: what the file declares, with the types that it declares it with."""

from __future__ import annotations

import pytest
from support.documents import document

from tasker.document import given
from tasker.faults import Fault
from tasker.validation.parameters import check_parameters

DECLARED = """
n = 1, f = 1.5, yes = true, word = x, nothing = null, list = [1], empty {}
to { host = a, port = 80, deep { on = false } }
"""


def told(name: str, value: str, *declared: str) -> list[Fault]:
    return [*check_parameters({name: given(name, value)}, [document(text).root for text in declared or (DECLARED,)])]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", "2"),
        ("n", "-2.5e3"),
        ("n", '"7"'),
        ("n", "${X}"),
        ("f", "2"),
        ("yes", "false"),
        ("word", "7"),
        ("word", "true"),
        ("word", "a:b"),
        ("word", "${X} x"),
        ("nothing", "[x]"),
        ("list", "[]"),
        ("list", "[a, {}]"),
        ("empty", "{ a = 1 }"),
        ("empty.a", "1"),
        ("to", "{ host = b }"),
        ("to", "{ host = b, port = ${X} }"),
        ("to.port", "81"),
        ("to.deep.on", "true"),
    ],
)
def test_a_value_of_the_declared_type_may_be_set(name: str, value: str) -> None:
    assert told(name, value) == []


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("n", "zz", "'n' is a number, and cannot be set to a string"),
        ("n", "true", "'n' is a number, and cannot be set to a boolean"),
        ("n", "null", "'n' is a number, and cannot be set to null"),
        ("n", "[1]", "'n' is a number, and cannot be set to a list"),
        ("yes", "1", "'yes' is a boolean, and cannot be set to a number"),
        ("yes", "on", "'yes' is a boolean, and cannot be set to a string"),
        ("word", "{}", "'word' is a string, and cannot be set to an object"),
        ("list", "x", "'list' is a list, and cannot be set to a string"),
        ("list", "{}", "'list' is a list, and cannot be set to an object"),
        ("to", "[]", "'to' is an object, and cannot be set to a list"),
        ("to", "{ host = b, port = b }", "'to.port' is a number, and cannot be set to a string"),
        ("to.deep.on", "7", "'to.deep.on' is a boolean, and cannot be set to a number"),
    ],
)
def test_a_value_of_another_type_may_not(name: str, value: str, message: str) -> None:
    (fault,) = told(name, value)
    assert (fault.code, str(fault.place), fault.message) == (
        "bad-parameter",
        f"--set {name}",
        f"the parameter {message}",
    )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("m", "1", "the pipeline declares no parameter 'm'"),
        ("m", "${X}", "the pipeline declares no parameter 'm'"),
        ("to.hots", "1", "the pipeline declares no parameter 'to.hots'"),
        ("to", "{ deep { o = 1 } }", "the pipeline declares no parameter 'to.deep.o'"),
    ],
)
def test_what_is_not_declared_may_not(name: str, value: str, message: str) -> None:
    (fault,) = told(name, value)
    assert (fault.code, fault.message) == ("unknown-parameter", message)


def test_hints_name_what_is_meant_and_what_is_declared() -> None:
    hints = [told(*each)[0].hint for each in (("n", "x"), ("to.hots", "x"), ("list", "x"))]
    assert hints == ["write a number, as 1 is", "did you mean 'host'?", "a list is written [a, b]"]


def test_of_several_instances_one_that_takes_the_value_is_enough() -> None:
    assert told("n", "x", "n = 1", "n = y", "m = 1") == []
    assert [fault.code for fault in told("n", "x", "n = 1", "n = 2", "m = 1")] == ["bad-parameter"]
