"""Laws that hold for any document: what it means, that others read the same, that nothing but a fault is raised."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.budget import budget
from support.documents import NAME, document, faults, tree
from support.hocon_writer import Written, realistic, written

from tasker.document import plain
from tasker.errors import InvalidFileError

# A document means what plain evaluation says


@settings(max_examples=budget(400), deadline=None)
@given(st.integers(min_value=0, max_value=2**32))
def test_includes_substitutions_and_merges_mean_what_plain_evaluation_says(seed: int) -> None:
    example: Written = written(random.Random(seed))
    files = {name: text for name, text in example.files.items() if name != NAME}
    assert tree(example.files[NAME], files) == example.meaning


# Other readers agree, where they agree among themselves

DOCUMENTS = budget(5000, share=8)
REFUSED_AT_MOST = 0.005
"""The share of documents that both others accept and we may refuse; see docs/reference/hocon.md."""


def test_no_value_differs_from_one_that_two_other_readers_agree_on() -> None:
    zig, o3co = _zig_hocon(), _hocon_parser()
    rng = random.Random(20261122)
    agreed = refused = 0
    for _ in range(DOCUMENTS):
        text = realistic(rng)
        expected = _answer(zig, text)
        if expected is None or repr(expected) != repr(_answer(o3co, text)):
            continue
        agreed += 1
        found = _answer(tree, text, InvalidFileError)
        refused += found is None
        assert found is None or repr(found) == repr(expected), text
    assert agreed >= DOCUMENTS * 0.7
    assert refused <= agreed * REFUSED_AT_MOST


def _answer(read: Callable[[str], Any], text: str, refusal: type[Exception] = Exception) -> Any:
    """What the reader gives, or nothing where it refuses."""
    try:
        return read(text)
    except refusal:
        return None


def _zig_hocon() -> Callable[[str], Any]:
    from zig_hocon import ConfigFactory

    def read(text: str) -> Any:
        return ConfigFactory.parse_string(text, env={}).as_dict()

    return read


def _hocon_parser() -> Callable[[str], Any]:
    import hocon

    def read(text: str) -> Any:
        return hocon.parse(text, env={}).to_object()

    return read


# Nothing but faults


def test_mutations_of_valid_files_raise_nothing_but_faults() -> None:
    rng = random.Random(1)
    for _ in range(budget(4000)):
        example = written(rng)
        files: dict[str, str | bytes] = {name: _mutated(text, rng) for name, text in example.files.items()}
        found = faults(files.pop(NAME), files)
        assert all(fault.place.line >= 1 and fault.place.column >= 1 for fault in found)


def _mutated(text: str, rng: random.Random) -> bytes:
    """The text with a few bytes dropped, doubled, or replaced by what means something to HOCON."""
    content = bytearray(text.encode())
    for _ in range(rng.randint(0, 3)):
        start = rng.randrange(len(content) + 1)
        end = min(len(content), start + rng.choice([0, 1, 1, 5, 40]))
        piece = rng.choice([b"", b"", bytes(content[start:end]) * 2, rng.choice(_PIECES)])
        content[start:end] = piece
    return bytes(content)


_SIGNS = [
    "{",
    "}",
    "[",
    "]",
    '"',
    '"""',
    "${",
    "${?",
    "=",
    ":",
    "+=",
    ",",
    ".",
    "#",
    "//",
    "\\",
    "\\u",
    "\n",
    "\0",
    "-",
    "é",
]
_PIECES = [sign.encode() for sign in _SIGNS]
_PIECES += [b"\xff", b"\xed\xa0\x80", b'include "part1.conf"', b"${k1}", b"k1 = ${k1}", b"k1 { a = ${k1} }"]


@settings(max_examples=budget(300), deadline=None)
@given(st.text(alphabet="ab{}[]\"$?=:+,.#/\\\n 1u-\t'*é", max_size=60))
def test_any_text_is_a_document_or_has_faults(text: str) -> None:
    found = _answer(document, text, InvalidFileError)
    assert found is None or plain(found.root) == plain(document(text).root)
