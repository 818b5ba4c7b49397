"""Uploading by HTTP: PUT, after a HEAD that may tell that the content is there."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from ._http import authorization, distrust, silence, status_text
from ._uploads import Access, TryAgainError, UploadError

_PASSING = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
    HTTPStatus.INSUFFICIENT_STORAGE,
}
"""Answers that another attempt may change."""


class HttpDestination:
    """A URL below which files are put; redirects are not followed, since credentials would go along."""

    def __init__(self, url: str, access: Access) -> None:
        self._url = urlsplit(url)
        self._access = access
        self._opener = build_opener(_NoRedirects)

    def put(self, file: Path, name: str) -> bool:
        """Send the file unless the server tells that it has the same content."""
        url = self._address(name)
        if self._has(url, file):
            return False
        with file.open("rb") as stream:
            self._ask("PUT", url, stream, {"Content-Length": str(file.stat().st_size)})
        return True

    def close(self) -> None:
        """Nothing is kept open."""

    def _address(self, name: str) -> str:
        path = f"{self._url.path.removesuffix('/')}/{quote(name)}" if name else self._url.path
        return urlunsplit(self._url._replace(path=path))

    def _has(self, url: str, file: Path) -> bool:
        try:
            headers = self._ask("HEAD", url)
        except TryAgainError:
            raise
        except UploadError:
            return False  # many servers that take files do not show them; PUT will tell what is wrong
        return headers.get("Content-Length") == str(file.stat().st_size) and _same_digest(headers, file)

    def _ask(
        self, method: str, url: str, body: IO[bytes] | None = None, extra: dict[str, str] | None = None
    ) -> HTTPMessage:
        proof = authorization(self._access.username, self._access.password, self._access.token)
        headers = {"Content-Type": "application/octet-stream", **(extra or {}), **proof}
        request = Request(url, body, {**headers, **self._access.headers}, method=method)  # noqa: S310 - http or https
        try:
            with self._opener.open(request, timeout=self._access.timeout) as response:
                answered: HTTPMessage = response.headers
                return answered
        except HTTPError as error:
            raise _refusal(error) from None
        except (URLError, OSError, HTTPException) as error:
            raise _no_answer(error) from None


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nothing."""


def _same_digest(headers: HTTPMessage, file: Path) -> bool:
    """Whether the server names a digest of what it has, and it is the file's."""
    tag = headers.get("ETag", "").removeprefix("W/").strip('"').lower()
    told = headers.get("Repr-Digest", "")
    if not (tag or told):
        return False
    with file.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256")
        content.seek(0)
        md5 = hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False))
    encoded = base64.b64encode(sha256.digest()).decode()
    return tag in {md5.hexdigest(), sha256.hexdigest()} or f"sha-256=:{encoded}:" in told


def _refusal(error: HTTPError) -> UploadError:
    """An answer that is no success, in words of ours."""
    status = status_text(error.code)
    if error.code in _PASSING:
        return TryAgainError(f"the server answers {status}", _asked_to_wait(error.headers.get("Retry-After", "")))
    if HTTPStatus.MULTIPLE_CHOICES <= error.code < HTTPStatus.BAD_REQUEST:
        return UploadError(f"the server answers {status}: give the address that it redirects to as `destination`")
    return UploadError(f"the server answers {status}")


def _asked_to_wait(header: str) -> float | None:
    """Seconds, from a number of them or a date."""
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _no_answer(error: Exception) -> UploadError:
    """Why there is no answer; a certificate that is not trusted today is not trusted in a minute."""
    distrusted = distrust(error)
    return UploadError(distrusted) if distrusted else TryAgainError(silence(error))
