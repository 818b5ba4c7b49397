"""What the ways to upload share: what they are given, what they answer, and when to try again.

Messages never hold a credential, a URL's query, or another library's words, which may repeat either.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

LONGEST_PAUSE_S = 60.0
"""Seconds between two attempts at most, whatever the server asks for: a step should end while someone is waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to get in; shown nowhere."""

    timeout: float
    """Seconds for a connection to be made, and for each answer."""
    attempts: int
    delay: float
    """Seconds before the second attempt; each further pause is twice the one before."""
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    private_key: Path | None = field(default=None, repr=False)
    known_hosts: Path | None = None


class Destination(Protocol):
    """A place that files are sent to."""

    def put(self, file: Path, name: str) -> bool:
        """Send a file to a name below the place; answer whether it was not there already, with the same content."""

    def close(self) -> None:
        """Let go of connections."""


class UploadError(Exception):
    """The other side refuses, and would again."""


class TryAgainError(UploadError):
    """The other side could not answer now, and may later."""

    def __init__(self, message: str, after: float | None = None) -> None:
        self.after = after
        """Seconds that the other side asks to wait."""
        super().__init__(message)


def retrying(
    action: Callable[[], bool],
    access: Access,
    announce: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Do `action`, again where it is worth it, at most `access.attempts` times; raises its last error."""
    for attempt in range(1, access.attempts):
        try:
            return action()
        except TryAgainError as error:
            announce(str(error))
            sleep(_pause(attempt, access.delay, error.after))
    return action()


def _pause(attempt: int, delay: float, asked: float | None) -> float:
    """Seconds before the next attempt: what doubling gives, or more where the other side asks for more."""
    return min(LONGEST_PAUSE_S, max(delay * 2.0 ** (attempt - 1), asked or 0.0))
