"""Servers on the loopback that uploads are sent to: S3, SFTP, and a web and an SFTP server that can be told to fail."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO, ClassVar

import paramiko
from paramiko.common import AUTH_SUCCESSFUL, OPEN_SUCCEEDED
from paramiko.sftp import SFTP_FAILURE, SFTP_NO_SUCH_FILE, SFTP_OK, SFTP_OP_UNSUPPORTED


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


@dataclass
class OldSftpServer:
    """Serves a folder without OpenSSH's rename: it replaces no file, and fails as often as it is told."""

    folder: Path
    port: int = 0
    key: paramiko.PKey = field(default_factory=paramiko.ECDSAKey.generate)
    posix_rename: int = SFTP_OP_UNSUPPORTED
    """What it answers to OpenSSH's rename."""
    renames: list[int] = field(default_factory=list)
    """What the next renames answer; those that are not OK are not carried out."""


class _Everyone(paramiko.ServerInterface):
    def check_auth_password(self, _username: str, _password: str) -> int:
        return AUTH_SUCCESSFUL

    def check_channel_request(self, _kind: str, _channel: int) -> int:
        return OPEN_SUCCEEDED


class _OpenFile(paramiko.SFTPHandle):
    readfile: BinaryIO
    writefile: BinaryIO


class _OldSftp(paramiko.SFTPServerInterface):
    state: ClassVar[OldSftpServer]

    def open(self, path: str, flags: int, _attributes: object) -> paramiko.SFTPHandle:
        handle = _OpenFile(flags)
        descriptor = os.open(self._real(path), flags, 0o600)
        handle.readfile = handle.writefile = os.fdopen(descriptor, "rb" if flags == os.O_RDONLY else "wb")
        return handle

    def stat(self, path: str) -> paramiko.SFTPAttributes | int:
        try:
            return paramiko.SFTPAttributes.from_stat(self._real(path).stat())
        except FileNotFoundError:
            return SFTP_NO_SUCH_FILE

    lstat = stat

    def remove(self, path: str) -> int:
        self._real(path).unlink()
        return SFTP_OK

    def rename(self, old: str, new: str) -> int:
        answer = self.state.renames.pop(0) if self.state.renames else SFTP_OK
        if answer != SFTP_OK or self._real(new).exists():
            return answer or SFTP_FAILURE
        self._real(old).rename(self._real(new))
        return SFTP_OK

    def posix_rename(self, _old: str, _new: str) -> int:
        return self.state.posix_rename

    def _real(self, path: str) -> Path:
        return self.state.folder / path.lstrip("/")


@contextmanager
def old_sftp_server(folder: Path) -> Iterator[OldSftpServer]:
    state = OldSftpServer(folder)
    serving = type("Serving", (_OldSftp,), {"state": state})
    transports: list[paramiko.Transport] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                transport = paramiko.Transport(listener.accept()[0])
                transports.append(transport)
                transport.add_server_key(state.key)
                transport.set_subsystem_handler("sftp", paramiko.SFTPServer, serving)
                transport.start_server(server=_Everyone())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        state.port = listener.getsockname()[1]
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield state
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for transport in transports:
                transport.close()


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
