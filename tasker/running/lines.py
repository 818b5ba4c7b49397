"""Bytes as they come from a pipe, to lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONGEST_LINE = 1024 * 1024
"""Bytes after which a line is handed on in parts, so that output without line ends cannot fill the memory."""
_AHEAD = 64 * 1024
"""Bytes to have beyond a cut, so that it can be seen whether it goes through something that must stay whole."""
_LONGEST_CHARACTER = 4
"""Bytes of UTF-8."""


def anywhere(_data: bytearray, at: int) -> int:
    """Cut where one wants to."""
    return at


class Lines:
    """Collects what a step prints on one stream, and hands it on line by line."""

    def __init__(self, cut: Callable[[bytearray, int], int] = anywhere) -> None:
        """Take what tells where a line that is too long may be cut: at a place, or somewhat before or behind it."""
        self._rest = bytearray()
        self._cut = cut

    def feed(self, data: bytes) -> Iterator[str]:
        """The lines that `data` completes, without their line ends; what is not UTF-8 is escaped."""
        self._rest += data
        if b"\n" in data:
            *whole, self._rest = self._rest.split(b"\n")
            for line in whole:
                yield from self._parts(line, LONGEST_LINE)
        while len(self._rest) > LONGEST_LINE + _AHEAD:
            yield self._part(self._rest)

    def end(self) -> Iterator[str]:
        """The last line, where it has no line end."""
        if self._rest:
            yield from self._parts(self._rest, LONGEST_LINE)
            self._rest = bytearray()

    def _parts(self, line: bytearray, longest: int) -> Iterator[str]:
        while len(line) > longest:
            yield self._part(line)
        yield _text(line)

    def _part(self, line: bytearray) -> str:
        """Take the longest part that a line may have from its beginning."""
        at = self._cut(line, _between_characters(line, LONGEST_LINE))
        part = line[:at]
        del line[:at]
        return part.decode(errors="backslashreplace")


def _between_characters(line: bytearray, at: int) -> int:
    for back in range(_LONGEST_CHARACTER):
        if line[at - back] & 0xC0 != 0x80:  # noqa: PLR2004 - the bits that mark a byte within a character
            return at - back
    return at


def _text(line: bytearray) -> str:
    return line.removesuffix(b"\r").decode(errors="backslashreplace")
