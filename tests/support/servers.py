"""Servers on the loopback that uploads are sent to: a web server that can be told to fail, S3, and SFTP."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar


@dataclass
class WebServer:
    """Takes files by PUT, shows them by HEAD with their SHA-256 as tag, and fails as often as it is told."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    authorizations: set[str | None] = field(default_factory=set)
    failures: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Statuses, with headers, that the next PUT requests get in place of success; 0 closes the connection."""
    shows: bool = True
    """Whether HEAD is allowed."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: ClassVar[WebServer]

    def do_HEAD(self) -> None:
        self._note()
        content = self.state.files.get(self.path)
        if not self.state.shows:
            self._answer(405)
        elif content is None:
            self._answer(404)
        else:
            self._answer(200, {"Content-Length": str(len(content)), "ETag": f'"{sha256(content).hexdigest()}"'})

    def do_PUT(self) -> None:
        self._note()
        content = self.rfile.read(int(self.headers["Content-Length"]))
        status, headers = self.state.failures.pop(0) if self.state.failures else (201, {})
        if status == 201:
            self.state.files[self.path] = content
        if status:
            self._answer(status, headers)
        self.close_connection = status != 201

    def _note(self) -> None:
        self.state.requests.append((self.command, self.path))
        self.state.authorizations.add(self.headers["Authorization"])

    def _answer(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": "0", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def web_server() -> Iterator[WebServer]:
    state = WebServer()
    handler = type("Handler", (_Handler,), {"state": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def s3_server() -> Iterator[str]:
    """An S3 server, moto's; its URL."""
    command = [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", "0"]
    with _server(command, r"Running on (http://127\.0\.0\.1:\d+)") as url:
        yield url


@contextmanager
def sftp_server(folder: Path, host_key: Path, username: str, password: str) -> Iterator[int]:
    """An SFTP server, rclone's, which serves a folder; its port."""
    rclone = Path(sys.executable).with_name("rclone")
    options = ["--addr", "127.0.0.1:0", "--user", username, "--pass", password, "--key", str(host_key)]
    command = [str(rclone), "serve", "sftp", str(folder), "--config", "", "--dir-cache-time", "0s", *options]
    with _server(command, r"listening on 127\.0\.0\.1:(\d+)") as port:
        yield int(port)


@contextmanager
def _server(command: list[str], announces: str) -> Iterator[str]:
    """A server's process, once it has said on its standard error where it listens."""
    server = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert server.stderr is not None
    try:
        said = []
        for line in server.stderr:
            said.append(line)
            if match := re.search(announces, line):
                threading.Thread(target=server.stderr.read, daemon=True).start()
                yield match[1]
                return
        raise AssertionError("".join(said))
    finally:
        server.kill()
        server.wait()
        server.stderr.close()
