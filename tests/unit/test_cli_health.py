"""`tasker health`: what it asks whom, and what it makes of the answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tasker.cli import main
from tasker.cli.health import words_of


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """A server that gives one answer; its port, and what it was asked."""
    asked: list[bytes] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                asked.append(connection.recv(4096))
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1], asked
        thread.join()


@pytest.mark.parametrize("host", ["", "127.0.0.1", "0.0.0.0", "localhost"])
def test_a_daemon_that_is_well_is_asked_on_loopback(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\nok\n") as (port, asked):
        assert main(["health", "--http", f"{host}:{port}"]) == 0
    assert asked[0].startswith(b"GET /healthz HTTP/1.0\r\n")
    assert capsys.readouterr() == ("ok\n", "")


def test_the_address_stands_in_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(b"HTTP/1.1 200 OK\r\n\r\nok\n") as (port, _):
        monkeypatch.setenv("TASKER_HTTP", f"0.0.0.0:{port}")
        assert main(["health"]) == 0


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\nthe main loop has not turned for 31 s\n", "the main loop"),
        (b"SSH-2.0-OpenSSH_10\r\n", "it is no HTTP server"),
        (b"", "it is no HTTP server"),
    ],
)
def test_a_daemon_that_is_not_well_is_told_with_its_own_words(
    answer: bytes, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(answer) as (port, _):
        assert main(["health", "--http", f":{port}"]) == 1
    assert words in capsys.readouterr().err


def test_a_daemon_that_does_not_answer_is_not_well(capsys: pytest.CaptureFixture[str]) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    assert main(["health", "--http", f":{port}"]) == 1
    assert capsys.readouterr().err == f"tasker: nobody answers at port {port} of 127.0.0.1: Connection refused\n"


def test_without_an_address_outside_a_container_nobody_can_be_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["health"]) == 2
    assert "--http HOST:PORT" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command_line", "words"),
    [
        (b"/opt/tasker/bin/python\0/opt/tasker/bin/tasker\0watch\0--http\0:80\0", ["watch", "--http", ":80"]),
        (b"python\0/usr/local/bin/tasker\0once\0a b.conf\0", ["once", "a b.conf"]),
        (b"/sbin/init\0", []),
        (b"sh\0-c\0tasker watch\0", []),
        (b"", []),
    ],
)
def test_process_1_tells_what_it_was_started_with_if_it_is_tasker(command_line: bytes, words: list[str]) -> None:
    assert words_of(command_line) == words
