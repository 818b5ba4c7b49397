"""The arguments of a step against the signature of its task's `run()`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from tasker.annotations import type_name
from tasker.conversion import Mismatch, convert, fits
from tasker.document.values import Late, OutputReference
from tasker.nearest import nearest
from tasker.pipeline import LateArgument
from tasker.references import references
from tasker.signature import BrokenSignatureError, describe, signature
from tasker.validation.steps import STEP_KEYS

if TYPE_CHECKING:
    from tasker.document.values import Reference, Value
    from tasker.signature import Parameter, Signature
    from tasker.task import Task
    from tasker.validation.findings import Findings
    from tasker.validation.steps import Entry


def read_signature(entry: Entry, task: type[Task], findings: Findings) -> Signature | None:
    """The signature of the entry's task, or `None` and a fault where nobody could call it."""
    try:
        expected, needed = signature(task), requirements(task)
    except BrokenSignatureError as error:
        findings.add("broken-task", entry.place, str(error))
        return None
    for module, wanted in needed.items():
        if not importable(module):
            message = f"the task '{entry.task}' needs the package '{module}', which is not installed"
            findings.add("missing-extra", entry.place, message, f"pip install '{wanted}'")
    return expected


def requirements(task: type[Task]) -> Mapping[str, str]:
    """The modules that a task needs, with what to install for each. Raises `BrokenSignatureError`."""
    requires: Any = task.requires
    if isinstance(requires, Mapping) and all(isinstance(word, str) for pair in requires.items() for word in pair):
        return requires
    example = 'requires = {"sqlglot": "sqlglot>=30"}'
    raise BrokenSignatureError(task, f"`requires` is no mapping of modules to what to install, such as {example}")


def read_arguments(entry: Entry, expected: Signature, findings: Findings) -> dict[str, Any]:
    """The arguments, converted; what has references in it is left as a `LateArgument`."""
    given = entry.args.fields if entry.args is not None else {}
    # A name that is misspelt, or stands beside 'args', has been told already.
    beside = {key for key in entry.given.fields if key not in STEP_KEYS}
    told = beside | _refuse_unknown(entry, expected, findings)
    for asked in expected.parameters:
        if asked.mandatory and asked.name not in given and asked.name not in told:
            message = f"the task '{entry.task}' needs the argument '{asked.name}'"
            findings.add("missing-argument", entry.place, message, f"expected: {describe(expected)}")
    arguments = {}
    for name, value in given.items():
        parameter = expected.get(name)
        if parameter is not None:
            arguments[name] = _argument(name, value, parameter, expected, findings)
    return arguments


def _refuse_unknown(entry: Entry, expected: Signature, findings: Findings) -> set[str]:
    """A fault for each argument that the task does not take; the names of those that were most likely meant."""
    if entry.args is None:
        return set()
    unknown = [name for name in entry.args.fields if expected.get(name) is None]
    near = {name: nearest(name, [parameter.name for parameter in expected.parameters]) for name in unknown}
    for name, meant in near.items():
        message = f"the task '{entry.task}' takes no argument '{name}'"
        hint = f"did you mean '{meant}'? " if meant else ""
        place = entry.args.key_place(name)
        findings.add("unknown-argument", place, message, f"{hint}expected: {describe(expected)}")
    return set(filter(None, near.values()))


def check_types(
    arguments: Mapping[str, Any], handed_on: Mapping[str, Signature | None], expected: Signature, findings: Findings
) -> None:
    """Compare the outputs in each argument with what their steps declare; in doubt, they may suit."""
    for name, argument in arguments.items():
        if not isinstance(argument, LateArgument) or not isinstance(argument.value, Late):
            continue
        # Among other parts an output becomes text, whatever the argument is.
        asked = argument.annotation if len(argument.value.parts) == 1 else str
        for reference in argument.value.references:
            declared = _declared(reference, handed_on)
            if declared is not None and not fits(declared, asked):
                message = f"argument '{name}' of '{expected.task}': {reference} is of another type"
                findings.add("bad-argument", reference.place, message, f"expected: {name}: {type_name(asked)}")


def late_or_converted(value: Value, annotation: Any, *, spared: bool) -> Any:
    """The value, converted, or a `LateArgument` where there are references in it; raises `Mismatch`."""
    converted = convert(value, annotation)
    late = next(references(value), None) is not None
    return LateArgument(value, annotation, spared=spared) if late else converted


def _declared(reference: Reference, handed_on: Mapping[str, Signature | None]) -> Any:
    """The annotation of what is referred to, where it is known."""
    if not isinstance(reference, OutputReference):
        return str
    return _declared_output(reference, handed_on.get(reference.step))


def _declared_output(reference: OutputReference, step: Signature | None) -> Any:
    """The annotation of an output, if its task declares any; without a key, it is all of them."""
    if step is None or step.outputs is None or len(reference.keys) > 1:
        return None
    return step.outputs.get(reference.keys[0]) if reference.keys else dict


def _argument(name: str, value: Value, asked: Parameter, expected: Signature, findings: Findings) -> Any:
    try:
        return late_or_converted(value, asked.annotation, spared=not asked.mandatory)
    except Mismatch as mismatch:
        for place, message in mismatch.problems:
            hint = f"expected: {name}: {type_name(asked.annotation)}"
            findings.add("bad-argument", place, f"argument '{name}' of '{expected.task}': {message}", hint)
        return None


_importable_ones: set[str] = set()
"""Modules that were found once: looking takes a search of every folder of packages, and they do not go away."""


def importable(module: str) -> bool:
    """Whether a module can be imported, without importing it."""
    if module in _importable_ones:
        return True
    try:
        found = find_spec(module) is not None
    except Exception:  # noqa: BLE001 - looking for a part of a package imports the package, which may raise anything
        found = False
    if found:
        _importable_ones.add(module)
    return found
