"""How steps depend on each other: whom each needs, that there is no circle, and what it may refer to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tasker.document.values import OutputReference
from tasker.pipeline import Phase
from tasker.references import references
from tasker.validation.circles import strongly_connected
from tasker.validation.findings import suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tasker.document.values import Reference
    from tasker.signature import Signature
    from tasker.validation.findings import Findings
    from tasker.validation.steps import Entry

_OWN_LIST = "steps need only those of their own list: hooks begin when all of 'tasks' have ended"
_HOOKS = "'on_failure', 'on_success' and 'finally'"
_SHOWN = 12
"""Steps of a circle that a message names."""


def read_needs(entries: Sequence[Entry], lists: Mapping[str, Phase], findings: Findings) -> dict[str, tuple[str, ...]]:
    """The ids that each step of a list needs: those it names, or the one before it; a fault for each circle of steps.

    `lists` says in which list each step of the file is.
    """
    ids = {entry.id: None for entry in entries}
    needs: dict[str, tuple[str, ...]] = {}
    before: tuple[str, ...] = ()
    for entry in entries:
        needs[entry.id] = before if entry.needs is None else tuple(dict.fromkeys(_known(entry, ids, lists, findings)))
        before = (entry.id,)
    if any(entry.needs is not None for entry in entries):
        _refuse_circles(entries, needs, findings)
    return needs


def check_references(
    entries: Mapping[Phase, Sequence[Entry]],
    needs: Mapping[str, tuple[str, ...]],
    handed_on: Mapping[str, Signature | None],
    findings: Findings,
) -> None:
    """Check all that steps refer to: that it is known when they come up, and that a task hands it on."""
    reading = [(phase, each, found) for phase, group in entries.items() for each in group for found in _read(each)]
    if not reading:
        return
    lists = {entry.id: phase for phase, group in entries.items() for entry in group}
    numbers = {step_id: number for number, step_id in enumerate(lists)}
    reachable = _reachable(needs, numbers)
    for phase, entry, reference in reading:
        if not isinstance(reference, OutputReference):
            _check_phase(phase, reference, findings)
        elif reference.step not in lists:
            message = f"{reference} reads a step that is not there"
            findings.add("unknown-output", reference.place, message, suggestion(reference.step, lists))
        elif lists[reference.step] is not phase:
            _check_other_list(phase, reference, lists[reference.step], handed_on, findings)
        elif not reachable[entry.id] >> numbers[reference.step] & 1:
            message = f"{reference} reads step '{reference.step}', which step '{entry.id}' does not need"
            findings.add("unknown-output", reference.place, message, _how_to_need(entry, reference, numbers))
        else:
            _check_key(reference, handed_on.get(reference.step), findings)


def _check_phase(phase: Phase, reference: Reference, findings: Findings) -> None:
    if phase is Phase.TASKS:
        message = f"{reference} is known only when the steps of 'tasks' have ended"
        findings.add("unknown-output", reference.place, message, f"it goes into {_HOOKS}")


def _check_other_list(
    phase: Phase,
    reference: OutputReference,
    other: Phase,
    handed_on: Mapping[str, Signature | None],
    findings: Findings,
) -> None:
    """Hooks read what `tasks` handed on; where that may have failed, only as far as it is there."""
    if other is not Phase.TASKS:
        message = f"{reference} reads a step of '{other}', from another list"
        findings.add("unknown-output", reference.place, message, "what hooks hand on is read only in their own list")
    elif phase is not Phase.ON_SUCCESS and not reference.optional:
        message = f"{reference} reads step '{reference.step}', which may have failed when '{phase}' begins"
        findings.add("unknown-output", reference.place, message, f"write {replace(reference, optional=True)}")
    else:
        _check_key(reference, handed_on.get(reference.step), findings)


def _reachable(needs: Mapping[str, tuple[str, ...]], numbers: Mapping[str, int]) -> dict[str, int]:
    """The steps that each step needs, directly or not, as the bits of a number."""
    reachable: dict[str, int] = {}
    for circle in strongly_connected(needs):
        within = sum(1 << numbers[step_id] for step_id in circle) if _is_circle(circle, needs) else 0
        for needed in {needed for step_id in circle for needed in needs[step_id]}.difference(circle):
            within |= reachable[needed] | 1 << numbers[needed]
        reachable.update(dict.fromkeys(circle, within))
    return reachable


def _how_to_need(entry: Entry, reference: OutputReference, numbers: Mapping[str, int]) -> str:
    if reference.step == entry.id:
        return "a step cannot read what it hands on itself"
    if numbers[reference.step] > numbers[entry.id] and entry.needs is None:
        return f"'{reference.step}' comes later; put it before this step, or write needs = [{reference.step}]"
    return f"needs = [{', '.join([*(step_id for step_id, _ in entry.needs or ()), reference.step])}]"


def _check_key(reference: OutputReference, expected: Signature | None, findings: Findings) -> None:
    declared = expected.outputs if expected is not None else None
    if expected is None or declared is None or not reference.keys or reference.keys[0] in declared:
        return
    message = f"the task '{expected.task}' hands on no output '{reference.keys[0]}'"
    findings.add("unknown-output", reference.place, message, suggestion(reference.keys[0], declared))


def _read(entry: Entry) -> Iterator[Reference]:
    for key in ("args", "when"):
        if key in entry.given.fields:
            yield from references(entry.given.fields[key])


def _known(entry: Entry, ids: Mapping[str, None], lists: Mapping[str, Phase], findings: Findings) -> Iterator[str]:
    for step_id, span in entry.needs or ():
        if step_id in ids:
            yield step_id
        elif step_id in lists:
            message = f"step '{entry.id}' needs '{step_id}', which is in '{lists[step_id]}'"
            findings.add("unknown-need", span.place, message, _OWN_LIST)
        else:
            message = f"step '{entry.id}' needs '{step_id}', which is not there"
            findings.add("unknown-need", span.place, message, suggestion(step_id, ids))


def _refuse_circles(entries: Sequence[Entry], needs: Mapping[str, tuple[str, ...]], findings: Findings) -> None:
    named = {entry.id: entry.needs or () for entry in entries}
    for group in strongly_connected(needs):
        circle = _one_circle(group, needs) if _is_circle(group, needs) else []
        turn = next((number for number, step_id in enumerate(circle) if named[step_id]), None)
        if turn is None:
            # Along the list alone the way leads only back, unless two steps have one id, which has been told.
            continue
        first, *others = circle[turn:] + circle[:turn]
        place = next(span.place for step_id, span in named[first] if step_id == (others or [first])[0])
        message = f"steps need each other in a circle: {_drawn([first, *others])}"
        if not others:
            message = f"step '{first}' needs itself"
        findings.add("cyclic-needs", place, message, "take one of these needs out")


def _drawn(circle: list[str]) -> str:
    """The circle in one line, a long one without its middle."""
    shown = circle if len(circle) <= _SHOWN else [*circle[: _SHOWN - 2], "…", circle[-1]]
    return " → ".join([*shown, circle[0]])


def _is_circle(group: Sequence[str], needs: Mapping[str, tuple[str, ...]]) -> bool:
    return len(group) > 1 or group[0] in needs[group[0]]


def _one_circle(group: Sequence[str], needs: Mapping[str, tuple[str, ...]]) -> list[str]:
    """A circle among steps that all need each other, each followed by one that it needs."""
    within = set(group)
    path: dict[str, None] = {}
    step_id = group[0]
    while step_id not in path:
        path[step_id] = None
        step_id = next(needed for needed in needs[step_id] if needed in within)
    steps = list(path)
    return steps[steps.index(step_id) :]
