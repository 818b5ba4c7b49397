"""What is in the conf folder and the task folders now, by content; and what differs from before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The files that pipelines are read from and that tasks' code is in, at one moment.

    A file of the conf folder is called `os.path.abspath(os.path.join(conf_dir, path in it))`, whatever is a link in
    that; a module is called by the resolved path of its task folder, and its path in that, as Python calls it.
    """

    files: Mapping[str, str]
    """A digest of the content, by absolute path; of what cannot be read, one that says so."""
    troubles: tuple[str, ...] = ()
    """What could not be looked at, in words; what a survey before this one saw there counts as being there still."""


def survey(conf_dir: Path, task_folders: Sequence[Path], before: Survey | None = None) -> Survey:
    """Look at every file of the conf folder that is not hidden, and every module of the task folders.

    Never raises `OSError`: what cannot be looked at is in `troubles`. Reads only what may differ from `before`.
    """
    raise NotImplementedError


def changes(before: Survey | None, after: Survey) -> frozenset[str]:
    """The files that are new, gone or other than before."""
    raise NotImplementedError
