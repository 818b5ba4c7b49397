"""How `tasker show` puts a pipeline into the words of a conf file."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasker.durations import parse_duration
from tasker.shown import spelled_duration


@pytest.mark.parametrize(
    ("duration", "spelling"),
    [
        (timedelta(), "0s"),
        (timedelta(days=14), "14d"),
        (timedelta(hours=25), "25h"),
        (timedelta(minutes=90), "90m"),
        (timedelta(seconds=1.5), "1500ms"),
        (timedelta(microseconds=7), "7us"),
    ],
)
def test_a_duration_is_spelled_in_its_largest_unit(duration: timedelta, spelling: str) -> None:
    assert spelled_duration(duration) == spelling


@given(st.timedeltas(timedelta(), timedelta(days=10_000)))
def test_a_duration_reads_back_as_the_same(duration: timedelta) -> None:
    assert parse_duration(spelled_duration(duration)) == duration
