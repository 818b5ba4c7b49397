"""Which files of a conf folder are pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def conf_files(folder: Path) -> list[Path]:
    """The pipelines of a conf folder: its `*.conf` files whose names begin with neither `_` nor `.`."""
    return sorted(file for file in folder.glob("*.conf") if not file.name.startswith(("_", ".")))
