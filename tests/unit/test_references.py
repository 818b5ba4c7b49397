from __future__ import annotations

import re
from typing import Any

import pytest
from support.values import SPAN, output, secret, value

from tasker.conversion import Mismatch, convert
from tasker.document.values import Late, OutputReference, RunReference, Scalar, Value, plain
from tasker.masking import Masker
from tasker.references import Known, MissingOutputError, outputs_read, references
from tasker.references import resolved as resolved_masked

OUTPUTS = {"a": {"n": 3, "yes": True, "none": None, "list": [1, "x"], "of": {"deep": "d"}, "x": 1.5}}

LONG_SECRET = "hunter2-" * 40


def resolved(value: Value, outputs: dict[str, Any], **run: str) -> Value:
    made = resolved_masked(value, Known(outputs=outputs, run=run), Masker([LONG_SECRET]).mask)
    assert made is not None
    return made


def text(*parts: str | Scalar | tuple[str, ...]) -> Late:
    """A string with outputs within it."""
    made = (
        each
        if isinstance(each, Scalar)
        else Scalar(SPAN, each, each)
        if isinstance(each, str)
        else OutputReference(SPAN, *_split(each))
        for each in parts
    )
    return Late(SPAN, tuple(made))


def _split(path: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    step, *keys = path
    return step, tuple(keys)


def test_every_reference_is_found_however_deep() -> None:
    run = Late(SPAN, (RunReference(SPAN, "error"),))
    data = value({"k": [output("a", "x"), {"l": text("t", ("b", "y"))}, run], "m": 1})
    assert [str(each) for each in references(data)] == ["${outputs.a.x}", "${outputs.b.y}", "${run.error}"]
    assert [each.step for each in outputs_read(data)] == ["a", "b"]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [(("n",), 3), (("yes",), True), (("none",), None), (("list",), [1, "x"]), (("of",), {"deep": "d"})],
)
def test_an_output_that_stands_alone_keeps_its_type(keys: tuple[str, ...], expected: Any) -> None:
    assert plain(resolved(output("a", *keys), OUTPUTS)) == expected


def test_an_output_within_a_string_is_spelled_as_the_file_would() -> None:
    made = resolved(text("n=", ("a", "n"), " ", ("a", "yes"), " ", ("a", "none"), " ", ("a", "of", "deep")), OUTPUTS)
    assert plain(made) == "n=3 true null d"


def test_what_holds_no_output_stays_as_it_is() -> None:
    data = value({"a": [1, "x"]})
    assert plain(resolved(data, OUTPUTS)) == {"a": [1, "x"]}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (("m",), "there is no output 'a.m': what was handed on there is list, n, none, of, x, yes"),
        (("of", "m", "n"), "there is no output 'a.of.m': what was handed on there is deep"),
        (("n", "m"), "there is no output 'a.n.m': what was handed on there is nothing"),
    ],
)
def test_an_output_that_is_missing_is_named_with_those_that_there_are(keys: tuple[str, ...], message: str) -> None:
    with pytest.raises(MissingOutputError, match=re.escape(message)):
        resolved(output("a", *keys), OUTPUTS)


def test_a_list_cannot_be_part_of_a_string() -> None:
    with pytest.raises(MissingOutputError, match="is a list, and cannot be part of a string"):
        resolved(text("x", ("a", "list")), OUTPUTS)


def test_an_optional_output_that_is_missing_is_left_out() -> None:
    alone = Late(SPAN, (OutputReference(SPAN, "a", ("m",), optional=True),))
    within = Late(SPAN, (Scalar(SPAN, "x", "x"), *alone.parts))
    assert resolved_masked(alone, Known(outputs=OUTPUTS), str) is None
    assert plain(resolved(within, OUTPUTS)) == "x"
    assert plain(resolved(value({"l": [1, alone], "m": alone}), OUTPUTS)) == {"l": [1]}


def test_an_optional_output_that_is_null_is_null() -> None:
    alone = Late(SPAN, (OutputReference(SPAN, "a", ("none",), optional=True),))
    assert plain(resolved(value([alone]), OUTPUTS)) == [None]


def test_what_tells_of_one_run_is_still_known_where_a_reference_stands_beside_it() -> None:
    made = resolved(text("in ", Scalar(SPAN, "/w/r7", "/w/r7", lasting="${WORKSPACE}"), "/", ("a", "n")), OUTPUTS)
    assert [plain(made), plain(made, lasting=True)] == ["in /w/r7/3", "in ${WORKSPACE}/3"]


def test_what_a_run_has_come_to_stands_where_it_is_referred_to() -> None:
    status = RunReference(SPAN, "status")
    made = resolved(value([Late(SPAN, (status,)), Late(SPAN, (status, Scalar(SPAN, "!", "!")))]), {}, status="failed")
    assert plain(made) == ["failed", "failed!"]


def test_a_string_of_a_secret_and_an_output_stays_masked_in_messages() -> None:
    made = resolved(text("x", secret(LONG_SECRET), ("a", "n")), OUTPUTS)
    assert plain(made) == f"x{LONG_SECRET}3"
    assert plain(made, masked=True) == "x***3"
    with pytest.raises(Mismatch, match=re.escape("expected a whole number, not 'x***3'")):
        convert(made, int)


@pytest.mark.parametrize("late", [output("b", "of"), text(("b", "of")), output("b")])
def test_a_secret_that_a_step_hands_on_is_masked_in_messages(late: Late) -> None:
    made = resolved(late, {"b": {"of": LONG_SECRET}})
    assert LONG_SECRET in str(plain(made))
    assert "***" in str(plain(made, masked=True))
    assert "hunter2" not in str(plain(made, masked=True))
