"""A folder for each run, with a mark that it is ours to remove."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tasker.errors import TaskerError
from tasker.task import WORKSPACE_MARKER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEMPORARY = "tmp"
"""The part of a workspace that steps find as their folder for temporary files."""


class WorkspaceError(TaskerError):
    """No workspace can be made."""


@contextmanager
def workspace(path: Path, *, keep: bool) -> Iterator[Path]:
    """Make the run's workspace, and remove it at the end unless it is to be kept. Raises `WorkspaceError`."""
    try:
        _make(path)
    except OSError as error:
        message = (
            f"the workspace {path} cannot be made: {error.strerror or error}; set --workspace to a folder of yours"
        )
        raise WorkspaceError(message) from error
    try:
        yield path
    finally:
        if not keep:
            remove(path)


def _make(path: Path) -> None:
    root = path.parent
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = root.lstat()
    if not stat.S_ISDIR(found.st_mode) and not stat.S_ISLNK(found.st_mode):
        raise NotADirectoryError(None, "it is not a folder")
    if found.st_uid not in {os.geteuid(), 0}:
        # In a shared folder for temporary files, another user may have taken the name to see what comes.
        raise PermissionError(None, "the folder belongs to another user")
    path.mkdir(mode=0o700)
    (path / WORKSPACE_MARKER).touch()
    (path / TEMPORARY).mkdir()


def remove(path: Path) -> None:
    """Remove a workspace, or what a step has put in its place, if it is there; what a link leads to stays as it is."""
    with suppress(OSError):
        path.unlink()  # only what is no folder lets this be done to it
    shutil.rmtree(path, ignore_errors=True)
    if os.path.lexists(path):
        _unlock(path)
        shutil.rmtree(path, ignore_errors=True)


def _unlock(path: Path) -> None:
    """Let folders be entered and changed that a step has made so that they may not, as caches of packages are."""
    _let_in(path)
    with suppress(OSError):
        for _, names, _, folder in os.fwalk(path):
            for name in names:
                _let_in(name, folder)


def _let_in(name: str | Path, folder: int | None = None) -> None:
    """Let a folder be entered and changed; never what a link leads to that has just taken its place."""
    with suppress(OSError):
        descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=folder)
        try:
            os.chmod(f"/proc/self/fd/{descriptor}", 0o700)  # noqa: PTH101 - fchmod would need a folder that can be read
        finally:
            os.close(descriptor)
