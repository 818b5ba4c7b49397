"""Secrets kept out of what people see."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tasker.document.values import MASK

if TYPE_CHECKING:
    from collections.abc import Iterable


class Masker:
    """Replaces secrets by `***` wherever they stand in text, also in text deep within data."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Take the secrets; of one with several lines each line is one, as steps print them line by line."""
        lines = {line.strip() for secret in secrets for line in (secret, *secret.splitlines())}
        longest_first = sorted(filter(None, lines), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def mask(self, data: Any) -> Any:
        """The data, with every secret in its strings masked; keys of mappings too."""
        if self._pattern is None:
            return data
        match data:
            case str():
                return self._pattern.sub(MASK, data)
            case dict():
                return {self.mask(key): self.mask(value) for key, value in data.items()}
            case list() | tuple():
                return [self.mask(item) for item in data]
        return data
