"""The task `archive`: a folder as one file, with the same bytes for the same content."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import TypedDict

from tasker import Task

from ._files import atomic_path, digest, entries_below, is_inside, require_folder
from ._tarballs import compressing, compression_of


class Archived(TypedDict):
    """What the task hands on."""

    file: str
    """The archive's path."""
    size: int
    """Its bytes."""
    sha256: str
    entries: int
    """How many files, folders and links are in it."""


class Archive(Task):
    """Pack a folder into one file; the same content gives the same bytes."""

    task_name = "archive"

    def run(self, input_directory_path: Path, target_file_path: Path, exclude: Sequence[str] = ()) -> Archived:
        """Pack what is in a folder, in the order of its names, without owners, times and access rights.

        Whether a file may be executed is kept. Links that stay inside the folder are kept as links; one that leads
        out of it is refused, as is a folder without a file. An archive that is right already is not written again.

        Args:
            input_directory_path: The folder to pack.
            target_file_path: The archive, by its name a .tar.gz, .tgz or .tar; with zstandard .tar.zst or .tzst.
            exclude: Patterns such as `*.log` or `cache`; what matches by its path in the folder is left out.
        """
        compression = compression_of(target_file_path)
        entries = _entries(input_directory_path, target_file_path, exclude)
        before = digest(target_file_path) if target_file_path.is_file() else None
        with (
            atomic_path(target_file_path) as draft,
            compressing(draft, compression) as stream,
            tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            for entry in entries:
                _add(archive, entry, input_directory_path)
        sha256 = digest(target_file_path)
        self.logger.info("archive is unchanged" if sha256 == before else "archive is written", entries=len(entries))
        size = target_file_path.stat().st_size
        return {"file": str(target_file_path), "size": size, "sha256": sha256, "entries": len(entries)}


def _entries(folder: Path, target: Path, exclude: Sequence[str]) -> list[Path]:
    """What is to be packed: all below the folder but the archive itself and what is excluded."""
    require_folder(folder, "input_directory_path")
    itself = Path(os.path.realpath(target))
    there = [entry for entry in entries_below(folder) if Path(os.path.realpath(entry)) != itself]
    entries = [entry for entry in there if not _excluded(entry.relative_to(folder), exclude)]
    if all(entry.is_dir() for entry in entries):
        left_out = len(there) - len(entries)
        reason = f": `exclude` leaves out {left_out} of the {len(there)} entries that it has" if left_out else ""
        message = f"there is no file to pack in {folder}{reason}"
        raise ValueError(message)
    return entries


def _excluded(path: PurePath, patterns: Sequence[str]) -> bool:
    """Whether a pattern matches the path, or a folder that it is in."""
    names = [str(each) for each in (path, *path.parents)]
    return any(fnmatchcase(name, pattern) for name in names[:-1] for pattern in patterns)


def _add(archive: tarfile.TarFile, entry: Path, folder: Path) -> None:
    """Put one entry in, under its path in the folder; a `TarInfo` has no owner and no time of its own accord."""
    info = tarfile.TarInfo(entry.relative_to(folder).as_posix())
    mode = entry.lstat().st_mode
    if stat.S_ISLNK(mode):
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, _link(entry, folder), 0o777
        archive.addfile(info)
    elif stat.S_ISDIR(mode):
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(info)
    elif stat.S_ISREG(mode):
        with entry.open("rb") as stream:
            info.size = os.fstat(stream.fileno()).st_size
            info.mode = 0o755 if mode & stat.S_IXUSR else 0o644
            archive.addfile(info, stream)
    else:
        message = f"{entry} is neither a file, a folder nor a link: take it away, or name it in `exclude`"
        raise ValueError(message)


def _link(link: Path, folder: Path) -> str:
    """Where a link leads, as it is written; raises `ValueError` where that is out of the folder."""
    leads_to = link.readlink()
    if leads_to.is_absolute() or not is_inside(link, folder):
        message = f"the link {link} leads out of {folder}: put the file in its place, or name it in `exclude`"
        raise ValueError(message)
    return str(leads_to)
