"""Secrets in base64, wherever they stand in what was encoded, and however the result is broken into lines.

Base64 makes four characters of three bytes. What it makes of a secret therefore depends on how many bytes precede it,
modulo three, and its first and last character also on its neighbours. So all three texts are known here, without those
characters, and parts of them are recognised by blocks.
"""

from __future__ import annotations

import re
from base64 import b64encode
from string import ascii_letters, digits
from typing import TYPE_CHECKING

from tasker.masking.search import search_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SHORTEST = 4
"""Characters of base64 that are taken for a secret's: fewer are found by chance."""
_BLOCK = 8
"""Characters by which a part is recognised."""
_PART = 15
"""Characters that a part of a longer text must have; a shorter text must be there whole."""
_LARGE = 64 * 1024
"""Characters of a text from which on fewer blocks of it are known, so that memory holds them."""
_SPARSE = 32
"""Characters from one block to the next of a large text. Programs that break lines do so at 64 characters or more."""
_ALPHABET = frozenset(ascii_letters + digits + "+/")
_RUN = re.compile(rf"[A-Za-z0-9+/]{{{_PART},}}")
_SHARED = re.compile("[A-Za-z0-9+/]?={0,2}")


class Encoded:
    """Finds what secrets look like in base64, be it standard or URL-safe, padded or not."""

    def __init__(self, secrets: Iterable[str]) -> None:
        texts = {text for secret in secrets for text in _texts(secret.strip().encode(errors="surrogateescape"))}
        self._texts = [text for text in texts if len(text) >= _PART]
        self._blocks: dict[str, tuple[int, int]] = {}
        """The text that a block is of, and where it stands in it."""
        for number, text in enumerate(self._texts):
            for at in _places(text):
                self._blocks.setdefault(text[at : at + _BLOCK], (number, at))
        self._short = search_for([text for text in texts if len(text) < _PART])

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where secrets stand in a text, with the characters that they share with what stands beside them."""
        if "-" in text or "_" in text:
            text = text.replace("-", "+").replace("_", "/")
        for start, end in self._short(text):
            yield _with_shared(text, start, end)
        if self._blocks:
            for run in _RUN.finditer(text):
                for start, end in self._parts(text, *run.span()):
                    yield _with_shared(text, start, end)

    def _parts(self, text: str, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Where parts of longer texts stand between two places."""
        blocks, reached = self._blocks, first
        for at in [at for at in range(first, last - _BLOCK + 1) if text[at : at + _BLOCK] in blocks]:
            if at >= reached:
                start, end = self._grown(text, at, blocks[text[at : at + _BLOCK]])
                if end - start >= _PART:
                    yield start, end
                    reached = end - _BLOCK + 1

    def _grown(self, text: str, at: int, place: tuple[int, int]) -> tuple[int, int]:
        """How far the part goes to which a block belongs."""
        number, begin = place
        known = self._texts[number]
        back = 0
        while back < min(at, begin, _SPARSE) and text[at - back - 1] == known[begin - back - 1]:
            back += 1
        return at - back, at + _common(text, at, known, begin)


def _texts(data: bytes) -> Iterator[str]:
    """What base64 makes of the bytes after none, one or two others: the characters that are theirs alone."""
    for before in range(3):
        text = b64encode(bytes(before) + data).decode()
        own = text[before + 1 if before else 0 : (before + len(data)) * 8 // 6]
        if len(own) >= _SHORTEST:
            yield own


def _places(text: str) -> Iterator[int]:
    """Where the blocks of a text are: so close that every part which counts has one, whole."""
    yield from range(0, len(text) - _BLOCK, _BLOCK if len(text) < _LARGE else _SPARSE)
    yield len(text) - _BLOCK


def _with_shared(text: str, start: int, end: int) -> tuple[int, int]:
    """The place with the character before and behind it, and the padding."""
    behind = _SHARED.match(text, end)
    return start - (start > 0 and text[start - 1] in _ALPHABET), behind.end() if behind else end


def _common(one: str, at: int, other: str, begin: int) -> int:
    """How many characters two texts share from some place on in each."""
    low, high = 0, min(len(one) - at, len(other) - begin)
    while low < high:
        middle = (low + high + 1) // 2
        if one[at + low : at + middle] == other[begin + low : begin + middle]:
            low = middle
        else:
            high = middle - 1
    return low
