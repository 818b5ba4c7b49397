"""Which steps a run is to do, where a person says so: `--from` and `--only`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasker.faults import Fault, Place
from tasker.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tasker.pipeline import Pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Some steps of `tasks`, by their ids; hooks run as always."""

    from_: tuple[str, ...] = ()
    """These, and all that need them, directly or not."""
    only: tuple[str, ...] = ()
    """These alone."""

    def __str__(self) -> str:
        """As a person has said it."""
        return " ".join([*(f"--from {each}" for each in self.from_), *(f"--only {each}" for each in self.only)])

    def steps(self, pipeline: Pipeline) -> frozenset[str]:
        """The ids of the steps that run."""
        found = {*self.from_}
        left = list(pipeline.steps)
        while more := [step for step in left if not found.isdisjoint(step.needs)]:
            found.update(step.id for step in more)
            left = [step for step in left if step not in more]
        return frozenset(found.union(self.only))

    def unknown(self, pipeline: Pipeline) -> Iterator[Fault]:
        """A fault for each id that no step of `tasks` has."""
        known = [step.id for step in pipeline.steps]
        for option, ids in (("--from", self.from_), ("--only", self.only)):
            for each in ids:
                if each not in known:
                    near = nearest(each, known)
                    message = f"the pipeline '{pipeline.name}' has no step '{each}'"
                    hint = f"did you mean '{near}'?" if near else f"it has: {', '.join(known)}"
                    yield Fault("unknown-step", Place(f"{option} {each}", line=0), message, hint)
