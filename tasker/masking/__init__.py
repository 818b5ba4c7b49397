"""Secrets kept out of what people see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tasker.document.values import MASK
from tasker.masking.encoded import Encoded
from tasker.masking.forms import forms
from tasker.masking.search import search_for

if TYPE_CHECKING:
    from collections.abc import Iterable

_FURTHEST = 128 * 1024
"""Bytes before a cut in which a secret may begin that the cut goes through; there are hardly more of it behind."""
_CLEARANCE = 16
"""Bytes beside a secret that decide on how much of it there is: those that share a character of base64 with it."""


class Masker:
    """Replaces secrets by `***` wherever they stand in text, plain, escaped or in base64, also deep within data.

    What it costs to mask a text does not depend on how large the secrets are.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        """Take the secrets; of one with several lines each line is one, as steps print them line by line."""
        known = {secret for secret in secrets if secret.strip()}
        self._forms = {form for secret in known for form in forms(secret)}
        self._search = search_for(self._forms)
        self._encoded = Encoded(known)
        self._before = min(_FURTHEST, max((len(form) * 4 for form in self._forms), default=0) + _CLEARANCE)

    def mask(self, data: Any) -> Any:
        """The data, with every secret in its strings masked; keys of mappings too, and numbers that are one."""
        if not self._forms:
            return data
        match data:
            case str():
                return self._masked(data)
            case dict():
                return {self.mask(key): self.mask(value) for key, value in data.items()}
            case list() | tuple():
                return [self.mask(item) for item in data]
            case int() | float() if str(data) in self._forms:
                return MASK
        return data

    def cut(self, line: bytearray, at: int) -> int:
        """Where to cut a line of UTF-8 whose parts are masked one by one: at a place, or beside the secret there."""
        if not self._forms:
            return at
        begin = max(0, at - self._before)
        text = line[begin:].decode(errors="surrogateescape")
        for start, end in self._spans(text):
            first = begin + _bytes(text[:start])
            last = first + _bytes(text[start:end])
            if first < at < last:
                return first or last
            if first >= at:
                break
        return at

    def _masked(self, text: str) -> str:
        spans = self._spans(text)
        if not spans:
            return text
        parts, done = [], 0
        for start, end in spans:
            parts += [text[done:start], MASK]
            done = end
        return "".join([*parts, text[done:]])

    def _spans(self, text: str) -> list[tuple[int, int]]:
        """Where secrets stand in a text, in order; those that overlap as one."""
        found = [*self._search(text), *self._encoded.spans(text)]
        return _joined(found) if len(found) > 1 else found


def _joined(found: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found.sort()
    joined = [found[0]]
    for start, end in found:
        last_start, last_end = joined[-1]
        if start >= last_end:
            joined.append((start, end))
        elif end > last_end:
            joined[-1] = (last_start, end)
    return joined


def _bytes(text: str) -> int:
    return len(text.encode(errors="surrogateescape"))
