from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tasker.running.lines import LONGEST_LINE, Lines


def fed(*pieces: bytes) -> list[str]:
    lines = Lines()
    return [line for piece in pieces for line in lines.feed(piece)] + list(lines.end())


@given(st.lists(st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=["Cs"]))), st.data())
def test_lines_come_out_as_they_were_printed_however_they_are_cut_up(lines: list[str], data: st.DataObject) -> None:
    printed = "".join(f"{line}\n" for line in lines).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(printed)), max_size=5)))
    pieces = [printed[start:end] for start, end in zip([0, *cuts], [*cuts, len(printed)], strict=True)]
    assert fed(*pieces) == lines


def test_a_line_is_handed_on_as_soon_as_it_ends() -> None:
    lines = Lines()
    assert list(lines.feed(b"one\ntw")) == ["one"]
    assert list(lines.feed(b"o\n")) == ["two"]
    assert list(lines.end()) == []


def test_the_last_line_needs_no_end() -> None:
    assert fed(b"a\nb") == ["a", "b"]


def test_a_carriage_return_belongs_to_the_end_of_the_line() -> None:
    assert fed(b"a\r\nb\rc\n") == ["a", "b\rc"]


def test_what_is_no_text_is_told_with_its_values() -> None:
    assert fed(b"\xff\xfe\0\n") == ["\\xff\\xfe\0"]


def test_a_line_without_end_comes_in_parts_and_is_not_kept() -> None:
    lines = Lines()
    parts = [part for _ in range(100) for part in lines.feed(b"x" * 65536)]
    assert {len(part) for part in parts} == {LONGEST_LINE}
    assert len(lines._rest) < 2 * LONGEST_LINE
    assert sum(map(len, [*parts, *lines.end()])) == 100 * 65536


def test_a_long_line_that_ends_comes_in_parts_as_well() -> None:
    parts = fed(b"x" * (LONGEST_LINE + 1) + b"\nnext\n")
    assert [len(part) for part in parts] == [LONGEST_LINE, 1, 4]


def test_a_part_does_not_end_within_a_character() -> None:
    text = "x" + "é" * LONGEST_LINE
    assert "".join(fed(text.encode())) == text
