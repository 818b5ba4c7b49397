"""Which conf files the words of a command line name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tasker.conf_files import conf_files
from tasker.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def named_files(paths: Iterable[str]) -> list[Path]:
    """The pipelines of files and folders, each once. Raises `UsageError` where there is none."""
    return list({file.absolute(): file for file in _files(map(Path, paths))}.values())


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from _conf_files(path)
        elif path.exists():
            # `conf.d/*.conf`, as a shell spells it out, has files that are only there to be included.
            yield from () if path.name.startswith("_") else (path,)
        else:
            message = f"there is no file or folder {path}"
            raise UsageError(message)


def _conf_files(folder: Path) -> list[Path]:
    """The pipelines of a folder. Raises `UsageError` where it has none: it is most likely the wrong one."""
    files = conf_files(folder)
    if not files:
        message = f"there is no pipeline in {folder}: these are files '*.conf' whose names begin with no '_' and no '.'"
        raise UsageError(message)
    return files
