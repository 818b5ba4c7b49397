"""The run that a command line names: by its id, by how that begins, or by its pipeline, of which it is the last."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tasker.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from tasker.history import History, RunRecord

_MOST_TOLD = 5
"""Runs that are named where several ids begin alike."""
_MOST_ENDED = 1000
"""Runs that are ended at one go: as many as a file may have instances."""
WORDS = "an id, how one begins, or a pipeline, for its last run"
"""What says so in a command's help."""


def run_named(history: History, name: str) -> RunRecord:
    """The run that is meant. Raises `UsageError`."""
    found = history.found(name, _MOST_TOLD + 1)
    if not found or found[0].id != name:
        found = history.runs(name, limit=1) or found
    if not found:
        raise UsageError(_unknown(history, name))
    if len(found) > 1:
        listed = ", ".join(each.id for each in found[:_MOST_TOLD])
        more = ", …" if len(found) > _MOST_TOLD else ""
        message = f"several runs have ids that begin with '{name}': {listed}{more}"
        raise UsageError(message)
    return found[0]


def runs_to_end(history: History, name: str) -> list[RunRecord]:
    """The runs that are meant to be ended: one, or those of all instances of a file. Raises `UsageError`."""
    try:
        return [run_named(history, name)]
    except UsageError:
        from tasker.history import ACTIVE  # noqa: PLC0415 - `tasker --help` needs none of it

        found = history.runs(name, statuses=ACTIVE, limit=_MOST_ENDED, instances=True)
        if not found:
            raise
        return found


def _unknown(history: History, name: str) -> str:
    for instance in history.runs(name, limit=1, instances=True):
        return f"'{name}' is a file of several instances: name the run of one, such as '{instance.pipeline}'"
    return f"the history knows no run, and no pipeline with a run, named '{name}': `tasker runs` lists them"


def settle_seen(history: History, where: str | Path, arguments: argparse.Namespace) -> None:
    """Let runs of commands whose processes have died be told as what they are, where this may be written."""
    from tasker import journal, settling  # noqa: PLC0415 - `tasker --help` needs none of it

    settling.settle_seen(history, where, Path(arguments.state) / journal.FOREGROUND)
