"""The task `http_request` against real servers on the loopback."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.tasks import make, module
from support.web import Answer, Site, site, write_certificate

HttpRequestError = module("http_request").HttpRequestError
QUICK = {"timeout": timedelta(seconds=60)}
Ask = Callable[..., Any]


@pytest.fixture
def web() -> Iterator[Site]:
    with site() as server:
        yield server


@pytest.fixture
def other() -> Iterator[Site]:
    with site() as server:
        yield server


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Run the task; what it logs or raises must not hold the secret that is somewhere in every request."""
    task = make("http_request", tmp_path)

    def run(*arguments: Any, **named: Any) -> Any:
        said = ""
        try:
            return task.run(*arguments, **{**QUICK, **named})
        except Exception as error:
            said = repr(error)
            raise
        finally:
            assert "hunter2" not in said + str(task.logger)

    return run


def test_text_is_handed_on_with_status_and_headers(web: Site, ask: Ask) -> None:
    web.answers["/a?key=hunter2"] = Answer(201, {"X-Way": "up", "Set-Cookie": "id=hunter2"}, "grüße".encode())
    found = ask(f"{web.url}/a?key=hunter2")
    assert found["headers"].pop("x-way") == "up"
    assert not [name for name in found["headers"] if "cookie" in name]
    assert {**found, "headers": {}} == {
        "status": 201,
        "headers": {},
        "body": "grüße",
        "json": None,
        "file": "",
        "size": 7,
    }


@pytest.mark.parametrize("kind", ["application/json", "application/problem+json; charset=utf-8"])
def test_json_is_handed_on_as_what_it_says(web: Site, ask: Ask, kind: str) -> None:
    web.answers["/"] = Answer(headers={"Content-Type": kind}, body=b'{"items": [1, "x"]}')
    found = ask(f"{web.url}/")
    assert (found["json"], found["body"], found["size"]) == ({"items": [1, "x"]}, "", 19)


def test_an_object_is_sent_as_json_and_a_string_as_text(web: Site, ask: Ask) -> None:
    web.answers["/"] = Answer(204)
    assert ask(f"{web.url}/", "POST", body={"name": "crm", "days": [1]})["status"] == 204
    ask(f"{web.url}/", "PUT", body="grüße")
    ask(f"{web.url}/", "PUT", body="<a/>", headers={"content-type": "text/xml"})
    assert [(each.method, each.body, each.headers["content-type"]) for each in web.asked] == [
        ("POST", b'{"name": "crm", "days": [1]}', "application/json"),
        ("PUT", "grüße".encode(), "text/plain; charset=utf-8"),
        ("PUT", b"<a/>", "text/xml"),
    ]


def test_who_asks_is_proved_by_token_or_password(web: Site, ask: Ask) -> None:
    web.answers["/"] = Answer()
    ask(f"{web.url}/", token="hunter2")
    ask(f"{web.url}/", username="me", password="hunter2")
    assert [each.headers["authorization"] for each in web.asked] == ["Bearer hunter2", "Basic bWU6aHVudGVyMg=="]


def test_a_path_is_sent_as_it_is_written_and_what_http_cannot_send_is_encoded(web: Site, ask: Ask) -> None:
    web.answers["/a%20b/%C3%BC?q=a+b%26&c=%C3%BC"] = Answer()
    assert ask(f"{web.url}/a b/ü?q=a+b%26&c=ü#part")["status"] == 200


@pytest.mark.parametrize(("expected", "status"), [([404], 404), ([200, 302], 302)])
def test_which_statuses_are_expected_is_for_the_step_to_say(
    web: Site, ask: Ask, expected: list[int], status: int
) -> None:
    web.answers["/"] = Answer(status, {"Location": "/elsewhere"}, b"none")
    found = ask(f"{web.url}/", expected=expected)
    assert (found["status"], found["body"]) == (status, "none")


@pytest.mark.parametrize("status", [304, 400, 401, 404, 429, 500, 599])
def test_any_other_status_is_a_failure(web: Site, ask: Ask, status: int) -> None:
    web.answers["/hunter2?key=hunter2"] = Answer(status, body=b"hunter2")
    with pytest.raises(HttpRequestError, match=rf"GET {web.url}: the server answers {status}"):
        ask(f"{web.url}/hunter2?key=hunter2", token="hunter2")


