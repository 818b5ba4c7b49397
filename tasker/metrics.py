"""What happened, counted, in the form that Prometheus reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from tasker.daemon_state import DaemonState
    from tasker.facts import Fact
    from tasker.pipeline import Schedule


class Metrics:
    """Counts what happens. Everything may be called from any thread; nothing blocks."""

    def observe(self, fact: Fact) -> None:
        """Count a fact: runs and slots."""

    def keep(
        self,
        pipeline: str,
        *,
        file: str,
        since: datetime,
        schedule: Schedule | None = None,
        timeout: timedelta | None = None,
        succeeded_at: datetime | None = None,
        decided: datetime | None = None,
    ) -> None:
        """Tell of this pipeline from now on, or of its new version.

        Its slots count from `since` on: when its schedule took effect. A daemon that starts knows from the history when
        it last succeeded, and its latest slot that has an outcome (`decided`).
        """

    def forget(self, pipeline: str) -> None:
        """The pipeline is gone, and so are its series."""

    def overdue(self, now: datetime) -> Mapping[str, str]:
        """Why pipelines are overdue, those that are."""
        raise NotImplementedError

    def text(self, state: DaemonState, now: datetime) -> bytes:
        """All of it, as Prometheus reads it (text format, UTF-8)."""
        raise NotImplementedError
