"""The task `extract`: what is in an archive, into a folder, and nothing beyond that folder.

Archives come from elsewhere, so nothing is written before all of it is known to be harmless: no name leads out of the
folder, no link does, and what it unpacks to stays within bounds, also of memory while it is looked through.
"""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, BinaryIO, NoReturn, TypedDict

from annotated_types import Ge

from tasker import Size, Task

from ._files import DRAFT_SUFFIX, atomic_path, is_ours
from ._tarballs import broken_stream_errors, compression_of, decompressing

HEADERS_LIMIT = 1024 * 1024
"""Bytes that may describe one entry: a name has a few thousand at most, and a bomb has no bound of its own."""

DEFAULT_MAX_SIZE = Size(10 * 1024**3)
"""Bytes that the files of an archive may come to unless the step says otherwise."""

_SKIP_BYTES = 64 * 1024


_DAMAGE = (tarfile.TarError, ValueError, OverflowError, RecursionError)
"""What tarfile raises for headers that are not what they should be."""


class Extracted(TypedDict):
    """What the task hands on."""

    directory: str
    """The folder that was extracted to."""
    entries: int
    """How many files, folders and links came out of the archive."""
    size: int
    """The bytes of its files."""


class Refused(ValueError):  # noqa: N818 - it says what happened to the archive
    """The archive is not extracted, and nothing of it was written."""


class Extract(Task):
    """Unpack an archive into a folder, and nothing outside it."""

    task_name = "extract"

    def run(
        self,
        archive_file_path: Path,
        target_directory_path: Path,
        max_size: Size = DEFAULT_MAX_SIZE,
        max_entries: Annotated[int, Ge(1)] = 100_000,
    ) -> Extracted:
        """Unpack an archive; other files in the folder stay, and what is right already is not written again.

        An archive with a name or link that leads out of the folder, with a device, with a name that means something
        to tasker, or that is over a limit is refused as a whole, before anything is written. Owners and times are
        not restored.

        Args:
            archive_file_path: The archive, by its name a .tar.gz, .tgz or .tar; with zstandard .tar.zst or .tzst.
            target_directory_path: The folder to unpack into; it is made where it is missing.
            max_size: Bytes that the files may come to.
            max_entries: How many files, folders and links there may be.
        """
        with _opened(archive_file_path) as archive:
            inventory = _inventory(archive, max_size, max_entries)
        folder = Path(os.path.realpath(target_directory_path))
        for path, entry in inventory.entries.items():
            _require_free_way(folder, path, entry)
        with _opened(archive_file_path) as archive:
            _write(archive, inventory, folder)
        self.logger.info("archive is extracted", entries=len(inventory.entries), size=inventory.size)
        return {
            "directory": str(target_directory_path),
            "entries": len(inventory.entries),
            "size": inventory.size,
        }


@dataclass
class _Inventory:
    """What an archive was found to hold, all of it harmless."""

    entries: dict[PurePosixPath, tarfile.TarInfo] = field(default_factory=dict)
    size: int = 0


def _inventory(archive: _Reader, max_size: int, max_entries: int) -> _Inventory:
    """Look an archive through, in bounded memory; raises `Refused`."""
    found = _Inventory()
    for entry in archive:
        path = _path(entry)
        if path in found.entries and not (entry.isdir() and found.entries[path].isdir()):
            _refuse(f"it holds {entry.name!r} twice")
        found.size += _size(entry, found)
        found.entries[path] = entry
        if found.size > max_size:
            _refuse(f"its files come to more than {max_size} bytes; `max_size` sets the limit")
        if len(found.entries) > max_entries:
            _refuse(f"it holds more than {max_entries} entries; `max_entries` sets the limit")
    for path in found.entries:
        if any(parent in found.entries and not found.entries[parent].isdir() for parent in path.parents):
            _refuse(f"{str(path)!r} is below a file or link")
    return found


def _path(entry: tarfile.TarInfo) -> PurePosixPath:
    """Where the entry goes, from the folder on."""
    path = PurePosixPath(entry.name)
    if path.is_absolute() or ".." in path.parts or "\0" in entry.name or not (path.parts or entry.isdir()):
        _refuse(f"the name {entry.name!r} leads out of the folder")
    if is_ours(path.name):
        _refuse(f"the name {entry.name!r} would make tasker take the folder for a workspace, or the file for a draft")
    if not (entry.isreg() or entry.isdir() or entry.issym() or entry.islnk()):
        _refuse(f"{entry.name!r} is neither a file, a folder nor a link")
    if entry.issym() and not _stays_inside(PurePosixPath(entry.linkname), path):
        _refuse(f"the link {entry.name!r} leads out of the folder")
    return path


def _stays_inside(leads_to: PurePosixPath, link: PurePosixPath) -> bool:
    """Whether a link stays in the folder, whatever links it leads over: `..` is only trusted where it stands first."""
    ups = next((count for count, part in enumerate(leads_to.parts) if part != ".."), len(leads_to.parts))
    return not leads_to.is_absolute() and ".." not in leads_to.parts[ups:] and ups < len(link.parts)


