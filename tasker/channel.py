"""Messages from a step's process to the runner: JSON, of some length, whole whoever else is writing.

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

LARGEST_MESSAGE = 4 * 1024 * 1024
"""Bytes that a message may have, so that a runaway step cannot fill the runner's memory."""
_HEADER = struct.Struct("!IIB")
_PACKET = 32 * 1024
"""Bytes of a message that travel at once: well below the kernel's default limit for one packet (208 KiB)."""
_MOST_UNFINISHED = 64
"""Messages of one step that may be on their way at once: as many threads as may log long ones together."""
_DEEPEST = 200
"""Levels of nesting in a message: ours have fewer, and what follows the nesting must not run out of stack."""


class TooLargeError(ValueError):
    """A message that does not fit; says how many bytes it has."""


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
        """Send one message of JSON data; raises `TooLargeError`."""
        data = json.dumps(message).encode()
        if len(data) > LARGEST_MESSAGE:
            raise TooLargeError(len(data))
        number = next(self._numbers) & 0xFFFFFFFF
        for start in range(0, len(data), _PACKET):
            more = start + _PACKET < len(data)
            self._end.sendall(_HEADER.pack(os.getpid(), number, more) + data[start : start + _PACKET])

    def close(self) -> None:
        """Close this end in this process."""
        self._end.close()


class Receiver:
    """The runner's end. What is not a message of ours is passed over: a step can write rubbish to any descriptor."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)  # noqa: FBT003 - the standard library's own
        self._end = end
        self._unfinished: dict[tuple[int, int], bytearray] = {}
        self.ended = False
        """Whether nobody is left who could send."""

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._end.fileno()

    def receive(self, packets: int | None = None) -> Iterator[dict[str, Any]]:
        """The messages that have arrived whole, from at most so many packets: who floods must let others through."""
        for _ in itertools.count() if packets is None else range(packets):
            packet = self._packet()
            if packet is None:
                return
            data = self._joined(packet) if len(packet) > _HEADER.size else None
            message = _message(data) if data is not None else None
            if message is not None:
                yield message

    def close(self) -> None:
        """Close this end in this process."""
        self._end.close()

    def _packet(self) -> bytes | None:
        try:
            packet = self._end.recv(_HEADER.size + _PACKET)
        except (BlockingIOError, ConnectionResetError):
            return None
        self.ended = not packet
        return packet or None

    def _joined(self, packet: bytes) -> bytearray | None:
        """The message that this packet completes."""
        process, number, more = _HEADER.unpack_from(packet)
        part = self._unfinished.setdefault((process, number), bytearray())
        if len(part) <= LARGEST_MESSAGE:
            part += memoryview(packet)[_HEADER.size :]
        if not more:
            return self._unfinished.pop((process, number))
        if len(self._unfinished) > _MOST_UNFINISHED:
            del self._unfinished[next(iter(self._unfinished))]
        return None


def _message(data: bytearray) -> dict[str, Any] | None:
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) and _is_shallow(data, message) else None


def _is_shallow(data: bytearray, message: dict[str, Any]) -> bool:
    """Whether a message nests no deeper than ours do; told from its text for all but a few."""
    if data.count(b"[") + data.count(b"{") <= _DEEPEST:
        return True
    level: list[Any] = [message]
    for _ in range(_DEEPEST):
        level = [item for each in level for item in _items(each)]
        if not level:
            return True
    return False


def _items(data: Any) -> list[Any]:
    items = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return [item for item in items if isinstance(item, dict | list)]
