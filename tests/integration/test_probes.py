"""Health, readiness and metrics, as a cluster asks for them."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tasker.clock import Clock
from tasker.facts import Event, Fact
from tasker.faults import Fault, Place
from tasker.monitoring.metrics import Metrics
from tasker.monitoring.probes import (
    FRESH_S,
    LARGEST_BODY,
    LARGEST_HEAD,
    MOST_CONNECTIONS,
    MOST_TOLD,
    PATIENCE_S,
    STALLED_S,
    ListenError,
    Probes,
    shown,
)
from tasker.monitoring.state import DaemonState
from tasker.pipeline import Schedule

LIMIT_S = 60
NOW = datetime(2026, 11, 22, 2, 15, tzinfo=UTC)
LARGE = 8 << 20
FAULT = Fault("unknown-task", Place("conf.d/crm.conf", 14, 12), "no task is named 'archve'", "did you mean 'archive'?")


@dataclass
class Daemon:
    """A daemon that stands as a test says, at a time that a test says."""

    state: DaemonState = field(default_factory=lambda: DaemonState(turned_at=0.0, ready=True))
    metrics: Metrics = field(default_factory=Metrics)
    passed_s: float = 0.0
    probes: Probes = field(init=False)

    def __post_init__(self) -> None:
        self.probes = self.listening()

    def listening(self, host: str = "127.0.0.1", port: int = 0) -> Probes:
        clock = Clock(now=lambda: NOW + timedelta(seconds=self.passed_s), monotonic=lambda: self.passed_s)
        return Probes(host, port, lambda: self.state, self.metrics, clock)

    def get(self, path: str) -> tuple[int, str]:
        with closing(HTTPConnection(*self.probes.address, timeout=LIMIT_S)) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def connected(self) -> socket.socket:
        return socket.create_connection(self.probes.address, timeout=LIMIT_S)

    def asked(self, request: bytes) -> bytes:
        """All that is answered to a request that is sent as it is, until the server hangs up."""
        with self.connected() as client:
            client.sendall(request)
            return heard(client)

    def be_large(self) -> int:
        """Have more to tell than the buffers of a connection hold; how much about."""
        self.state = replace(self.state, troubles={"history": "x" * LARGE})
        return LARGE

    def readiness(self) -> tuple[int, dict[str, Any]]:
        status, body = self.get("/readyz")
        return status, json.loads(body)


def heard(client: socket.socket) -> bytes:
    parts = []
    with suppress(ConnectionResetError):  # what a client still had to say when it was hung up on comes back like that
        while part := client.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def get(path: str, method: str = "GET", *headers: str) -> bytes:
    lines = (f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", "")
    return "\r\n".join(lines).encode()


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    daemon = Daemon()
    with daemon.probes:
        yield daemon


# What it tells


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
    for path in ("/", "/metrics/", "/../etc/passwd", "/healthz/../metrics", "/HEALTHZ", "/metrics;x", "/%00"):
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


def test_an_answer_that_cannot_be_made_is_told_and_the_next_one_is(daemon: Daemon) -> None:
    odd: Any = object()
    whole, daemon.state = daemon.state, replace(daemon.state, troubles={"history": odd})
    words = "no answer could be made: TypeError: Object of type object is not JSON serializable\n"
    assert daemon.get("/readyz") == (500, words)
    daemon.state = whole
    assert daemon.get("/healthz") == (200, "ok\n")


# How it is asked


def test_no_header_says_who_serves(daemon: Daemon) -> None:
    head, _ = daemon.asked(get("/healthz")).split(b"\r\n\r\n", 1)
    first, *rest = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in rest)
    assert first == "HTTP/1.1 200 OK"
    assert headers.pop("Date").endswith("GMT")
    assert headers == {
        "Content-Type": "text/plain; charset=utf-8",
        "Transfer-Encoding": "chunked",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Connection": "close",
    }


def test_head_is_answered_with_the_length_alone(daemon: Daemon) -> None:
    head, body = daemon.asked(get("/healthz", "HEAD", "Connection: close")).split(b"\r\n\r\n")
    assert b"Content-Length: 3\r\n" in head
    assert body == b""


def test_what_follows_a_question_mark_is_no_part_of_the_path(daemon: Daemon) -> None:
    assert daemon.get("/healthz?verbose") == (200, "ok\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW"])
def test_only_get_and_head_are_allowed(daemon: Daemon, method: str) -> None:
    answered = daemon.asked(get("/healthz", method))
    assert answered.startswith(b"HTTP/1.1 405 ")
    assert b"Allow: GET, HEAD\r\n" in answered


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1 more\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\r\n\r\n", 400),
        (b"GET /" + b"x" * LARGEST_HEAD, 431),
        (b"GET / HTTP/1.1\r\nCookie: " + b"x" * LARGEST_HEAD, 431),
        (get("/", "POST", f"Content-Length: {LARGEST_BODY}"), 413),
    ],
    ids=["four words", "no letters", "TLS", "path", "header", "body"],
)
def test_what_is_no_request_or_a_large_one_is_refused(daemon: Daemon, request_: bytes, status: int) -> None:
    assert int(daemon.asked(request_).split()[1]) == status
    assert daemon.get("/healthz") == (200, "ok\n")


def test_whoever_sends_without_end_is_hung_up_on(daemon: Daemon) -> None:
    with daemon.connected() as client, pytest.raises(ConnectionError):  # noqa: PT012
        for _ in range(10_000):
            client.sendall(b"x" * 10_000)


def test_a_request_may_come_byte_by_byte(daemon: Daemon) -> None:
    with daemon.connected() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in get("/healthz"):
            client.sendall(bytes([byte]))
        assert b"ok\n" in heard(client)


# Who asks


def test_a_large_answer_arrives_whole(daemon: Daemon) -> None:
    large = daemon.be_large()
    _, told = daemon.readiness()
    assert len(told["troubles"][0]["error"]) == large


def test_whoever_says_nothing_is_hung_up_on(daemon: Daemon) -> None:
    with daemon.connected() as client:
        began = time.monotonic()
        assert heard(client) == b""
        assert time.monotonic() - began >= PATIENCE_S - 1


def test_whoever_asks_much_at_once_and_reads_nothing_keeps_nobody_waiting_and_is_hung_up_on(daemon: Daemon) -> None:
    daemon.be_large()
    with daemon.connected() as client:
        client.sendall(get("/readyz") * 100)
        assert client.recv(1, socket.MSG_WAITALL | socket.MSG_PEEK)
        assert daemon.get("/healthz") == (200, "ok\n")
        while daemon.probes.connections:
            time.sleep(0.01)


def test_who_comes_when_the_house_is_full_is_answered_once_the_silent_have_been_hung_up_on(daemon: Daemon) -> None:
    with ExitStack() as clients:
        for _ in range(MOST_CONNECTIONS + 10):
            clients.enter_context(closing(daemon.connected()))
        while daemon.probes.connections < MOST_CONNECTIONS:
            time.sleep(0.01)
        assert daemon.get("/healthz") == (200, "ok\n")
        assert daemon.probes.connections <= MOST_CONNECTIONS


def test_many_may_ask_at_once(daemon: Daemon) -> None:
    statuses: list[int] = []

    def ask() -> None:
        statuses.extend(daemon.get("/healthz")[0] for _ in range(20))

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 400


def test_whoever_hangs_up_in_the_middle_disturbs_nobody(daemon: Daemon, capfd: pytest.CaptureFixture[str]) -> None:
    daemon.be_large()
    for request in (b"", b"GET", get("/healthz"), get("/readyz")) * 10:
        with daemon.connected() as client:
            # A reset in place of a goodbye.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(request)
    assert daemon.get("/healthz") == (200, "ok\n")
    assert capfd.readouterr() == ("", "")


# Where it listens


def test_stopping_has_no_patience_with_anyone_and_hangs_up(daemon: Daemon) -> None:
    daemon.be_large()
    with daemon.connected() as asking, daemon.connected() as reading, daemon.connected() as silent:
        asking.sendall(b"GET / HTT")
        reading.sendall(get("/readyz"))
        assert reading.recv(1)
        began = time.monotonic()
        daemon.probes.stop()
        assert time.monotonic() - began < PATIENCE_S / 2
        for client in (asking, reading, silent):
            heard(client)
        with pytest.raises(ConnectionRefusedError):
            daemon.connected()
    with daemon.listening(*daemon.probes.address) as again:
        assert again.address == daemon.probes.address


def test_an_address_in_use_is_told_with_what_to_do(daemon: Daemon) -> None:
    words = rf"cannot listen on 127.0.0.1:{daemon.probes.address[1]}: .* in use; choose another with --http HOST:PORT"
    with pytest.raises(ListenError, match=words):
        daemon.listening(*daemon.probes.address)


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 0), ("no such host", 0), ("127.0.0.1", 70_000), ("::g", 0)])
def test_an_address_that_is_none_of_this_machine_is_told(daemon: Daemon, host: str, port: int) -> None:
    with pytest.raises(ListenError, match="cannot listen on"):
        daemon.listening(host, port)


def test_it_listens_by_ipv6_too(daemon: Daemon) -> None:
    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    with daemon.listening("::1") as probes, closing(HTTPConnection(*probes.address, timeout=LIMIT_S)) as connection:
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        assert shown(*probes.address) == f"[::1]:{probes.address[1]}"


def test_a_server_that_was_never_started_can_be_stopped() -> None:
    daemon = Daemon()
    daemon.probes.stop()
    with pytest.raises(ConnectionRefusedError):
        daemon.connected()
