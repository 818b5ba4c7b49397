"""Health, readiness and metrics, as a cluster asks for them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tasker.clock import Clock
from tasker.daemon_state import DaemonState
from tasker.facts import Event, Fact
from tasker.faults import Fault, Place
from tasker.metrics import Metrics
from tasker.pipeline import Schedule
from tasker.probes import FRESH_S, MOST_TOLD, STALLED_S, Probes

NOW = datetime(2026, 11, 22, 2, 15, tzinfo=UTC)
FAULT = Fault("unknown-task", Place("conf.d/crm.conf", 14, 12), "no task is named 'archve'", "did you mean 'archive'?")


@dataclass
class Daemon:
    """A daemon that stands as a test says, at a time that a test says."""

    state: DaemonState = field(default_factory=lambda: DaemonState(turned_at=0.0, ready=True))
    metrics: Metrics = field(default_factory=Metrics)
    passed_s: float = 0.0
    probes: Probes = field(init=False)

    @contextmanager
    def answering(self) -> Iterator[None]:
        clock = Clock(now=lambda: NOW + timedelta(seconds=self.passed_s), monotonic=lambda: self.passed_s)
        self.probes = Probes("127.0.0.1", 0, lambda: self.state, self.metrics, clock)
        with self.probes:
            yield

    def get(self, path: str) -> tuple[int, str]:
        connection = HTTPConnection(*self.probes.address, timeout=20)
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()

    def readiness(self) -> tuple[int, dict[str, Any]]:
        status, body = self.get("/readyz")
        return status, json.loads(body)


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    daemon = Daemon()
    with daemon.answering():
        yield daemon


def test_it_is_healthy_while_its_loop_turns(daemon: Daemon) -> None:
    daemon.passed_s = STALLED_S
    assert daemon.get("/healthz") == (200, "ok\n")
    daemon.passed_s += 1
    assert daemon.get("/healthz") == (503, "the main loop has not turned for 31 s\n")
    daemon.state = replace(daemon.state, turned_at=STALLED_S)
    assert daemon.get("/healthz") == (200, "ok\n")


def test_it_is_ready_from_the_first_validation_until_it_stops(daemon: Daemon) -> None:
    daemon.state = replace(daemon.state, ready=False)
    status, told = daemon.readiness()
    assert (status, told["ready"], told["reason"]) == (503, False, "the first validation is under way")
    daemon.state = replace(daemon.state, ready=True)
    status, told = daemon.readiness()
    assert (status, told["ready"]) == (200, True)
    assert "reason" not in told
    daemon.state = replace(daemon.state, stopping=True)
    status, told = daemon.readiness()
    assert (status, told["reason"]) == (503, "the daemon is stopping")


def test_it_is_ready_although_a_file_is_invalid_and_tells_which_and_what_runs(daemon: Daemon) -> None:
    daemon.state = replace(
        daemon.state,
        invalid={"conf.d/crm.conf": (FAULT,), "conf.d/\udcff.conf": ()},
        runs_on={"conf.d/crm.conf": "4f0c"},
    )
    status, told = daemon.readiness()
    assert status == 200
    assert told["invalid_count"] == 2
    first, second = told["invalid"]
    assert (first["file"], first["runs_on"]) == ("conf.d/crm.conf", "4f0c")
    assert first["faults"][0]["code"] == "unknown-task"
    assert first["faults"][0]["line"] == 14
    assert (second["faults"], second["runs_on"]) == ([], None)


def test_it_tells_of_a_bounded_number_of_files_and_counts_them_all(daemon: Daemon) -> None:
    daemon.state = replace(daemon.state, invalid={f"{n}.conf": (FAULT,) * 1000 for n in range(5000)})
    _, told = daemon.readiness()
    assert told["invalid_count"] == 5000
    assert len(told["invalid"]) == MOST_TOLD
    assert len(json.dumps(told)) < 1 << 20


def test_it_tells_what_is_overdue_and_what_troubles_it(daemon: Daemon) -> None:
    daemon.metrics.keep("crm", file="crm.conf", since=NOW - timedelta(days=1), schedule=Schedule(cron=("15 2 * * *",)))
    daemon.metrics.observe(Fact(event=Event.RUN_FAILED, at=NOW, pipeline="crm", run_id="r1"))
    daemon.state = replace(daemon.state, troubles={"history": "the disk is full"})
    _, told = daemon.readiness()
    assert told["overdue_count"] == 1
    assert told["overdue"] == [{"pipeline": "crm", "reason": "its last run failed, and nothing has succeeded since"}]
    assert told["troubles"] == [{"what": "history", "error": "the disk is full"}]


def test_prometheus_reads_the_metrics(daemon: Daemon) -> None:
    daemon.metrics.keep("crm", file="crm.conf", since=NOW)
    status, text = daemon.get("/metrics")
    assert status == 200
    names = {family.name for family in text_string_to_metric_families(text)}
    assert {"tasker_runs", "tasker_config_valid", "process_cpu_seconds"} <= names


def test_however_many_ask_for_the_metrics_they_are_told_anew_once_a_second(daemon: Daemon) -> None:
    _, first = daemon.get("/metrics")
    daemon.state = replace(daemon.state, running=5)
    assert daemon.get("/metrics") == (200, first)
    daemon.passed_s = FRESH_S
    _, later = daemon.get("/metrics")
    assert "tasker_runs_running 5.0" in later


def test_of_other_paths_it_tells_which_there_are(daemon: Daemon) -> None:
    for path in ("/", "/metrics/", "/../etc/passwd", "//healthz", "/healthz/../metrics", "http://x/metrics"):
        assert daemon.get(path) == (404, "there are /healthz, /readyz, /metrics\n")


def test_pipelines_may_come_run_and_go_while_it_answers(daemon: Daemon) -> None:
    over = threading.Event()
    statuses: list[int] = []

    def ask() -> None:
        while not over.is_set():
            daemon.passed_s += FRESH_S
            statuses.extend(daemon.get(path)[0] for path in ("/metrics", "/readyz"))

    client = threading.Thread(target=ask)
    client.start()
    until = time.monotonic() + 1
    while time.monotonic() < until:
        for number in range(50):
            daemon.metrics.keep(f"p{number}", file=f"{number}.conf", since=NOW, schedule=Schedule(cron=("* * * * *",)))
            for event in (Event.RUN_STARTED, Event.RUN_SUCCEEDED):
                details = {"slot": NOW.isoformat(), "duration_s": 1}
                daemon.metrics.observe(Fact(event=event, at=NOW, pipeline=f"p{number}", run_id="r", details=details))
        for number in range(50):
            daemon.metrics.forget(f"p{number}")
    over.set()
    client.join()
    assert set(statuses) == {200}
