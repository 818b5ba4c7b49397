"""Bytes as they come from a pipe, to lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_LINE = 1024 * 1024
"""Bytes after which a line is handed on in parts, so that output without line ends cannot fill the memory."""


class Lines:
    """Collects what a step prints on one stream, and hands it on line by line."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[str]:
        """The lines that `data` completes, without their line ends; what is not UTF-8 is escaped."""
        self._rest += data
        if b"\n" in data:
            *whole, rest = self._rest.split(b"\n")
            self._rest = rest
            for line in whole:
                yield _text(line)
        while len(self._rest) > LONGEST_LINE:
            yield _text(self._rest[:LONGEST_LINE])
            del self._rest[:LONGEST_LINE]

    def end(self) -> Iterator[str]:
        """The last line, where it has no line end."""
        if self._rest:
            yield _text(self._rest)
            self._rest = bytearray()


def _text(line: bytearray) -> str:
    return line.removesuffix(b"\r").decode(errors="backslashreplace")
