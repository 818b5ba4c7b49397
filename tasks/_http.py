"""What the tasks share that speak HTTP: who asks, what an answer means, and words for it that hold no secret."""

from __future__ import annotations

import base64
from http import HTTPStatus
from ssl import SSLCertVerificationError


def authorization(username: str | None, password: str | None, token: str | None) -> dict[str, str]:
    """The header that proves who asks, if there is anything to prove it by."""
    if token is not None:
        return {"Authorization": f"Bearer {token}"}
    if username is None and password is None:
        return {}
    pair = f"{username or ''}:{password or ''}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def status_text(code: int) -> str:
    """A status with its usual name, whatever the server calls it."""
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return str(code)


def distrust(error: Exception) -> str:
    """Why the server's certificate is not trusted; empty where that is not what the error is about."""
    reason = getattr(error, "reason", error)
    if not isinstance(reason, SSLCertVerificationError):
        return ""
    return f"the server's certificate is not trusted: {reason.verify_message}"


def silence(error: Exception) -> str:
    """Why there is no answer; in no other library's words, which may repeat a URL."""
    reason = getattr(error, "reason", error)
    said = getattr(reason, "strerror", None) or type(reason).__name__
    return f"the server does not answer: {said}"
