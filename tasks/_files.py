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

from tasker import WORKSPACE_MARKER, WORKSPACE_TEMPORARY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

DRAFT_SUFFIX = ".tasker-draft"
"""How the name of an unfinished file ends."""

_CHUNK_BYTES = 1 << 20
_OPEN_FLAGS = os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""A draft's: opening what waits under its name must neither follow a link nor wait for the reader of a pipe."""

_NAME_CHARACTERS = 40
"""How much of the target's name a draft repeats: at four bytes a character, the whole stays below 255 bytes."""


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give a path to write to, beside `target`, whose file takes the target's place when the block ends well.

    Missing folders are made. An exception leaves the target as it was. Content that the target already has is not
    put in its place again, so its time and inode stay. Who writes the same target meanwhile is waited for; what a
    killed writer left behind is written over.
    """
    target = Path(os.path.realpath(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    with _naming(target):
        draft, lock = _open_draft(target)
        try:
            yield draft
            _settle(draft, target)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        finally:
            os.close(lock)  # only now: once the draft is gone, its name is the next writer's


@contextmanager
def _naming(target: Path) -> Iterator[None]:
    """Let an error about the draft name the file that it is the draft of, which people know."""
    try:
        yield
    except OSError as error:
        if not str(error.filename).endswith(DRAFT_SUFFIX):
            raise
        raise OSError(error.errno, error.strerror, str(target)) from error


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
    """The files, folders and links below a folder, sorted, without what is tasker's own; links are not followed.

    That is drafts, and a workspace's marker and temporary files. Raises `OSError` where a folder cannot be read,
    rather than leaving out what is in it.
    """
    found: list[Path] = []
    for root, folders, files in os.walk(folder, onerror=_raise):
        if WORKSPACE_MARKER in files and WORKSPACE_TEMPORARY in folders:
            folders.remove(WORKSPACE_TEMPORARY)
        found += (Path(root, name) for name in (*folders, *files) if not is_ours(name))
    return sorted(found)


def is_ours(name: str) -> bool:
    """Whether a name is that of a draft or of a workspace's marker, which only tasker makes."""
    return name == WORKSPACE_MARKER or name.endswith(DRAFT_SUFFIX)


def is_inside(path: Path, folder: Path) -> bool:
    """Whether `path` is `folder` or in it, once all links on the way are followed."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def require_folder(folder: Path, argument: str) -> None:
    """Raise `NotADirectoryError`, which names the argument, unless `folder` is one."""
    if not folder.is_dir():
        found = "is not a folder" if folder.exists() else "does not exist"
        message = f"`{argument}` {found}: {folder}"
        raise NotADirectoryError(message)


def _raise(error: OSError) -> NoReturn:
    raise error


def _open_draft(target: Path) -> tuple[Path, int]:
    """An empty draft, and the descriptor that holds its lock: of one target there is one draft, and one writer."""
    key = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
    stem = f".{target.name[:_NAME_CHARACTERS]}.{key}"
    draft = target.with_name(stem + DRAFT_SUFFIX)
    lock = _lock(draft)
    if lock is None:
        draft = target.with_name(f"{stem}.{os.urandom(8).hex()}{DRAFT_SUFFIX}")
        lock = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
    return draft, lock


def _lock(draft: Path) -> int | None:
    """Open a draft, or what a killed writer left of it, once no other writer holds it.

    Answers `None` where the file system has no locks, or where something that is not ours has the draft's name.
    """
    with suppress(OSError):
        while True:
            descriptor = os.open(draft, _OPEN_FLAGS, 0o666)
            try:
                if not _is_own_file(descriptor):
                    break
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if _is_at(draft, os.fstat(descriptor)):
                    os.ftruncate(descriptor, 0)
                    return os.dup(descriptor)
            finally:
                os.close(descriptor)
    return None


def _is_own_file(descriptor: int) -> bool:
    """Whether it is a file of this user's under one name: a lock on any other may never be free, and is no writer's.

    One that its writer has just removed has no name left, and counts as well.
    """
    held = os.fstat(descriptor)
    return stat.S_ISREG(held.st_mode) and held.st_uid == os.geteuid() and held.st_nlink <= 1


def _is_at(draft: Path, held: os.stat_result) -> bool:
    """Whether the file that is held still has the draft's name: who held it before may have put it in its place."""
    try:
        return os.path.samestat(held, draft.lstat())
    except FileNotFoundError:
        return False


def _settle(draft: Path, target: Path) -> None:
    """Let `draft` take the place of `target`, with its mode, unless both hold the same bytes."""
    if same_content(draft, target):
        draft.unlink()
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
