from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasker.running import channel
from tasker.running.channel import LARGEST_MESSAGE, Outbox, Receiver, Sender, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ends() -> Iterator[tuple[Receiver, Sender]]:
    receiver, sender = channel.pair()
    yield receiver, sender
    receiver.close()
    sender.close()


@pytest.fixture
def raw() -> Iterator[tuple[Receiver, socket.socket]]:
    """A receiver with an end that anything can be written to."""
    receiving, sending = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with sending:
        receiver = Receiver(receiving)
        yield receiver, sending
        receiver.close()


def packet(data: bytes, *, number: int = 1, more: bool = False) -> bytes:
    return b"\0\0\0\1" + number.to_bytes(4) + bytes([more]) + data


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda item: st.lists(item) | st.dictionaries(st.text(), item),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(), JSON, max_size=3), max_size=3))
def test_messages_arrive_as_they_were_sent(messages: list[dict[str, Any]]) -> None:
    receiver, sender = channel.pair()
    for message in messages:
        sender.send(message)
    assert list(receiver.receive()) == messages
    receiver.close()
    sender.close()


def test_a_long_message_arrives_whole(ends: tuple[Receiver, Sender]) -> None:
    receiver, sender = ends
    long = {"text": "é" * 15_000}
    sender.send(long)
    assert list(receiver.receive()) == [long]


def test_parts_of_messages_that_cross_each_other_find_together(raw: tuple[Receiver, socket.socket]) -> None:
    receiver, end = raw
    for data in (
        packet(b'{"a"', number=1, more=True),
        packet(b'{"b"', number=2, more=True),
        packet(b":1}", number=1),
        packet(b":2}", number=2),
    ):
        end.send(data)
    assert list(receiver.receive()) == [{"a": 1}, {"b": 2}]


def test_a_message_beyond_the_limit_is_refused_where_it_is_sent(ends: tuple[Receiver, Sender]) -> None:
    with pytest.raises(TooLargeError, match=str(LARGEST_MESSAGE + 12)):
        ends[1].send({"text": "x" * LARGEST_MESSAGE})


def test_so_many_packets_are_taken_at_once_and_no_more(ends: tuple[Receiver, Sender]) -> None:
    receiver, sender = ends
    for number in range(3):
        sender.send({"number": number})
    assert list(receiver.receive(2)) == [{"number": 0}, {"number": 1}]
    assert list(receiver.receive(2)) == [{"number": 2}]


def test_the_end_is_known_when_nobody_is_left_to_send(ends: tuple[Receiver, Sender]) -> None:
    receiver, sender = ends
    sender.send({"last": 1})
    sender.close()
    assert list(receiver.receive()) == [{"last": 1}]
    assert receiver.ended


RUBBISH = [
    b"x",
    packet(b""),
    packet(b"{"),
    packet(b"[1]"),
    packet(b"\xff\xfe"),
    packet(b"[" * 30_000),
    packet(b'{"a":' * 300 + b"1" + b"}" * 300),
    packet(b'{"a":' + b"9" * 5000 + b"}"),
]


@pytest.mark.parametrize("rubbish", RUBBISH)
def test_what_is_no_message_is_passed_over(raw: tuple[Receiver, socket.socket], rubbish: bytes) -> None:
    receiver, end = raw
    end.send(rubbish)
    end.send(packet(b'{"good": 1}', number=9))
    assert list(receiver.receive()) == [{"good": 1}]


def test_a_wide_message_is_not_taken_for_a_deep_one(ends: tuple[Receiver, Sender]) -> None:
    receiver, sender = ends
    wide = {"rows": [[number] for number in range(1000)]}
    sender.send(wide)
    assert list(receiver.receive()) == [wide]


def test_messages_without_end_do_not_fill_the_memory(raw: tuple[Receiver, socket.socket]) -> None:
    receiver, end = raw
    for number in range(1000):
        end.send(packet(b"x", number=number, more=True))
        assert not list(receiver.receive())
    assert len(receiver._unfinished) <= 65


def test_a_fork_sends_over_the_same_channel(ends: tuple[Receiver, Sender]) -> None:
    receiver, sender = ends
    child = os.fork()
    if child == 0:
        sender.send({"by": "child"})
        os._exit(0)
    os.waitpid(child, 0)
    sender.send({"by": "parent"})
    assert list(receiver.receive()) == [{"by": "child"}, {"by": "parent"}]


def test_an_outbox_keeps_what_there_is_no_room_for_and_sends_it_in_order() -> None:
    receiving, sending = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    outbox, receiver = Outbox(sending, 1 << 24), Receiver(receiving, 1 << 24)
    messages = [{"number": number, "text": "x" * 1_000_000} for number in range(5)]
    for message in messages:
        outbox.put(message)
    assert outbox
    arrived: list[dict[str, Any]] = []
    while outbox:
        arrived += receiver.receive()
        outbox.flush()
    assert [*arrived, *receiver.receive()] == messages
    receiver.close()
    outbox.close()


def test_an_outbox_keeps_nothing_for_who_is_gone() -> None:
    receiving, sending = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    outbox = Outbox(sending)
    for _ in range(100):
        outbox.put({"text": "x" * 30_000})
    receiving.close()
    outbox.flush()
    assert not outbox
    outbox.close()


def test_a_channel_takes_messages_as_large_as_it_is_told() -> None:
    receiver, sender = channel.pair(100)
    sender.send({"text": "x" * 80})
    with pytest.raises(TooLargeError):
        sender.send({"text": "x" * 100})
    assert len(list(receiver.receive())) == 1
    receiver.close()
    sender.close()


def test_a_message_that_a_killed_process_broke_off_does_not_spoil_one_of_the_next_of_that_id() -> None:
    first, second = Sender(socket.socket()), Sender(socket.socket())
    assert next(first._numbers) != next(second._numbers)
    first.close()
    second.close()
