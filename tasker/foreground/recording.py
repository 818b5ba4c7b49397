"""Runs in the foreground, kept in the history beside them: by a thread that reads along in their journals.

Nothing waits for it but the end of the command, and that not for long: what it has not written by then is in the
journals, and the next one that writes to the history takes it in. Not to be confused with the daemon's `Recorder`,
which slots wait for.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tasker import journal, linux
from tasker.clock import Clock
from tasker.masking import Masker
from tasker.records import to_json
from tasker.run import Status
from tasker.settling import settle
from tasker.shown import kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tasker.facts import Fact
    from tasker.foreground.place import Place
    from tasker.foreground.planned import Planned
    from tasker.history import DaemonRecord, DamagedError, History
    from tasker.history.log import Numbers

_LOOK_S = 0.5
"""Seconds between two looks at the journals, and for those who want a run cancelled."""
_BEAT_S = 5.0
"""Seconds between two signs of life."""
_PATIENCE_S = 5.0
"""Seconds that a command waits at its end for what is still to be written."""


@dataclass(slots=True)
class _Followed:
    """A run whose journal is read."""

    planned: Planned
    reader: journal.Reader
    pid: int = 0
    """Its process; nought where there is none yet."""
    commit: str | None = None
    known: int | None = None
    """The `pid` that the history knows; `None` where it does not know the run."""
    unwritten: list[tuple[int, Fact]] = field(default_factory=list)
    numbers: Numbers | None = None
    """Gives each fact its number in the log."""
    ended: str | None = None
    """What to say of its end where its journal does not tell of it; once its process is gone."""
    status: Status = Status.FAILED
    """What it comes to then."""

    @property
    def news(self) -> bool:
        """Whether the history does not know it yet as it stands."""
        return self.known != self.pid


class Recording(threading.Thread):
    """Keeps runs in the history. It is started when all processes are forked that the command forks meanwhile."""

    def __init__(self, place: Place, cancel: Callable[[str, str], None]) -> None:
        """Keep them in this place; `cancel` is called, in the thread, with a run's id and the reason."""
        super().__init__(name="recording", daemon=True)
        self._place = place
        self._cancel = cancel
        self._clock = Clock()
        self._runs: dict[str, _Followed] = {}
        self._cancelled: set[str] = set()
        self._changed = threading.Condition()
        self._finishing = False
        self._abandoned = False
        self._history: History | None = None
        self._settled = False
        """Whether what commands before this one have left is taken in."""
        self._me: DaemonRecord | None = None
        self._left = False
        """Whether all is written, and the history left in order."""
        self._beat_at = 0.0
        self.error = ""
        """Why nothing can be written now."""
        self.notice = ""
        """What else a person is to know of the history."""

    # For the thread that runs

    def planned(self, runs: Iterable[Planned]) -> None:
        """These are to run, and wait until then."""
        with self._changed:
            for planned in runs:
                self._follow(planned)
            self._changed.notify()

    def begun(self, planned: Planned, pid: int, commit: str | None) -> None:
        """A run has a process; `commit` is that which its texts are of."""
        with self._changed:
            run = self._runs.get(planned.id) or self._follow(planned)
            run.pid, run.commit = pid, commit
            self._changed.notify()

    def _follow(self, planned: Planned) -> _Followed:
        self._runs[planned.id] = run = _Followed(planned, journal.Reader(self._place.journal(planned.id)))
        return run

    def ended(self, run_id: str, error: str, status: Status = Status.FAILED) -> None:
        """The process of a run is gone, or there is to be none; `error` says how, where the run has not said so."""
        with self._changed:
            if run_id in self._runs:
                self._runs[run_id].ended, self._runs[run_id].status = error, status
            self._changed.notify()

    def finish(self, timeout_s: float = _PATIENCE_S) -> None:
        """Write what there is; after so many seconds it is left to the journals, and `error` says why."""
        with self._changed:
            self._finishing = True
            self._changed.notify()
        self.join(timeout_s)
        with self._changed:
            self._abandoned = True
            self._changed.notify()
        if self.is_alive():
            self.error = self.error or f"nothing could be written in {timeout_s:g} s"

    # The thread itself

    def run(self) -> None:
        """Write until all runs have ended that there will be."""
        from tasker.history import DamagedError, HistoryError, UnfitError  # noqa: PLC0415 - beside the run, and not before it

        try:
            while not self._over:
                try:
                    self._turn()
                    self.error = ""
                except UnfitError:
                    raise
                except DamagedError as error:
                    self._close()
                    self._replace(error)
                except HistoryError as error:
                    self.error = str(error)
                self._pause()
        except UnfitError as error:
            self.error = str(error)
            self._let_go([*self._runs])
        except Exception as error:
            self.error = f"a fault of tasker itself: {type(error).__name__}: {error}"
            raise
        finally:
            self._close()

    @property
    def _over(self) -> bool:
        return self._abandoned or self._left

    def _pause(self) -> None:
        """Wait until there is something to do, or it is time to look."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or (self._wanted and not self.error), _LOOK_S)

    @property
    def _wanted(self) -> bool:
        """Whether there is something that need not wait."""
        return self._finishing or any(run.news or run.ended is not None for run in self._runs.values())

    def _turn(self) -> None:
        """Write what there is, and see who wants runs cancelled."""
        if self._history is not None and not self._history.usable:
            self._close()
            self._tell_all_again()
        if self._history is None:
            self._history = self._joined()
        with self._changed:
            runs = [*self._runs.values()]
            over = [run for run in runs if run.ended is not None]
            last = self._finishing and len(over) == len(runs)
        for run in runs:
            run.unwritten = run.unwritten or self._numbered(run, run.reader.read())
        over = [run for run in over if run.reader.at_end]
        if over or last or time.monotonic() >= self._beat_at or any(run.unwritten or run.news for run in runs):
            self._write(self._history, runs, over, leaves=last and len(over) == len(runs))
        for run_id, user in {} if last else self._history.to_cancel().items():
            if run_id not in self._cancelled:
                self._cancelled.add(run_id)
                self._cancel(run_id, f"cancelled by {user}")

    def _joined(self) -> History:
        from tasker.history import History, this_daemon  # noqa: PLC0415 - as above

        history = History.join(self._place.history)
        self._beat_at = 0.0  # this connection is to be told whose it is
        self._me = self._me or this_daemon(self._clock.now(), foreground=True)
        return history

    def _replace(self, error: DamagedError) -> None:
        """Begin a new history in place of one that is damaged, as a daemon does, unless that has the folder."""
        from tasker.history import DamagedError, History, HistoryError  # noqa: PLC0415 - as above
        from tasker.history.sqlite import FolderLock, move_aside  # noqa: PLC0415

        folder = Path(self._place.history)
        try:
            with closing(FolderLock(folder)):
                moved_to = move_aside(folder, self._clock.now())
                with History.join(folder) as history:
                    if moved_to is not None:
                        history.take_from(moved_to)
        except DamagedError:
            raise
        except (HistoryError, OSError) as failure:
            self.error = f"{error}; {failure}"
        else:
            self.error = ""
            for run in self._runs.values():
                run.known = None
            self.notice = f"{error}: it was moved to {moved_to}, and what can be read of it is in a new one"

    def _close(self) -> None:
        if self._history is not None:
            self._history.close()
            self._history = None

    def _tell_all_again(self) -> None:
        """There is to be another history, which may know nothing of the runs: what is deleted takes all in silence."""
        with self._changed:
            runs = [*self._runs.values()]
        for run in runs:
            run.known, run.unwritten = None, []
            run.numbers = None  # as before: where it is the same history after all, nothing is to be there twice
            run.reader = journal.Reader(self._place.journal(run.planned.id))

    def _numbered(self, run: _Followed, facts: Iterable[Fact]) -> list[tuple[int, Fact]]:
        from tasker.history.log import Numbers  # noqa: PLC0415 - as above

        run.numbers = run.numbers or Numbers()
        return [(run.numbers.of(fact), fact) for fact in facts]

    def _write(self, history: History, runs: list[_Followed], over: list[_Followed], *, leaves: bool) -> None:
        """Write at one go what has come of the runs, of which some are over; `leaves`: there is nothing more to come.

        Each transaction has others wait, and waits for the disk.
        """
        from tasker.history import HistoryError  # noqa: PLC0415 - as above

        assert self._me is not None  # noqa: S101 - it has joined
        pids = [run.pid for run in runs]  # as of now: meanwhile one that waits may begin
        with history.transaction():
            if time.monotonic() >= self._beat_at:
                history.enrol(self._me)
            for run, pid in zip(runs, pids, strict=True):
                if run.known != pid:
                    self._start(history, run, pid)
                for number, fact in run.unwritten:
                    history.observe(fact, number)
            for run in over:
                self._end(history, run)
            settled = [] if self._settled else settle(history, self._place.journals, self._clock.now())
            if leaves:
                history.leave()
        self._left, self._settled = leaves, True
        if time.monotonic() >= self._beat_at:
            self._beat_at = time.monotonic() + _BEAT_S
        for run, pid in zip(runs, pids, strict=True):
            run.known, run.unwritten = pid, []
        self._let_go([run.planned.id for run in over])
        _remove(settled)
        if leaves:
            with suppress(HistoryError):  # it is old, and can wait
                history.keep_house(self._clock.now())

    def _start(self, history: History, run: _Followed, pid: int) -> None:
        from tasker.history import RunRecord, RunStatus  # noqa: PLC0415 - as above

        planned, occasion = run.planned, run.planned.loaded.occasion
        record = RunRecord(
            id=planned.id,
            pipeline=planned.pipeline.name,
            slot=occasion.slot,
            revision=planned.pipeline.revision,
            snapshot_id=planned.snapshot.id if pid else None,
            status=RunStatus.RUNNING if pid else RunStatus.WAITING,
            daemon="",
            claimed_at=planned.at,
            pid=pid or None,
            pid_started=linux.started(pid) if pid else None,
            resumed_from=occasion.earlier.run_id if occasion.earlier else None,
            resumption=planned.resumption,
            workspace=str(occasion.workspace),
            git_commit=run.commit,
            chosen=str(occasion.chosen) if occasion.chosen is not None else None,
            overrides=Masker(planned.pipeline.secrets).mask(dict(planned.overrides)),
        )
        if pid:
            history.start(record, snapshot=json.dumps(to_json(planned.snapshot)), config=kept(planned.loaded))
        else:
            history.start(record)

    def _end(self, history: History, run: _Followed) -> None:
        """A run's process is gone: where its journal tells of no end, tell of it here."""
        from tasker.history import RunStatus  # noqa: PLC0415 - as above

        history.end(run.planned.id, RunStatus(run.status), run.ended, self._clock.now())
        if run.reader.left_out:
            history.dropped(run.planned.id, run.reader.left_out)

    def _let_go(self, over: Iterable[str]) -> None:
        """The history has all of these runs, or is never to have it."""
        for run_id in over:
            with self._changed:
                del self._runs[run_id]
            _remove([self._place.journal(run_id)])


def _remove(journals: Iterable[Path]) -> None:
    for path in journals:
        with suppress(OSError):
            path.unlink(missing_ok=True)
