from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterable, Mapping, MutableMapping, MutableSequence, MutableSet, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, List, Literal, NewType, NotRequired, Optional, TypedDict, Union  # noqa: UP035
from uuid import UUID

import pytest
from annotated_types import Ge, Gt, Interval, Le, Len, Lt, MaxLen, MinLen, MultipleOf
from hypothesis import given, settings
from hypothesis import strategies as st
from support.values import SPAN, number, output, secret, value

from tasker import Size
from tasker.annotations import LISTS, OBJECTS
from tasker.conversion import PROBLEMS_LIMIT, SIMPLE, Mismatch, convert, fits
from tasker.document.values import Late, Object, Scalar, Source, Span


class Colour(Enum):
    RED = "red"
    DEEP_BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Host(TypedDict):
    name: str
    port: NotRequired[int]


@dataclass
class User:
    name: str
    age: int = 0
    friends: list[User] = field(default_factory=list)


@dataclass
class Ports:
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            message = f"low is over high: {self.low}"
            raise ValueError(message)


@dataclass
class Unresolvable:
    name: Absent  # type: ignore[name-defined]  # noqa: F821


Port = NewType("Port", int)


def refused(data: Any, annotation: Any) -> list[str]:
    """What is said against `data`."""
    with pytest.raises(Mismatch) as caught:
        convert(value(data), annotation)
    return [message for _, message in caught.value.problems]


