"""Options, and the environment variables that stand in for them."""

from __future__ import annotations

from argparse import ArgumentParser

import pytest

from tasker.cli import main, options
from tasker.errors import UsageError


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        *((word, True) for word in ("1", "true", "YES", "On")),
        *((word, False) for word in ("0", "False", "no", "OFF", "")),
    ],
)
def test_a_variable_says_whether_an_option_is_there(said: str, meant: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKER_DRY_RUN", said)
    parser = ArgumentParser()
    options.add_flag(parser, "--dry-run", help="")
    assert parser.parse_args([]).dry_run is meant


@pytest.mark.parametrize("said", ["y", "2", " ", "ture", "-1"])
def test_a_variable_that_says_neither_is_wrong_usage_and_named(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who writes `TASKER_DRY_RUN=y` must not find that everything has run."""
    monkeypatch.setenv("TASKER_DRY_RUN", said)
    with pytest.raises(UsageError, match="TASKER_DRY_RUN"):
        options.add_flag(ArgumentParser(), "--dry-run", help="")


@pytest.mark.parametrize("said", ["nan", "inf", "-inf", "-1", "ten", ""])
def test_a_grace_that_is_no_time_is_wrong_usage(
    said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["once", "a.conf", f"--grace={said}"])
    monkeypatch.setenv("TASKER_GRACE", said)
    with pytest.raises(SystemExit, match="2"):
        main(["once", "a.conf"])
    assert capsys.readouterr().err.count(f"argument --grace: {said!r} is no number of seconds") == 2


@pytest.mark.parametrize("said", ["0", "0.5", "3600"])
def test_a_grace_is_a_number_of_seconds(said: str) -> None:
    parser = ArgumentParser()
    options.add_run_options(parser)
    assert parser.parse_args(["--grace", said]).grace == float(said)


def test_the_workspace_that_a_step_finds_is_not_taken_for_the_folder_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step may run `tasker` itself: its runs are no part of the step's own workspace, which is emptied."""
    monkeypatch.setenv("TASKER_WORKSPACE", "/of/the/step")
    monkeypatch.delenv("TASKER_WORKSPACES", raising=False)
    parser = ArgumentParser()
    options.add_surroundings(parser)
    assert parser.parse_args([]).workspaces is None
    monkeypatch.setenv("TASKER_WORKSPACES", "/of/all")
    parser = ArgumentParser()
    options.add_surroundings(parser)
    assert parser.parse_args([]).workspaces == "/of/all"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (":9090", ("127.0.0.1", 9090)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("[::1]:9090", ("::1", 9090)),
        ("localhost:0", ("localhost", 0)),
        ("", None),
    ],
)
def test_an_address_without_a_host_is_the_loopback(said: str, meant: tuple[str, int] | None) -> None:
    parser = ArgumentParser()
    options.add_http(parser)
    assert parser.parse_args([f"--http={said}"]).http == meant
    assert parser.parse_args([]).http is None


@pytest.mark.parametrize("said", ["9090", "localhost", "::1:9090", ":http", ":-1", ":٣", "http://localhost:9090/"])
def test_what_is_no_address_is_wrong_usage(said: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = ArgumentParser()
    options.add_http(parser)
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args([f"--http={said}"])
    assert f"{said!r} is no address" in capsys.readouterr().err
