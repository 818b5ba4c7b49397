"""The task `notify` against real servers on the loopback."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.tasks import make, module
from support.web import Answer, Site, site

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # apprise imports it

NotifyError = module("notify").NotifyError


@pytest.fixture
def web() -> Iterator[Site]:
    with site() as server:
        server.answers["/hunter2"] = Answer()
        yield server


@pytest.fixture
def notify(tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Callable[..., Any]:
    """Run the task; what it logs, prints or raises must not hold the token that every URL here has."""
    task = make("notify", tmp_path)

    def run(*arguments: Any, **named: Any) -> Any:
        said = ""
        try:
            return task.run(*arguments, **named)
        except Exception as error:
            said = str(error)
            raise
        finally:
            assert "hunter2" not in "".join((said, str(task.logger), caplog.text, *capfd.readouterr()))

    return run


def target(web: Site, path: str = "hunter2") -> str:
    return f"{web.url.replace('http', 'json', 1)}/{path}"


def dead() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"json://127.0.0.1:{listener.getsockname()[1]}/hunter2"


def test_every_target_is_told(web: Site, notify: Callable[..., Any]) -> None:
    web.answers["/hunter2/b"] = Answer(204)
    urls = [target(web), target(web, "hunter2/b")]
    assert notify(urls, "it broke", title="crm", type="failure") == {"targets": 2}
    assert [each.path for each in web.asked] == ["/hunter2", "/hunter2/b"]
    told = json.loads(web.asked[0].body)
    assert (told["title"], told["message"], told["type"]) == ("crm", "it broke", "failure")


def test_a_target_that_cannot_be_told_is_named_and_the_others_are_told(web: Site, notify: Callable[..., Any]) -> None:
    web.answers["/hunter2/500"] = Answer(500)
    urls = [dead(), target(web, "hunter2/500"), "nonsense://hunter2", "hunter2", "slack://hunter2", target(web)]
    with pytest.raises(NotifyError) as caught:
        notify(urls, "it broke")
    assert str(caught.value) == (
        "5 of 6 targets were not notified: "
        "target 1 (json://): there is no connection to the server, or it does not answer; "
        "target 2 (json://): the server answers 500; "
        "target 3 (nonsense://): apprise cannot read its URL, or knows no such service; "
        "target 4: apprise cannot read its URL, or knows no such service; "
        "target 5 (slack://): apprise cannot read its URL, or knows no such service"
    )
    assert web.asked[-1].path == "/hunter2"


def test_two_urls_in_one_item_are_refused(web: Site, notify: Callable[..., Any]) -> None:
    with pytest.raises(NotifyError, match="more than one URL"):
        notify([f"{target(web)}, {target(web)}"], "it broke")
    assert not web.asked


@pytest.mark.parametrize("answer", [Answer(silent=True), Answer(body=b"x" * 1000, pause_s=0.05)], ids=["mute", "drip"])
def test_a_slow_target_is_given_up(web: Site, notify: Callable[..., Any], answer: Answer) -> None:
    web.answers["/hunter2"] = answer
    with pytest.raises(NotifyError, match=r"target 1 \(json://\): (it took longer|there is no connection)"):
        notify([target(web)], "it broke", timeout=timedelta(seconds=0.3))


def test_a_redirect_cannot_hide_that_nothing_was_taken(web: Site, notify: Callable[..., Any]) -> None:
    web.answers["/hunter2"] = Answer(302, {"Location": "/hunter2"})
    with pytest.raises(NotifyError, match="target 1"):
        notify([target(web)], "it broke")


def test_nothing_to_tell_is_refused(notify: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="`body` is empty"):
        notify(["json://127.0.0.1/hunter2"], " ")


def test_the_libraries_log_as_before_when_it_is_done(web: Site, notify: Callable[..., Any]) -> None:
    loggers = [logging.getLogger(name) for name in ("apprise", "requests", "urllib3")]
    before = [(logger.propagate, list(logger.handlers)) for logger in loggers]
    notify([target(web)], "it works")
    assert [(logger.propagate, logger.handlers) for logger in loggers] == before
