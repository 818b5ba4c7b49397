"""Which conf files were found valid, kept on disk from one validation to the next.

A verdict says that a file is valid, and no more: faults are always found anew. It holds as long as all that went into
it is as it was: the texts, the variables that they read, the code of tasker, of the tasks and of what these import.
In any doubt there is none: a damaged, foreign or unwritable cache is as good as no cache.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from contextlib import suppress
from dataclasses import astuple, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasker.faults import Place
from tasker.file_states import imported, listing, shadows, states
from tasker.variables import PER_RUN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from tasker.project import Loaded, LoadedFile
    from tasker.settings import Settings

_OF_TEXTS = (*PER_RUN, "PIPELINE")
"""Variables that are new for each run, and the name, which a file has from its texts."""
_KEPT_S = 30 * 24 * 3600
"""Seconds after which a cache that nobody has written to is removed."""
_SETTLED_NS = 2 * 10**9
"""Nanoseconds that a module must be old to be sure that it is the one that was imported."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A file is valid: the name of its pipelines, without that of an instance, and where it is written."""

    name: str
    place: Place
    pipelines: int
    """How many there are."""


class Verdicts:
    """The verdicts that hold under these settings."""

    def __init__(self, folder: Path | None, settings: Settings, overrides: Mapping[str, str], now: datetime) -> None:
        """Read what `folder` keeps, if there is one; `now` is the moment at which the files are looked at."""
        self._settings = settings
        self._now = now
        self._started_ns = time.time_ns()
        # As they are before anything is imported: what changes meanwhile is not what a verdict is about.
        folders = [os.path.realpath(each) for each in settings.task_folders]
        self._surroundings = {"path": states(sys.path), **{each: listing(each) for each in folders}}
        chosen = [settings.conf_dir, settings.secret_env, folders, dict(overrides)]
        options = [sys.version, sys.prefix, Path.cwd(), *chosen]
        self._cache = folder and folder / "verdicts" / f"{_digest(repr(options))}.json"
        kept = _read(self._cache) if self._cache else {}
        holds = bool(kept) and kept["surroundings"] == self._surroundings and states(kept["modules"]) == kept["modules"]
        self._modules: dict[str, Any] = kept["modules"] if holds else {}
        self._kept: dict[str, Any] = kept["verdicts"] if holds else {}
        self._known = set(self._surroundings).union(*self._surroundings.values())
        self._contents: dict[str, list[str]] = {}
        self._new = False

    def get(self, file: Path) -> Verdict | None:
        """The verdict on a file, if there is one and it holds."""
        kept = self._kept.get(str(file))
        if kept is None or not self._holds(file, kept):
            return None
        return Verdict(kept["name"], Place(*kept["place"]), kept["pipelines"])

    def add(self, file: LoadedFile) -> Verdict:
        """The verdict on a file that was found valid; it is kept unless secrets had a part in the file."""
        verdict = Verdict(file.name, file.named_at, len(file.loaded))
        document = file.loaded[0].document
        assert document is not None  # noqa: S101 - it was found valid
        if all(path[0] != "secret" for path in document.reads):
            self._new = True
            self._kept[str(file.path)] = {
                "name": verdict.name,
                "place": astuple(verdict.place),
                "pipelines": verdict.pipelines,
                "files": {name: [os.path.realpath(name), digest] for name, digest in document.files},
                "shadows": shadows(name for name, _ in document.files[1:]),
                "variables": self._read(file.loaded),
            }
        return verdict

    def save(self) -> None:
        """Write what is new, whole or not at all."""
        if self._cache is None or not self._new:
            return
        modules = self._modules | states(imported() - self._known)
        newest = max((state[1] for state in modules.values() if state), default=0)
        if newest < self._started_ns - _SETTLED_NS:
            verdicts = {file: kept for file, kept in self._kept.items() if Path(file).exists()}
            content = {"surroundings": self._surroundings, "modules": modules, "verdicts": verdicts}
            with suppress(OSError):
                _write(self._cache, json.dumps(content).encode())
                _forget_old(self._cache.parent)

    def _holds(self, file: Path, kept: Mapping[str, Any]) -> bool:
        included = list(kept["files"])[1:]
        as_they_were = all(self._content(name) == content for name, content in kept["files"].items())
        return as_they_were and shadows(included) == kept["shadows"] and self._variables_hold(file, kept)

    def _content(self, name: str) -> list[str]:
        """Where a file really is, and the digest of what it holds; many files may include one."""
        if name not in self._contents:
            self._contents[name] = []
            with suppress(OSError):
                # A pipe would keep us waiting.
                if Path(name).is_file():
                    self._contents[name] = [os.path.realpath(name), sha256(Path(name).read_bytes()).hexdigest()]
        return self._contents[name]

    def _read(self, all_loaded: Iterable[Loaded]) -> list[list[Any]]:
        """The variables that pipelines have read, once for each time zone, instance by instance where they differ."""
        found: dict[str, list[Any]] = {}
        for loaded in all_loaded:
            assert loaded.document is not None and loaded.pipeline is not None  # noqa: S101, PT018 - they are valid
            timezone = loaded.pipeline.schedule.timezone if loaded.pipeline.schedule else None
            read = [timezone, self._lasting(loaded.document.variables)]
            found[repr(read)] = read
        return list(found.values())

    def _variables_hold(self, file: Path, kept: Mapping[str, Any]) -> bool:
        variables = self._settings.variables(file, run_id="", slot=self._now, workspace=Path())
        for timezone, known in kept["variables"]:
            now = {name: variables(name, {"schedule.timezone": timezone}.get) for name in known}
            if self._lasting(now) != known:
                return False
        return True

    def _lasting(self, variables: Mapping[str, str | None]) -> dict[str, str]:
        """The variables that the texts do not decide on, and digests of their values, which may be confidential."""
        return {
            name: _digest(repr((name, value)))
            for name, value in variables.items()
            if name not in _OF_TEXTS or name in self._settings.given
        }


def _digest(text: str) -> str:
    return sha256(text.encode(errors="surrogatepass")).hexdigest()


# The disk


def _read(cache: Path) -> dict[str, Any]:
    """What the cache holds, behind a line with its digest; nothing where that is not all our own doing."""
    with suppress(OSError):
        if all(_private(path.stat()) for path in (cache, cache.parent)):
            digest, _, content = cache.read_bytes().partition(b"\n")
            if sha256(content).hexdigest().encode() == digest:
                kept: dict[str, Any] = json.loads(content)
                return kept
    return {}


def _private(found: os.stat_result) -> bool:
    """Whether nobody else can have written it."""
    return found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _write(cache: Path, content: bytes) -> None:
    cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = cache.with_name(f"{cache.name}.{os.getpid()}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 - private
            file.write(sha256(content).hexdigest().encode() + b"\n" + content)
        draft.replace(cache)
    finally:
        draft.unlink(missing_ok=True)


def _forget_old(folder: Path) -> None:
    for cache in folder.iterdir():
        if cache.stat().st_mtime < time.time() - _KEPT_S:
            cache.unlink()
