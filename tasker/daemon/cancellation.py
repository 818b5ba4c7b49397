"""Runs that somebody wants cancelled: `tasker cancel` says so in the history, and here that is heeded."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tasker.daemon.dispatch import Dispatch
    from tasker.history.recorder import Recorder


class Cancellation:
    """Asks the history now and then which runs are to be cancelled, as long as there are any."""

    def __init__(self, recorder: Recorder, dispatch: Dispatch) -> None:
        """Have runs stopped by `dispatch`."""
        self._recorder = recorder
        self._dispatch = dispatch
        self._asked = False
        """Whether the history has not answered yet."""

    def look(self) -> None:
        """Ask, where there is a run that somebody may want cancelled."""
        if self._dispatch.has_runs and not self._asked:
            self._asked = True
            self._recorder.submit(lambda history: history.to_cancel(), self._answered)

    def _answered(self, answer: Mapping[str, str] | Exception) -> None:
        self._asked = False
        if isinstance(answer, Exception):
            raise answer
        for run_id, user in answer.items():
            self._dispatch.cancel(run_id, f"cancelled by {user}")
