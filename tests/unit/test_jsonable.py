from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasker.jsonable import jsonable


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    path: Path


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


CASES: list[tuple[Any, Any]] = [
    (None, None),
    (True, True),
    (1, 1),
    (1.5, 1.5),
    (float("nan"), "nan"),
    (float("-inf"), "-inf"),
    (1 << 20_000, "0x1" + "0" * 5000),
    (Path("/a"), "/a"),
    (date(2026, 11, 22), "2026-11-22"),
    (time(2, 15), "02:15:00"),
    (datetime(2026, 11, 22, tzinfo=UTC), "2026-11-22T00:00:00+00:00"),
    (Colour.RED, "red"),
    (Point(1, Path("b")), {"x": 1, "path": "b"}),
    ((1, (2,)), [1, [2]]),
    ({3, 1, 2}, [1, 2, 3]),
    (frozenset({"b", 1}), [1, "b"]),
    (MappingProxyType({1: Path("a"), None: 2, (1, 2): 3}), {"1": "a", "None": 2, "(1, 2)": 3}),
    (b"\xff", "b'\\xff'"),
    (Unprintable(), "<Unprintable without a text>"),
    ({Unprintable(): Unprintable()}, {"<Unprintable without a text>": "<Unprintable without a text>"}),
]


@pytest.mark.parametrize(("given_data", "expected"), CASES, ids=lambda each: type(each).__name__)
def test_what_a_task_hands_over_becomes_json(given_data: Any, expected: Any) -> None:
    assert jsonable(given_data) == expected


def test_what_holds_itself_is_cut_off() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert json.dumps(jsonable(endless), ensure_ascii=False) == "[" * 64 + '"…"' + "]" * 64


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda item: st.lists(item) | st.dictionaries(st.text(), item),
    max_leaves=8,
)


@given(JSON)
def test_json_stays_as_it_is(data: Any) -> None:
    assert jsonable(data) == data
