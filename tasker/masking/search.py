"""Many words sought in a text at once, in a time that does not grow with how many there are, or how long.

Not to be confused with `encoded`, which seeks parts of words.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

Search: TypeAlias = "Callable[[str], Iterable[tuple[int, int]]]"
"""Answers where words stand in a text: from each place at which one begins, the longest."""

_FEW = 24
"""Words up to which a regular expression, which tries them one after the other, is the quicker way."""
_SHORT = 4 * 1024
"""Characters of all words up to which making that expression takes hardly any time."""
_BEGINNING = 4
"""Characters of a word by which it is recognised among many."""


def search_for(words: Collection[str]) -> Search:
    """The quickest search for these words."""
    if len(words) <= _FEW and sum(map(len, words)) <= _SHORT:
        return _by_expression(words)
    brief = [word for word in words if len(word) < _BEGINNING]
    long, short = _by_beginning([word for word in words if len(word) >= _BEGINNING]), _by_expression(brief)
    return lambda text: [*long(text), *short(text)]


def _by_expression(words: Collection[str]) -> Search:
    if not words:
        return lambda _text: ()
    search = re.compile("|".join(map(re.escape, sorted(words, key=len, reverse=True)))).search

    def spans(text: str) -> list[tuple[int, int]]:
        found = []
        match = search(text)
        while match:
            found.append(match.span())
            # Not from its end: another word may begin within this one.
            match = search(text, match.start() + 1)
        return found

    return spans


def _by_beginning(words: Iterable[str]) -> Search:
    """A search that looks each part of the text up, however many words there are."""
    whole = set(words)
    lengths: dict[str, set[int]] = {}
    for word in whole:
        lengths.setdefault(word[:_BEGINNING], set()).add(len(word))
    longest_first = {beginning: sorted(each, reverse=True) for beginning, each in lengths.items()}

    def spans(text: str) -> list[tuple[int, int]]:
        found = []
        size = len(text)
        for at in [at for at in range(size - _BEGINNING + 1) if text[at : at + _BEGINNING] in longest_first]:
            for length in longest_first[text[at : at + _BEGINNING]]:
                if at + length <= size and text[at : at + length] in whole:
                    found.append((at, at + length))
                    break
        return found

    return spans
