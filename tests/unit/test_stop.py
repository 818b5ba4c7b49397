"""Requests to stop: how they are counted, and what is heard of them."""

from __future__ import annotations

import os
import signal
from contextlib import closing

from tasker import linux
from tasker.running.stop import StopRequest


def test_a_signal_that_comes_twice_at_once_is_one_request() -> None:
    """As under `timeout` and systemd, which signal a program and then its whole group."""
    seconds = iter([0.0, 0.1, 0.7])
    with closing(StopRequest(lambda: next(seconds))) as stop:
        stop.request(signal.SIGTERM)
        stop.request(signal.SIGTERM)
        assert stop.signals == [signal.SIGTERM]
        stop.request(signal.SIGTERM)
        assert stop.signals == [signal.SIGTERM, signal.SIGTERM]


def test_another_signal_is_another_request() -> None:
    with closing(StopRequest()) as stop:
        stop.request(signal.SIGTERM)
        stop.request(signal.SIGINT)
        assert stop.signals == [signal.SIGTERM, signal.SIGINT]


def test_the_first_reason_is_the_one_that_is_heard() -> None:
    with closing(StopRequest()) as stop:
        stop.request(signal.SIGTERM, "it was replaced")
        stop.request(signal.SIGINT, "later")
        assert stop.hear() == "interrupted: it was replaced"


def test_without_a_reason_the_signal_is_told() -> None:
    with closing(StopRequest()) as stop:
        stop.request(signal.SIGTERM)
        assert stop.hear() == "interrupted by SIGTERM"


def test_whether_the_parent_is_there_is_known() -> None:
    assert linux.has_parent(os.getppid())
    assert not linux.has_parent(os.getpid())
