"""The task `prune`: old backups, away, and never the last good one.

Deciding and deleting are apart: `decide` is given what there is and answers what goes, or refuses.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal, TypedDict

from annotated_types import Ge, Le

from tasker import Task

from ._files import DRAFT_SUFFIX, require_folder

NAMES_LIMIT = 1000
"""How many names are handed on: outputs are for people and later steps, and a folder may hold any number."""

_DATE = re.compile(r"(?<!\d)(\d{4})-(\d{2})-(\d{2})(?!\d)|(?<!\d)(\d{4})(\d{2})(\d{2})(?!\d)", re.ASCII)


class Pruned(TypedDict):
    """What the task hands on; in a dry run, what would be so."""

    deleted: list[str]
    """Names of the backups that went, oldest first; the first thousand."""
    deleted_count: int
    deleted_size: int
    """Bytes."""
    kept: list[str]
    """Names of the backups that stayed, newest first; the first thousand."""
    kept_count: int
    undated: list[str]
    """Names that match but tell no date, which are never deleted; the first thousand."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A file or folder that matches, and the moment it is from."""

    path: Path
    created: datetime
    size: int


class Prune(Task):
    """Delete backups older than a limit, but never too many and never the last good one."""

    task_name = "prune"

    def run(
        self,
        path: Path,
        older_than: Annotated[timedelta, Ge(timedelta(0))],
        *,
        pattern: str = "*",
        by: Literal["mtime", "name", "manifest"] = "mtime",
        keep_last: Annotated[int, Ge(1)] = 1,
        maximum_share: Annotated[float, Ge(0), Le(1)] = 0.5,
        folders: bool = False,
        manifest: str = "manifest.json",
        dry_run: bool = False,
    ) -> Pruned:
        """Delete what is directly in a folder, matches, and is older than a limit, counted from the run's slot.

        A backup without a byte in it counts as none: it may be deleted, and never stands for the last good one.
        Links and hidden files are passed over. Where more than the share would go, the task fails and deletes nothing.

        Args:
            path: The folder that the backups are in.
            older_than: The age from which a backup goes, such as `30 days`.
            pattern: Which names count as backups, such as `crm_*.tar.gz`.
            by: The date is the file's time (mtime), the newest date in its name (name), or in the manifest (manifest).
            keep_last: How many of the newest backups stay however old they are.
            maximum_share: The part of all dated backups that may go in one run, from 0 to 1.
            folders: Let folders that match be the backups, in place of files.
            manifest: The JSON file in `path` that says when each was made: {"NAME": "2026-11-22T02:15:00+00:00"}.
            dry_run: Say what would go, and delete nothing.
        """
        require_folder(path, "path")
        now = self.context.slot
        dates = _manifest(path / manifest, now.tzinfo) if by == "manifest" else {}
        found = list(_matching(path, pattern, folders=folders))
        dated = {entry: _created(entry, by, dates, now.tzinfo) for entry in found}
        backups = [Backup(entry, created, _size(entry)) for entry, created in dated.items() if created is not None]
        going = decide(backups, now - older_than, keep_last, 1.0 if dry_run else maximum_share)
        for backup in going:
            self.logger.info("would be deleted" if dry_run else "is deleted", file=backup.path.name)
            if not dry_run:
                _delete(backup.path)
        if _is_over(maximum_share, going, backups):
            self.logger.warning("a run that deletes would refuse: this is over the share", maximum_share=maximum_share)
        return _outputs(backups, going, [entry.name for entry in found if dated[entry] is None])


def decide(backups: Sequence[Backup], limit: datetime, keep_last: int, maximum_share: float) -> list[Backup]:
    """The backups from before `limit`, oldest first, but for the newest good ones; raises `ValueError` if too many."""
    newest_first = _newest_first(backups)
    protected = set(([backup for backup in newest_first if backup.size] or newest_first)[:keep_last])
    going = [backup for backup in reversed(newest_first) if backup.created < limit and backup not in protected]
    if _is_over(maximum_share, going, backups):
        message = (
            f"{len(going)} of {len(backups)} backups would be deleted, more than the share of {maximum_share:g} "
            "that `maximum_share` allows; nothing is deleted. `dry_run = true` lists them"
        )
        raise ValueError(message)
    return going


def _is_over(maximum_share: float, going: Sequence[Backup], backups: Sequence[Backup]) -> bool:
    return len(going) > maximum_share * len(backups)


def _newest_first(backups: Sequence[Backup]) -> list[Backup]:
    return sorted(backups, key=lambda backup: (backup.created, backup.path.name), reverse=True)


def _matching(folder: Path, pattern: str, *, folders: bool) -> Iterator[Path]:
    """The backups, sorted by name; a hidden name only matches a pattern that begins with a dot."""
    for entry in sorted(folder.iterdir()):
        hidden = entry.name.startswith(".") and not pattern.startswith(".")
        if hidden or entry.is_symlink() or entry.name.endswith(DRAFT_SUFFIX):
            continue
        if fnmatchcase(entry.name, pattern) and (entry.is_dir() if folders else entry.is_file()):
            yield entry


def _created(entry: Path, by: str, dates: Mapping[str, datetime], zone: tzinfo | None) -> datetime | None:
    if by == "name":
        return _date_in(entry.name, zone)
    if by == "manifest":
        return dates.get(entry.name)
    return datetime.fromtimestamp(entry.stat().st_mtime, tz=zone)


def _date_in(name: str, zone: tzinfo | None) -> datetime | None:
    """The end of the newest day that a name tells, as `2026-11-22` or `20261122`."""
    found = [_end_of_day(match, zone) for match in _DATE.finditer(name)]
    return max((day for day in found if day is not None), default=None)


def _end_of_day(match: re.Match[str], zone: tzinfo | None) -> datetime | None:
    year, month, day = (int(part) for part in match.groups() if part is not None)
    try:
        return datetime(year, month, day, tzinfo=zone) + timedelta(days=1)
    except (ValueError, OverflowError):
        return None


def _manifest(file: Path, zone: tzinfo | None) -> dict[str, datetime]:
    """When each backup was made, by name; a time without an offset is in the schedule's time zone."""
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        moments = {name: datetime.fromisoformat(moment) for name, moment in said.items()}
    except FileNotFoundError:
        message = f"there is no manifest {file}"
        raise FileNotFoundError(message) from None
    except (ValueError, AttributeError, TypeError):
        message = f'{file} is not a manifest: a JSON object such as {{"NAME": "2026-11-22T02:15:00+00:00"}}'
        raise ValueError(message) from None
    return {name: moment if moment.tzinfo else moment.replace(tzinfo=zone) for name, moment in moments.items()}


def _size(entry: Path) -> int:
    if entry.is_file():
        return entry.stat().st_size
    return sum(each.lstat().st_size for each in entry.rglob("*") if each.is_file() and not each.is_symlink())


def _delete(entry: Path) -> None:
    if entry.is_dir():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)


def _outputs(backups: Sequence[Backup], going: Sequence[Backup], undated: Sequence[str]) -> Pruned:
    gone = set(going)
    kept = [backup for backup in _newest_first(backups) if backup not in gone]
    return {
        "deleted": [backup.path.name for backup in islice(going, NAMES_LIMIT)],
        "deleted_count": len(going),
        "deleted_size": sum(backup.size for backup in going),
        "kept": [backup.path.name for backup in islice(kept, NAMES_LIMIT)],
        "kept_count": len(kept),
        "undated": list(undated[:NAMES_LIMIT]),
    }
