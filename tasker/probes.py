"""What a cluster and a monitoring system ask of the daemon: is it alive, is it ready, how does it do."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tasker.clock import Clock
from tasker.daemon_state import DaemonState
from tasker.exposition import CONTENT_TYPE, exposition
from tasker.http import Answer, Server, text_answer
from tasker.reports import report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tasker.metrics import Metrics

__all__ = ["DaemonState", "Probes"]

STALLED_S = 30.0
"""The main loop turns every few seconds at least; where it has not for this long, something holds it up."""
FRESH_S = 1.0
"""How long one rendering of the metrics answers for: many who ask cost no more than one."""
MOST_TOLD = 100
"""Invalid files, faults of each, and overdue pipelines that /readyz tells of; it counts all."""


class Probes(Server):
    """A small HTTP server in a thread of its own: `/healthz`, `/readyz` and `/metrics`."""

    def __init__(
        self, host: str, port: int, state: Callable[[], DaemonState], metrics: Metrics, clock: Clock | None = None
    ) -> None:
        """Listen at once; raises `ListenError` where that cannot be. `state` is called in the server's thread."""
        self._state = state
        self._metrics = metrics
        self._clock = clock or Clock()
        self._rendered = b""
        self._rendered_at = float("-inf")
        self._paths = {"/healthz": self._health, "/readyz": self._readiness, "/metrics": self._told}
        super().__init__(host, port, self.answer)

    def answer(self, path: str) -> Answer:
        """What is answered to a path."""
        asked = self._paths.get(path)
        return text_answer(HTTPStatus.NOT_FOUND, f"there are {', '.join(self._paths)}") if asked is None else asked()

    def _health(self) -> Answer:
        idle_s = self._clock.monotonic() - self._state().turned_at
        if idle_s <= STALLED_S:
            return text_answer(HTTPStatus.OK, "ok")
        return text_answer(HTTPStatus.SERVICE_UNAVAILABLE, f"the main loop has not turned for {idle_s:.0f} s")

    def _readiness(self) -> Answer:
        state = self._state()
        status = HTTPStatus.OK if state.is_ready else HTTPStatus.SERVICE_UNAVAILABLE
        told = _readiness(state, self._metrics.overdue(self._clock.now()))
        return Answer(status, f"{json.dumps(told)}\n".encode(), "application/json")

    def _told(self) -> Answer:
        if self._clock.monotonic() - self._rendered_at >= FRESH_S:
            self._rendered = exposition(self._metrics, self._state(), self._clock.now())
            self._rendered_at = self._clock.monotonic()
        return Answer(HTTPStatus.OK, self._rendered, CONTENT_TYPE)


def _readiness(state: DaemonState, overdue: Mapping[str, str]) -> dict[str, Any]:
    """Whether it is ready, or why not, and what is wrong even so."""
    why = "the daemon is stopping" if state.stopping else "the first validation is under way"
    return {
        "ready": state.is_ready,
        **({} if state.is_ready else {"reason": why}),
        "invalid_count": len(state.invalid),
        "invalid": [_invalid(state, file) for file in sorted(state.invalid)[:MOST_TOLD]],
        "overdue_count": len(overdue),
        "overdue": [{"pipeline": name, "reason": overdue[name]} for name in sorted(overdue)[:MOST_TOLD]],
        "troubles": [{"what": what, "error": error} for what, error in state.troubles.items()],
    }


def _invalid(state: DaemonState, file: str) -> dict[str, Any]:
    faults = [json.loads(line) for line in report(state.invalid[file][:MOST_TOLD], "json")]
    return {"file": file, "faults": faults, "runs_on": state.runs_on.get(file)}
