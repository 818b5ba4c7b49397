"""What a cluster and a monitoring system ask of the daemon: is it alive, is it ready, how does it do.

The server is waitress, with its bounds set for a port that only few ask, and seldom.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

from waitress import create_server

from tasker.clock import Clock
from tasker.errors import TaskerError
from tasker.monitoring.exposition import CONTENT_TYPE, exposition
from tasker.monitoring.state import DaemonState
from tasker.reports import report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tasker.monitoring.metrics import Metrics

__all__ = ["DaemonState", "ListenError", "Probes"]

STALLED_S = 30.0
"""The main loop turns every few seconds at least; where it has not for this long, something holds it up."""
FRESH_S = 1.0
"""How long one rendering of the metrics answers for: many who ask cost no more than one."""
MOST_TOLD = 100
"""Invalid files, faults of each, and overdue pipelines that /readyz tells of; it counts all."""
MOST_CONNECTIONS = 64
"""Clients at a time; who comes then waits until someone leaves."""
PATIENCE_S = 5
"""How long a client may say nothing, or read nothing."""
LARGEST_HEAD = LARGEST_BODY = 8192
"""Bytes of a request."""

_ITS_OWN = 2
"""Descriptors of the server's own, which waitress counts as connections."""
_IN_MEMORY = 1 << 28
"""Bytes of an answer that are kept in memory rather than in a file: more than there are."""
_LAST_PORT = 65535
_END_S = 0.4
"""How long each of the two threads gets to end."""


class ListenError(TaskerError):
    """The address cannot be listened on."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen on {shown(host, port)}: {reason}; choose another with --http HOST:PORT")


@dataclass(frozen=True, slots=True)
class _Answer:
    """What is answered to a request."""

    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    allow: str = ""
    """The methods that are allowed, where another was used."""

    @property
    def headers(self) -> list[tuple[str, str]]:
        """All that every answer has, and what only this one has."""
        allow = [("Allow", self.allow)] if self.allow else []
        return [
            ("Content-Type", self.content_type),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            *allow,
        ]


class Probes:
    """An HTTP server in a thread of its own: `/healthz`, `/readyz` and `/metrics`."""

    def __init__(
        self, host: str, port: int, state: Callable[[], DaemonState], metrics: Metrics, clock: Clock | None = None
    ) -> None:
        """Listen at once; raises `ListenError` where that cannot be. `state` is called in a thread of the server."""
        self._state = state
        self._metrics = metrics
        self._clock = clock or Clock()
        self._rendered = b""
        self._rendered_at = float("-inf")
        self._paths = {"/healthz": self._health, "/readyz": self._readiness, "/metrics": self._told}
        logging.getLogger("waitress").setLevel(logging.ERROR)  # it warns of clients that have to wait
        listener = _listener(host, port)
        self.address: tuple[str, int] = listener.getsockname()[:2]
        """Where it listens, also where the port was 0."""
        self._sockets: dict[int, Any] = {}
        self._server = create_server(
            self._application,
            map=self._sockets,
            sockets=[listener],
            threads=1,  # what they do is computing, so more would only take turns
            connection_limit=MOST_CONNECTIONS + _ITS_OWN,
            channel_timeout=PATIENCE_S,
            cleanup_interval=1,
            max_request_header_size=LARGEST_HEAD,
            max_request_body_size=LARGEST_BODY,
            outbuf_overflow=_IN_MEMORY,
            log_socket_errors=False,
            ident=None,
            asyncore_use_poll=True,  # select() ends at 1024 descriptors
        )
        self._thread = threading.Thread(target=self._server.run, name="http", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def connections(self) -> int:
        """How many clients there are."""
        return max(0, len(self._sockets) - _ITS_OWN)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more, hang up on everyone, and let go of the port; takes at most a second."""
        if not self._sockets:
            return
        # Whoever computes an answer must be done before the descriptors are closed, and belong to something else.
        self._server.task_dispatcher.shutdown(timeout=_END_S)
        if self._thread.ident is None:
            self._close()
        else:
            self._server.trigger.pull_trigger(self._close)
            self._thread.join(_END_S)

    def _close(self) -> None:
        for each in list(self._sockets.values()):
            each.close()

    def _application(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, and hang up: waitress does where it is not told how long the answer is."""
        method = environ["REQUEST_METHOD"]
        answer = self._answer(method, environ["PATH_INFO"])
        length = [("Content-Length", str(len(answer.body)))] if method == "HEAD" else []
        start_response(f"{answer.status.value} {answer.status.phrase}", [*answer.headers, *length])
        return () if method == "HEAD" else iter((answer.body,))

    def _answer(self, method: str, path: str) -> _Answer:
        if method not in {"GET", "HEAD"}:
            return _text(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD", allow="GET, HEAD")
        asked = self._paths.get(path)
        if asked is None:
            return _text(HTTPStatus.NOT_FOUND, f"there are {', '.join(self._paths)}")
        try:
            return asked()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next question may have an answer
            words = f"no answer could be made: {type(error).__name__}: {error}"
            return _text(HTTPStatus.INTERNAL_SERVER_ERROR, words)

    def _health(self) -> _Answer:
        idle_s = self._clock.monotonic() - self._state().turned_at
        if idle_s <= STALLED_S:
            return _text(HTTPStatus.OK, "ok")
        return _text(HTTPStatus.SERVICE_UNAVAILABLE, f"the main loop has not turned for {idle_s:.0f} s")

    def _readiness(self) -> _Answer:
        state = self._state()
        status = HTTPStatus.OK if state.is_ready else HTTPStatus.SERVICE_UNAVAILABLE
        told = _readiness(state, self._metrics.overdue(self._clock.now()))
        return _Answer(status, f"{json.dumps(told)}\n".encode(), "application/json")

    def _told(self) -> _Answer:
        if self._clock.monotonic() - self._rendered_at >= FRESH_S:
            self._rendered = exposition(self._metrics, self._state(), self._clock.now())
            self._rendered_at = self._clock.monotonic()
        return _Answer(HTTPStatus.OK, self._rendered, CONTENT_TYPE)


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


def _text(status: HTTPStatus, text: str, *, allow: str = "") -> _Answer:
    return _Answer(status, f"{text}\n".encode(errors="backslashreplace"), allow=allow)


def shown(host: str, port: int) -> str:
    """An address as people write it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _listener(host: str, port: int) -> socket.socket:
    if port > _LAST_PORT:
        raise ListenError(host, port, f"ports end at {_LAST_PORT}")
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        known = error.errno if not isinstance(error, socket.gaierror) else None
        raise ListenError(host, port, str(error.strerror) if known is None else os.strerror(known)) from error
    # waitress waits for ever for a client to read on: connections have this from the socket that they come in by.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, PATIENCE_S * 1000)
    return listener
