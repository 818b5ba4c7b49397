"""Variables of the environment that are secrets."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from typing import TYPE_CHECKING

import pytest

from tasker import linux
from tasker.cli import options
from tasker.errors import UsageError
from tasker.project import Project
from tasker.settings import Settings
from tasker.tasker import Tasker

if TYPE_CHECKING:
    from pathlib import Path

    from tasker.project import Loaded

SECRET = "hunter2-and-a-half"


def loaded(folder: Path, text: str, *, given: dict[str, str] | None = None, **environment: str) -> Loaded:
    """A file as it is read where TOKEN and OTHER are secrets."""
    (folder / "a.conf").write_text(f"{text}\ntasks = [{{ name = shell_script, args {{ command = ${{?x}} }} }}]")
    settings = Settings(secrets=folder, secret_env=("TOKEN", "OTHER"), environment=environment, given=given or {})
    return Project(settings).load(folder / "a.conf")


@pytest.mark.parametrize("read", ["${secret.TOKEN}", "${TOKEN}", "${?TOKEN}", "a ${TOKEN} b"])
def test_it_is_read_as_a_secret_however_it_is_asked_for(tmp_path: Path, read: str) -> None:
    found = loaded(tmp_path, f"x = {read}", TOKEN=SECRET)
    assert found.pipeline is not None
    assert found.document is not None
    assert SECRET in found.pipeline.steps[0].arguments["command"]
    assert found.pipeline.secrets == {SECRET}
    assert "TOKEN" not in found.document.variables
    assert ("secret", "TOKEN") in found.document.reads
    assert SECRET not in repr(found.document.to_config())


def test_a_file_of_the_name_goes_before_it(tmp_path: Path) -> None:
    (tmp_path / "TOKEN").write_text("of the file\n")
    for read in ("${secret.TOKEN}", "${TOKEN}"):
        found = loaded(tmp_path, f"x = {read}", TOKEN=SECRET)
        assert found.pipeline is not None
        assert found.pipeline.steps[0].arguments["command"] == "of the file"


def test_it_is_masked_also_where_no_file_reads_it(tmp_path: Path) -> None:
    found = loaded(tmp_path, "x = true", TOKEN=SECRET, OTHER="b")
    assert found.pipeline is not None
    assert found.pipeline.secrets == {SECRET, "b"}


def test_another_value_is_no_other_revision(tmp_path: Path) -> None:
    revisions = {
        found.pipeline.revision
        for value in ("one", "two")
        if (found := loaded(tmp_path, "x = ${TOKEN}", TOKEN=value)).pipeline
    }
    assert len(revisions) == 1


@pytest.mark.parametrize(
    ("read", "words"),
    [
        ("x = ${secret.TOKEN}", "there is no secret named 'TOKEN'"),
        ("x = ${TOKEN}", "nothing is named 'TOKEN', here or in the environment"),
    ],
)
def test_one_that_is_not_set_is_missed(tmp_path: Path, read: str, words: str) -> None:
    assert [fault.message for fault in loaded(tmp_path, read).faults] == [words]


def test_one_that_is_missed_is_told_with_where_it_would_be(tmp_path: Path) -> None:
    hints = [
        fault.hint
        for read in ("TOKEN", "PASS", "GONE")
        for fault in loaded(tmp_path, f"x = ${{secret.{read}}}", PASS="").faults
    ]
    folder = f"a secret is a file in {tmp_path}; "
    assert hints == [
        f"{folder}the variable that --secret-env names is not set",
        f"{folder}a variable of this name is set: --secret-env PASS makes it a secret",
        f"{folder}or a variable that --secret-env names",
    ]


def test_a_name_that_is_mistyped_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOKEN", SECRET)
    (tmp_path / "OF_A_FILE").write_text(SECRET)
    parser = ArgumentParser()
    options.add_surroundings(parser)
    names = ["--secret-env", "TOKEN", "--secret-env", "TOKNE", "--secret-env", "OF_A_FILE"]
    options.settings(parser.parse_args(["--secrets", str(tmp_path), *names]))
    told = f"tasker: --secret-env TOKNE: no such variable is set, and there is no file {tmp_path}/TOKNE\n"
    assert capsys.readouterr().err == told


def test_it_cannot_be_where_it_would_be_shown(tmp_path: Path) -> None:
    (fault,) = loaded(tmp_path, "x = true\nname = ${TOKEN}", TOKEN=SECRET).faults
    assert SECRET not in f"{fault} {fault.hint} {fault.place}"


def test_steps_do_not_find_it_even_where_it_is_set_by_hand(tmp_path: Path) -> None:
    found = loaded(tmp_path, "x = ${TOKEN}", given={"TOKEN": SECRET, "DAY": "1"}, TOKEN="another")
    assert found.pipeline is not None
    assert found.pipeline.secrets == {SECRET}
    assert found.occasion.environment["DAY"] == "1"
    assert "TOKEN" not in found.occasion.environment


def test_the_settings_do_not_show_it() -> None:
    assert SECRET not in repr(Settings(secret_env=("TOKEN",), environment={"TOKEN": SECRET}, given={"A": SECRET}))


def test_a_value_is_refused_where_a_name_belongs() -> None:
    for said in (f"TOKEN={SECRET}", f"={SECRET}"):
        with pytest.raises(UsageError, match="expects the name of a variable alone") as refused:
            Settings(secret_env=(said,))
        assert SECRET not in str(refused.value)


def test_a_program_takes_what_it_was_given_out_of_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", SECRET)
    assert linux.forget("TOKEN") == SECRET
    assert "TOKEN" not in os.environ
    assert linux.forget("TOKEN") is None


def test_commands_keep_it_and_the_place_of_the_history_to_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", SECRET)
    monkeypatch.setenv("TASKER_SECRET_ENV", "TOKEN NOT_SET")
    monkeypatch.setenv("TASKER_HISTORY", "postgresql://me:geheim@there/db")
    parser = ArgumentParser()
    options.add_file_options(parser)
    settings = options.settings(parser.parse_args(["--secret-env", "TOO"]))
    assert settings.secret_env == ("TOKEN", "NOT_SET", "TOO")
    assert settings.secret_variables == {"TOKEN": SECRET}
    assert "TASKER_HISTORY" not in settings.environment
    assert not {"TOKEN", "TASKER_HISTORY"} & os.environ.keys()


def test_a_program_that_runs_a_file_keeps_it_from_the_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOKEN", SECRET)
    conf = tmp_path / "a.conf"
    conf.write_text('tasks = [{ name = shell_script, args { shell = true, command = "env; echo is "${TOKEN} } }]')
    assert Tasker(conf, settings=Settings(secret_env=("TOKEN",), workspaces=tmp_path / "w")).run()
    told = capfd.readouterr().out
    assert '"line": "is ***"' in told
    assert "TOKEN=" not in told
    assert SECRET not in told
    assert os.environ["TOKEN"] == SECRET
