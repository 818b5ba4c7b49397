"""Which files of a conf folder are pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def conf_files(folder: Path) -> list[Path]:
    """The pipelines of a conf folder, sorted."""
    return sorted(file for file in folder.glob("*.conf") if is_pipeline(file.name))


def is_pipeline(name: str) -> bool:
    """Whether a file of this name is one: it ends in `.conf`, and begins with neither `_` nor `.`."""
    return name.endswith(".conf") and not name.startswith(("_", "."))
