"""A document and the tasks that there are, to a pipeline or every fault.

After this nothing about the configuration can fail: what a run still finds out is only what its steps hand on.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from tasker.document.surroundings import ITEM
from tasker.document.values import Array, Late, Object, Unknown, plain
from tasker.garbage import collection_paused
from tasker.nearest import nearest
from tasker.pipeline import NAME, NAME_RULE, Keep, Keeping, LateArgument, Phase, Pipeline, Resume, Step, instance_name
from tasker.validation.arguments import check_types, read_arguments, read_signature
from tasker.validation.bounds import AtLeast, MoreThan
from tasker.validation.findings import Findings, Shared, TooManyFaultsError, suggestion
from tasker.validation.needs import check_references, read_needs
from tasker.validation.quotes import warn_of_quoted
from tasker.validation.schedules import read_schedule
from tasker.validation.steps import STEP_KEYS, read_defaults, read_entries, warn_of_joined

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from tasker.discovery import Catalogue
    from tasker.document import Document
    from tasker.document.values import Value
    from tasker.faults import Fault
    from tasker.signature import Signature
    from tasker.task import Task
    from tasker.validation.steps import Entry

_PLAIN_KEYS: dict[str, Any] = {
    "name": str,
    "description": str,
    "owner": str,
    "timeout": Annotated[timedelta, MoreThan(timedelta())],
    "max_parallel": Annotated[int, AtLeast(1)],
    "resume": Resume,
}
_WORKSPACE_KEYS: dict[str, Any] = {"keep": Keep, "for": Annotated[timedelta, MoreThan(timedelta())]}
RESERVED_KEYS = (*_PLAIN_KEYS, "schedule", "workspace", "params", "defaults", *Phase, "for_each")
_REVISION_LENGTH = 12
"""Digits of a document's digest that a log repeats on every line: as many as git shows of a commit."""
_NEAR_MISS = 0.8
"""How like a reserved key a variable of the author's must be to be taken for a slip: `shedule`, not `source`."""


def validate(
    document: Document,
    *,
    stem: str,
    catalogue: Catalogue,
    now: datetime,
    instance: str | None = None,
    alone: bool = False,
    shared: Shared | None = None,
) -> tuple[Pipeline | None, list[Fault]]:
    """The pipeline that a document describes, or `None`, and everything that is wrong with it, its own faults first.

    `stem` is the name of its file without the ending; `now` is where the search for slots begins. `instance` is the
    entry of `for_each` that the document is for; where it was resolved `alone`, others may read what it does not.
    What is in `shared` need not be read again for this one.
    """
    findings = Findings(document.faults, shared)
    with collection_paused(), suppress(TooManyFaultsError):
        meant = _check_keys(document, findings, alone=alone)
        pipeline = _pipeline(document, stem, catalogue, now, findings, instance=instance, meant=meant)
        if not findings.stop:
            return pipeline, findings.faults
    return None, findings.faults


def _pipeline(
    document: Document,
    stem: str,
    catalogue: Catalogue,
    now: datetime,
    findings: Findings,
    *,
    instance: str | None,
    meant: set[str],
) -> Pipeline:
    root = document.root
    found = findings.section(_part(root, _PLAIN_KEYS), _PLAIN_KEYS, "a pipeline")
    if "schedule" in root.fields:
        schedule = root.fields["schedule"]
        found["schedule"] = findings.once("schedule", [schedule], lambda: read_schedule(schedule, now, findings))
    if "workspace" in root.fields:
        keeping = findings.section(root.fields["workspace"], _WORKSPACE_KEYS, "'workspace'")
        found["workspace"] = Keeping(**{"for_" if key == "for" else key: value for key, value in keeping.items()})
    if "tasks" not in root.fields and "tasks" not in meant:
        findings.add(
            "missing-key", root.place, "a pipeline needs the key 'tasks'", "tasks = [{ name = …, args { … } }]"
        )
    warn_of_joined(root, document.joined, findings)
    steps = _steps(root, {*root.fields} if instance is None else {*root.fields, ITEM}, catalogue, findings)
    return Pipeline(
        **{**found, "name": instance_name(_name(root, found.get("name"), stem, findings), instance)},
        steps=steps[Phase.TASKS],
        on_failure=steps[Phase.ON_FAILURE],
        on_success=steps[Phase.ON_SUCCESS],
        finally_=steps[Phase.FINALLY],
        params=_params(root, findings),
        revision=document.revision[:_REVISION_LENGTH],
        secrets=frozenset(document.secrets.values()),
        file=document.files[0][0] if document.files else "",
        instance=instance,
    )


def _part(root: Object, keys: Mapping[str, Any]) -> Object:
    return Object(root.span, {key: root.fields[key] for key in keys if key in root.fields}, root.keys)


