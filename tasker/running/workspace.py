"""A folder for each run, with a mark that it is ours to remove: made or taken over, kept for a while, removed.

The mark says whose it is and for how long it is kept; who works in the folder holds a lock on it, so that nobody else
takes it over or removes it meanwhile.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tasker.errors import TaskerError
from tasker.mounts import holds_mount, mount_table
from tasker.task import WORKSPACE_MARKER, WORKSPACE_TEMPORARY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_PATIENCE_S = 10.0
"""Seconds to wait for who works in a workspace: what was killed takes a moment to be gone."""
_POLL_S = 0.05
_LONGEST_MARK = 4096
"""Bytes of a mark that are read."""
_UNSAID = timedelta(days=7)
"""How long a workspace is kept whose mark does not say: those of old versions do not."""


class WorkspaceError(TaskerError):
    """No workspace can be made."""


@dataclass(slots=True, kw_only=True)
class Workspace:
    """A run's folder while the run goes on."""

    path: Path
    run_id: str
    pipeline: str
    made: bool
    """Whether it is new; it is another run's otherwise, which this one resumes."""
    kept_until: datetime | None
    """When it may be removed; `None` for never."""
    had_by: str
    """The run that the mark names: where this one resumes another, that one until this one has begun."""
    removed: bool = False
    """Whether it is removed at the end, and not kept."""
    _mark: int

    @property
    def empty(self) -> bool:
        """Whether steps have left nothing in it."""
        return not set(os.listdir(self.path)) - {WORKSPACE_MARKER, WORKSPACE_TEMPORARY}

    def begin(self) -> None:
        """Name this run in the mark, once all that a later one has to know of it is written."""
        self.had_by = self.run_id
        self.write_mark()

    def write_mark(self) -> None:
        """Say whose it is, and for how long it is kept."""
        until = self.kept_until.isoformat() if self.kept_until else None
        told = {"workspace": self.path.name, "run_id": self.had_by, "pipeline": self.pipeline, "kept_until": until}
        with suppress(OSError):  # as on a full disk; the mark as it is counts then
            written = os.pwrite(self._mark, json.dumps(told).encode() + b"\n", 0)
            os.ftruncate(self._mark, written)

    def _restore_mark(self) -> None:
        """Make the mark again where a step has removed or linked it: a folder without is kept for ever, nobody's."""
        if not (_is_there(self._mark, self.path) and _is_a_mark(self._mark)):
            with suppress(OSError):
                mark = _new_mark(self.path, replace=True)
                os.close(self._mark)
                self._mark = mark

    def let_go(self) -> None:
        """Remove it, or leave it for as long as it is kept."""
        if not self.removed or not remove(self.path):
            if self.removed:
                self.kept_until = datetime.now(UTC)  # pruning removes it as soon as it can be
            self._restore_mark()
            self.write_mark()
        os.close(self._mark)


@contextmanager
def workspace(
    path: Path,
    *,
    run_id: str,
    pipeline: str,
    kept_until: datetime | None,
    resumes: Sequence[str] = (),
    patience_s: float = _PATIENCE_S,
) -> Iterator[Workspace]:
    """Make the workspace of a run, or take it over where it is there; at the end it is kept unless `removed` is set.

    `kept_until` counts where the run cannot say anything else any more. `resumes` are the runs that it goes on with,
    the last one first: the mark names that one until this one tells the workspace that it has begun. Raises
    `WorkspaceError`, also where none of these had it last, and where somebody still works in it after so many seconds.
    """
    try:
        mark, made = _held(path, patience_s, _Heir(run_id, resumes))
    except OSError as error:
        message = (
            f"the workspace {path} cannot be made: {error.strerror or error}; set --workspaces to a folder of yours"
        )
        raise WorkspaceError(message) from error
    had_by = run_id if made or not resumes else str(_told(mark).get("run_id", run_id))
    held = Workspace(
        path=path, run_id=run_id, pipeline=pipeline, made=made, kept_until=kept_until, had_by=had_by, _mark=mark
    )
    held.write_mark()
    try:
        yield held
    finally:
        held.let_go()


