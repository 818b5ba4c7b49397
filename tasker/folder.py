"""The conf folder on a disk: it reads the files in it, and no others."""

from __future__ import annotations

import os
from errno import EISDIR
from pathlib import Path

from tasker.document import Limits, OutsideFolderError


class ConfFolder:
    """A folder of conf files. Links are followed as long as they stay in it, as those of a ConfigMap do."""

    def __init__(self, root: str | os.PathLike[str], limit: int = Limits().file_size) -> None:
        self.root = Path(root)
        self.limit = limit

    def read(self, path: str) -> bytes:
        """The file's bytes, or its first `limit + 1` where it has more. Raises `OSError`, `OutsideFolderError`."""
        real = (self.root / path).resolve(strict=True)
        if not real.is_relative_to(self.root.resolve()):
            raise OutsideFolderError(path)
        if not real.is_file():
            # A pipe or a device would keep the reader waiting, or never end.
            raise IsADirectoryError(EISDIR, "it is not a file")
        with real.open("rb") as file:
            return file.read(self.limit + 1)

    def shown(self, path: str) -> str:
        """The file's name for people: the folder as it was given, and the path in it."""
        return os.path.normpath(self.root / path)