@pytest.mark.parametrize(
    ("data", "annotation", "expected"),
    [
        ("text", Any, "text"),
        ({"a": [1, None]}, object, {"a": [1, None]}),
        ("text", str, "text"),
        (5, str, "5"),
        (number("1.10"), str, "1.10"),
        (True, str, "true"),
        ("", str, ""),
        (5, int, 5),
        ("-5", int, -5),
        (5, float, 5.0),
        (number("1e3"), float, 1000.0),
        ("2.5", float, 2.5),
        (True, bool, True),
        ("no", bool, False),
        ("on", bool, True),
        (None, None, None),
        ("/tmp/x", Path, Path("/tmp/x")),
        (2024, Path, Path("2024")),
        ("2026-01-31", date, date(2026, 1, 31)),
        ("2026-01-31T08:30:00Z", datetime, datetime(2026, 1, 31, 8, 30, tzinfo=UTC)),
        ("08:30", time, time(8, 30)),
        ("10 minutes", timedelta, timedelta(minutes=10)),
        (0, timedelta, timedelta()),
        (number("1.10"), Decimal, Decimal("1.10")),
        ("12345678-1234-5678-1234-567812345678", UUID, UUID("12345678-1234-5678-1234-567812345678")),
        ("10 MB", Size, Size(10_000_000)),
        (512, Size, Size(512)),
        ("red", Colour, Colour.RED),
        ("deep_blue", Colour, Colour.DEEP_BLUE),
        ("Red", Colour, Colour.RED),
        (2, Level, Level.HIGH),
        ("2", Level, Level.HIGH),
        ("low", Level, Level.LOW),
        ("a", Literal["a", "b"], "a"),
        (1, Literal[True, 1], 1),
        (True, Literal[1, True], True),
        (None, Literal["a"] | None, None),
        (number("1.10"), Literal["1.10"], "1.10"),
        ("red", Literal[Colour.RED], Colour.RED),
        (["a", 1], list[str], ["a", "1"]),
        (["a"], List[str], ["a"]),  # noqa: UP006
        (["a", 1], list, ["a", 1]),
        ([1, 1], set[int], {1}),
        ([1], frozenset[int], frozenset({1})),
        ([1], AbstractSet[int], {1}),
        ([1], Sequence[int], [1]),
        ([1], Iterable[int], [1]),
        ([1], Collection[int], [1]),
        ([1, 2], tuple[int, ...], (1, 2)),
        ([1, 2], tuple, (1, 2)),
        ([1, "x"], tuple[int, str], (1, "x")),
        ([], tuple[()], ()),
        ({"a": "1"}, dict[str, int], {"a": 1}),
        ({"1": "x"}, Mapping[int, str], {1: "x"}),
        ({"a": 1}, dict, {"a": 1}),
        ({"name": "x"}, Host, {"name": "x"}),
        ({"name": "x", "port": "80"}, Host, {"name": "x", "port": 80}),
        ({"name": "x", "friends": [{"name": "y"}]}, User, User("x", 0, [User("y")])),
        (80, Port, 80),
        (None, Optional[int], None),
        ("a+", re.Pattern, re.compile("a+")),
        ("a+", re.Pattern[str], re.compile("a+")),
    ],
)
def test_a_value_becomes_what_the_annotation_asks_for(data: Any, annotation: Any, expected: Any) -> None:
    found = convert(value(data), annotation)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("data", "annotation", "message"),
    [
        (None, str, "expected a string, not null"),
        ([], str, "expected a string, not a list"),
        ({}, str, "expected a string, not an object"),
        (number("3.0"), int, "expected a whole number, not 3.0"),
        ("3.0", int, "expected a whole number, not '3.0'"),
        (True, int, "expected a whole number, not true"),
        ("1_000", int, "expected a whole number, not '1_000'"),
        ("nan", float, "expected a number, not 'nan'"),
        ("1e999", float, "expected a number, not '1e999'"),
        (1, bool, "expected true or false, not 1"),
        ("TRUE", bool, "expected true or false, not 'TRUE'"),
        ("x", None, "expected null, not 'x'"),
        ("", Path, "expected a path, not ''"),
        ("a\0b", Path, r"expected a path, not 'a\x00b'"),
        ("31/01/2026", date, "expected a date such as 2026-01-31, not '31/01/2026'"),
        ("soon", datetime, "expected a date and time such as 2026-01-31T08:30:00Z, not 'soon'"),
        ("8", time, "expected a time of day such as 08:30, not '8'"),
        (30, timedelta, "expected a duration with a unit, such as 30s or 10 minutes, not 30"),
        ([], timedelta, "expected a duration with a unit, such as 30s or 10 minutes, not a list"),
        ("1e99999999999999999999", Decimal, "expected a decimal number, not '1e99999999999999999999'"),
        ("x", UUID, "expected a UUID, not 'x'"),
        ("10 parsecs", Size, "expected a size such as 512 or 10 MB, not '10 parsecs'"),
        ("gren", Colour, "expected one of red, blue, not 'gren'"),
        ("rde", Colour, "expected one of red, blue, not 'rde'; did you mean 'red'?"),
        ([], Colour, "expected one of red, blue, not a list"),
        ("c", Literal["a"], "expected a, not 'c'"),
        ("x", list[str], "expected a list of str, not 'x'"),
        ({}, tuple[int, str], "expected a list [int, str], not an object"),
        ([1], tuple[int, str], "expected a list [int, str] of 2, not of 1"),
        ([[]], set, "expected a list for a set, which cannot hold lists and objects"),
        ([], dict[str, int], "expected an object of int, not a list"),
        ("x", Host, "expected an object {name, port?}, not 'x'"),
        ("(", re.Pattern, "expected a regular expression, not '('"),
        (
            {"name": "x"},
            Unresolvable,
            "expected Unresolvable, which no file can give: its annotations cannot be resolved",
        ),
        ("x", bytes, "expected bytes, which no file can give"),
        ("x", [str], "expected [<class 'str'>], which no file can give"),
        (None, str | list[str], "expected a string or a list of str, not null"),
        ("x", int | bool | None, "expected a whole number or true or false or null, not 'x'"),
        ("x" * 61, int, f"expected a whole number, not '{'x' * 60}…'"),
        (number("1" * 80 + ".5"), int, f"expected a whole number, not {'1' * 60}…"),
        ({"low": 2, "high": 1}, Ports, "Ports refuses these values: low is over high: 2"),
    ],
)
def test_a_value_that_does_not_fit_is_told_in_one_sentence(data: Any, annotation: Any, message: str) -> None:
    assert refused(data, annotation) == [message]


@pytest.mark.parametrize(
    ("data", "annotation", "expected"),
    [
        ("5", Union[int, str], "5"),
        (5, Union[str, int], 5),
        (5, float | int, 5),
        (number("5.5"), int | float, 5.5),
        (number("5.5"), int | str, "5.5"),
        ("5", int | None, 5),
        ("yes", bool | str, "yes"),
        (True, str | bool, True),
        ("30s", timedelta | str, timedelta(seconds=30)),
        ("30s", str | timedelta, "30s"),
        ("soon", timedelta | str, "soon"),
        ("10 MB", Size | str, Size(10_000_000)),
        (["a"], str | list[str], ["a"]),
        ({"name": "x"}, str | User, User("x")),
        ([1], list[str] | list[int], ["1"]),
    ],
)
def test_a_union_tries_what_is_written_so_and_then_keeps_to_its_order(
    data: Any, annotation: Any, expected: Any
) -> None:
    found = convert(value(data), annotation)
    assert found == expected
    assert type(found) is type(expected)


def test_the_fault_within_the_one_member_that_was_meant_is_told() -> None:
    assert refused(["x"], str | list[int]) == ["expected a whole number, not 'x'"]
    assert refused("soon", Optional[timedelta]) == [
        "expected a duration with a unit, such as 30s or 10 minutes, not 'soon'"
    ]