def is_barred(path: Path) -> bool:
    """Whether something is there in which no run can go on: no folder of ours, or one that has lost its mark."""
    mark = _mark(path)
    if mark is not None:
        os.close(mark)
    return mark is None and os.path.lexists(path) and not _is_blank(path)


def prune(root: Path, now: datetime, *, within_s: float) -> int:
    """Remove workspaces that were kept for long enough, oldest first, until the time is up; how many went.

    Only a folder with our mark counts in which nobody works; whatever else is there stays.
    """
    give_up = time.monotonic() + within_s
    try:
        names = sorted(os.listdir(root))
    except OSError:
        return 0
    gone = 0
    for name in names:
        if time.monotonic() >= give_up:
            break
        with suppress(Exception):  # steps may leave anything, and nothing of one may keep the others
            gone += _pruned(root / name, now)
    return gone


def remove(path: Path) -> bool:
    """Remove a workspace, or what a step has put in its place, if it is there; whether nothing is left of it.

    The mark goes last: what is removed in part is ours still. What a link leads to stays as it is. Where something is
    mounted in it, nothing is removed: that is somebody else's, and what is only bound looks like a folder of ours.
    """
    if holds_mount(os.path.join(os.path.realpath(path.parent), path.name), mount_table()):  # noqa: PTH118 - as text
        return False
    with suppress(OSError):
        path.unlink()  # only what is no folder lets this be done to it
    if not _emptied(path):
        _unlock(path)
        if not _emptied(path):
            return False
    shutil.rmtree(path, ignore_errors=True)
    return True


def _emptied(path: Path) -> bool:
    """Remove what is in a folder beside the mark; whether nothing is left of it."""
    try:
        entries = [each for each in os.scandir(path) if each.name != WORKSPACE_MARKER]
    except FileNotFoundError:
        return True
    except OSError:
        return False
    for each in entries:
        with suppress(OSError, RecursionError):  # of folders in each other there may be thousands
            if each.is_dir(follow_symlinks=False):
                shutil.rmtree(each.path, ignore_errors=True)
            else:
                os.unlink(each.path)  # noqa: PTH108 - as `scandir` has it
    return not any(map(os.path.lexists, entries))


@dataclass(frozen=True, slots=True)
class _Heir:
    """Who wants a workspace."""

    run_id: str
    resumes: Sequence[str]

    def check(self, told: Mapping[str, Any]) -> None:
        """Raise `WorkspaceError` where a run has had it that was to go on as this one is: it may have changed all."""
        had_by = told.get("run_id")
        if self.resumes and had_by is not None and had_by not in (self.run_id, *self.resumes):
            message = f"run {self.resumes[0]} has been resumed by run {had_by} meanwhile: resume that one"
            raise WorkspaceError(message)


def _held(path: Path, patience_s: float, heir: _Heir) -> tuple[int, bool]:
    """The locked mark of the workspace, and whether it is new."""
    root = path.parent
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = root.lstat()
    if not stat.S_ISDIR(found.st_mode) and not stat.S_ISLNK(found.st_mode):
        raise NotADirectoryError(None, "it is not a folder")
    if found.st_uid not in {os.geteuid(), 0}:
        # In a shared folder for temporary files, another user may have taken the name to see what comes.
        raise PermissionError(None, "the folder belongs to another user")
    mark = _taken(path, patience_s, heir)
    made = mark is None
    if mark is None:
        mark = _made(path)
    with suppress(FileExistsError):
        (path / WORKSPACE_TEMPORARY).mkdir()
    return mark, made


