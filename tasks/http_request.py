"""The task `http_request`: one request to a web service, and what it answers.

Trying again is the business of the step, as it is for every task.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from email.message import Message
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse, IncompleteRead, InvalidURL
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict
from urllib.error import URLError
from urllib.parse import SplitResult, quote, urljoin, urlsplit, urlunsplit
from urllib.request import HTTPErrorProcessor, HTTPSHandler, Request, build_opener

from annotated_types import Ge, Gt, MinLen

from tasker import Size, Task

from ._files import atomic_path
from ._http import authorization, distrust, silence, status_text
from ._time_limit import TimeLimitExceeded, time_limit

HANDED_ON_LIMIT = Size(512 * 1024)
"""Bytes of an answer that is handed on: as JSON it must stay below what a step's outputs may have, a mebibyte."""

SAVED_LIMIT = Size(1024**3)
"""Bytes of an answer that is saved to a file."""

_CHUNK_BYTES = 64 * 1024
_REDIRECTS = {
    HTTPStatus.MOVED_PERMANENTLY,
    HTTPStatus.FOUND,
    HTTPStatus.SEE_OTHER,
    HTTPStatus.TEMPORARY_REDIRECT,
    HTTPStatus.PERMANENT_REDIRECT,
}
_REPEATED = {HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT}
"""Redirects that ask for the same method and body; the others turn whatever it was into GET."""
_FOR_ALL = {"accept", "accept-language", "user-agent"}
"""Headers that may go to a host that was not the one that is asked."""
_NOT_HANDED_ON = {"set-cookie", "set-cookie2"}
"""Headers that hold what proves who asks."""
_DEFAULT_PORTS = {"http": 80, "https": 443}
_URL_SAFE = "%/:@!$&'()*+,;=~?[]"
"""What stays as it is in a path and a query; all else that is no letter or digit is written as %XX."""


class Answered(TypedDict):
    """What the task hands on."""

    status: int
    headers: dict[str, str]
    """By name in lower case; without cookies."""
    body: str
    """The answer's text; empty where it is JSON, or in a file."""
    json: Any
    """What the answer says, where its type is JSON; `None` otherwise."""
    file: str
    """Where the answer is saved; empty where it is handed on."""
    size: int
    """The answer's bytes."""


class HttpRequestError(Exception):
    """There is no answer, or not one that was expected; the message shows of a URL no more than its host."""


class HttpRequest(Task):
    """Send a request to a web service, and hand on what it answers."""

    task_name = "http_request"

    def run(
        self,
        url: str,
        method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"] = "GET",
        *,
        body: str | dict[str, Any] | list[Any] | None = None,
        headers: Mapping[str, str] | None = None,
        username: str | None = None,
        password: str | None = None,
        token: str | None = None,
        expected: Annotated[list[int], MinLen(1)] | None = None,
        file: Path | None = None,
        limit: Size | None = None,
        redirects: Annotated[int, Ge(0)] = 5,
        timeout: Annotated[timedelta, Gt(timedelta(0))] = timedelta(seconds=60),
        ca_file: Path | None = None,
    ) -> Answered:
        """Ask once, and fail where the answer is not one that was expected.

        What was given as headers or credentials goes to the host of `url`, and to no other that it redirects to.

        Args:
            url: What is asked, http or https; without credentials, for which there are arguments.
            method: How it is asked.
            body: A string is sent as text; an object or a list as JSON.
            headers: Sent with the request; `Content-Type` here goes before the one that `body` suggests.
            username: For basic authentication.
            password: The same, as `${secret.NAME}`.
            token: A bearer token, as `${secret.NAME}`.
            expected: The statuses that count as success; by default 200 to 299.
            file: Where to save the answer, whole or not at all, rather than to hand it on.
            limit: How large an answer may be; by default 512 KiB, or 1 GiB into a file.
            redirects: How many redirects are followed at most.
            timeout: How long all of it may take.
            ca_file: Certificates of the authorities to trust in place of the system's.
        """
        proof = _proof(username, password, token)
        sent = _Sent(method, _url(url), *_content(body), headers=_headers(headers or {}, proof))
        asker = _Asker(_trust(ca_file), redirects, expected, timeout.total_seconds())
        most = limit if limit is not None else HANDED_ON_LIMIT if file is None else SAVED_LIMIT
        try:
            with time_limit(timeout.total_seconds()):
                answered = asker.ask(sent, lambda answer: _taken(answer, file, most))
        except TimeLimitExceeded:
            message = f"{method} {_origin(sent.url)}: no whole answer came within {timeout.total_seconds():g} s"
            raise HttpRequestError(message) from None
        self.logger.info("request is answered", host=_origin(sent.url), status=answered["status"])
        return answered