def test_a_file_is_saved_whole_and_not_written_again(web: Site, ask: Ask, tmp_path: Path) -> None:
    content = os.urandom(1_000_000)
    web.answers["/"] = Answer(body=content)
    file = tmp_path / "sub" / "a.bin"
    found = ask(f"{web.url}/", file=file)
    assert (found["file"], found["size"], found["body"]) == (str(file), 1_000_000, "")
    assert file.read_bytes() == content
    before = file.stat()
    ask(f"{web.url}/", file=file)
    assert file.stat().st_ino == before.st_ino


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(500), "answers 500"),
        (Answer(body=b"half", cut=True), "breaks off"),
        (Answer(body=b"x" * 2000), "more than 1000 bytes: raise `limit`"),
        (Answer(body=b"x" * 2000, sized=False), "more than 1000 bytes"),
    ],
    ids=["status", "cut", "large", "endless"],
)
def test_a_file_that_cannot_be_had_whole_leaves_the_last_one(
    web: Site, ask: Ask, tmp_path: Path, answer: Answer, says: str
) -> None:
    file = tmp_path / "kept" / "a.txt"
    file.parent.mkdir()
    file.write_text("before")
    web.answers["/"] = answer
    with pytest.raises(HttpRequestError, match=says):
        ask(f"{web.url}/", file=file, limit=1000)
    assert {each.name: each.read_text() for each in file.parent.iterdir()} == {"a.txt": "before"}


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(body=b"x" * 600_000), "more than 524288 bytes: raise `limit`, or save it to a `file`"),
        (Answer(body=b"\xff\xfe\x00"), "no text: save it to a `file`"),
        (Answer(headers={"Content-Type": "text/plain; charset=klingon"}, body=b"x"), "no text"),
        (Answer(headers={"Content-Type": "application/json"}, body=b"<html>"), "says that it is JSON, and is not"),
        (Answer(headers={"Content-Type": "application/json"}, body=b"[" * 100_000), "says that it is JSON"),
        (Answer(headers={"Content-Encoding": "gzip"}, body=b"x"), "packed as 'gzip'"),
        (Answer(body=b"half", cut=True), "breaks off"),
    ],
    ids=["huge", "binary", "charset", "html", "deep", "packed", "cut"],
)
def test_an_answer_that_cannot_be_handed_on_is_a_failure(web: Site, ask: Ask, answer: Answer, says: str) -> None:
    web.answers["/"] = answer
    with pytest.raises(HttpRequestError, match=says):
        ask(f"{web.url}/")


@pytest.mark.parametrize(
    "answer", [Answer(silent=True), Answer(body=b"x" * 10_000, pause_s=0.02)], ids=["mute", "drip"]
)
def test_a_slow_server_is_given_up_in_time(web: Site, ask: Ask, answer: Answer) -> None:
    web.answers["/hunter2"] = answer
    began = time.monotonic()
    with pytest.raises(HttpRequestError, match=r"no whole answer came within 0\.3 s|does not answer"):
        ask(f"{web.url}/hunter2", timeout=timedelta(seconds=0.3))
    assert time.monotonic() - began < 4


def test_a_dead_server_is_a_failure_in_words(ask: Ask) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(HttpRequestError, match=f"GET http://127.0.0.1:{port}: the server does not answer: .*refused"):
        ask(f"http://127.0.0.1:{port}/hunter2")


