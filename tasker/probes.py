"""What a cluster and a monitoring system ask of the daemon over HTTP: is it alive, is it ready, how does it do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasker.daemon_state import DaemonState

if TYPE_CHECKING:
    from collections.abc import Callable

    from tasker.clock import Clock
    from tasker.metrics import Metrics

__all__ = ["DaemonState", "Probes"]


class Probes:
    """A small HTTP server in threads of its own: `/healthz`, `/readyz` and `/metrics`."""

    def __init__(
        self, host: str, port: int, state: Callable[[], DaemonState], metrics: Metrics, clock: Clock | None = None
    ) -> None:
        """Listen at once; raises `ProbesError` where that cannot be. `state` is called in other threads."""

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, also where the port was 0."""
        raise NotImplementedError

    def start(self) -> None:
        """Begin to answer."""

    def stop(self) -> None:
        """Answer no more, and let go of the port; takes at most a second."""
