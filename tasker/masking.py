"""Secrets kept out of what people see."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tasker.document.values import MASK

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHORTEST_LINE = 4
"""Characters of a line of a longer secret that are worth masking: a lone brace gives nothing away."""


class Masker:
    """Replaces secrets by `***` wherever they stand in text, also in text deep within data."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Take the secrets; of one with several lines each line is one, as steps print them line by line."""
        self._secrets = set(filter(None, (text for secret in secrets for text in (secret.strip(), *_lines(secret)))))
        longest_first = sorted(self._secrets, key=len, reverse=True)
        self._longest = max((len(each.encode(errors="replace")) for each in longest_first), default=0)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
        encoded = [re.escape(each.encode(errors="replace")) for each in longest_first]
        self._bytes = re.compile(b"|".join(encoded)) if encoded else None

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


def _lines(secret: str) -> list[str]:
    return [line for line in map(str.strip, secret.splitlines()) if len(line) >= _SHORTEST_LINE]
