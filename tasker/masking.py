"""Secrets kept out of what people see."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tasker.document.values import MASK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SHORTEST_LINE = 4
"""Characters of a line of a longer secret that are worth masking: a lone brace gives nothing away."""
_LONGEST_WITH_FORMS = 64 * 1024
"""Characters of a secret up to which it is looked for as programs escape it, too: longer ones are files, not keys."""


class Masker:
    """Replaces secrets by `***` wherever they stand in text, plain or escaped, also in text deep within data."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Take the secrets; of one with several lines each line is one, as steps print them line by line."""
        self._secrets = {form for secret in secrets for form in _forms(secret)}
        longest_first = sorted(self._secrets, key=len, reverse=True)
        encoded = [each.encode(errors="surrogateescape") for each in longest_first]
        self._longest = max(map(len, encoded), default=0)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
        self._bytes = re.compile(b"|".join(map(re.escape, encoded))) if encoded else None

    def mask(self, data: Any) -> Any:
        """The data, with every secret in its strings masked; keys of mappings too, and numbers that are one."""
        if self._pattern is None:
            return data
        match data:
            case str():
                return self._pattern.sub(MASK, data)
            case dict():
                return {self.mask(key): self.mask(value) for key, value in data.items()}
            case list() | tuple():
                return [self.mask(item) for item in data]
            case int() | float() if str(data) in self._secrets:
                return MASK
        return data

    def cut(self, line: bytearray, at: int) -> int:
        """Where to cut a line of UTF-8 whose parts are masked one by one: at a place, or beside the secret there."""
        if self._bytes is None:
            return at
        for found in self._bytes.finditer(line, max(0, at - self._longest)):
            if found.start() >= at:
                break
            if found.end() > at:
                return found.start() or found.end()
        return at


def _forms(secret: str) -> Iterator[str]:
    """All that the secret may look like: itself and its lines, plain and escaped."""
    for text in filter(None, (secret.strip(), *_lines(secret))):
        yield text
        if len(secret) <= _LONGEST_WITH_FORMS:
            yield from _escaped(text)


def _lines(secret: str) -> list[str]:
    return [line for line in map(str.strip, secret.splitlines()) if len(line) >= _SHORTEST_LINE]


def _escaped(text: str) -> Iterator[str]:
    """The text as Python, JSON, URLs and shells write it."""
    import json  # noqa: PLC0415 - only files with secrets pay for it
    from urllib.parse import quote, quote_plus  # noqa: PLC0415

    data = text.encode(errors="surrogateescape")
    yield data.decode(errors="backslashreplace")
    yield from (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
    yield from (quote(data), quote(data, safe=""), quote_plus(data))
    yield from (text.replace("'", r"'\''"), text.replace("'", "'\"'\"'"))
    # A quote before the text makes Python choose single quotes, and escape those within: it does so only where it must.
    for quoted in (repr(f'"{text}')[2:-1], ascii(f'"{text}')[2:-1], repr(b'"' + data)[3:-1]):
        yield from (quoted, quoted.replace(r"\'", "'"))
