"""How the tasks here write files: whole or not at all, and not again where the content is already right.

Shared by the tasks of this folder; a file whose name begins with `_` is no task itself.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from tasker import WORKSPACE_MARKER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

DRAFT_SUFFIX = ".tasker-draft"
"""How the name of an unfinished file ends."""

_CHUNK_BYTES = 1 << 20
_NAME_CHARACTERS = 40
"""How much of the target's name a draft repeats: at four bytes a character, the whole stays below 255 bytes."""


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give a path to write to, beside `target`, whose file takes the target's place when the block ends well.

    Missing folders are made. An exception leaves the target as it was. Content that the target already has is not
    put in its place again, so its time and inode stay. What a killed writer left behind is removed by the next one.
    """
    target = Path(os.path.realpath(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target)
    draft, lock = _open_draft(target)
    try:
        yield draft
        _settle(draft, target)
    finally:
        draft.unlink(missing_ok=True)
        os.close(lock)


def write_if_changed(target: Path, content: bytes | str) -> bool:
    """Write `content` (text as UTF-8) to `target`, whole or not at all; answer whether it was not so already."""
    data = content.encode() if isinstance(content, str) else content
    if target.is_file() and target.stat().st_size == len(data) and target.read_bytes() == data:
        return False
    with atomic_path(target) as draft:
        draft.write_bytes(data)
    return True


def digest(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def same_content(one: Path, other: Path) -> bool:
    """Whether both are files, and hold the same bytes."""
    if not (one.is_file() and other.is_file()) or one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as left, other.open("rb") as right:
        while chunk := left.read(_CHUNK_BYTES):
            if chunk != right.read(_CHUNK_BYTES):
                return False
    return True


def entries_below(folder: Path) -> list[Path]:
    """The files, folders and links below a folder, sorted, without drafts and markers; links are not followed.

    Raises `OSError` where a folder cannot be read, rather than leaving out what is in it.
    """
    found: list[Path] = []
    for root, folders, files in os.walk(folder, onerror=_raise):
        found += (Path(root, name) for name in (*folders, *files) if not _is_ours(name))
    return sorted(found)


def is_inside(path: Path, folder: Path) -> bool:
    """Whether `path` is `folder` or in it, once all links on the way are followed."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def require_folder(folder: Path, argument: str) -> None:
    """Raise `NotADirectoryError`, which names the argument, unless `folder` is one."""
    if not folder.is_dir():
        found = "is not a folder" if folder.exists() else "does not exist"
        message = f"`{argument}` {found}: {folder}"
        raise NotADirectoryError(message)


def _is_ours(name: str) -> bool:
    return name == WORKSPACE_MARKER or name.endswith(DRAFT_SUFFIX)


def _raise(error: OSError) -> NoReturn:
    raise error


def _open_draft(target: Path) -> tuple[Path, int]:
    """A new, empty draft, and the descriptor that holds its lock: who can lock a draft knows its writer is gone."""
    while True:
        draft = target.with_name(f".{target.name[:_NAME_CHARACTERS]}.{uuid4().hex}{DRAFT_SUFFIX}")
        lock = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
        with suppress(OSError):  # a file system without locks: then its drafts are never swept either
            fcntl.flock(lock, fcntl.LOCK_EX)
        if draft.exists():  # else it was swept between its making and its lock
            return draft, lock
        os.close(lock)


def _sweep(target: Path) -> None:
    """Remove the drafts of `target` whose writers are gone."""
    start = f".{target.name[:_NAME_CHARACTERS]}."
    for sibling in target.parent.iterdir():
        if sibling.name.startswith(start) and sibling.name.endswith(DRAFT_SUFFIX):
            with suppress(OSError):
                _remove_abandoned(sibling)


def _remove_abandoned(draft: Path) -> None:
    """Remove `draft` unless someone holds its lock; raises `OSError` where that cannot be told."""
    lock = os.open(draft, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        draft.unlink()
    finally:
        os.close(lock)


def _settle(draft: Path, target: Path) -> None:
    """Let `draft` take the place of `target`, with its mode, unless both hold the same bytes."""
    if same_content(draft, target):
        return
    with suppress(FileNotFoundError):
        draft.chmod(stat.S_IMODE(target.stat().st_mode))
    _sync(draft)
    draft.replace(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    """Have the disk hold what was written, so that a crash of the machine leaves no empty file under a final name."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
