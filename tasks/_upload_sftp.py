"""Uploading by SFTP, by paramiko: only to a host whose key is known, under a temporary name, then renamed.

A file of the same size that is there already is read back and compared: SFTP tells no digest, and times lie.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from ._files import DRAFT_SUFFIX
from ._uploads import Access, TryAgainError, UploadError

if TYPE_CHECKING:
    import paramiko

_CHUNK_BYTES = 256 * 1024
_DEFAULT_PORT = 22


class SftpDestination:
    """A folder on a host, where `/~/` begins one in the user's home.

    The connection is made when it is first needed, and again after it broke.
    """

    def __init__(self, url: str, access: Access) -> None:
        parts = urlsplit(url)
        self._paramiko = _paramiko()
        self._host, self._port = parts.hostname or "", parts.port or _DEFAULT_PORT
        self._username = access.username or parts.username
        self._folder = PurePosixPath(unquote(re.sub("^/~(/|$)", "", parts.path)))
        self._access = access
        self._client: paramiko.SSHClient | None = None
        self._session: paramiko.SFTPClient | None = None

    def put(self, file: Path, name: str) -> bool:
        """Send the file unless the same bytes are there."""
        try:
            return self._put(self._connected(), file, self._folder / name)
        except (UploadError, FileNotFoundError, PermissionError) as error:
            raise UploadError(str(error) if isinstance(error, UploadError) else _refusal(error)) from None
        except (self._paramiko.SSHException, OSError, EOFError) as error:
            self.close()
            message = (
                f"the connection to {self._host} fails: {getattr(error, 'strerror', None) or type(error).__name__}"
            )
            raise TryAgainError(message) from None

    def close(self) -> None:
        """Disconnect."""
        if self._client is not None:
            self._client.close()
        self._client = self._session = None

    def _connected(self) -> paramiko.SFTPClient:
        if self._session is None:
            self._client = self._paramiko.SSHClient()
            _trust(self._client, self._access.known_hosts, self._paramiko)
            self._log_in(self._client)
            self._session = self._client.open_sftp()
            self._session.get_channel().settimeout(self._access.timeout)  # type: ignore[union-attr]  # it is open
        return self._session

    def _log_in(self, client: paramiko.SSHClient) -> None:
        access = self._access
        own_way = access.password is None and access.private_key is None
        try:
            client.connect(
                self._host,
                self._port,
                self._username,
                password=access.password if access.private_key is None else None,
                passphrase=access.password,
                key_filename=str(access.private_key) if access.private_key else None,
                timeout=access.timeout,
                banner_timeout=access.timeout,
                auth_timeout=access.timeout,
                allow_agent=own_way,
                look_for_keys=own_way,
            )
        except self._paramiko.BadHostKeyException:
            message = f"{self._host} shows another host key than the known one: it may not be the host that it was"
            raise UploadError(message) from None
        except self._paramiko.AuthenticationException:
            message = f"{self._host} does not accept the credentials"
            raise UploadError(message) from None

    def _put(self, session: paramiko.SFTPClient, file: Path, target: PurePosixPath) -> bool:
        if _has(session, file, target):
            return False
        _make_folder(session, target.parent)
        draft = _draft_beside(target)
        try:
            session.put(str(file), draft)
            _rename(session, draft, str(target))
        except BaseException:
            with suppress(Exception):
                session.remove(draft)
            raise
        return True


def _trust(client: paramiko.SSHClient, known_hosts: Path | None, library: Any) -> None:
    """Accept the hosts of a file, by default those that the user's ssh accepts, and no other."""

    class Refuse(library.MissingHostKeyPolicy):  # type: ignore[misc]  # the library is only known here
        def missing_host_key(self, _client: object, hostname: str, _key: object) -> None:
            message = f"the host key of {hostname} is not known: add what `ssh-keyscan` prints for it to `known_hosts`"
            raise UploadError(message)

    if known_hosts is None:
        client.load_system_host_keys()
    else:
        client.load_host_keys(str(known_hosts))
    client.set_missing_host_key_policy(Refuse())


def _has(session: paramiko.SFTPClient, file: Path, target: PurePosixPath) -> bool:
    """Whether the target is a file with the same bytes."""
    try:
        if session.stat(str(target)).st_size != file.stat().st_size:
            return False
        with file.open("rb") as here, session.open(str(target), "rb") as there:
            there.prefetch()
            while chunk := here.read(_CHUNK_BYTES):
                if chunk != there.read(len(chunk)):
                    return False
    except FileNotFoundError:
        return False
    return True


def _make_folder(session: paramiko.SFTPClient, folder: PurePosixPath) -> None:
    for each in (*reversed(folder.parents), folder):
        if str(each) in {"/", "."}:
            continue
        try:
            mode = session.stat(str(each)).st_mode or 0
        except FileNotFoundError:
            session.mkdir(str(each))
        else:
            if not stat.S_ISDIR(mode):
                message = f"{each} is there, and is not a folder"
                raise UploadError(message)


def _rename(session: paramiko.SFTPClient, draft: str, target: str) -> None:
    """Put the draft in its place, by OpenSSH's rename, which replaces a file in one step, where the server has it."""
    try:
        session.posix_rename(draft, target)
    except OSError as error:
        if not _may_be_unsupported(error):
            raise
        _replace(session, draft, target)


def _may_be_unsupported(error: OSError) -> bool:
    """Whether the server answered that it cannot do this: paramiko keeps nothing of such an answer but its words."""
    return type(error) is OSError and error.errno is None


def _replace(session: paramiko.SFTPClient, draft: str, target: str) -> None:
    """Put the draft in its place in two steps: the file that is there goes aside, and comes back where that fails."""
    aside = _draft_beside(PurePosixPath(target))
    is_aside = _move_file(session, target, aside)
    try:
        session.rename(draft, target)
    except BaseException:
        if is_aside:
            with suppress(Exception):
                session.rename(aside, target)
        raise
    if is_aside:
        with suppress(OSError):
            session.remove(aside)


def _move_file(session: paramiko.SFTPClient, file: str, to: str) -> bool:
    """Rename a file if there is one; answer whether there was."""
    try:
        mode = session.lstat(file).st_mode or 0
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        message = f"{file} is there, and is a folder"
        raise UploadError(message)
    session.rename(file, to)
    return True


def _draft_beside(target: PurePosixPath) -> str:
    return str(target.with_name(f".{os.urandom(16).hex()}{DRAFT_SUFFIX}"))


def _refusal(error: OSError) -> str:
    return f"the server refuses to write there: {error.strerror or type(error).__name__}"


def _paramiko() -> Any:
    try:
        import paramiko
    except ModuleNotFoundError:
        message = "SFTP needs the package paramiko: pip install 'paramiko>=4'"
        raise ModuleNotFoundError(message) from None
    return paramiko