@pytest.mark.parametrize(
    ("data", "annotation", "message"),
    [
        (0, Annotated[int, Ge(1)], "must be at least 1, not 0"),
        (1, Annotated[int, Gt(1)], "must be more than 1, not 1"),
        (2, Annotated[int, Le(1)], "must be at most 1, not 2"),
        (1, Annotated[int, Lt(1)], "must be less than 1, not 1"),
        (7, Annotated[int, MultipleOf(5)], "must be a multiple of 5, not 7"),
        (10, Annotated[int, Interval(ge=1, lt=10)], "must be less than 10, not 10"),
        ("", Annotated[str, MinLen(1)], "must be of length at least 1, not ''"),
        ([1, 2], Annotated[list[int], MaxLen(1)], "must be of length at most 1, not a list"),
        ([1], Annotated[list[int], Len(2, 3)], "must be of length at least 2, not a list"),
        ("30s", Annotated[timedelta, Ge(timedelta(minutes=1))], "must be at least 1m, not '30s'"),
        (5, Annotated[str, Ge(1)], "must be at least 1, not 5"),
        (0, Annotated[Port, Ge(1)], "must be at least 1, not 0"),
        ([0], list[Annotated[int, Ge(1)]], "must be at least 1, not 0"),
    ],
)
def test_bounds_are_kept(data: Any, annotation: Any, message: str) -> None:
    assert refused(data, annotation) == [message]


def test_what_is_within_bounds_passes() -> None:
    assert convert(value(5), Annotated[int, Interval(ge=1, le=5), "a remark"]) == 5
    assert convert(value(None), Annotated[int | None, Ge(1)]) is None
    assert convert(value([]), Annotated[list[int], Len(0, 3)]) == []


def test_every_fault_is_told_with_its_own_place() -> None:
    source = Source("a.conf", "hosts = [\n  { nmae = x },\n  { name = x, port = y, zzz = 1 }\n]")

    def at(text: str) -> Span:
        start = source.text.index(text)
        return Span(source, start, start + len(text))

    first = Object(at("{ nmae = x }"), {"nmae": value("x")}, {"nmae": at("nmae")})
    fields = {"name": value("x"), "port": Scalar(at("y"), "y", "y"), "zzz": value(1)}
    second = Object(at("{ name = x, port"), fields, {"zzz": at("zzz")})
    with pytest.raises(Mismatch) as caught:
        convert(value([first, second]), list[Host])
    assert [(place.line, place.column, message) for place, message in caught.value.problems] == [
        (2, 5, "unknown key 'nmae'; did you mean 'name'?"),
        (2, 3, "missing key 'name': str"),
        (3, 25, "unknown key 'zzz'"),
        (3, 22, "expected a whole number, not 'y'"),
    ]
    assert str(caught.value).startswith("unknown key 'nmae'; did you mean 'name'?; missing key")


@pytest.mark.parametrize(
    "annotation",
    [
        int,
        bool,
        date,
        timedelta,
        Size,
        UUID,
        Colour,
        Literal["a", "hunter3"],
        list[str],
        Host,
        Annotated[str, MaxLen(1)],
        int | bool,
    ],
)
def test_a_secret_is_never_repeated(annotation: Any) -> None:
    messages = refused(secret("hunter2"), annotation)
    assert messages
    assert not any("hunter" in message.removeprefix("expected one of a, hunter3") for message in messages)
    assert all("'***'" in message for message in messages)


def test_what_a_dataclass_says_of_secrets_is_kept_back() -> None:
    assert refused({"low": secret("9182"), "high": 1}, Ports) == ["Ports refuses these values"]


def test_of_many_faults_the_first_are_told() -> None:
    assert len(refused(["x"] * 100_000, list[int])) == PROBLEMS_LIMIT


def test_outputs_that_are_not_known_yet_pass() -> None:
    late = output("scan", "file")
    for annotation in (str, int, None, list[int], tuple[int, str], dict[str, int], Host, Colour, int | None):
        assert convert(late, annotation) is late
    assert convert(value([late, 1]), list[int]) == [late, 1]
    assert convert(value([late]), list[Annotated[int, Ge(5)]]) == [late]
    assert isinstance(convert(late, Any), str | Late)


def test_what_is_known_beside_an_output_is_checked() -> None:
    assert refused([output("scan", "file"), "x"], list[int]) == ["expected a whole number, not 'x'"]
    assert refused({"low": output("scan", "low"), "hgh": 1}, Ports) == [
        "unknown key 'hgh'; did you mean 'high'?",
        "missing key 'high': int",
    ]