def _name(root: Object, given: str | None, stem: str, findings: Findings) -> str:
    """The pipeline's name: the one that is given, or else that of its file."""
    if given is not None and not NAME.fullmatch(given):
        findings.add("bad-value", root.fields["name"].place, "a pipeline cannot be named like this", NAME_RULE)
    elif "name" not in root.fields and not NAME.fullmatch(stem):
        message = "a pipeline cannot be named like this file"
        findings.add("bad-value", root.place, message, f"give it a 'name': {NAME_RULE}")
    return given or stem


def _check_keys(document: Document, findings: Findings, *, alone: bool) -> set[str]:
    """Refuse near misses of reserved keys; those that they seem to mean."""
    root = document.root
    read = {path[0] for path in document.reads}
    meant = set()
    for key in root.fields:
        if key in RESERVED_KEYS or key in read or alone:
            continue
        place = root.key_place(key)
        if key in STEP_KEYS:
            message = f"'{key}' is a key of a step, not of a pipeline, and nothing reads it"
            findings.add("misspelt-key", place, message, f"for one step, put it there; for all: defaults {{ {key} … }}")
        elif near := nearest(key, RESERVED_KEYS, likeness=_NEAR_MISS):
            message = f"'{key}' is no key of a pipeline, and nothing reads it"
            findings.add("misspelt-key", place, message, f"did you mean '{near}'?")
            meant.add(near)
    return meant


def _params(root: Object, findings: Findings) -> Mapping[str, Any]:
    value = root.fields.get("params")
    if value is None:
        return MappingProxyType({})
    findings.read(value, dict, "'params'")
    return MappingProxyType(plain(value)) if isinstance(value, Object) else MappingProxyType({})


def _steps(
    root: Object, names: Collection[str], catalogue: Catalogue, findings: Findings
) -> Mapping[Phase, tuple[Step, ...]]:
    lists = {phase: root.fields[phase] for phase in Phase if phase in root.fields}
    given = root.fields.get("defaults") if lists else None
    defaults = findings.once("defaults", [given], lambda: read_defaults(given, findings)) if given is not None else None
    entries = read_entries(lists, defaults, findings)
    every = list(chain.from_iterable(entries.values()))
    ids = {entry.id: phase for phase, group in entries.items() for entry in group}
    # Among steps that are not all known, nobody can say who is not there; with two of one id, who reads whom.
    known = all(map(_all_known, lists.values()))
    certain = known and len(ids) == len(every)
    needs = {phase: read_needs(group, ids, findings if known else Findings()) for phase, group in entries.items()}
    signatures = [_signature(entry, catalogue, findings) for entry in every]
    handed_on = {entry.id: expected for entry, expected in zip(every, signatures, strict=True)} if certain else {}
    if certain:
        all_needs = {step_id: needed for each in needs.values() for step_id, needed in each.items()}
        check_references(entries, all_needs, handed_on, findings)
    for entry in every:
        warn_of_quoted(entry, names, findings)
    expected = iter(signatures)
    return {
        phase: tuple(
            _step(entry, next(expected), needs[phase][entry.id], handed_on, findings)
            for entry in entries.get(phase, ())
        )
        for phase in Phase
    }


def _all_known(steps: Value) -> bool:
    return isinstance(steps, Array) and not any(isinstance(item, Unknown) for item in steps.items)


def _signature(entry: Entry, catalogue: Catalogue, findings: Findings) -> Signature | None:
    task = _task(entry, catalogue, findings) if entry.task else None
    return read_signature(entry, task, findings) if task is not None else None


def _task(entry: Entry, catalogue: Catalogue, findings: Findings) -> type[Task] | None:
    if broken := catalogue.broken(entry.task):
        message = f"the task '{entry.task}' cannot be used: {broken.message}"
        findings.add(broken.code, entry.place, message, f"see {broken.place}")
        return None
    if (task := catalogue.find(entry.task)) is None:
        message = f"no task is named '{entry.task}'"
        findings.add("unknown-task", entry.place, message, suggestion(entry.task, catalogue.names()))
    return task


def _step(
    entry: Entry,
    expected: Signature | None,
    needs: tuple[str, ...],
    handed_on: Mapping[str, Signature | None],
    findings: Findings,
) -> Step:
    arguments: dict[str, Any] = {}
    if expected is not None and (entry.args is not None or "args" not in entry.given.fields):
        arguments = read_arguments(entry, expected, findings)
        check_types(arguments, handed_on, expected, findings)
    return Step(
        id=entry.id,
        task=entry.task,
        arguments=MappingProxyType(arguments),
        given=entry.args,
        needs=needs,
        when=_when(entry, findings),
        **entry.settings,
    )


def _when(entry: Entry, findings: Findings) -> bool | LateArgument:
    value = entry.given.fields.get("when")
    if value is None:
        return True
    if isinstance(value, Late):
        return LateArgument(value, bool)
    return bool(findings.read(value, bool, "'when'"))
