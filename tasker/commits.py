"""Which git commit of a conf folder a pipeline's texts are: exactly, as it is these texts that are compared."""

from __future__ import annotations

import os
import re
import subprocess
from hashlib import sha1, sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VARIABLE = "TASKER_COMMIT"
"""The variable that says it where there is no repository, as in an image that was built from one."""
_ENOUGH_S = 2.0
"""Seconds after which git is not waited for."""
_MOST_FILES = 500
"""Files that git is asked for by one command."""
_CHANGED = "-dirty"
"""What follows a commit whose texts are others, in git's own word."""
_LENGTH_OF_SHA1 = 40
_ID = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")


def commit_of(folder: Path, texts: Mapping[str, str]) -> str | None:
    """The commit that a folder has checked out, if these texts, by their paths in the folder, are its files' there.

    Where they are not, `-dirty` follows; `None` where there is no repository, no commit, or no git that answers.
    """
    if given := os.environ.get(VARIABLE):
        return given
    if not any((above / ".git").exists() for above in (folder.absolute(), *folder.absolute().parents)):
        return None
    commit, *blobs = _asked(folder, ["HEAD", *(f"HEAD:./{path}" for path in list(texts)[:_MOST_FILES])]) or [""]
    same = blobs == [_blob(text, len(commit)) for text in texts.values()]
    return (commit if same else f"{commit}{_CHANGED}") if commit else None


def _asked(folder: Path, names: list[str]) -> list[str]:
    """What git calls these; of what it does not know, and what comes behind, nothing."""
    # The variables by which git tells its hooks of their repository would have it speak of another one.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", *names],  # noqa: S607 - the git that people have
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ENOUGH_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    lines = done.stdout.decode(errors="replace").splitlines()
    return [line for line in lines if _ID.fullmatch(line)]  # a name that it does not know it repeats


def _blob(text: str, length: int) -> str:
    """What git calls a file with this text."""
    content = text.encode(errors="surrogatepass")
    named = b"blob %d\0%b" % (len(content), content)
    return sha1(named, usedforsecurity=False).hexdigest() if length == _LENGTH_OF_SHA1 else sha256(named).hexdigest()
