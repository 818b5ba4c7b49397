"""Which steps a run is to do, where a person says so: `--from` and `--only`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from tasker.document.values import Late
from tasker.faults import Fault, Place
from tasker.nearest import nearest
from tasker.references import Known, MissingOutputError, resolved
from tasker.running.reading import read_by

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tasker.document.values import OutputReference
    from tasker.pipeline import Pipeline
    from tasker.running.earlier import Earlier


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

    def faults(self, pipeline: Pipeline, earlier: Earlier | None) -> Iterator[Fault]:
        """What keeps these steps from being done: they are not there, or read what nobody has handed on."""
        known = [step.id for step in pipeline.steps]
        for option, ids in (("--from", self.from_), ("--only", self.only)):
            for each in ids:
                if each not in known:
                    near = nearest(each, known)
                    message = f"the pipeline '{pipeline.name}' has no step '{each}'"
                    hint = f"did you mean '{near}'?" if near else f"it has: {', '.join(known)}"
                    yield Fault("unknown-step", Place(f"{option} {each}", line=0), message, hint)
        done = earlier.steps if earlier is not None else {}
        outputs = {step_id: each.outputs for step_id, each in done.items()}
        steps = self.steps(pipeline)
        for reference in chain.from_iterable(read_by(step) for step in pipeline.steps if step.id in steps):
            if reference.step not in steps and (reason := _missing(reference, outputs)):
                message = f"{self} leaves out step '{reference.step}', and {reason}"
                yield Fault("unknown-output", reference.place, message, f"run it as well: --from {reference.step}")


def _missing(reference: OutputReference, outputs: Mapping[str, Mapping[str, Any]]) -> str:
    """Why what a reference reads is not there; empty where it is."""
    if reference.step not in outputs and not reference.optional:
        return "there is no earlier run whose outputs of it can be used"
    try:
        resolved(Late(reference.span, (reference,)), Known(outputs=outputs), str)
    except MissingOutputError as error:
        return str(error)
    return ""
