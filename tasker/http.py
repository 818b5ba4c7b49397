"""A small HTTP server: one thread and one selector, one request a connection, and nothing without a bound.

No client can make it start anything, hold more than a few kilobytes, or keep others out. Who does not ask in time is
hung up on; who asks when the house is full takes the place of whoever has been there longest.
"""

from __future__ import annotations

import os
import re
import select
import selectors
import socket
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Self

from tasker.errors import TaskerError

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S = 5.0
"""How long a client may take for its request, for reading the answer, and for hanging up."""
MOST_CONNECTIONS = 64
LONGEST_HEAD = 8192
"""Bytes of a request."""
LONGEST_REST = 1 << 20
"""Bytes that are read behind a request, and thrown away, so that its sender comes to read the answer."""

_REQUEST_LINE = re.compile(rb"([!-~]+) ([!-~]+) HTTP/1\.[0-9]\r?\n")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_LAST_PORT = 65535
_QUEUE = 1024
"""Clients that the kernel lets wait at the door: beyond that it lets them knock again a second later."""
_CHUNK = 16 * 1024
_BREATH_S = 0.1
"""How long to wait before accepting again where the machine has no room for a connection."""
_READ = selectors.EVENT_READ
_WRITE = selectors.EVENT_WRITE


class ListenError(TaskerError):
    """The address cannot be listened on."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen on {_joined(host, port)}: {reason}; choose another with --http HOST:PORT")


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered to a request."""

    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[str, ...] = ()
    """Further ones: `Name: value`."""

    @property
    def head(self) -> bytes:
        """Everything before the body."""
        lines = (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}",
            f"Date: {formatdate(usegmt=True)}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(self.body)}",
            "Cache-Control: no-store",
            "X-Content-Type-Options: nosniff",
            "Connection: close",
            *self.headers,
        )
        return "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")


def text_answer(status: HTTPStatus, text: str, *headers: str) -> Answer:
    """An answer of one line of text."""
    return Answer(status, f"{text}\n".encode(errors="backslashreplace"), headers=headers)


@dataclass(slots=True, eq=False)
class _Connection:
    """A client, and how far it has come."""

    socket: socket.socket
    deadline: float
    head: bytearray = field(default_factory=bytearray)
    left: list[memoryview] = field(default_factory=list)
    """What of the answer is not sent."""
    answered: bool = False
    rest: int = 0
    """Bytes that came behind the request."""


