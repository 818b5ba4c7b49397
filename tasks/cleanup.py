"""The task `cleanup`: what is in a workspace, away.

Not to be confused with `prune`, which judges backups by their age.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

from tasker import WORKSPACE_MARKER, Task


class Cleaned(TypedDict):
    """What the task hands on."""

    removed: int
    """How many entries of the folder are gone, each with all that was in it."""


class Cleanup(Task):
    """Empty the run's workspace, or a folder in it; refuse any other folder."""

    task_name = "cleanup"

    def run(self, path: Path | None = None) -> Cleaned:
        """Remove what is in a workspace; the folder itself stays, and is one for later steps to use.

        A folder counts where it, or one above it, holds the marker. Links are removed, and what they lead to stays.

        Args:
            path: The workspace, or a folder in one; by default the run's own workspace.
        """
        folder = path if path is not None else self.context.workspace
        _require_workspace(folder)
        entries = list(_entries(folder)) if folder.exists() else []
        for entry in entries:
            _remove(entry)
        self.logger.info("workspace is clean", removed=len(entries))
        return {"removed": len(entries)}


def _entries(folder: Path) -> Iterator[Path]:
    """What is to go: all but the marker, and the folder that steps have their temporary files in, which is emptied."""
    temporary = os.path.realpath(tempfile.gettempdir())
    for entry in folder.iterdir():
        if os.path.realpath(entry) == temporary and not entry.is_symlink():
            yield from entry.iterdir()
        elif entry.name != WORKSPACE_MARKER:
            yield entry


def _require_workspace(folder: Path) -> None:
    """Raise `ValueError` unless the folder is a workspace, or is in one."""
    real = Path(os.path.realpath(folder))
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        _refuse(folder, "it is a link or a file; name the folder itself")
    for precious, name in _precious():
        if Path(os.path.realpath(precious)).is_relative_to(real):
            _refuse(folder, f"{name} is in it")
    if not any(_is_marked(each) for each in (real, *real.parents)):
        _refuse(folder, f"neither it nor a folder above it holds the file {WORKSPACE_MARKER}, so it is no workspace")


def _precious() -> Iterator[tuple[Path, str]]:
    """Folders that no mark gives away, with their names; a user whom a container made up has no home."""
    yield Path.cwd(), "the current folder"
    with suppress(RuntimeError):
        yield Path.home(), "the home folder"


def _is_marked(folder: Path) -> bool:
    marker = folder / WORKSPACE_MARKER
    return marker.is_file() and not marker.is_symlink()


def _refuse(folder: Path, reason: str) -> None:
    message = f"{folder} is not emptied: {reason}"
    raise ValueError(message)


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)
