"""Pipelines of one name among the files of one command: their logs and histories could not be told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasker.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tasker.faults import Place


def duplicates(named: Iterable[tuple[str, Place]]) -> Iterator[Fault]:
    """A fault for each pipeline whose name one before it has; given are names, and where they are written."""
    first: dict[str, Place] = {}
    for name, place in named:
        if (known := first.setdefault(name, place)) is not place:
            hint = f"the first one is at {known}; set 'name' in one of them"
            yield Fault("duplicate-pipeline", place, f"two pipelines are named '{name}'", hint)
