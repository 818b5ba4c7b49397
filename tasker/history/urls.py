"""Where a history is, as it may be shown: a URL without its password."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_URL = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_MASK = "***"
_SECRETS = re.compile(r"((?:ssl)?password\s*=\s*)('[^']*'?|[^&\s]+)", re.IGNORECASE)
_USER = re.compile(r"([a-z][a-z0-9+.-]*:/*[^:/?#@\s]*):.*@", re.IGNORECASE)
"""A user, and all that may be the password: up to the last `@`, since who forgets to escape one has several."""


def is_url(where: str | Path) -> bool:
    """Whether this names a server rather than a folder."""
    return isinstance(where, str) and bool(_URL.match(where))


def shown(where: str | Path) -> str:
    """The text with `***` for every password in it."""
    return _SECRETS.sub(rf"\1{_MASK}", _USER.sub(rf"\1:{_MASK}@", str(where)))
