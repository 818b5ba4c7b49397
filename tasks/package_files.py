"""The task `package_files`: files that an installed Python package carries, into a folder.

Packages bring more than code: SQL, models, reference data. Nothing of the package is imported or run.
"""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import TypedDict

from tasker import Task

from ._files import atomic_path, is_inside, require_folder, same_content


class Copied(TypedDict):
    """What the task hands on."""

    directory: str
    """The folder that the files are in."""
    files: int


class PackageFiles(Task):
    """Copy files of an installed Python package into a folder."""

    task_name = "package_files"

    def run(self, package: str, target_directory_path: Path, folder: str = ".", pattern: str = "**/*") -> Copied:
        """Copy what matches; a file that is right already is not written again, and others in the folder stay.

        Args:
            package: The package, by the name that it is imported under.
            target_directory_path: The folder to copy into; it is made where it is missing.
            folder: The folder in the package that holds the files.
            pattern: Which files of that folder are copied.
        """
        source = _root(package) / folder
        require_folder(source, "folder")
        files = [file for file in sorted(source.glob(pattern)) if file.is_file() and "__pycache__" not in file.parts]
        inside = [file for file in files if is_inside(file, _root(package))]
        if not inside:
            message = f"no file of {package} in {folder} matches {pattern}"
            raise FileNotFoundError(message)
        for file in inside:
            _copy(file, target_directory_path / file.relative_to(source))
        self.logger.info("files are copied", package=package, files=len(inside))
        return {"directory": str(target_directory_path), "files": len(inside)}


def _root(package: str) -> Path:
    """The folder of a package; raises `ValueError` where it is not installed, or is a single module."""
    spec = find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        message = f"`package` is none that is installed here: {package!r}"
        raise ValueError(message)
    return Path(spec.submodule_search_locations[0])


def _copy(file: Path, target: Path) -> None:
    if not same_content(file, target):
        with atomic_path(target) as draft:
            shutil.copyfile(file, draft)
