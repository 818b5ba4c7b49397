"""The texts of a conf file and of all that it includes, at one moment.

Not to be confused with `folder`, the conf folder on a disk, which may have changed since.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasker.document import Folder


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What the pipelines of a file were read from, and can be read from again whatever has become of the files."""

    path: str
    """The conf file, as people name it: `conf.d/crm.conf`."""
    folder: str
    """The conf folder, as it was given: `conf.d`."""
    files: Mapping[str, str]
    """The text of each file by its path in the folder, the conf file first."""

    @cached_property
    def id(self) -> str:
        """A digest of all of it."""
        return sha256(repr([self.path, self.folder, *self.files.items()]).encode(errors="surrogatepass")).hexdigest()


class SnapshotFolder:
    """A conf folder in memory, which has the files of a snapshot and no others."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def read(self, path: str) -> bytes:
        """The file's bytes. Raises `FileNotFoundError`."""
        if path not in self._snapshot.files:
            raise FileNotFoundError(path)
        return self._snapshot.files[path].encode()

    def shown(self, path: str) -> str:
        """The file's name for people."""
        return os.path.normpath(os.path.join(self._snapshot.folder, path))  # noqa: PTH118 - names, not a disk's


@dataclass(slots=True)
class RecordingFolder:
    """A conf folder that remembers what was read from it."""

    folder: Folder
    contents: dict[str, bytes] = field(default_factory=dict)
    """What was read, by path in the folder, in the order of reading."""
    asked: dict[str, None] = field(default_factory=dict)
    """Every path that was asked for, also those at which nothing could be read."""

    def read(self, path: str) -> bytes:
        """The file's bytes, as of the folder behind this one."""
        self.asked[posixpath.normpath(path)] = None
        content = self.contents[path] = self.folder.read(path)
        return content

    def shown(self, path: str) -> str:
        """The file's name for people."""
        return self.folder.shown(path)

    def snapshot(self, path: str, folder: str) -> Snapshot:
        """What was read, of a file whose texts were all found to be UTF-8."""
        texts = {name: content.decode() for name, content in self.contents.items()}
        return Snapshot(path=path, folder=folder, files=texts)
