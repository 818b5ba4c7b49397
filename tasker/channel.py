"""Messages from a step's process to the runner: JSON, of any length, whole whoever else is writing.

Not to be confused with what a step prints, which goes through pipes of its own.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADER = struct.Struct("!IIB")
_PACKET = 32 * 1024
"""Bytes of a message that travel at once: well below the kernel's default limit for one packet (208 KiB)."""
_LARGEST_MESSAGE = 16 * 1024 * 1024
"""Bytes after which a message is dropped, so that a runaway step cannot fill the runner's memory."""


def pair() -> tuple[Receiver, Sender]:
    """The two ends of a new channel."""
    receiving, sending = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Receiver(receiving), Sender(sending)


class Sender:
    """The end that a step's process, its threads and its forks write to."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._numbers = itertools.count()

    def send(self, message: dict[str, Any]) -> None:
        """Send one message; what JSON does not know goes as its `str()`."""
        data = json.dumps(message, default=str).encode()
        number = next(self._numbers) & 0xFFFFFFFF
        for start in range(0, len(data), _PACKET):
            more = start + _PACKET < len(data)
            self._end.sendall(_HEADER.pack(os.getpid(), number, more) + data[start : start + _PACKET])

    def close(self) -> None:
        """Close this end in this process."""
        self._end.close()


class Receiver:
    """The runner's end."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self._parts: dict[tuple[int, int], bytearray] = {}

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._end.fileno()

    def receive(self) -> Iterator[dict[str, Any]]:
        """The messages that have arrived whole; what is not a message of ours is passed over."""
        while packet := self._packet():
            process, number, more = _HEADER.unpack_from(packet)
            part = self._parts.setdefault((process, number), bytearray())
            if len(part) <= _LARGEST_MESSAGE:
                part += packet[_HEADER.size :]
            if not more:
                yield from _message(self._parts.pop((process, number)))

    def close(self) -> None:
        """Close this end in this process."""
        self._end.close()

    def _packet(self) -> bytes:
        try:
            packet = self._end.recv(_HEADER.size + _PACKET)
        except (BlockingIOError, ConnectionResetError):
            return b""
        return packet if len(packet) >= _HEADER.size else b""


def _message(data: bytearray) -> Iterator[dict[str, Any]]:
    try:
        message = json.loads(data)
    except ValueError:
        return
    if isinstance(message, dict):
        yield message