def test_what_is_no_http_is_a_failure_in_words(ask: Ask) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as connection:
                connection.recv(4096)
                connection.sendall(b"SSH-2.0-hunter2\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(HttpRequestError, match="does not answer: BadStatusLine"):
            ask(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join()


# Redirects


@pytest.mark.parametrize(
    ("status", "method", "then", "body"),
    [(302, "POST", "GET", b""), (303, "PUT", "GET", b""), (307, "POST", "POST", b"x"), (301, "HEAD", "HEAD", b"")],
)
def test_a_redirect_is_followed_as_its_status_asks(
    web: Site, ask: Ask, status: int, method: Any, then: str, body: bytes
) -> None:
    web.answers |= {"/a": Answer(status, {"Location": "b"}), "/b": Answer()}
    assert ask(f"{web.url}/a", method, body="x" if method != "HEAD" else None, token="hunter2")["status"] == 200
    last = web.asked[-1]
    assert (last.method, last.path, last.body, last.headers["authorization"]) == (then, "/b", body, "Bearer hunter2")


def test_redirects_in_circles_end(web: Site, ask: Ask) -> None:
    web.answers |= {"/a": Answer(302, {"Location": "/b?hunter2"}), "/b?hunter2": Answer(302, {"Location": "/a"})}
    with pytest.raises(HttpRequestError, match="redirected again, after 5 times"):
        ask(f"{web.url}/a")
    assert len(web.asked) == 6
    with pytest.raises(HttpRequestError, match="answers 302 Found"):
        ask(f"{web.url}/a", redirects=0)


def test_another_host_learns_nothing_of_what_was_given(web: Site, other: Site, ask: Ask) -> None:
    web.answers["/"] = Answer(302, {"Location": f"{other.url}/x"})
    other.answers["/x"] = Answer()
    ask(f"{web.url}/", token="hunter2", headers={"X-Key": "hunter2", "Cookie": "hunter2", "Accept": "text/html"})
    assert "hunter2" not in str(other.asked)
    assert other.asked[0].headers["accept"] == "text/html"
    web.answers["/"] = Answer(308, {"Location": f"{other.url}/x"})
    with pytest.raises(HttpRequestError, match=f"redirected to {other.url} with its body"):
        ask(f"{web.url}/", "POST", body="hunter2")


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://h/hunter2", "http://me:hunter2@h/", "http://h:x/"])
def test_a_redirect_to_what_cannot_be_asked_is_not_followed(web: Site, ask: Ask, target: str) -> None:
    web.answers["/"] = Answer(302, {"Location": target})
    with pytest.raises(HttpRequestError, match="redirected to what is no web address"):
        ask(f"{web.url}/")


# TLS


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    file = tmp_path / "certificate.pem"
    write_certificate(file)
    return file


def test_tls_is_verified(certificate: Path, ask: Ask) -> None:
    with site(certificate) as web:
        web.answers["/hunter2"] = Answer(body=b"x")
        with pytest.raises(HttpRequestError, match=r"certificate is not trusted: self[- ]signed certificate"):
            ask(f"{web.url}/hunter2")
        assert not web.asked
        assert ask(f"{web.url}/hunter2", ca_file=certificate)["body"] == "x"
        with pytest.raises(HttpRequestError, match=r"certificate is not trusted: .*localhost"):
            ask(f"{web.url.replace('127.0.0.1', 'localhost')}/hunter2", ca_file=certificate)


def test_tls_is_not_left_by_a_redirect(certificate: Path, web: Site, ask: Ask) -> None:
    with site(certificate) as secure:
        secure.answers["/"] = Answer(302, {"Location": f"{web.url}/"})
        with pytest.raises(HttpRequestError, match="away from TLS"):
            ask(f"{secure.url}/", ca_file=certificate)
    assert not web.asked


def test_an_authority_that_cannot_be_read_is_told(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(ValueError, match="`ca_file` holds no certificate"):
        ask("https://127.0.0.1:1/", ca_file=tmp_path / "empty.pem")
    with pytest.raises(FileNotFoundError, match="`ca_file` does not exist"):
        ask("https://127.0.0.1:1/", ca_file=tmp_path / "missing.pem")


# The environment, and what cannot be meant


def test_a_proxy_is_taken_from_the_environment(web: Site, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", web.url)
    monkeypatch.setenv("no_proxy", "")
    web.answers["http://example.invalid/x"] = Answer(body=b"by proxy")
    assert ask("http://example.invalid/x")["body"] == "by proxy"


@pytest.mark.parametrize(
    ("url", "arguments", "says"),
    [
        ("ftp://host/hunter2", {}, "no address that begins with http"),
        ("hunter2", {}, "no address that begins with http"),
        ("https:///hunter2", {}, "no address that begins with http"),
        ("https://me:hunter2@host/", {}, "`url` has credentials in it"),
        ("https://hunter2@host/", {}, "`url` has credentials in it"),
        ("https://host:hunter2/", {}, "the port in `url` is none"),
        ("https://host:99999/", {}, "the port in `url` is none"),
        ("https://host/", {"token": "hunter2", "username": "me"}, "not both"),
        ("https://host/", {"token": "hunter2", "headers": {"authorization": "hunter2"}}, "not two of them"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_not_repeated(
    url: str, arguments: dict[str, Any], says: str, ask: Ask
) -> None:
    with pytest.raises(ValueError, match=says):
        ask(url, **arguments)


@pytest.mark.parametrize("header", ["hunter2\r\nX: y", "hunter2\u20ac"])
def test_a_header_that_http_cannot_send_is_not_repeated(web: Site, ask: Ask, header: str) -> None:
    with pytest.raises(HttpRequestError, match="a header has characters that HTTP does not allow"):
        ask(f"{web.url}/", headers={"X-Key": header})
    assert not web.asked


def test_what_is_handed_on_can_be_written_as_json(web: Site, ask: Ask) -> None:
    web.answers["/"] = Answer(headers={"Content-Type": "application/json"}, body=b"[1, null]")
    assert json.loads(json.dumps(ask(f"{web.url}/")))["json"] == [1, None]
