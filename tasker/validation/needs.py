"""How steps depend on each other: whom each needs, that there is no circle, and whose outputs it may read."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from tasker.references import references
from tasker.validation.findings import suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tasker.document.values import OutputReference
    from tasker.signature import Signature
    from tasker.validation.findings import Findings
    from tasker.validation.steps import Entry


def read_needs(entries: list[Entry], findings: Findings) -> dict[str, tuple[str, ...]]:
    """The ids that each step needs, without circles: where there is one, a fault says so and it is cut."""
    ids = {entry.id for entry in entries}
    needs: dict[str, tuple[str, ...]] = {}
    before: tuple[str, ...] = ()
    for entry in entries:
        needs[entry.id] = before if entry.needs is None else tuple(_known(entry, ids, findings))
        before = (entry.id,)
    while circle := _circle(needs):
        _report(circle, entries, findings)
        needs[circle[0]] = tuple(each for each in needs[circle[0]] if each not in circle)
    return needs


def check_outputs(
    entries: list[Entry], needs: Mapping[str, tuple[str, ...]], handed_on: Mapping[str, Signature | None], findings: Findings
) -> None:
    """Every output that a step reads must come from a step that it needs, and be one that its task hands on."""
    reachable: dict[str, int] = {}
    numbers = {entry.id: number for number, entry in enumerate(entries)}
    for step_id in TopologicalSorter(needs).static_order():
        reachable[step_id] = 0
        for needed in needs[step_id]:
            reachable[step_id] |= reachable[needed] | 1 << numbers[needed]
    for entry in entries:
        for reference in _read(entry):
            number = numbers.get(reference.step)
            if number is None:
                message = f"{reference} reads a step that is not there"
                findings.add("unknown-output", reference.place, message, suggestion(reference.step, numbers))
            elif not reachable[entry.id] >> number & 1:
                message = f"{reference} reads step '{reference.step}', which step '{entry.id}' does not need"
                findings.add("unknown-output", reference.place, message, f"needs = [{reference.step}]")
            else:
                _check_key(reference, handed_on.get(reference.step), findings)


def _check_key(reference: OutputReference, expected: Signature | None, findings: Findings) -> None:
    if expected is None or expected.outputs is None or reference.keys[0] in expected.outputs:
        return
    message = f"the task '{expected.task}' hands on no output '{reference.keys[0]}'"
    findings.add("unknown-output", reference.place, message, suggestion(reference.keys[0], expected.outputs))


def _read(entry: Entry) -> Iterator[OutputReference]:
    for key in ("args", "when"):
        if key in entry.given.fields:
            yield from references(entry.given.fields[key])


def _known(entry: Entry, ids: set[str], findings: Findings) -> Iterator[str]:
    for step_id, place in entry.needs or ():
        if step_id in ids:
            yield step_id
        else:
            message = f"step '{entry.id}' needs '{step_id}', which is not there"
            findings.add("unknown-need", place, message, suggestion(step_id, ids))


def _circle(needs: Mapping[str, tuple[str, ...]]) -> list[str]:
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        return list(error.args[1])[::-1]
    return []


def _report(circle: list[str], entries: list[Entry], findings: Findings) -> None:
    entry = next(each for each in entries if each.id == circle[0])
    place = next((place for step_id, place in entry.needs or () if step_id in circle), entry.place)
    findings.add("cyclic-needs", place, f"steps need each other in a circle: {' → '.join(circle)}")
