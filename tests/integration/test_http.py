"""The HTTP server, by real sockets: whatever clients do, it goes on answering, and keeps to its bounds."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from http import HTTPStatus
from pathlib import Path

import pytest

from tasker.http import LONGEST_HEAD, MOST_CONNECTIONS, Answer, ListenError, Server, text_answer

LIMIT_S = 20
LARGE = bytes(8 << 20)
"""More than the buffers of a connection hold."""


def answer(path: str) -> Answer:
    if path == "/fails":
        raise LookupError(path)
    if path == "/large":
        return Answer(HTTPStatus.OK, LARGE)
    return text_answer(HTTPStatus.OK, f"here is {path}")


@contextmanager
def serving(patience_s: float = LIMIT_S, host: str = "127.0.0.1") -> Iterator[Server]:
    with Server(host, 0, answer, patience_s=patience_s) as server:
        yield server


def connected(server: Server) -> socket.socket:
    return socket.create_connection(server.address, timeout=LIMIT_S)


def heard(client: socket.socket) -> bytes:
    """All that comes until the server hangs up."""
    parts = []
    while part := client.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def asked(server: Server, request: bytes) -> bytes:
    """The answer to a request that is sent as it is."""
    with connected(server) as client:
        client.sendall(request)
        return heard(client)


def status(server: Server, request: bytes) -> int:
    return int(asked(server, request).split()[1])


def get(path: str = "/", method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


# What is asked


def test_an_answer_has_a_length_and_no_word_of_who_serves() -> None:
    with serving() as server:
        head, body = asked(server, get("/x")).split(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in rest)
    assert first == "HTTP/1.1 200 OK"
    assert body == b"here is /x\n"
    assert headers.pop("Date").endswith("GMT")
    assert headers == {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Connection": "close",
    }


def test_head_is_answered_with_the_length_alone() -> None:
    with serving() as server:
        head, body = asked(server, get("/x", "HEAD")).split(b"\r\n\r\n")
    assert b"Content-Length: 11" in head
    assert body == b""


def test_what_follows_a_question_mark_is_no_part_of_the_path() -> None:
    with serving() as server:
        assert asked(server, get("/x?name=y")).endswith(b"here is /x\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "BREW"])
def test_only_get_and_head_are_allowed(method: str) -> None:
    with serving() as server:
        answered = asked(server, get("/x", method))
    assert answered.startswith(b"HTTP/1.1 405 ")
    assert b"Allow: GET, HEAD\r\n" in answered


def test_whoever_sends_a_body_hears_the_answer_all_the_same() -> None:
    with serving() as server:
        answered = asked(
            server, get("/x", "POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 500000\r\n\r\n" + LARGE[:500_000])
        )
    assert answered.startswith(b"HTTP/1.1 405 ")


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1 more\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"\r\n\r\n",
        b"\x00",
    ],
)
def test_what_is_no_request_of_http_is_told_so_at_once(request_: bytes) -> None:
    with serving() as server:
        assert status(server, request_) == 400


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /" + b"x" * LONGEST_HEAD,
        b"GET / HTTP/1.1\r\n" + b"X-Header: y\r\n" * 2000 + b"\r\n",
        b"GET / HTTP/1.1\r\nCookie: " + b"x" * 500_000 + b"\r\n\r\n",
    ],
)
def test_a_request_that_is_too_long_is_told_so(request_: bytes) -> None:
    with serving() as server:
        assert status(server, request_) == 431


def test_whoever_sends_without_end_is_hung_up_on() -> None:
    with serving() as server, connected(server) as client, pytest.raises(ConnectionError):  # noqa: PT012
        for _ in range(10_000):
            client.sendall(b"x" * 10_000)


def test_a_request_may_come_byte_by_byte() -> None:
    with serving() as server, connected(server) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in get("/x"):
            client.sendall(bytes([byte]))
        assert heard(client).endswith(b"here is /x\n")


def test_lines_may_end_as_unix_ends_them() -> None:
    with serving() as server:
        assert status(server, b"GET / HTTP/1.0\n\n") == 200


def test_an_answer_that_cannot_be_made_is_told_and_the_next_one_is() -> None:
    with serving() as server:
        answered = asked(server, get("/fails"))
        assert answered.startswith(b"HTTP/1.1 500 ")
        assert answered.endswith(b"no answer could be made: LookupError: /fails\n")
        assert status(server, get()) == 200


# Who asks


def test_whoever_is_slow_to_ask_is_hung_up_on_however_busily_he_trickles() -> None:
    with serving(patience_s=0.3) as server, connected(server) as client:
        began = time.monotonic()
        with pytest.raises(ConnectionError):  # noqa: PT012
            while time.monotonic() - began < LIMIT_S:
                client.sendall(b"x")
                time.sleep(0.02)
        assert time.monotonic() - began >= 0.3


def test_whoever_is_slow_to_read_is_hung_up_on() -> None:
    with serving(patience_s=0.3) as server, connected(server) as client:
        client.sendall(get("/large"))
        assert client.recv(1, socket.MSG_WAITALL | socket.MSG_PEEK)
        while server.connections:
            time.sleep(0.01)
        assert status(server, get()) == 200


def test_a_large_answer_arrives_whole() -> None:
    with serving() as server:
        assert asked(server, get("/large")).endswith(b"\r\n\r\n" + LARGE)


def test_whoever_says_nothing_keeps_nobody_out() -> None:
    with serving() as server, ExitStack() as clients:
        for _ in range(MOST_CONNECTIONS * 3):
            clients.enter_context(closing(connected(server)))
            assert server.connections <= MOST_CONNECTIONS
        assert status(server, get()) == 200


def test_many_may_ask_at_once() -> None:
    statuses: list[int] = []
    with serving() as server:
        threads = [
            threading.Thread(target=lambda: statuses.extend(status(server, get("/x")) for _ in range(20)))
            for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == [200] * 400
        while server.connections:
            time.sleep(0.01)


def test_whoever_hangs_up_in_the_middle_disturbs_nobody() -> None:
    with serving() as server:
        for request in (b"", b"GET", get(), get("/large")) * 10:
            with connected(server) as client:
                # A reset in place of a goodbye.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.sendall(request)
        assert status(server, get()) == 200


def test_the_program_goes_on_under_a_storm_of_clients() -> None:
    with serving() as server, ExitStack() as quiet:
        over = threading.Event()

        def storm() -> None:
            while not over.is_set():
                asked(server, get("/large"))

        for _ in range(MOST_CONNECTIONS // 2):
            quiet.enter_context(closing(connected(server)))
        clients = [threading.Thread(target=storm) for _ in range(4)]
        for client in clients:
            client.start()
        turns, worst = 0, 0.0
        until = time.monotonic() + 1
        while (began := time.monotonic()) < until:
            time.sleep(0.001)
            worst, turns = max(worst, time.monotonic() - began), turns + 1
        over.set()
        for client in clients:
            client.join()
    assert worst < 0.5
    assert turns > 20


# Where it listens


def test_stopping_takes_no_time_and_leaves_no_one_waiting() -> None:
    with serving() as server, connected(server) as client:
        address = server.address
        client.sendall(b"GET / HTT")
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 1
        with suppress(ConnectionResetError):
            assert heard(client) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)


def test_an_address_in_use_is_told_with_what_to_do() -> None:
    with (
        serving() as server,
        pytest.raises(ListenError, match=r"cannot listen on 127.0.0.1:\d+: .*; choose another with --http"),
    ):
        Server(*server.address, answer)


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 0), ("no such host", 0), ("127.0.0.1", 70_000), ("::g", 0)])
def test_an_address_that_is_none_of_this_machine_is_told(host: str, port: int) -> None:
    with pytest.raises(ListenError, match="cannot listen on"):
        Server(host, port, answer)


def test_it_listens_by_ipv6_too() -> None:
    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    with serving(host="::1") as server:
        assert status(server, get()) == 200


def test_a_server_that_was_never_started_can_be_stopped() -> None:
    server = Server("127.0.0.1", 0, answer)
    address = server.address
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
