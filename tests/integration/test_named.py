"""Which runs a command line means, as the history tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.histories import NOON, claim, opened

from tasker.cli.named import run_named, runs_to_end
from tasker.errors import UsageError
from tasker.history import RunStatus

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_of_several_instances_stands_for_all_that_have_not_ended(tmp_path: Path) -> None:
    with opened(tmp_path) as history:
        history.claim([claim(f"20-{key}", pipeline=f"p/{key}") for key in "abc"])
        history.end("20-b", RunStatus.FAILED, None, NOON)
        assert {run.pipeline for run in runs_to_end(history, "p")} == {"p/a", "p/c"}
        assert [run.id for run in runs_to_end(history, "p/b")] == ["20-b"]
        with pytest.raises(UsageError, match="name the run of one, such as 'p/"):
            run_named(history, "p")
        for key in "ac":
            history.end(f"20-{key}", RunStatus.FAILED, None, NOON)
        with pytest.raises(UsageError, match="name the run of one, such as 'p/"):
            runs_to_end(history, "p")
        with pytest.raises(UsageError, match="several runs have ids that begin"):
            runs_to_end(history, "20")
