"""Uploading to an object store: S3, Google Cloud Storage, Azure, by obstore, which tries again by itself.

The SHA-256 of what is sent goes along as metadata, so that the same content is not sent again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from ._files import digest
from ._uploads import LONGEST_PAUSE_S, Access, UploadError

_METADATA = "sha256"
_SHORTEST_PAUSE_S = 0.001
"""Seconds: obstore draws its pauses from a range, and panics over an empty one."""

_STATUS = re.compile(r"\b[45]\d\d (?:[A-Z][a-z]+ ?)+")


class StoreDestination:
    """A bucket or container, and a prefix in it."""

    def __init__(self, url: str, access: Access) -> None:
        self._obstore = _obstore()
        with _own_words():
            self._store = self._obstore.store.from_url(
                url,
                config=dict(access.options),
                client_options={
                    "timeout": timedelta(seconds=access.timeout),
                    "connect_timeout": timedelta(seconds=access.timeout),
                    "allow_http": any(value.startswith("http://") for value in access.options.values()),
                },
                retry_config=_retries(access),
            )

    def put(self, file: Path, name: str) -> bool:
        """Send the file unless an object of its size and digest is there; an object appears whole or not at all."""
        sha256 = digest(file)
        with _own_words():
            if self._has(name, file.stat().st_size, sha256):
                return False
            self._obstore.put(self._store, name, file, attributes={_METADATA: sha256})
        return True

    def close(self) -> None:
        """The store closes with the object."""

    def _has(self, name: str, size: int, sha256: str) -> bool:
        errors = self._obstore.exceptions
        try:
            found = self._obstore.get(self._store, name, options={"head": True})
        except (FileNotFoundError, errors.NotFoundError, errors.PermissionDeniedError):
            return False  # keys that may only write exist, and are a good idea
        return bool(found.meta["size"] == size and found.attributes.get(_METADATA) == sha256)


def _retries(access: Access) -> dict[str, Any]:
    return {
        "max_retries": access.attempts - 1,
        "retry_timeout": timedelta(seconds=(access.timeout + LONGEST_PAUSE_S) * access.attempts),
        "backoff": {
            "init_backoff": timedelta(seconds=max(access.delay, _SHORTEST_PAUSE_S)),
            "max_backoff": timedelta(seconds=LONGEST_PAUSE_S),
            "base": 2,
        },
    }


@contextmanager
def _own_words() -> Iterator[None]:
    """Turn obstore's errors, which repeat addresses and answers, into ours."""
    errors = _obstore().exceptions
    try:
        yield
    except (errors.BaseError, FileNotFoundError) as error:
        raise UploadError(_words(error, errors)) from None


def _words(error: Exception, errors: Any) -> str:
    for kind, words in (
        ((errors.NotFoundError, FileNotFoundError), "there is no such bucket"),
        (errors.PermissionDeniedError, "the object store refuses these credentials what they ask for"),
        (errors.UnauthenticatedError, "the object store does not accept the credentials"),
        (errors.UnknownConfigurationKeyError, "`options` has a key that this kind of object store does not know"),
        (errors.InvalidPathError, "the object store cannot take a file of this name"),
    ):
        if isinstance(error, kind):
            return words
    status = _STATUS.search(str(error))
    answer = f"answers {status[0].strip()}" if status else "does not answer, or not as an object store does"
    return f"the object store {answer}"


def _obstore() -> Any:
    try:
        import obstore
        import obstore.exceptions
        import obstore.store
    except ModuleNotFoundError:
        message = "object stores need the package obstore: pip install 'obstore>=0.10'"
        raise ModuleNotFoundError(message) from None
    return obstore
