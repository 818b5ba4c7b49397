"""Which steps need not run, as an earlier run has done them or a person leaves them out: decisions, without effects.

A step is done if it succeeded, and what its outcome depends on is as it was: its task, the code of that, its arguments,
the steps that it needs, and the files that it has left in the workspace. Its fingerprint tells the first three.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from tasker.document.values import plain
from tasker.references import MissingOutputError, resolved
from tasker.run import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from tasker.pipeline import Pipeline, Step
    from tasker.references import Known
    from tasker.run import StepRun
    from tasker.running.chosen import Chosen
    from tasker.running.earlier import Earlier

_DIGITS = 12
"""Of each half of a fingerprint: what git shows of a commit."""
_OF_THE_WORKSPACE = ("${WORKSPACE}", "TASKER_WORKSPACE")
"""What arguments that name the workspace have in them, whatever its path is."""


def fingerprint(step: Step, code: str, known: Known, mask: Callable[[str], str], slot: datetime) -> str:
    """A digest of what the step's outcome depends on; empty where that is not known.

    `code` is a digest of its task's code. Of secrets, only that there are some counts; of what tells one run from
    another, such as its id, nothing, but for the day and the time of the `slot`: these are another in another zone.
    """
    try:
        arguments = _arguments(step, known, mask)
    except MissingOutputError:
        return ""
    text = json.dumps(arguments, sort_keys=True)
    for name, value in (("TODAY", slot.date().isoformat()), ("RUN_TIME", slot.isoformat(timespec="seconds"))):
        text = text.replace(f"${{{name}}}", value)
    return f"{_digest(json.dumps([step.task, code]))}-{_digest(text)}" if code else ""


class Reuse:
    """Judges the steps of `tasks` of one run."""

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        earlier: Earlier | None = None,
        chosen: Chosen | None = None,
        lost: Path | None = None,
        fingerprint: Callable[[Step, Known], str] = lambda _step, _known: "",
        mask: Callable[[str], str] = str,
    ) -> None:
        """Compare with what was `earlier`; `lost` is the workspace, if what that run left there is gone."""
        self._earlier = earlier
        self._chosen = chosen.steps(pipeline) if chosen else None
        self._chosen_by = str(chosen)
        self._lost = lost
        self._fingerprint = fingerprint
        self._mask = mask
        self._taken: set[str] = set()
        """Steps that do not run, since they are done."""
        self.again: dict[str, str] = {}
        """Why steps run again that had succeeded, by id."""

    def left_out(self, step: Step) -> str:
        """Why a person wants the step left out; empty where nobody does."""
        return f"left out by {self._chosen_by}" if self._chosen is not None and step.id not in self._chosen else ""

    def before(self, step: Step) -> StepRun | None:
        """What the step came to in an earlier run, where it succeeded there."""
        return self._earlier.steps.get(step.id) if self._earlier else None

    def done(self, step: Step, ended: Mapping[str, StepRun], known: Known) -> str:
        """Why the step need not run; empty where it is to run. `ended` has the steps that it needs."""
        before = self.before(step)
        if before is None or self._earlier is None:
            return ""
        if self._chosen is not None:
            reason = f"{self._chosen_by} wants it to"
        else:
            reason = next(iter(self._differences(self._earlier, step, before, ended, known)), "")
        if reason:
            self.again[step.id] = reason
            return ""
        self._taken.add(step.id)
        return f"it succeeded in run {self._earlier.run_id}, which this one resumes"

    def _differences(
        self, earlier: Earlier, step: Step, before: StepRun, ended: Mapping[str, StepRun], known: Known
    ) -> Iterable[str]:
        """What keeps the outcome of before from being that of now; the first thing is told."""
        yield from self._needs(earlier, step, ended)
        if before.task != step.task:
            yield f"its task was '{before.task}'"
        code, _, arguments = before.fingerprint.partition("-")
        code_now, _, arguments_now = self._fingerprint(step, known).partition("-")
        if not code or not code_now:
            yield "what it was made of is not known"
        elif code != code_now:
            yield "the code of its task has changed"
        elif arguments != arguments_now:
            yield "its arguments have changed"
        elif self._lost is not None and self._names_workspace(earlier, step, before, known):
            yield f"what it left in the workspace of run {earlier.run_id} is gone"

    def _needs(self, earlier: Earlier, step: Step, ended: Mapping[str, StepRun]) -> Iterable[str]:
        ran_in = earlier.ran_in
        for each in step.needs:
            if each in self._taken:
                if ran_in.get(each, 0) > ran_in.get(step.id, 0):
                    yield f"step '{each}', which it needs, has run since"
            elif ended[each].status is not Status.SKIPPED:
                yield f"step '{each}', which it needs, ran again"
            elif each in ran_in:
                yield f"step '{each}', which it needs, is skipped now"

    def _names_workspace(self, earlier: Earlier, step: Step, before: StepRun, known: Known) -> bool:
        texts = [json.dumps(_arguments(step, known, self._mask)), json.dumps(dict(before.outputs))]
        paths = (json.dumps(str(path))[1:-1] for path in (self._lost, earlier.workspace) if path is not None)
        named = (*_OF_THE_WORKSPACE, *paths)
        return any(each in text for each in named for text in texts)


def _arguments(step: Step, known: Known, mask: Callable[[str], str]) -> Any:
    """The arguments as they are in every run, with what they refer to in its place."""
    given = resolved(step.given, known, mask) if step.given is not None else None
    return plain(given, lasting=True) if given is not None else {}


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:_DIGITS]
