"""The metrics, in the form that Prometheus reads; imported only where they are asked for.

The counting is `metrics`' own, and the names are here: prometheus-client's metrics would be slower to count with, and
keep the series of pipelines that are gone.
"""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from tasker.monitoring.metrics import MOST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from prometheus_client.core import Metric

    from tasker.monitoring.metrics import Metrics, Tally
    from tasker.monitoring.state import DaemonState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
HISTORY = "history"
"""What the daemon calls trouble with its history."""


def exposition(metrics: Metrics, state: DaemonState, now: datetime) -> bytes:
    """All metrics as text; `now` decides what is overdue."""
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    registry.register(_Families(metrics, state, now))
    return generate_latest(registry)


class _Families(Collector):
    """The metrics of one moment."""

    def __init__(self, metrics: Metrics, state: DaemonState, now: datetime) -> None:
        self._metrics = metrics
        self._state = state
        self._now = now

    def collect(self) -> Iterator[Metric]:
        tallies = self._metrics.tallies()
        yield from _of_the_daemon(self._state)
        yield _validity(tallies, self._state)
        yield from _of_runs(tallies)
        yield _of_slots(tallies)
        yield self._lateness()
        yield from _of_success(tallies, self._now)

    def _lateness(self) -> Metric:
        buckets, total = self._metrics.lateness.told()
        words = "How long after its slot a run started; resumed runs are not counted."
        return HistogramMetricFamily("tasker_slot_lateness_seconds", words, buckets=buckets, sum_value=total)


def _of_the_daemon(state: DaemonState) -> Iterator[Metric]:
    yield _gauge("tasker_ready", "Whether the first validation is over and the daemon is not stopping.", state.is_ready)
    yield _gauge("tasker_runs_waiting", "Runs that wait for room.", state.waiting)
    yield _gauge("tasker_runs_running", "Runs that are under way.", state.running)
    yield _gauge("tasker_history_up", "Whether the history can be written.", HISTORY not in state.troubles)
    yield _gauge("tasker_watch_polling", "Whether changes of files are found by polling.", state.polling)
    troubled = GaugeMetricFamily("tasker_troubled", "What does not work; /readyz says why.", labels=["what"])
    for what in state.troubles:
        troubled.add_metric([what], 1)
    yield troubled
    words = "Lines of the log that were dropped, since nobody read them."
    yield CounterMetricFamily("tasker_log_dropped_lines", words, value=state.log_dropped)
    build = GaugeMetricFamily("tasker_build_info", "Which tasker this is; always 1.", labels=["version", "python"])
    build.add_metric([version("tasker"), platform.python_version()], 1)
    yield build


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value=float(value))


def _validity(tallies: Mapping[str, Tally], state: DaemonState) -> Metric:
    """Each file that has a pipeline or a fault: the invalid ones first, should there be too many."""
    family = GaugeMetricFamily("tasker_config_valid", "Whether the file is valid as it stands.", labels=["file"])
    valid = dict.fromkeys(state.invalid, 0) | {
        tally.file: 1 for tally in tallies.values() if tally.file and tally.file not in state.invalid
    }
    for file, value in list(valid.items())[:MOST]:
        family.add_metric([file], value)
    return family


def _of_runs(tallies: Mapping[str, Tally]) -> Iterator[Metric]:
    runs = CounterMetricFamily("tasker_runs", "Runs that ended, by status.", labels=["pipeline", "status"])
    durations = HistogramMetricFamily(
        "tasker_run_duration_seconds", "How long runs took, whatever their status.", labels=["pipeline"]
    )
    for name, tally in tallies.items():
        _add(runs, name, tally.runs)
        buckets, total = tally.durations.told()
        durations.add_metric([name], buckets, total)
    yield runs
    yield durations


def _of_slots(tallies: Mapping[str, Tally]) -> Metric:
    words = "Slots, by their outcome; a run that starts is one that ran."
    family = CounterMetricFamily("tasker_slots", words, labels=["pipeline", "outcome"])
    for name, tally in tallies.items():
        _add(family, name, tally.slots)
    return family


def _add(family: CounterMetricFamily, name: str, counts: Mapping[str, int]) -> None:
    for label, count in counts.items():
        family.add_metric([name, label], count)


def _of_success(tallies: Mapping[str, Tally], now: datetime) -> Iterator[Metric]:
    words = "When a run of it last succeeded, in seconds since 1970."
    succeeded = GaugeMetricFamily("tasker_last_success_timestamp_seconds", words, labels=["pipeline"])
    words = "Whether work did not happen when it should have; only of pipelines with a schedule."
    overdue = GaugeMetricFamily("tasker_pipeline_overdue", words, labels=["pipeline"])
    for name, tally in tallies.items():
        if tally.standing is not None and tally.standing.succeeded_at is not None:
            succeeded.add_metric([name], tally.standing.succeeded_at.timestamp())
        if tally.expectation is not None:
            overdue.add_metric([name], float(tally.overdue(now) is not None))
    yield succeeded
    yield overdue
