"""Messages from one process to another: JSON, of some length, whole whoever else is writing.

Not to be confused with what a step prints, which goes through pipes of its own.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST_MESSAGE = 4 * 1024 * 1024
"""Bytes that a message may have where nothing else is said, so that a runaway step cannot fill the runner's memory."""
_HEADER = struct.Struct("!IIB")
_PACKET = 32 * 1024
"""Bytes of a message that travel at once: well below the kernel's default limit for one packet (208 KiB)."""
_MOST_UNFINISHED = 64
"""Messages of one step that may be on their way at once: as many threads as may log long ones together."""
_DEEPEST = 200
"""Levels of nesting in a message: ours have fewer, and what follows the nesting must not run out of stack."""


class TooLargeError(ValueError):
    """A message that does not fit; says how many bytes it has."""


def pair(largest: int = LARGEST_MESSAGE) -> tuple[Receiver, Sender]:
    """The two ends of a new channel, for messages of at most so many bytes."""
    receiving, sending = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Receiver(receiving, largest), Sender(sending, largest)


class Sender:
    """The end that a process, its threads and its forks write to. It waits for the other end to have room."""

    def __init__(self, end: socket.socket, largest: int = LARGEST_MESSAGE) -> None:
        self._end = end
        self._largest = largest
        # A process that was killed within a message may have had the same id: it must not have had the same number.
        self._numbers = itertools.count(int.from_bytes(os.urandom(4)))

    def send(self, message: dict[str, Any]) -> None:
        """Send one message of JSON data; raises `TooLargeError`, and `OSError` where nobody is at the other end."""
        for packet in _packets(message, next(self._numbers), self._largest):
            self._end.sendall(packet)

    def fork(self) -> Sender:
        """This end, for a process that was forked from the one that has it."""
        return Sender(self._end, self._largest)

    def fileno(self) -> int:
        """The descriptor, to be passed on."""
        return self._end.fileno()

    def close(self) -> None:
        """Close this end in this process."""
        self._end.close()


class Outbox:
    """A sending end that never waits: what does not fit yet is kept, in order."""

    def __init__(self, end: socket.socket, largest: int = LARGEST_MESSAGE) -> None:
        end.setblocking(False)  # noqa: FBT003 - the standard library's own
        self._end = end
        self._largest = largest
        self._numbers = itertools.count()
        self._packets: deque[bytes] = deque()

    def __len__(self) -> int:
        """How many packets are still to be sent."""
        return len(self._packets)

    def fileno(self) -> int:
        """The descriptor that is writable when there is room again."""
        return self._end.fileno()

    def put(self, message: dict[str, Any]) -> None:
        """Send a message, as far as there is room; raises `TooLargeError`."""
        self._packets.extend(_packets(message, next(self._numbers), self._largest))
        self.flush()

    def flush(self) -> None:
        """Send as much of what is kept as there is room for; nothing is kept where nobody is at the other end."""
        try:
            while self._packets:
                self._end.send(self._packets[0])
                self._packets.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self._packets.clear()

    def close(self) -> None:
        """Close this end in this process."""
        self._packets.clear()
        self._end.close()


def _packets(message: dict[str, Any], number: int, largest: int) -> Iterator[bytes]:
    data = json.dumps(message).encode()
    if len(data) > largest:
        raise TooLargeError(len(data))
    for start in range(0, len(data), _PACKET):
        more = start + _PACKET < len(data)
        yield _HEADER.pack(os.getpid(), number & 0xFFFFFFFF, more) + data[start : start + _PACKET]


class Receiver:
    """The reading end. What is not a message of ours is passed over: a step can write rubbish to any descriptor."""

    def __init__(self, end: socket.socket, largest: int = LARGEST_MESSAGE) -> None:
        end.setblocking(False)  # noqa: FBT003 - the standard library's own
        self._end = end
        self._largest = largest
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
        if len(part) <= self._largest:
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