@dataclass(frozen=True, slots=True)
class _Sent:
    """A request."""

    method: str
    url: SplitResult
    body: bytes | None = None
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def request(self) -> Request:
        """It as urllib has it."""
        named = {name.lower() for name in self.headers}
        suggested = {"Content-Type": self.content_type} if self.body is not None and "content-type" not in named else {}
        headers = {**suggested, **self.headers}
        return Request(urlunsplit(self.url), self.body, headers, method=self.method)  # noqa: S310 - _url() looked at it


class _Asker:
    """Asks, and follows redirects as far as they may lead."""

    def __init__(self, trust: ssl.SSLContext, redirects: int, expected: list[int] | None, timeout: float) -> None:
        self._opener = build_opener(_EveryAnswer, HTTPSHandler(context=trust))
        self._redirects = redirects
        self._expected = expected
        self._timeout = timeout

    def ask(self, sent: _Sent, take: Callable[[_Answer], Answered]) -> Answered:
        """What `take` makes of the answer that was expected."""
        for _ in range(self._redirects + 1):
            with closing(self._answer(sent)) as answer:
                if self._expects(answer.status):
                    return take(answer)
                target = answer.headers.get("location")
                if answer.status not in _REDIRECTS or target is None or self._redirects == 0:
                    raise _failure(sent, f"the server answers {status_text(answer.status)}, which is not expected")
                sent = _redirected(sent, answer.status, target)
        raise _failure(sent, f"it is redirected again, after {self._redirects} times, which `redirects` allows")

    def _expects(self, status: int) -> bool:
        if self._expected is None:
            return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
        return status in self._expected

    def _answer(self, sent: _Sent) -> _Answer:
        with _in_words(sent):
            return _Answer(sent, self._opener.open(sent.request(), timeout=self._timeout))


class _EveryAnswer(HTTPErrorProcessor):
    """Takes no status for an error: which are is the task's to say."""

    def http_response(self, _request: Request, response: Any) -> Any:
        """Answer it as it is."""
        return response

    def https_response(self, _request: Request, response: Any) -> Any:
        """The same."""
        return response


class _Answer:
    """An answer whose content is still to be read."""

    def __init__(self, sent: _Sent, response: HTTPResponse) -> None:
        self.sent = sent
        self._response = response
        self.status = response.status
        self.headers: dict[str, str] = {}
        for name, value in response.headers.items():
            before = self.headers.get(name.lower())
            self.headers[name.lower()] = value if before is None else f"{before}, {value}"

    def chunks(self, most: int) -> Iterator[bytes]:
        """The content; raises where it breaks off, and once it is larger than it may be."""
        size = 0
        while True:
            with _in_words(self.sent):
                chunk = self._response.read(_CHUNK_BYTES)
            size += len(chunk)
            if size > most:
                raise _failure(
                    self.sent, f"the answer has more than {most} bytes: raise `limit`, or save it to a `file`"
                )
            if not chunk:
                break
            yield chunk
        if self._response.length and self.sent.method != "HEAD":
            raise _failure(self.sent, "the answer breaks off before its end")

    def close(self) -> None:
        """Hang up."""
        self._response.close()


def _taken(answer: _Answer, file: Path | None, most: int) -> Answered:
    """The answer as it is handed on."""
    encoding = answer.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        raise _failure(answer.sent, f"the answer is packed as {encoding!r}, which was not asked for")
    shown = {name: value for name, value in answer.headers.items() if name not in _NOT_HANDED_ON}
    found: Answered = {"status": answer.status, "headers": shown, "body": "", "json": None, "file": "", "size": 0}
    if file is not None:
        return {**found, "file": str(file), "size": _save(answer, file, most)}
    content = b"".join(answer.chunks(most))
    found["size"] = len(content)
    kind = Message()
    kind["Content-Type"] = answer.headers.get("content-type", "text/plain")
    text = _text(answer, content, kind.get_content_charset("utf-8"))
    if text and (kind.get_content_subtype() == "json" or kind.get_content_subtype().endswith("+json")):
        return {**found, "json": _parsed(answer, text)}
    return {**found, "body": text}


