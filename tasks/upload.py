"""The task `upload`: a file, or a folder of them, to another place.

Each way to get there is a module of its own, loaded only where a destination asks for it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, TypedDict
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

from annotated_types import Ge, Gt

from tasker import Task

from ._files import atomic_path, entries_below, is_inside, same_content
from ._uploads import Access, Destination, UploadError, retrying

CREDENTIALS = {
    "file": frozenset[str](),
    "http": frozenset({"username", "password", "token", "headers"}),
    "sftp": frozenset({"username", "password", "private_key", "known_hosts"}),
    "store": frozenset({"options"}),
}
"""The arguments that each way can use; any other that is given is refused, lest it be thought to do something."""

WAYS = {"file": "file", "http": "http", "https": "http", "s3": "store", "gs": "store", "az": "store", "sftp": "sftp"}
"""What a URL begins with, and the way that it stands for."""


class Uploaded(TypedDict):
    """What the task hands on."""

    destination: str
    """Where the file, or the folder, is now; without the query of a URL."""
    files: int
    """How many files are there."""
    sent: int
    """How many of them were not there already."""
    size: int
    """The bytes of all of them."""


class Upload(Task):
    """Send a file or a folder to a folder, a web server, an object store or an SFTP server."""

    task_name = "upload"

    def run(
        self,
        source: Path,
        destination: str,
        *,
        username: str | None = None,
        password: str | None = None,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
        private_key: Path | None = None,
        known_hosts: Path | None = None,
        timeout: Annotated[timedelta, Gt(timedelta(0))] = timedelta(seconds=60),
        attempts: Annotated[int, Ge(1)] = 4,
        delay: Annotated[timedelta, Ge(timedelta(0))] = timedelta(seconds=1),
    ) -> Uploaded:
        """Send what is not there already; where the place can, a file appears under its name only when whole.

        A destination that ends with `/`, or is a folder, takes a file under the file's own name; the files of a
        folder go below the destination. What cannot be answered now (a broken connection, 429, 5xx) is tried again.

        Args:
            source: The file or folder to send; links that lead out of the folder are refused.
            destination: A folder's path, or a URL that begins with file, http, https, s3, gs, az or sftp.
            username: For http and sftp.
            password: For http and sftp, as `${secret.NAME}`; with `private_key`, what opens that key.
            token: For http, a bearer token, as `${secret.NAME}`.
            headers: For http, sent with each request.
            options: For object stores, in obstore's words: endpoint, region, access_key_id, secret_access_key, …
            private_key: For sftp, the file of a key; without it and a password, the user's own keys and agent.
            known_hosts: For sftp, the file that names the host's key; by default the user's own.
            timeout: How long a connection may take to be made, and each answer to come.
            attempts: How often a file is tried at most.
            delay: The pause before the second attempt; each further one is twice as long.
        """
        way, url = _way(destination)
        given = {
            "username": username,
            "password": password,
            "token": token,
            "headers": headers,
            "options": options,
            "private_key": private_key,
            "known_hosts": known_hosts,
        }
        _require_usable(way, {name for name, value in given.items() if value is not None})
        access = Access(
            timeout=timeout.total_seconds(),
            attempts=attempts,
            delay=delay.total_seconds(),
            username=username,
            password=password,
            token=token,
            headers=headers or {},
            options=options or {},
            private_key=private_key,
            known_hosts=known_hosts,
        )
        parcel = _parcel(source, url)
        try:
            with closing(_opened(way, parcel.base, access)) as target:
                sent = sum(self._send(target, file, name, access) for name, file in parcel.files.items())
        except UploadError as error:
            message = f"{parcel.shown}: {error}"
            raise UploadError(message) from None
        size = sum(file.stat().st_size for file in parcel.files.values())
        self.logger.info("upload is done", files=len(parcel.files), sent=sent, size=size)
        return {"destination": parcel.shown, "files": len(parcel.files), "sent": sent, "size": size}

    def _send(self, target: Destination, file: Path, name: str, access: Access) -> bool:
        return retrying(
            lambda: target.put(file, name),
            access,
            lambda reason: self.logger.warning("upload is tried again", file=file.name, reason=reason),
        )


@dataclass(frozen=True, slots=True)
class _Parcel:
    """What goes where."""

    base: str
    """The URL or folder below which the names are."""
    files: Mapping[str, Path]
    shown: str
    """The destination for people: without a query, which may hold a signature."""


class _FolderDestination:
    """A folder of this machine, or one that is mounted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, file: Path, name: str) -> bool:
        """Copy the file unless the same bytes are there."""
        target = self._folder / name
        if same_content(file, target):
            return False
        with atomic_path(target) as draft:
            shutil.copyfile(file, draft)
        return True

    def close(self) -> None:
        """Nothing is kept open."""


