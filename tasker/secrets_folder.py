"""Secrets by their names: the files of a folder, as Kubernetes mounts them, and variables of the environment."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_LARGEST = 1024 * 1024
"""Bytes of a secret, as much as Kubernetes lets one have."""


class SecretsFolder:
    """Reads a secret when it is asked for, so that a rotated one is read anew by the next run."""

    def __init__(self, root: Path, variables: Mapping[str, str] = MappingProxyType({})) -> None:
        """Take the folder, and the variables that are secrets, which are asked for what the folder has not."""
        self._root = root
        self._variables = variables

    def __call__(self, name: str) -> str | None:
        """The secret of this name without the line end that editors leave; `None` where there is none of that size."""
        found = self._read(name)
        return self._variables.get(name) if found is None else found

    def _read(self, name: str) -> str | None:
        file = self._root / name
        # A pipe would keep us waiting.
        if not _NAME.fullmatch(name) or not file.is_file():
            return None
        try:
            with file.open("rb") as opened:
                content = opened.read(_LARGEST + 1)
        except OSError:
            return None
        # A part of a secret is no secret.
        text = content.decode(errors="surrogateescape").removesuffix("\n").removesuffix("\r")
        return text if len(content) <= _LARGEST else None