def _save(answer: _Answer, file: Path, most: int) -> int:
    with atomic_path(file) as draft, draft.open("wb") as stream:
        return sum(stream.write(chunk) for chunk in answer.chunks(most))


def _text(answer: _Answer, content: bytes, charset: str) -> str:
    try:
        return content.decode(charset)
    except (ValueError, LookupError):
        raise _failure(answer.sent, "the answer is no text: save it to a `file`") from None


def _parsed(answer: _Answer, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise _failure(answer.sent, "the answer says that it is JSON, and is not") from None


def _redirected(sent: _Sent, status: int, target: str) -> _Sent:
    """The request that a redirect asks for; raises where it leads to where it should not."""
    try:
        url = _url(urljoin(urlunsplit(sent.url), target))
    except ValueError:
        raise _failure(sent, "it is redirected to what is no web address without credentials") from None
    if sent.url.scheme == "https" and url.scheme != "https":
        raise _failure(sent, f"it is redirected to {_origin(url)}, away from TLS, which is not followed")
    if status not in _REPEATED and sent.method != "HEAD":
        sent = replace(sent, method="GET", body=None)
    if _place(url) != _place(sent.url):
        if sent.body is not None:
            raise _failure(sent, f"it is redirected to {_origin(url)} with its body: give that address as `url`")
        harmless = {name: value for name, value in sent.headers.items() if name.lower() in _FOR_ALL}
        sent = replace(sent, headers=harmless)
    return replace(sent, url=url)


def _url(url: str) -> SplitResult:
    """A URL that can be asked; the message of what it raises does not repeat it."""
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        message = "`url` is no address that begins with http:// or https:// and a host"
        raise ValueError(message)
    if parts.username is not None or parts.password is not None:
        message = "`url` has credentials in it: give `username` and `password`, or `token`, which are never shown"
        raise ValueError(message)
    _place(parts)  # a port that is no number is told now
    path, query = quote(parts.path, safe=_URL_SAFE), quote(parts.query, safe=_URL_SAFE)
    return parts._replace(path=path, query=query, fragment="")


def _place(url: SplitResult) -> tuple[str, str | None, int | None]:
    """Who is asked: the same for two URLs of the same scheme, host and port."""
    try:
        return url.scheme, url.hostname, url.port or _DEFAULT_PORTS.get(url.scheme)
    except ValueError:
        message = "the port in `url` is none"
        raise ValueError(message) from None


def _origin(url: SplitResult) -> str:
    """A URL for people: its path, too, may hold what is secret."""
    return f"{url.scheme}://{url.netloc}"


def _content(body: str | dict[str, Any] | list[Any] | None) -> tuple[bytes | None, str]:
    """What is sent, and its type."""
    if body is None:
        return None, ""
    if isinstance(body, str):
        return body.encode(), "text/plain; charset=utf-8"
    return json.dumps(body, ensure_ascii=False, allow_nan=False).encode(), "application/json"


def _headers(given: Mapping[str, str], proof: Mapping[str, str]) -> dict[str, str]:
    if proof and any(name.lower() == "authorization" for name in given):
        message = "give `Authorization` in `headers`, or `token`, or `username` and `password`, not two of them"
        raise ValueError(message)
    return {**given, **proof}


def _proof(username: str | None, password: str | None, token: str | None) -> dict[str, str]:
    if token is not None and (username is not None or password is not None):
        message = "give `token`, or `username` and `password`, not both"
        raise ValueError(message)
    return authorization(username, password, token)


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except FileNotFoundError:
        message = f"`ca_file` does not exist: {ca_file}"
        raise FileNotFoundError(message) from None
    except ssl.SSLError:
        message = f"`ca_file` holds no certificate: {ca_file}"
        raise ValueError(message) from None


@contextmanager
def _in_words(sent: _Sent) -> Iterator[None]:
    """Turn what goes wrong on the way into words of ours, which show no secret."""
    try:
        yield
    except InvalidURL:
        raise _failure(sent, "`url` has characters that HTTP does not allow") from None
    except IncompleteRead:
        raise _failure(sent, "the answer breaks off before its end") from None
    except (URLError, OSError, HTTPException) as error:
        raise _failure(sent, distrust(error) or silence(error)) from None
    except ValueError:
        raise _failure(sent, "a header has characters that HTTP does not allow") from None


def _failure(sent: _Sent, reason: str) -> HttpRequestError:
    return HttpRequestError(f"{sent.method} {_origin(sent.url)}: {reason}")
