"""How the words of `tasker once` are understood, and what people see of several runs."""

from __future__ import annotations

import argparse
import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from support.facts import fact, pipeline
from support.terminal import screen

from tasker.cli import once
from tasker.cli.live_runs import RunsView
from tasker.errors import UsageError
from tasker.facts import Event
from tasker.running.chosen import Chosen

if TYPE_CHECKING:
    from tasker.foreground.planning import Wish

FILE = Path("a.conf")


def wished(*words: str) -> tuple[list[Path], Wish]:
    """What the words come to."""
    parser = argparse.ArgumentParser()
    once.add(parser.add_subparsers())
    return once.wished(parser.parse_args(["once", *words]))


@pytest.mark.parametrize("words", [["a.conf", "--resume"], ["--resume", "a.conf"], ["--resume", "last", "a.conf"]])
def test_the_last_run_is_resumed_wherever_the_file_stands(words: list[str]) -> None:
    files, wish = wished(*words)
    assert (files, wish.resume) == ([FILE], "")


@pytest.mark.parametrize("start", ["2", "20261123", "20261123T02", "20261123T021859-f54769be12700961"])
def test_a_run_is_resumed_by_how_its_id_begins(start: str) -> None:
    assert wished("a.conf", "--resume", start)[1].resume == start
    assert wished("a.conf", f"--resume={start}")[1].resume == start


@pytest.mark.parametrize(("said", "resume"), [("yes", ""), ("0", None), ("", None), ("20261123T02", "20261123T02")])
def test_a_variable_may_say_so_too(said: str, resume: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKER_RESUME", said)
    monkeypatch.setenv("TASKER_INSTANCE", "crm 'the hr'")
    files, wish = wished("a.conf")
    assert (files, wish.resume, wish.instances) == ([FILE], resume, ("crm", "the hr"))


@pytest.mark.parametrize(
    ("word", "words"), [("tests", "is a folder: `tasker once FILE…`"), ("lineage/hr", "--instance KEY")]
)
def test_what_is_no_file_is_told_with_what_is_meant(word: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        wished(word)


def test_steps_are_chosen_by_their_ids() -> None:
    _, wish = wished("a.conf", "--from", "scan", "--only", "pack", "--only", "move")
    assert wish.chosen == Chosen(from_=("scan",), only=("pack", "move"))
    assert wished("a.conf")[1].chosen is None


def test_without_a_file_there_is_nothing_to_do() -> None:
    with pytest.raises(UsageError, match="a conf file is wanted"):
        wished("--resume")


def test_of_many_runs_those_are_seen_that_go_on_and_all_are_in_the_table() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=100, height=8, force_terminal=True, legacy_windows=False)
    plans = [replace(pipeline("step"), name=f"p/{number:02}") for number in range(20)]
    with RunsView(plans, console) as view:
        for number, event in ((3, Event.RUN_SUCCEEDED), (17, Event.RUN_FAILED)):
            name = f"p/{number:02}"
            view(replace(fact(Event.RUN_STARTED), pipeline=name))
            view(replace(fact(Event.STEP_OUTPUT, "step", line="printed"), pipeline=name))
            if event is Event.RUN_FAILED:
                view(replace(fact(Event.STEP_FAILED, "step", error="broken"), pipeline=name))
            view(replace(fact(event, duration_s=2, error="broken" if number == 17 else None), pipeline=name))
        view(replace(fact(Event.RUN_STARTED), pipeline="p/19"))
    lines = screen(stream.getvalue().replace("\n", "\r\n"))
    assert "p/03 step | printed" in lines
    assert "  1 running, 1 failed, 17 waiting, 1 succeeded" in lines
    table = {line.split()[0]: line.split()[1:] for line in lines if line.startswith("p/") and " | " not in line}
    assert table["p/03"] == ["succeeded", "2s", "run-1"]
    assert table["p/17"] == ["failed", "2s", "step", "run-1"]
    assert "  broken" in lines
    assert table["p/19"] == ["running"]
    assert table["p/18"] == ["not", "run"]
