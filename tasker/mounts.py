"""What is mounted where: which file system a path is on, whether the kernel is told of what others change there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_REMOTE = re.compile(
    "9p|afs|beegfs|ceph|cifs|coda|fakeowner|fuse|fuse[.].*|gfs2|glusterfs|gpfs|lustre|ncpfs|nfs|nfs4|ocfs2|orangefs|"
    "prl_fs|smb2|smb3|smbfs|vboxsf|virtiofs"
)
"""File systems that other machines write to, or the host of this one. One in FUSE may be anything; most are remote."""

_ESCAPE = re.compile(r"\\([0-7]{3})")


def mount_table() -> str:
    """The kernel's table of mounts, a line each; empty where there is none."""
    try:
        return Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def file_system(path: str, table: str) -> str:
    """The type of the file system that a path without links is on, such as `ext4` or `fuse.sshfs`; empty if unknown."""
    longest, kind = "", ""
    for point, its_kind in _mounts(table):
        # A later mount at the same place hides the earlier one.
        if len(point) >= len(longest) and _is_within(path, point):
            longest, kind = point, its_kind
    return kind


def holds_mount(folder: str, table: str) -> bool:
    """Whether something is mounted on a folder, or anywhere in it; its path is one without links."""
    return any(_is_within(point, folder) for point, _ in _mounts(table))


def is_remote(kind: str) -> bool:
    """Whether files of such a file system change without this kernel's knowing."""
    return _REMOTE.fullmatch(kind) is not None


def _mounts(table: str) -> Iterator[tuple[str, str]]:
    """Each place where something is mounted, and the type of that."""
    for line in table.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) >= 5 and after:  # noqa: PLR2004 - the fifth is the mount point
            yield _ESCAPE.sub(lambda match: chr(int(match[1], 8)), fields[4]), after.split(" ")[0]


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")