def _way(destination: str) -> tuple[str, SplitResult]:
    """The way to a destination, and its URL; the message of what it raises does not repeat it."""
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", destination) or "://" not in destination:
        return "file", SplitResult("", "", destination, "", "")
    url = urlsplit(destination)
    way = WAYS.get(url.scheme)
    if way is None:
        message = f"`destination` begins with {url.scheme}:, which is none of {', '.join(WAYS)}, nor a folder's path"
        raise ValueError(message)
    if url.password is not None or (url.username is not None and way != "sftp"):
        message = "`destination` has credentials in its URL: give `username` and `password`, which are never shown"
        raise ValueError(message)
    if not url.netloc and way != "file":
        message = f"`destination` names no {'bucket' if way == 'store' else 'host'}"
        raise ValueError(message)
    if url.fragment or (url.query and way != "http"):
        message = "`destination` has a bare # or ? in it: write %23 or %3F where it is part of a name"
        raise ValueError(message)
    return way, _local(url) if way == "file" else url


def _local(url: SplitResult) -> SplitResult:
    if url.netloc not in {"", "localhost"}:
        message = "`destination` is a file: URL with a host; three slashes begin a path of this machine: file:///path"
        raise ValueError(message)
    return SplitResult("", "", unquote(url.path), "", "")


def _require_usable(way: str, given: set[str]) -> None:
    useless = sorted(given - CREDENTIALS[way])
    if useless:
        message = f"this kind of destination has no use for {', '.join(f'`{name}`' for name in useless)}"
        raise ValueError(message)
    if "token" in given and given & {"username", "password"}:
        message = "give `token`, or `username` and `password`, not both"
        raise ValueError(message)


def _parcel(source: Path, url: SplitResult) -> _Parcel:
    """The files that are to be sent, under their names below a base."""
    if source.is_dir():
        _require_apart(source, url)
        return _Parcel(_text(url), _files_of(source), _text(url._replace(query="", fragment="")))
    if not source.is_file():
        message = f"`source` does not exist: {source}"
        raise FileNotFoundError(message)
    if not url.scheme:
        target = Path(url.path, source.name) if url.path.endswith("/") or Path(url.path).is_dir() else Path(url.path)
        return _Parcel(str(target.parent), {target.name: source}, str(target))
    folder, _, name = url.path.rpartition("/")
    base, name = url._replace(path=f"{folder}/"), unquote(name) or source.name
    return _Parcel(_text(base), {name: source}, _text(base._replace(path=f"{folder}/{quote(name)}", query="")))


def _text(url: SplitResult) -> str:
    return urlunsplit(url) if url.scheme else url.path


def _files_of(folder: Path) -> dict[str, Path]:
    """The files in a folder by their paths in it; a link to a folder is passed over, as what is there goes itself."""
    entries = entries_below(folder)
    astray = next((entry for entry in entries if not is_inside(entry, folder)), None)
    if astray is not None:
        message = f"the link {astray} leads out of {folder}: put the file in its place"
        raise ValueError(message)
    files = {entry.relative_to(folder).as_posix(): entry for entry in entries if entry.is_file()}
    if not files:
        message = f"there is no file to send in {folder}"
        raise ValueError(message)
    return files


def _require_apart(source: Path, url: SplitResult) -> None:
    if not url.scheme and is_inside(Path(url.path), source):
        message = f"`destination` is in `source`, {source}: the next upload would send this one's files too"
        raise ValueError(message)


def _opened(way: str, base: str, access: Access) -> Destination:
    match way:
        case "http":
            from ._upload_http import HttpDestination

            return HttpDestination(base, access)
        case "store":
            from ._upload_store import StoreDestination

            return StoreDestination(base, access)
        case "sftp":
            from ._upload_sftp import SftpDestination

            return SftpDestination(base, access)
        case _:
            return _FolderDestination(Path(base))
