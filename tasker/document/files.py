"""The files that a document is made of: the named one and what it includes, kept inside the conf folder.

Not to be confused with `folder`, the conf folder on a disk: here is only what is asked of one.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tasker.document.reader import FaultError, read
from tasker.document.values import Source
from tasker.errors import TaskerError
from tasker.faults import Fault, Place

if TYPE_CHECKING:
    from tasker.document.limits import Limits
    from tasker.document.syntax import Fields, Include
    from tasker.document.values import Object, Span


class OutsideFolderError(TaskerError):
    """A path leads out of the conf folder."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(f"{path!r} leads out of the conf folder")


class Folder(Protocol):
    """Where files come from. Paths are relative to the conf folder, with slashes."""

    def read(self, path: str) -> bytes:
        """The file's bytes, or the first of them where it is over the limit. Raises `OSError`, `OutsideFolderError`."""

    def shown(self, path: str) -> str:
        """The file's name for people."""


@dataclass(slots=True)
class Files:
    """What was read so far: texts, digests, syntax trees, and the faults of all of them."""

    folder: Folder
    limits: Limits
    faults: list[Fault] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    """The sha256 of each file, by its name for people, in the order of reading."""
    included: dict[Include, Object | Fields] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)
    """The names of all secrets that stand in the texts, whether anything comes of them or not."""
    joined: set[Span] = field(default_factory=set)
    """Of all files what a `Reading` has of one."""
    _roots: dict[str, Object | Fields | None] = field(default_factory=dict)
    _size: int = 0

    def load(self, path: str) -> Object | Fields | None:
        """Read the file of that name and all that it includes; `None` where it has faults."""
        shown = self.folder.shown(path)
        try:
            return self._take(path, self.folder.read(path), (path,))
        except OutsideFolderError:
            hint = "--conf-dir names the folder that a file and all that it includes are in"
            fault = Fault("unreadable", Place(shown), "the file is not in the conf folder", hint)
        except OSError as error:
            fault = Fault("unreadable", Place(shown), f"the file cannot be read: {_reason(error)}")
        except FaultError as error:
            fault = error.fault
        self.faults.append(fault)
        return None

    def follow(self, includes: tuple[Include, ...], path: str, chain: tuple[str, ...]) -> None:
        """Read what the file `path` includes; `chain` leads to it from the first file."""
        for include in includes:
            try:
                root = self._include(include, _target(include, path), chain)
            except FaultError as error:
                self.faults.append(error.fault)
            else:
                if root is not None:
                    self.included[include] = root

    def _include(self, include: Include, target: str, chain: tuple[str, ...]) -> Object | Fields | None:
        """The root of what is included; `None` where its faults have been told already."""
        for candidate in (target, f"{target}.conf", f"{target}.json"):
            if candidate in chain:
                names = [self.folder.shown(path) for path in (*chain[chain.index(candidate) :], candidate)]
                raise _fault(include, "include-cycle", f"the file includes itself: {' -> '.join(names)}")
            if candidate in self._roots:
                return self._roots[candidate]
            content = self._content(include, candidate)
            if content is not None:
                self._refuse_too_many(include, chain)
                if not content.strip():
                    # Whoever saves a file in place empties it first: it may be read then.
                    message = f"the included file {self.folder.shown(candidate)} is empty"
                    raise _fault(include, "include-empty", message, "a comment in it says that it is meant to be")
                return self._take(candidate, content, (*chain, candidate))
        shown = self.folder.shown(target)
        tried = "" if posixpath.splitext(target)[1] in (".conf", ".json") else f", {shown}.conf or {shown}.json"
        hint = f"it is included by {' -> '.join(map(self.folder.shown, chain))}" if len(chain) > 1 else ""
        raise _fault(include, "include-missing", f"there is no file {shown}{tried}", hint)

    def _content(self, include: Include, path: str) -> bytes | None:
        """The content of the file, or `None` where there is no such file."""
        try:
            return self.folder.read(path)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        except OutsideFolderError:
            raise _refused(include, "the include leads out of the conf folder") from None
        except OSError as error:
            raise _fault(include, "unreadable", f"the included file cannot be read: {_reason(error)}") from None

    def _refuse_too_many(self, include: Include, chain: tuple[str, ...]) -> None:
        if len(self.digests) >= self.limits.files:
            raise _fault(include, "too-large", f"over {self.limits.files} files are read together")
        if len(chain) >= self.limits.include_depth:
            raise _fault(include, "too-deep", f"over {self.limits.include_depth} files include one the next")

    def _take(self, path: str, content: bytes, chain: tuple[str, ...]) -> Object | Fields:
        """Read a file's content as text, as HOCON, and then what it includes. Raises `FaultError`."""
        from hashlib import sha256  # noqa: PLC0415 - OpenSSL takes its time to load

        shown = self.folder.shown(path)
        self._roots[path] = None
        self._refuse_too_large(len(content), shown)
        self.digests[shown] = sha256(content).hexdigest()
        reading = read(Source(shown, _decoded(content, shown)), self.limits)
        self._roots[path] = reading.root
        self.secrets.update(reading.secrets)
        self.joined.update(reading.joined)
        self.follow(reading.includes, path, chain)
        return reading.root

    def _refuse_too_large(self, size: int, shown: str) -> None:
        self._size += size
        limits = self.limits
        if size > limits.file_size:
            message = f"the file is larger than {limits.file_size} bytes"
        elif self._size > limits.total_size:
            message = f"with this file, what is read together is larger than {limits.total_size} bytes"
        else:
            return
        raise FaultError(Fault("too-large", Place(shown), message))


def _target(include: Include, path: str) -> str:
    """The path of what the file `path` includes. Raises `FaultError` where it may not."""
    name = include.name
    target = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
    if re.match(r"[a-z]+://|(?:data|file|classpath):", name, re.IGNORECASE):
        raise _refused(include, "an include reads files of the conf folder, and nothing from elsewhere")
    if name.startswith("/"):
        raise _refused(include, "an include names a file relative to the one it stands in, by no absolute path")
    if target == ".." or target.startswith("../"):
        raise _refused(include, "the include leads out of the conf folder")
    if target == "." or not name.strip() or not name.isprintable():
        raise _refused(include, "the include names no file")
    if any(part.startswith(".") for part in target.split("/")):
        raise _refused(include, "the include names a hidden file: names that begin with '.' are never read")
    return target


def _decoded(content: bytes, shown: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        place = Source(shown, before + "?").place(len(before), len(before) + 1)
        hint = "is it UTF-16? save it as UTF-8" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "save it as UTF-8"
        message = f"the byte 0x{content[error.start]:02x} is not UTF-8 text"
        raise FaultError(Fault("encoding", place, message, hint)) from None


def _refused(include: Include, message: str) -> FaultError:
    hint = 'write the name of a file beside this one: include "_defaults.conf"'
    return _fault(include, "include-refused", message, hint)


def _fault(include: Include, code: str, message: str, hint: str = "") -> FaultError:
    return FaultError(Fault(code, include.span.place, message, hint))


def _reason(error: OSError) -> str:
    """Why, in the system's words, without the path that the place already names."""
    return (error.strerror or type(error).__name__).lower()