def test_a_dataclass_is_not_made_before_its_outputs_are_known() -> None:
    late = output("scan", "low")
    assert convert(value({"low": late, "high": 1}), Ports) == {"low": late, "high": 1}


@pytest.mark.parametrize(
    ("given_", "asked", "answer"),
    [
        (str, str, True),
        (str, int, True),
        (int, str, True),
        (Path, str, True),
        (int, Path | None, True),
        (Any, int, True),
        (int, Any, True),
        (bytes, int, True),
        (list[int], list[str], True),
        (list, list[str], True),
        (Host, dict, True),
        (Optional[str], str, True),
        (Annotated[int, Ge(1)], Port, True),
        (int, list[int], False),
        (list[str], str, False),
        (list[str], list[Host], False),
        (dict, str, False),
        (str, Host, False),
        (bool, int, False),
        (int, bool, False),
        (int, timedelta, False),
        (None, str, False),
        (Colour, list[Colour], False),
    ],
)
def test_an_output_fits_unless_it_surely_does_not(given_: Any, asked: Any, *, answer: bool) -> None:
    assert fits(given_, asked) is answer


def test_annotations_that_are_equal_but_ordered_otherwise_are_kept_apart() -> None:
    assert Union[str, timedelta] == Union[timedelta, str]
    assert convert(value("1s"), Union[str, timedelta]) == "1s"
    assert convert(value("1s"), Union[timedelta, str]) == timedelta(seconds=1)
    assert convert(value(["1s"]), list[str | timedelta]) == ["1s"]
    assert convert(value(["1s"]), list[timedelta | str]) == [timedelta(seconds=1)]


def test_ever_new_annotations_are_forgotten_again() -> None:
    for limit in range(3000):
        assert convert(value(limit), Annotated[int, Le(limit)]) == limit


if sys.version_info >= (3, 12):  # which brought `type` statements

    def test_an_alias_may_name_itself() -> None:
        names: dict[str, Any] = {}
        exec("type Tree = int | list[Tree]", names)
        assert convert(value([1, [2, ["3"]]]), names["Tree"]) == [1, [2, [3]]]
        assert refused([["x"]], names["Tree"]) == ["expected a whole number or a list of Tree, not 'x'"]


SCALARS = (str, int, float, bool, None, Path, date, datetime, time, timedelta, Decimal, UUID, Size, re.Pattern)
CHOICES = (Colour, Level, Literal["a", 1, True])
OTHERS = (Any, Host, User, Ports, Port, Annotated[int, Ge(2)], bytes, list, dict, set)

ANNOTATIONS = st.recursive(
    st.sampled_from([*SCALARS, *CHOICES, *OTHERS]),
    lambda inner: st.one_of(
        inner.map(lambda item: list[item]),  # type: ignore[valid-type]
        inner.map(lambda item: set[item]),  # type: ignore[valid-type]
        inner.map(lambda item: dict[str, item]),  # type: ignore[valid-type]
        st.tuples(inner, inner).map(lambda pair: tuple[pair]),  # type: ignore[valid-type]
        st.tuples(inner, inner).map(lambda pair: Union[pair]),
    ),
    max_leaves=4,
)

DATA = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["30s", "red", "1e999", "("]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "low", "high", "1", ""]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(DATA, ANNOTATIONS)
@settings(max_examples=400)
def test_any_value_is_converted_or_refused_and_nothing_else(data: Any, annotation: Any) -> None:
    try:
        convert(value(data), annotation)
    except Mismatch as mismatch:
        problems = mismatch.problems
    else:
        return
    assert problems
    for place, message in problems:
        assert place == SPAN.place
        assert message.isprintable()
        assert not message.endswith(".")


@given(ANNOTATIONS, ANNOTATIONS)
def test_any_two_annotations_can_be_compared(one: Any, other: Any) -> None:
    assert fits(one, one)
    assert isinstance(fits(one, other), bool)


def test_a_string_costs_next_to_nothing() -> None:
    text, called = value("text"), []
    convert(text, str)  # how `str` is read is found out once
    sys.setprofile(lambda frame, event, _: called.append(frame.f_code.co_name) if event == "call" else None)
    convert(text, str)
    sys.setprofile(None)
    assert len(called) <= 3, called


def test_every_type_that_can_be_read_is_documented() -> None:
    types = (Path(__file__).parents[2] / "docs" / "reference" / "types.md").read_text(encoding="utf-8")
    for annotation in {*SIMPLE, *LISTS, *OBJECTS} - {NoneType, MutableMapping, MutableSequence, MutableSet}:
        assert re.search(rf"[`.]{annotation.__name__}\b", types)
