"""What tells that files and folders are as they were, without reading them."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


def states(paths: Iterable[str]) -> dict[str, Any]:
    """Size and times of files and folders; `None` for what is not there."""
    states: dict[str, Any] = {}
    for path in paths:
        states[path] = None
        with suppress(OSError, ValueError):
            found = os.stat(path)  # noqa: PTH116 - of hundreds of paths
            states[path] = [found.st_size, found.st_mtime_ns, found.st_ctime_ns]
    return states


def listing(folder: str) -> dict[str, Any]:
    """The modules in a task folder, and the packages, whose content counts where it is imported."""
    try:
        entries = [entry for entry in os.scandir(folder) if entry.name != "__pycache__"]
    except OSError:
        return {}
    packages: dict[str, Any] = {entry.path: [] for entry in entries if entry.is_dir()}
    return packages | states(sorted(entry.path for entry in entries if entry.name.endswith(".py")))


def imported() -> set[str]:
    """The files of all modules that are loaded, and their folders, where another one could come before them."""
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    found = {file for file in files if isinstance(file, str)}
    return found | {os.path.dirname(file) for file in found}  # noqa: PTH120 - of hundreds of paths


def shadows(included: Iterable[str]) -> dict[str, bool]:
    """Whether there are files that an include without an ending would have found before the ones it found."""
    names = (Path(name) for name in included)
    bare = {name.with_suffix("") for name in names if name.suffix in (".conf", ".json")}
    return {str(path): path.exists() for name in bare for path in (name, name.with_suffix(".conf"))}