def _size(entry: tarfile.TarInfo, found: _Inventory) -> int:
    """The bytes that the entry will take; a hard link becomes a copy of the file that it names."""
    if entry.islnk():
        original = found.entries.get(PurePosixPath(entry.linkname))
        if original is None or not original.isreg():
            _refuse(f"the hard link {entry.name!r} names no file that is before it")
        return original.size
    if entry.size < 0:
        _refuse(f"{entry.name!r} has a size below zero")
    return entry.size if entry.isreg() else 0


def _require_free_way(folder: Path, path: PurePosixPath, entry: tarfile.TarInfo) -> None:
    """Raise `Refused` where something of another kind, or a link, stands in the entry's way."""
    kind = stat.S_IFLNK if entry.issym() else stat.S_IFDIR if entry.isdir() else stat.S_IFREG
    for each, expected in ((path, kind), *((parent, stat.S_IFDIR) for parent in path.parents)):
        with suppress(FileNotFoundError, NotADirectoryError):
            if stat.S_IFMT((folder / each).lstat().st_mode) != expected:
                _refuse(f"{folder / each} is in the way, and is not what the archive has there")


def _write(archive: _Reader, inventory: _Inventory, folder: Path) -> None:
    """Write what the inventory holds; links come last, so that nothing can be written through one."""
    folder.mkdir(parents=True, exist_ok=True)
    links = []
    for entry in archive:
        path = _path(entry)
        if path not in inventory.entries or _facts(inventory.entries[path]) != _facts(entry):
            _refuse("it changed while it was read")
        if entry.isdir():
            (folder / path).mkdir(parents=True, exist_ok=True)
        elif entry.issym():
            links.append((folder / path, entry.linkname))
        else:
            _write_file(archive, entry, folder)
    for link, leads_to in links:
        _write_link(link, leads_to)


def _facts(entry: tarfile.TarInfo) -> tuple[object, ...]:
    return entry.type, entry.size, entry.linkname


def _write_file(archive: _Reader, entry: tarfile.TarInfo, folder: Path) -> None:
    target = folder / PurePosixPath(entry.name)
    with atomic_path(target) as draft:
        if entry.islnk():
            shutil.copyfile(folder / PurePosixPath(entry.linkname), draft)
        else:
            archive.copy(entry, draft)
    mode = stat.S_IMODE(target.stat().st_mode)
    executable = mode | (mode & 0o444) >> 2 if entry.mode & stat.S_IXUSR else mode & ~0o111
    if mode != executable:
        target.chmod(executable)


def _write_link(link: Path, leads_to: str) -> None:
    if link.is_symlink() and link.readlink() == Path(leads_to):
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    draft = link.with_name(f".{os.urandom(16).hex()}{DRAFT_SUFFIX}")
    draft.symlink_to(leads_to)
    draft.replace(link)


def _refuse(reason: str) -> NoReturn:
    message = f"the archive is refused: {reason}"
    raise Refused(message)


class _Bounded:
    """A stream that only goes forward, and refuses to read more than its allowance."""

    def __init__(self, stream: BinaryIO) -> None:
        self.allowance = HEADERS_LIMIT
        self.latest = b""
        self._stream = stream
        self._position = 0

    def read(self, size: int) -> bytes:
        if size > self.allowance:
            _refuse(f"it has more than {HEADERS_LIMIT} bytes that are not the content of a file, in one place")
        self.latest = self._stream.read(size)
        self.allowance -= len(self.latest)
        self._position += len(self.latest)
        return self.latest

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        while (left := position - self._position) > 0:
            data = self._stream.read(min(left, _SKIP_BYTES))
            if not data:
                break
            self._position += len(data)


class _Reader:
    """The entries of an archive, one after the other."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = _Bounded(stream)
        self._archive = tarfile.TarFile(fileobj=self._stream, errorlevel=2)  # type: ignore[arg-type]  # it reads no more

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        self._stream.allowance = HEADERS_LIMIT
        while entry := self._archive.next():
            self._archive.members.clear()  # type: ignore[attr-defined]  # else it keeps every entry
            yield entry
            self._stream.allowance = HEADERS_LIMIT
        if not self._stream.latest or self._stream.latest.strip(b"\0"):
            _refuse("it is damaged or cut off: it does not end with an empty block")
        while self._stream.read(_SKIP_BYTES):
            """Read to the end, where the checksums are."""

    def copy(self, entry: tarfile.TarInfo, target: Path) -> None:
        """Write the content of a file that was just reached."""
        self._stream.allowance = entry.size + HEADERS_LIMIT
        content = self._archive.extractfile(entry)
        assert content is not None  # noqa: S101 - only files are copied
        with target.open("wb") as stream:
            shutil.copyfileobj(content, stream)


@contextmanager
def _opened(path: Path) -> Iterator[_Reader]:
    """Read an archive; raises `Refused` where it turns out to be none, or cut off."""
    compression = compression_of(path)
    try:
        with decompressing(path, compression) as stream:
            yield _Reader(stream)
    except Refused:
        raise
    except _DAMAGE + broken_stream_errors() as error:
        _refuse(f"{path} is damaged, cut off, or not what its name says ({type(error).__name__})")
