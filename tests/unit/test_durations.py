from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasker.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("30 seconds", 30),
        ("10 minutes", 600),
        (" 1 h ", 3600),
        ("1.5h", 5400),
        ("1h 30m", 5400),
        ("1h30m", 5400),
        ("2 days", 172_800),
        ("1w", 604_800),
        ("350ms", 0.35),
        ("250 us", 0.00025),
        ("2500 nanos", 0.000003),
        ("0", 0),
        ("0s", 0),
    ],
)
def test_every_unit_of_hocon_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "30",
        "30.0",
        "-5m",
        "s",
        "5 parsecs",
        "5M",
        "1m 1h",
        "1m 1m",
        "1h 30",
        "1..5s",
        "٣s",
        "9" * 18 + "w",
        "9" * 99,
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(), "0s"),
        (timedelta(microseconds=12), "12us"),
        (timedelta(milliseconds=350, microseconds=9), "350ms"),
        (timedelta(seconds=2, milliseconds=449), "2.4s"),
        (timedelta(seconds=59, milliseconds=999), "59.9s"),
        (timedelta(seconds=60), "1m"),
        (timedelta(hours=1, minutes=5, seconds=40), "1h 5m"),
        (timedelta(hours=1, seconds=40), "1h"),
        (timedelta(days=3, hours=4), "3d 4h"),
        (timedelta(seconds=-90), "-1m 30s"),
    ],
)
def test_people_see_at_most_two_units(duration: timedelta, text: str) -> None:
    assert format_duration(duration) == text


@given(st.text(max_size=30) | st.from_regex(r"[0-9.]{1,5} ?[a-z]{1,3} ?[0-9]* ?[a-z]*", fullmatch=True))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    try:
        duration = parse_duration(text)
    except ValueError:
        return
    assert duration >= timedelta()


@given(st.timedeltas(min_value=timedelta()))
def test_what_is_shown_can_be_read_and_never_overstates(duration: timedelta) -> None:
    shown = parse_duration(format_duration(duration))
    assert shown <= duration
    assert duration - shown < max(duration / 10, timedelta(milliseconds=1))


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=9999)))
def test_microseconds_are_kept(duration: timedelta) -> None:
    assert parse_duration(f"{duration // timedelta(microseconds=1)}us") == duration
