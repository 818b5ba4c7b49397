"""What a secret looks like where programs show it: itself and its lines, plain and escaped."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SHORTEST_LINE = 4
"""Characters of a line of a longer secret that are worth masking: a lone brace gives nothing away."""
_LONGEST_ESCAPED = 64 * 1024
"""Characters of a secret up to which it is looked for as programs escape it, too: longer ones are files, not keys."""
_TINY = 3
"""Bytes of a secret that `encoded` finds; of smaller ones, what base64 makes of them alone is known here."""
_BETWEEN = "\0"
"""What stands between lines that are escaped together. No line has one."""


def forms(secret: str) -> Iterator[str]:
    """All that the secret may look like."""
    whole = secret.strip()
    lines = _lines(secret)
    yield whole
    yield from lines
    if len(_data(whole)) < _TINY:
        yield from _tiny(_data(whole))
    if len(secret) <= _LONGEST_ESCAPED:
        for escape in _escapes():
            yield escape(whole)
            yield from _each(escape, lines)


def _tiny(data: bytes) -> Iterator[str]:
    for each in (data, data + b"\n"):
        yield from (b64encode(each).decode(), urlsafe_b64encode(each).decode())


def _lines(secret: str) -> list[str]:
    if not secret.strip().isprintable():  # nothing else ends a line
        return [line for line in map(str.strip, secret.splitlines()) if len(line) >= _SHORTEST_LINE]
    return []


def _each(escape: Callable[[str], str], lines: list[str]) -> list[str]:
    """The lines, escaped: at one go, which for thousands of them is many times as quick as one by one."""
    if len(lines) < 2:  # noqa: PLR2004 - there is nothing to save
        return [escape(line) for line in lines]
    escaped = escape(_BETWEEN.join(lines)).split(escape(_BETWEEN))
    return escaped if len(escaped) == len(lines) else [escape(line) for line in lines]


def _escapes() -> list[Callable[[str], str]]:
    """How Python, JSON, URLs and shells write text."""
    import json  # noqa: PLC0415 - only files with secrets pay for it
    from urllib.parse import quote, quote_plus  # noqa: PLC0415

    def unquoted(escape: Callable[[str], str]) -> Callable[[str], str]:
        return lambda text: escape(text).replace(r"\'", "'")

    # A quote before the text makes Python choose single quotes, and escape those within: it does so only where it must.
    python: list[Callable[[str], str]] = [
        lambda text: repr(f'"{text}')[2:-1],
        lambda text: ascii(f'"{text}')[2:-1],
        lambda text: repr(b'"' + _data(text))[3:-1],
    ]
    return [
        lambda text: _data(text).decode(errors="backslashreplace"),
        lambda text: json.dumps(text)[1:-1],
        lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
        lambda text: quote(_data(text)),
        lambda text: quote(_data(text), safe=""),
        lambda text: quote_plus(_data(text)),
        lambda text: text.replace("'", r"'\''"),
        lambda text: text.replace("'", "'\"'\"'"),
        *python,
        *map(unquoted, python),
    ]


def _data(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
