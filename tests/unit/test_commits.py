"""Which commit a pipeline's texts are: the one that is checked out, if they are what it has."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tasker.commits import commit_of

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = {"a.conf": "name = é\n", "_more/b.conf": "x = 1\n"}
AUTHOR = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b.c",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b.c",
}


def git(folder: Path, *arguments: str) -> str:
    """What git answers."""
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        env={**os.environ, **AUTHOR, "GIT_CONFIG_GLOBAL": os.devnull},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A conf folder within a repository."""
    folder = tmp_path / "conf.d"
    for name, text in TEXTS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_texts_that_a_commit_has_are_of_it_whatever_lies_in_the_folder_by_now(folder: Path) -> None:
    git(folder, "init", "-q", "..")
    assert commit_of(folder, TEXTS) is None  # there is no commit yet
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "x")
    head = git(folder, "rev-parse", "HEAD")
    assert commit_of(folder, TEXTS) == head
    (folder / "a.conf").write_text("name = other\n")
    assert commit_of(folder, TEXTS) == head
    assert commit_of(folder, {**TEXTS, "a.conf": "name = other\n"}) == f"{head}-dirty"
    assert commit_of(folder, {**TEXTS, "new.conf": "x = 1\n"}) == f"{head}-dirty"


def test_a_hooks_variables_do_not_lead_to_another_repository(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(folder, "init", "-q", "..")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "x")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert commit_of(folder, TEXTS) is not None


def test_where_there_is_no_repository_a_variable_may_say_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert commit_of(folder, TEXTS) is None
    monkeypatch.setenv("TASKER_COMMIT", "v1.2")
    assert commit_of(folder, TEXTS) == "v1.2"


def test_without_git_there_is_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(folder, "init", "-q", "..")
    monkeypatch.setenv("PATH", "")
    assert commit_of(folder, TEXTS) is None
