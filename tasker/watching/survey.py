"""What is in the conf folder and the task folders now, by content, and in the secrets folder; what differs from before.

Not to be confused with a snapshot, which holds the texts of one pipeline: a survey only tells that texts are others.
"""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass, field
from errno import ELOOP, ENOENT, ENOTDIR
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

MOST_ENTRIES = 20_000
"""Files and folders below one folder that are looked at: more are no configuration, but someone's data."""

MOST_READ = 1024 * 1024
"""Bytes of a file that are read; of a longer one, its size and time tell the rest."""

_YOUNG_NS = 2_000_000_000
"""How long a file may change again and its times stay the same: the coarsest file systems count in two seconds."""

_GONE = frozenset({ENOENT, ENOTDIR, ELOOP})


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file as it was when it was read."""

    state: tuple[int, ...]
    digest: str
    settled: bool
    """Whether another content would have to have another state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The files that pipelines and secrets are read from and that tasks' code is in, at one moment.

    A file of the conf folder is called `os.path.abspath(os.path.join(conf_dir, path in it))`, whatever is a link in
    that; a module is called by the resolved path of its task folder, and its path in that, as Python calls it.
    """

    files: Mapping[str, str]
    """A digest of the content, by absolute path; of what cannot be read, one that says so. Of a secret, its state."""
    troubles: tuple[str, ...] = ()
    """What could not be looked at, in words; what a survey before this one saw there counts as being there still."""
    seen: Mapping[str, _Seen] = field(default_factory=dict, repr=False, compare=False)
    """For the next survey, which reads none of these again that is as it was."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What counts in a folder."""

    takes: Callable[[str], bool]
    """Whether a file of this name does."""
    enters: Callable[[str], bool]
    """Whether a folder of this name may hold such files."""
    within: bool
    """Whether links that lead out of the folder are not followed."""
    reads: bool = True
    """Whether the content counts, and not just size and times."""


def _is_visible(name: str) -> bool:
    return not name.startswith(".")


_CONF = _Kind(takes=_is_visible, enters=_is_visible, within=True)
_TASKS = _Kind(
    takes=lambda name: name.endswith(".py") and _is_visible(name),
    enters=lambda name: name.isidentifier() and name != "__pycache__",
    within=False,
)
_SECRETS = _Kind(takes=_is_visible, enters=lambda _name: False, within=False, reads=False)


def survey(
    conf_dir: Path,
    task_folders: Sequence[Path],
    before: Survey | None = None,
    *,
    secrets: Path | None = None,
    clock: Callable[[], int] = time.time_ns,
    most: int = MOST_ENTRIES,
) -> Survey:
    """Look at every file of the conf folder that is not hidden, every module of the task folders, and the secrets.

    There need be no folder of secrets.

    Never raises `OSError`: what cannot be looked at is in `troubles`. Reads only what may differ from `before`.
    """
    look = _Look(before or Survey(files={}), clock(), most)
    look.walk(os.path.abspath(conf_dir), _CONF)  # noqa: PTH100 - links stay links, `..` does not
    for folder in dict.fromkeys(map(os.path.realpath, task_folders)):
        look.walk(folder, _TASKS)
    if secrets is not None and secrets.is_dir():
        look.walk(os.path.abspath(secrets), _SECRETS)  # noqa: PTH100 - as above
    files = {path: seen.digest for path, seen in look.seen.items()}
    return Survey(files=files, troubles=tuple(look.troubles), seen=look.seen)


def changes(before: Survey | None, after: Survey) -> frozenset[str]:
    """The files that are new, gone or other than before."""
    old, new = before.files if before else {}, after.files
    return frozenset(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))


class _Look:
    """One look at folders: what it has found, and what it could not look at."""

    def __init__(self, before: Survey, now_ns: int, most: int) -> None:
        self.seen: dict[str, _Seen] = {}
        self.troubles: list[str] = []
        self._before = before
        self._now_ns = now_ns
        self._most = most

    def walk(self, root: str, kind: _Kind) -> None:
        """Look at a folder and what is below it. Links may lead back to where they are: no folder is inside itself."""
        real_root = os.path.realpath(root)
        waiting: list[tuple[str, tuple[str, ...]]] = [(root, (real_root,))]
        left = self._most
        while waiting:
            folder, above = waiting.pop()
            for entry in self._entries(folder, root):
                left -= 1
                if left < 0:
                    self._miss(root, f"{root} holds over {self._most:,} files: not all of them are watched")
                    return
                if not _is_folder(entry):
                    self._file(entry, kind, real_root)
                elif kind.enters(entry.name) and (real := _real(entry, above[-1])) not in above:
                    inside = _is_below(real, real_root)
                    waiting += [(entry.path, (*above, real))] if inside or not kind.within else []

    def _entries(self, folder: str, root: str) -> Iterator[os.DirEntry[str]]:
        """What is in a folder. An error is no deletion: what cannot be listed is as it was."""
        try:
            with os.scandir(folder) as entries:
                yield from entries
        except OSError as error:
            if folder == root or error.errno not in _GONE:
                mended = ": make it, and it is watched from then on" if error.errno in _GONE else ""
                self._miss(folder, f"the folder {folder} cannot be read: {error.strerror}{mended}")

    def _miss(self, folder: str, words: str) -> None:
        self.troubles.append(words)
        inside = f"{folder.rstrip('/')}/"
        for path, digest in self._before.files.items():
            if path.startswith(inside) and path not in self.seen:
                self.seen[path] = self._before.seen.get(path) or _Seen((), digest, settled=False)

    def _file(self, entry: os.DirEntry[str], kind: _Kind, real_root: str) -> None:
        if not kind.takes(entry.name):
            return
        try:
            found = entry.stat()
            if stat.S_ISREG(found.st_mode):
                self.seen[entry.path] = self._seen(entry, found, kind, real_root)
        except OSError as error:
            if error.errno not in _GONE:
                self.seen[entry.path] = _Seen((), f"unreadable: {error.strerror}", settled=False)

    def _seen(self, entry: os.DirEntry[str], found: os.stat_result, kind: _Kind, real_root: str) -> _Seen:
        state = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        last = self._before.seen.get(entry.path)
        if last is not None and last.settled and last.state == state:
            return last
        if not kind.reads:
            return _Seen(state, repr(state), settled=True)
        if kind.within and entry.is_symlink() and not _is_below(os.path.realpath(entry.path), real_root):
            return _Seen(state, "outside", settled=False)
        settled = self._now_ns - max(found.st_mtime_ns, found.st_ctime_ns) >= _YOUNG_NS
        return _Seen(state, _digest(entry.path, found), settled)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _real(entry: os.DirEntry[str], real_parent: str) -> str:
    """Where a folder really is; asked only where that is not plain."""
    return os.path.realpath(entry.path) if entry.is_symlink() else f"{real_parent.rstrip('/')}/{entry.name}"


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _digest(path: str, found: os.stat_result) -> str:
    # What was a file a moment ago may be a pipe by now, which would keep the reader waiting.
    with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123 - of hundreds
        digest = sha256(file.read(MOST_READ))
    if found.st_size > MOST_READ:
        digest.update(f"{found.st_size} {found.st_mtime_ns}".encode())
    return digest.hexdigest()
