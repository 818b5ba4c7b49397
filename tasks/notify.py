"""The task `notify`: tell people, through whichever service they read."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

from annotated_types import Gt, MinLen

from tasker import Task

from ._time_limit import TimeLimitExceeded, time_limit

if TYPE_CHECKING:
    from apprise import Apprise

_LIBRARIES = ("apprise", "requests", "urllib3")
"""Whose loggers may repeat a URL, and with it a token."""

_SCHEMA = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,31})://")
_ANSWERED = re.compile(r"\berror=([1-5]\d\d)\b")


class Notified(TypedDict):
    """What the task hands on."""

    targets: int
    """How many targets took the notification: all of them."""


class NotifyError(Exception):
    """Some targets did not take the notification; the message names them, and shows none of their URLs."""

    def __init__(self, failures: Sequence[str], targets: int) -> None:
        super().__init__(f"{len(failures)} of {targets} targets were not notified: {'; '.join(failures)}")


class _TargetError(Exception):
    """One target did not take it; the message says why."""


class Notify(Task):
    """Send a notification to chats, mailboxes, phones and web hooks."""

    task_name = "notify"
    requires = {"apprise": "apprise>=1.9"}  # noqa: RUF012 - `Task` says what it is

    def run(
        self,
        urls: Annotated[list[str], MinLen(1)],
        body: str,
        *,
        title: str = "",
        type: Literal["info", "success", "warning", "failure"] = "info",  # noqa: A002 - the word of apprise's users
        format: Literal["text", "markdown", "html"] = "text",  # noqa: A002 - the same
        timeout: Annotated[timedelta, Gt(timedelta(0))] = timedelta(seconds=30),
    ) -> Notified:
        """Tell every target, one after the other; where some cannot be told, the others are all the same.

        Args:
            urls: The targets as apprise spells them, slack://…, mailtos://…, json://…; secrets, as they hold tokens.
            body: What is told.
            title: A line above it, where the target has such.
            type: What kind of news it is; most targets show it by colour or icon.
            format: How `body` is written.
            timeout: How long each target may take.
        """
        if not body.strip():
            message = "`body` is empty: there is nothing to tell"
            raise ValueError(message)
        failures: list[str] = []
        for number, url in enumerate(urls, start=1):
            name = _shown(number, url)
            try:
                target = _target(url, timeout.total_seconds())
                with time_limit(timeout.total_seconds()):
                    _send(target, body, title, type, format)
            except (_TargetError, TimeLimitExceeded) as error:
                failures.append(f"{name}: {error}")
            else:
                self.logger.info("target is notified", target=name)
        if failures:
            raise NotifyError(failures, len(urls))
        return {"targets": len(urls)}


def _shown(number: int, url: str) -> str:
    """A target for people: its place in the list, and its schema; all else of a URL may be a secret."""
    match = _SCHEMA.match(url.strip())
    return f"target {number} ({match[1].lower()}://)" if match else f"target {number}"


def _target(url: str, timeout: float) -> Apprise:
    """The one target of a URL."""
    from apprise import Apprise

    target = Apprise()
    with _overheard():
        understood = target.add(url)
    if not understood:
        message = "apprise cannot read its URL, or knows no such service"
        raise _TargetError(message)
    if len(target) != 1:
        message = "it is more than one URL: give each as an item of its own"
        raise _TargetError(message)
    for service in target:
        service.socket_connect_timeout = service.socket_read_timeout = timeout
    return target


def _send(target: Apprise, body: str, title: str, kind: str, format_: str) -> None:
    """Notify a target; apprise raises nothing, and answers that it failed."""
    from apprise import NotifyFormat, NotifyType

    with _overheard() as said:
        sent = target.notify(body, title=title, notify_type=NotifyType(kind), body_format=NotifyFormat(format_))
    if not sent:
        raise _TargetError(_reason(said))


def _reason(said: Sequence[str]) -> str:
    """Why a target was not notified, in words of ours: apprise's may repeat what is secret."""
    answers = [match[1] for match in map(_ANSWERED.search, said) if match]
    if answers:
        return f"the server answers {answers[-1]}"
    if any("connection error" in each.lower() for each in said):
        return "there is no connection to the server, or it does not answer"
    return "it was not taken; apprise says no more than that"


class _Listener(logging.Handler):
    """Keeps what is logged, and shows none of it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message."""
        self.said.append(record.getMessage())


@contextmanager
def _overheard() -> Iterator[Sequence[str]]:
    """Keep what the libraries log out of the step's output; gives what they say."""
    listener = _Listener()
    before = [(logger, logger.propagate) for logger in map(logging.getLogger, _LIBRARIES)]
    for logger, _ in before:
        logger.propagate = False
        logger.addHandler(listener)
    try:
        yield listener.said
    finally:
        for logger, propagate in before:
            logger.propagate = propagate
            logger.removeHandler(listener)
