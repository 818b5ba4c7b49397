from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasker import Size


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("512", 512),
        ("512 B", 512),
        ("1 byte", 1),
        ("64k", 64 * 1024),
        ("64K", 64 * 1024),
        ("64Ki", 64 * 1024),
        ("64 KiB", 64 * 1024),
        ("64 kibibytes", 64 * 1024),
        ("64kB", 64_000),
        ("10 MB", 10_000_000),
        ("10 megabytes", 10_000_000),
        ("10m", 10 * 1024**2),
        ("1.5 GiB", 3 * 1024**3 // 2),
        ("1.1 kB", 1100),
        ("0.3 KiB", 307),
        ("2 YB", 2 * 10**24),
        ("1 yobibyte", 1024**8),
    ],
)
def test_every_spelling_of_hocon_is_read(text: str, count: int) -> None:
    assert Size.parse(text) == count


@pytest.mark.parametrize(
    "text", ["", "MB", "-1", "1,5 MB", "10 kb", "10 KB", "1 mib", "1.5", "1.5B", "٣", "1e3", "9" * 99]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        Size.parse(text)


@given(st.integers(min_value=0, max_value=10**20), st.sampled_from(["", "k", "MB", "GiB"]))
def test_whole_sizes_are_exact(count: int, unit: str) -> None:
    factor = {"": 1, "k": 1024, "MB": 10**6, "GiB": 1024**3}[unit]
    assert Size.parse(f"{count} {unit}") == count * factor


@given(st.text(max_size=30))
def test_any_text_is_a_size_or_refused(text: str) -> None:
    try:
        size = Size.parse(text)
    except ValueError:
        return
    assert size >= 0
