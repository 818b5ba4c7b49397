"""`tasker health`: ask the daemon whether it is well, as the health check of a container."""

from __future__ import annotations

import argparse
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tasker.cli import options
from tasker.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

_PATIENCE_S = 5.0
"""Seconds in which the daemon is to answer."""
_LONGEST = 4096
"""Bytes of an answer that are read."""
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing listens here: it is asked
"""Where to ask a daemon that listens on all addresses."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("health", help="whether the daemon is well, for a health check", description=__doc__)
    words = "where the daemon answers (default: as process 1 was told, if that is tasker) [TASKER_HTTP]"
    parser.add_argument("--http", metavar="HOST:PORT", type=options.address, help=words)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Ask; 0 where it is well, 1 where it is not. Raises `UsageError` where nobody can be asked."""
    words = words_of(_command_line_of_process_1())
    if arguments.http is None and words[:1] not in ([], ["watch"]):
        return _well(f"process 1 is `tasker {words[0]}`, which is well as long as it lives")
    address = arguments.http or _address(words)
    if address is None and words:
        return _well("the daemon lives, and is not to be asked: it was started without --http")
    if address is None:
        message = "nobody can be asked: name the address that the daemon was given, --http HOST:PORT"
        raise UsageError(message)
    try:
        status, text = _asked(*address)
    except OSError as error:
        return _unwell(f"nobody answers at port {address[1]} of {address[0]}: {error.strerror or error}")
    return _well(text) if status == b"200" else _unwell(text)


def _well(text: str) -> int:
    print(text)  # noqa: T201 - a command line speaks by printing
    return 0


def _unwell(text: str) -> int:
    print(f"tasker: {text}", file=sys.stderr)  # noqa: T201 - a command line speaks by printing
    return 1


def words_of(command_line: bytes) -> list[str]:
    """What tasker was started with, of a process's command line as the kernel tells it; nothing where it is another."""
    interpreter, _, rest = command_line.partition(b"\0")
    program, *words = rest.decode(errors="replace").split("\0")
    return words[:-1] if interpreter and Path(program).name == "tasker" else []


def _command_line_of_process_1() -> bytes:
    try:
        return Path("/proc/1/cmdline").read_bytes()
    except OSError:
        return b""


def _address(words: Sequence[str]) -> tuple[str, int] | None:
    """Where the daemon listens that was started with these words, or in our environment; `None` where nowhere."""
    parser = argparse.ArgumentParser(prog="tasker health")
    options.add_http(parser)
    address: tuple[str, int] | None = parser.parse_known_args(words)[0].http
    return address


def _asked(host: str, port: int) -> tuple[bytes, str]:
    """The status that it answers with, and the words. Raises `OSError`. An HTTP library would take longer to import."""
    answer = b""
    with socket.create_connection((_EVERYWHERE.get(host, host), port), _PATIENCE_S) as connection:
        connection.sendall(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
        while len(answer) < _LONGEST and (more := connection.recv(_LONGEST)):
            answer += more
    head, _, body = answer.partition(b"\r\n\r\n")
    protocol, _, rest = head.partition(b" ")
    if not protocol.startswith(b"HTTP/"):
        message = "it is no HTTP server"
        raise OSError(message)
    return rest[:3], body.decode(errors="replace").strip()