class Server:
    """Answers GET and HEAD; `answer` is called with each path in the server's thread."""

    def __init__(
        self, host: str, port: int, answer: Callable[[str], Answer], *, patience_s: float = PATIENCE_S
    ) -> None:
        """Listen at once; raises `ListenError`."""
        self._answer = answer
        self._patience_s = patience_s
        self._listener = _listener(host, port)
        self._waker, self._woken = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._connections: OrderedDict[socket.socket, _Connection] = OrderedDict()
        """By deadline: every renewal is for as long."""
        self._stopping = False
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, also where the port was 0."""
        host, port, *_ = self._listener.getsockname()
        return host, port

    @property
    def connections(self) -> int:
        """How many clients there are."""
        return len(self._connections)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more, and let go of the port; takes at most a second."""
        if self._stopping:
            return
        self._stopping = True
        self._waker.send(b"\0")
        if self._thread.ident is not None:
            self._thread.join(timeout=1)
        else:
            self._close()

    # The thread

    def _serve(self) -> None:
        self._selector.register(self._listener, _READ)
        self._selector.register(self._woken, _READ)
        try:
            while not self._stopping:
                self._turn()
        finally:
            self._close()

    def _turn(self) -> None:
        oldest = next(iter(self._connections.values()), None)
        patience = None if oldest is None else max(0.0, oldest.deadline - time.monotonic())
        events = self._selector.select(patience)
        for key, _ in events:
            connection = self._connections.get(key.fileobj)  # type: ignore[call-overload]
            if connection is not None:
                self._go_on(connection)
        if any(key.fileobj is self._listener for key, _ in events):
            self._accept()
        self._hang_up_on_the_slow()

    def _accept(self) -> None:
        """Let in who knocks: who came before has been served as far as could be."""
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError, InterruptedError):
            return
        except OSError:  # no descriptors or no memory left
            select.select([self._woken], [], [], _BREATH_S)
            return
        client.setblocking(False)  # noqa: FBT003 - the socket's own signature
        if len(self._connections) >= MOST_CONNECTIONS:
            self._drop(next(iter(self._connections.values())))
        self._connections[client] = _Connection(client, time.monotonic() + self._patience_s)
        self._selector.register(client, _READ)

    def _hang_up_on_the_slow(self) -> None:
        now = time.monotonic()
        for connection in list(self._connections.values()):
            if connection.deadline > now:
                return
            self._drop(connection)

    def _go_on(self, connection: _Connection) -> None:
        """Take a client one step further; what is wrong with one concerns no other."""
        try:
            if connection.left:
                self._send(connection)
            elif connection.answered:
                self._linger(connection)
            else:
                self._read(connection)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._drop(connection)

    def _read(self, connection: _Connection) -> None:
        data = connection.socket.recv(_CHUNK)
        if not data:
            self._drop(connection)
            return
        connection.head += data
        answer, head_only = self._answered(connection.head)
        if answer is None:
            return
        connection.head.clear()
        connection.answered = True
        connection.left = [memoryview(answer.head), *(() if head_only else (memoryview(answer.body),))]
        self._renew(connection)
        self._selector.modify(connection.socket, _WRITE)
        self._send(connection)

    def _answered(self, head: bytearray) -> tuple[Answer | None, bool]:
        """The answer, once there is enough of the request; and whether only its head is wanted."""
        line = _REQUEST_LINE.match(head)
        if line is None and (b"\n" in head or not head[:1].isalpha()):
            return text_answer(HTTPStatus.BAD_REQUEST, "expected a request of HTTP/1.1"), False
        end = _HEAD_END.search(head)
        if (len(head) if end is None else end.start()) > LONGEST_HEAD:
            words = f"a request has at most {LONGEST_HEAD} bytes"
            return text_answer(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, words), False
        if line is None or end is None:
            return None, False
        if line[1] not in {b"GET", b"HEAD"}:
            return text_answer(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD", "Allow: GET, HEAD"), False
        return self._found(line[2].partition(b"?")[0].decode("ascii")), line[1] == b"HEAD"

    def _found(self, path: str) -> Answer:
        try:
            return self._answer(path)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next question may have an answer
            words = f"no answer could be made: {type(error).__name__}: {error}"
            return text_answer(HTTPStatus.INTERNAL_SERVER_ERROR, words)

    def _send(self, connection: _Connection) -> None:
        while connection.left:
            sent = connection.socket.send(connection.left[0])
            connection.left[0] = connection.left[0][sent:]
            if not connection.left[0]:
                del connection.left[0]
        connection.socket.shutdown(socket.SHUT_WR)
        self._renew(connection)
        self._selector.modify(connection.socket, _READ)

    def _linger(self, connection: _Connection) -> None:
        """Read on until the client hangs up: to close on unread words would take the answer away from it."""
        data = connection.socket.recv(_CHUNK)
        connection.rest += len(data)
        if not data or connection.rest > LONGEST_REST:
            self._drop(connection)

    def _renew(self, connection: _Connection) -> None:
        connection.deadline = time.monotonic() + self._patience_s
        self._connections.move_to_end(connection.socket)

    def _drop(self, connection: _Connection) -> None:
        del self._connections[connection.socket]
        self._selector.unregister(connection.socket)
        connection.socket.close()

    def _close(self) -> None:
        for connection in list(self._connections.values()):
            self._drop(connection)
        self._selector.close()
        for each in (self._listener, self._waker, self._woken):
            each.close()


def _listener(host: str, port: int) -> socket.socket:
    if not 0 <= port <= _LAST_PORT:
        raise ListenError(host, port, f"ports end at {_LAST_PORT}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_QUEUE)
    except OSError as error:
        known = error.errno if not isinstance(error, socket.gaierror) else None
        raise ListenError(host, port, str(error.strerror) if known is None else os.strerror(known)) from error
    listener.setblocking(False)  # noqa: FBT003 - as above
    return listener


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
