"""`tasker new`: which names it takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasker.cli import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["task", "path", "none", "TypedDict", "x", "with_2_parts"])
def test_names_that_are_words_elsewhere_make_working_tasks(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "task", name]) == 0
    assert main(["tasks", name]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("arguments", "mend"),
    [
        (("task", "9-lives"), "'lives' would do"),
        (("task", "two words"), "'two_words' would do"),
        (("task", "_hidden"), "'hidden' would do"),
        (("task", "../up"), "'up' would do"),
        (("task", "çedilla"), "beginning with a letter"),
        (("task", ""), "beginning with a letter"),
        (("task", "class"), "'class_task' would do"),
        (("pipeline", "_defaults"), "beginning with a letter or digit"),
        (("pipeline", "../up"), "letters, digits"),
        (("pipeline", "a b"), "letters, digits"),
    ],
)
def test_a_name_that_cannot_be_is_refused_with_what_mends_it(
    arguments: tuple[str, str], mend: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert mend in shown.err
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("command", "kinds"), [("new", "{task,pipeline}"), ("export", "{cronjobs}")])
def test_who_names_no_kind_is_told_the_kinds(command: str, kinds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command])
    assert f"required: {kinds}" in capsys.readouterr().err
