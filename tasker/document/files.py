"""The files that a document is made of: the named one and what it includes, kept inside the conf folder.

Not to be confused with `folder`, the conf folder on a disk: here is only what is asked of one.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tasker.document.reader import SyntaxFaultError, read
from tasker.document.values import Source, Span
from tasker.errors import TaskerError
from tasker.faults import Fault, Place

if TYPE_CHECKING:
    from tasker.document.limits import Limits
    from tasker.document.syntax import Fields, Include
    from tasker.document.values import Object


class OutsideFolderError(TaskerError):
    """A path leads out of the conf folder."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(f"{path!r} leads out of the conf folder")


class Folder(Protocol):
    """Where files come from. Paths are relative to the conf folder, with slashes."""

    def read(self, path: str, limit: int) -> bytes:
        """The file's bytes, or its first `limit + 1` where it has more. Raises `OSError`, `OutsideFolderError`."""

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
    _roots: dict[str, Object | Fields | None] = field(default_factory=dict)
    _size: int = 0

    def load(self, path: str) -> Object | Fields | None:
        """Read the file of that name and all that it includes; `None` where it has faults."""
        try:
            content = self.folder.read(path, self.limits.file_size)
        except OutsideFolderError:
            self._tell("include-refused", Place(self.folder.shown(path)), "this leads out of the conf folder")
        except OSError as error:
            self._tell("unreadable", Place(self.folder.shown(path)), f"the file cannot be read: {_reason(error)}")
        else:
            return self._take(path, content, (path,))
        return None

    def follow(self, includes: tuple[Include, ...], path: str, chain: tuple[str, ...]) -> None:
        """Read what the file `path` includes; `chain` leads to it from the first file."""
        for include in includes:
            target = self._target(include, path)
            if target is not None:
                root = self._include(include, target, chain)
                if root is not None:
                    self.included[include] = root

    def _target(self, include: Include, path: str) -> str | None:
        """The path of what is included, where it may be."""
        name = include.name
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
        if "://" in name or name.startswith(("data:", "file:", "classpath:")):
            self._refuse(include, "an include reads files of the conf folder, and nothing from elsewhere")
        elif name.startswith("/"):
            self._refuse(include, "an include names a file relative to the one that it stands in, not an absolute path")
        elif target.startswith("..") and (target + "/").startswith("../"):
            self._refuse(include, "the include leads out of the conf folder")
        elif not name.strip() or target == "." or not name.isprintable():
            self._refuse(include, "the include names no file")
        else:
            return target
        return None

    def _include(self, include: Include, target: str, chain: tuple[str, ...]) -> Object | Fields | None:
        for candidate in (target, f"{target}.conf", f"{target}.json"):
            if candidate in chain:
                return self._cycle(include, candidate, chain)
            if candidate in self._roots:
                return self._roots[candidate]
            try:
                content = self.folder.read(candidate, self.limits.file_size)
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                continue
            except OutsideFolderError:
                return self._refuse(include, "the include leads out of the conf folder")
            except OSError as error:
                message = f"the included file cannot be read: {_reason(error)}"
                return self._tell("unreadable", include.span.place, message)
            return self._within(include, candidate, content, chain)
        return self._missing(include, target, chain)

    def _within(
        self, include: Include, path: str, content: bytes, chain: tuple[str, ...]
    ) -> Object | Fields | None:
        if len(self.digests) >= self.limits.files or len(chain) >= _LONGEST_CHAIN:
            return self._tell("too-large", include.span.place, f"over {self.limits.files} files, or {_LONGEST_CHAIN} in a row, include one another")
        return self._take(path, content, (*chain, path))

    def _take(self, path: str, content: bytes, chain: tuple[str, ...]) -> Object | Fields | None:
        """Read a file's content as text, as HOCON, and then what it includes."""
        from hashlib import sha256  # noqa: PLC0415 - OpenSSL takes its time to load; a listing of names does not need it

        shown = self.folder.shown(path)
        self._roots[path] = None
        self._size += len(content)
        if len(content) > self.limits.file_size:
            return self._tell("too-large", Place(shown), f"the file is larger than {self.limits.file_size} bytes")
        if self._size > self.limits.total_size:
            message = f"with this file, what is read together is larger than {self.limits.total_size} bytes"
            return self._tell("too-large", Place(shown), message)
        self.digests[shown] = sha256(content).hexdigest()
        text = self._decoded(content, shown)
        if text is None:
            return None
        try:
            reading = read(Source(shown, text), self.limits)
        except SyntaxFaultError as error:
            self.faults.append(error.fault)
            return None
        self._roots[path] = reading.root
        self.follow(reading.includes, path, chain)
        return reading.root

    def _decoded(self, content: bytes, shown: str) -> str | None:
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            before = Source(shown, content[: error.start].decode("utf-8") + "?")
            place = Span(before, len(before.text) - 1, len(before.text)).place
            hint = "is it UTF-16? save it as UTF-8" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "save it as UTF-8"
            return self._tell("encoding", place, f"the byte 0x{content[error.start]:02x} is not UTF-8 text", hint)

    def _cycle(self, include: Include, target: str, chain: tuple[str, ...]) -> None:
        names = [self.folder.shown(path) for path in (*chain[chain.index(target) :], target)]
        self._tell("include-cycle", include.span.place, f"the file includes itself: {' -> '.join(names)}")

    def _missing(self, include: Include, target: str, chain: tuple[str, ...]) -> None:
        shown = self.folder.shown(target)
        tried = "" if posixpath.splitext(target)[1] in (".conf", ".json") else f", {shown}.conf or {shown}.json"
        hint = f"it is included by {' -> '.join(map(self.folder.shown, chain))}" if len(chain) > 1 else ""
        self._tell("include-missing", include.span.place, f"there is no file {shown}{tried}", hint)

    def _refuse(self, include: Include, message: str) -> None:
        hint = 'write the name of a file beside this one: include "_defaults.conf"'
        self._tell("include-refused", include.span.place, message, hint)

    def _tell(self, code: str, place: Place, message: str, hint: str = "") -> None:
        self.faults.append(Fault(code, place, message, hint))


_LONGEST_CHAIN = 20
"""Files that include one the next; each takes a few frames of the stack."""


def _reason(error: OSError) -> str:
    """Why, in the system's words, without the path that the place already names."""
    return (error.strerror or type(error).__name__).lower()
