"""What runs in the foreground go on with: earlier runs, and which of those a person means by `--resume`."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tasker.document.values import MASK
from tasker.errors import UsageError
from tasker.facts import Event, Fact
from tasker.history import ACTIVE, History, HistoryError, RunStatus
from tasker.settling import settle

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tasker.foreground.place import Place
    from tasker.history import RunRecord
    from tasker.running.earlier import Earlier

LAST = ""
"""In place of a run's id: the last run."""
_MOST_TOLD = 5
"""Runs that are named at most where several may be meant."""
_ENDED = [status for status in RunStatus if status not in ACTIVE]


@contextmanager
def opened(place: Place) -> Iterator[History]:
    """The history, with what commands that died have left in it; as it is, where it cannot be written.

    Raises `HistoryError`.
    """
    try:
        history = History.join(place.history)
    except HistoryError:
        history = History.read(place.history)
    else:
        with suppress(HistoryError):
            for path in settle(history, place.journals, datetime.now(UTC)):
                with suppress(OSError):
                    path.unlink(missing_ok=True)
    with history:
        yield history


class Resumption:
    """Finds what each of some pipelines goes on with; they are to run together."""

    def __init__(self, history: History, names: Sequence[str], wanted: str | None) -> None:
        """`wanted` is how the id of a run begins, or `LAST`; `None` where the last run's outputs alone are wanted.

        Raises `UsageError` where that is no run to go on with.
        """
        self._history = history
        self.told: list[Fact] = []
        """What a person is to know: where there is nothing to go on with."""
        self.slot: datetime | None = None
        """That of runs which start only now, as the command was cut off that they belonged to."""
        if wanted is None:
            self.going_on = {name: run for name in names if (run := self._last(name)) is not None}
            self.names = list(names)
        elif wanted == LAST:
            self.going_on, self.names = self._broken_off(names)
        else:
            run = self._named(wanted, names)
            self.going_on, self.names = {run.pipeline: run}, [run.pipeline]

    def earlier(self, name: str) -> Earlier | None:
        """What a pipeline's run may take over; `None` where it starts afresh."""
        return self._history.earlier(self.going_on[name].id) if name in self.going_on else None

    def overrides(self, name: str) -> dict[str, str]:
        """What parameters were set to for the run that a pipeline goes on with, but for secrets: nobody has these."""
        before = self.going_on[name].overrides if name in self.going_on else {}
        return {parameter: value for parameter, value in before.items() if MASK not in value}

    def _last(self, name: str) -> RunRecord | None:
        """The last run that has ended, of which none goes on that has not."""
        run = self._history.last_run(name, statuses=_ENDED)
        last = self._history.last_of(run) if run is not None else None
        if last is not None and last.status in ACTIVE:
            raise UsageError(self._going(last))
        return last

    def _broken_off(self, names: Sequence[str]) -> tuple[dict[str, RunRecord], list[str]]:
        """The last runs that have not done all, and the pipelines that are to run: those, and what has never run.

        What runs together has one slot. A command keeps each of its runs before it begins, so what it has not reached
        broke off as well, and what it was not for stays as it is. Where all have succeeded, nothing is to be gone on
        with.
        """
        last = {name: self._history.last_run(name) for name in names}
        last = {name: self._history.last_of(run) if run is not None else None for name, run in last.items()}
        for run in last.values():
            if run is not None and run.status in ACTIVE:
                raise UsageError(self._going(run))
        broken_off = {
            name: run for name, run in last.items() if run is not None and not self._history.has_done_all(run)
        }
        if not broken_off:
            for name, run in last.items():
                self._tell(name, f"{_why(run)}: it runs from the start")
            return {}, list(names)
        self.slot = max(run.slot for run in broken_off.values())
        for name, run in last.items():
            if run is not None and name not in broken_off:
                self._tell(name, f"{_why(run)}: it is left as it is")
        return broken_off, [name for name in names if name in broken_off or last[name] is None]

    def _tell(self, name: str, reason: str) -> None:
        details = {"reason": reason}
        self.told.append(Fact(event=Event.RESUME_NOTHING, at=datetime.now(UTC), pipeline=name, details=details))

    def _named(self, start: str, names: Sequence[str]) -> RunRecord:
        """The run whose id begins so."""
        found = self._history.found(start, _MOST_TOLD + 1)
        if len(found) != 1:
            listed = ", ".join(run.id for run in found[:_MOST_TOLD])
            more = ", …" if len(found) > _MOST_TOLD else ""
            several = f"--resume {start}: several runs have ids that begin so: {listed}{more}"
            none = f"--resume {start}: the history has no run whose id begins so; `tasker runs` lists them"
            raise UsageError(several if found else none)
        (run,) = found
        if run.pipeline not in names:
            message = f"--resume {start}: run {run.id} is one of {run.pipeline}, which is not to run"
            raise UsageError(message)
        if run.status in ACTIVE:
            message = f"--resume {start}: {self._going(run)}"
            raise UsageError(message)
        last = self._history.last_of(run)
        if last.id in {run.id, run.resumed_from}:
            return last
        if last.status in ACTIVE:
            stands = self._going(last)
        elif self._history.has_done_all(last):
            stands = f"{last.id}, the last run that goes on with it, has succeeded, and there is nothing to resume"
        else:
            stands = f"--resume {last.id}, which is the last run that goes on with it"
        message = f"--resume {start}: run {run.id} has been resumed already: {stands}"
        raise UsageError(message)

    def _going(self, run: RunRecord) -> str:
        """How a run stands that has not ended, and what one can do about it."""
        which = f"run {run.id} of {run.pipeline}"
        if run.foreground:
            return f"{which} is still going on"
        if _is_deserted(self._history):
            stands = "waits for a daemon" if run.status is RunStatus.WAITING else "was cut off with its daemon"
            return f"{which} {stands}, and none is there: start `tasker watch`, which {_carries_out(run)}"
        stands = "waits in a daemon" if run.status is RunStatus.WAITING else "is still going on in a daemon"
        return f"{which} {stands}; `tasker cancel {run.id}` ends it"


def _is_deserted(history: History) -> bool:
    """Whether no daemon is there; who may not write cannot tell."""
    try:
        return history.deserted()
    except HistoryError:
        return False


def _carries_out(run: RunRecord) -> str:
    """What a daemon does with a run that is left to it, and what else one can do."""
    if run.status is RunStatus.WAITING:
        return f"carries it out, or end it by `tasker cancel {run.id}`"
    return "settles what has become of it"


def _why(run: RunRecord | None) -> str:
    return "it has not run yet" if run is None else f"its last run, {run.id}, succeeded"