def _made(path: Path) -> int:
    """Make a workspace; its mark, locked."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not _is_blank(path):
            raise
    return _new_mark(path)


def _is_blank(path: Path) -> bool:
    """Whether it is an empty folder of ours: who made it may have been killed before there was a mark."""
    with suppress(OSError):
        return _is_ours(path.lstat()) and not os.listdir(path)
    return False


def _new_mark(path: Path, *, replace: bool = False) -> int:
    """A mark in a folder of ours, locked; never in what a link leads to that stands there. Raises `OSError`."""
    folder = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not _is_ours(os.fstat(folder)):
            raise PermissionError(None, "the folder belongs to another user")
        if replace:
            with suppress(FileNotFoundError):
                os.unlink(WORKSPACE_MARKER, dir_fd=folder)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        mark = os.open(WORKSPACE_MARKER, flags, 0o600, dir_fd=folder)
    finally:
        os.close(folder)
    fcntl.flock(mark, fcntl.LOCK_EX)
    return mark


def _taken(path: Path, patience_s: float, heir: _Heir) -> int | None:
    """The mark of a workspace that is there, locked; `None` where none is.

    Raises `WorkspaceError` where it is another run's.
    """
    give_up = time.monotonic() + patience_s
    while (mark := _mark(path)) is not None:
        try:
            taken = _locked(mark) and _is_there(mark, path)
            told = _told(mark)
            heir.check(told)
            if taken:
                return mark
        except BaseException:
            os.close(mark)
            raise
        os.close(mark)
        if time.monotonic() >= give_up:
            message = f"the workspace {path} is in use by run {told.get('run_id')}: resume it when that has ended"
            raise WorkspaceError(message)
        time.sleep(_POLL_S)
    return None


def _mark(path: Path) -> int | None:
    """The mark of a workspace, open; `None` where there is none of ours."""
    try:
        if not _is_ours(path.lstat()):
            return None
        mark = os.open(path / WORKSPACE_MARKER, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if not _is_a_mark(mark):
        os.close(mark)
        return None
    return mark


def _is_ours(found: os.stat_result) -> bool:
    """Whether it is a folder, and this user's."""
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _is_a_mark(mark: int) -> bool:
    """Whether it is a file that has no other name: what has one is perhaps no mark there, and is not to be changed."""
    found = os.fstat(mark)
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1


def _locked(mark: int) -> bool:
    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_there(mark: int, path: Path) -> bool:
    """Whether this mark is still the one of the workspace: it may have gone while we waited for it."""
    with suppress(OSError):
        return os.path.samestat(os.fstat(mark), (path / WORKSPACE_MARKER).lstat())
    return False


def _told(mark: int) -> dict[str, Any]:
    """What a mark says; nothing where it is one of an old version, or none that we have written."""
    try:
        told = json.loads(os.pread(mark, _LONGEST_MARK, 0))
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _pruned(path: Path, now: datetime) -> bool:
    """Remove a workspace if it was kept for long enough; whether it was."""
    mark = _mark(path)
    if mark is None:
        return False
    try:
        # What it says counts only once it is locked: until then, a run may take it over, and say something else.
        over = _is_over(mark, path, now) and _locked(mark) and _is_over(mark, path, now) and _is_there(mark, path)
        return over and remove(path)
    finally:
        os.close(mark)


def _is_over(mark: int, path: Path, now: datetime) -> bool:
    told = _told(mark)
    if told.get("workspace", path.name) != path.name:
        return False  # a copy, that somebody has made
    if "kept_until" not in told:
        return datetime.fromtimestamp(os.fstat(mark).st_mtime, now.tzinfo) + _UNSAID <= now
    try:
        return datetime.fromisoformat(told["kept_until"]) <= now
    except (TypeError, ValueError):
        return False  # it is kept for ever, or says what we do not know


def _unlock(path: Path) -> None:
    """Let folders be entered and changed that a step has made so that they may not, as caches of packages are."""
    _let_in(path)
    with suppress(OSError, RecursionError):
        for _, names, _, folder in os.fwalk(path):
            for name in names:
                _let_in(name, folder)


def _let_in(name: str | Path, folder: int | None = None) -> None:
    """Let a folder be entered and changed; never what a link leads to that has just taken its place."""
    with suppress(OSError):
        descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=folder)
        try:
            os.chmod(f"/proc/self/fd/{descriptor}", 0o700)  # noqa: PTH101 - fchmod would need a folder that can be read
        finally:
            os.close(descriptor)
