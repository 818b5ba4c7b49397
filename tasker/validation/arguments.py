"""The arguments of a step against the signature of its task's `run()`."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from tasker.conversion import Mismatch, convert, fits
from tasker.document.values import Late
from tasker.pipeline import LateArgument
from tasker.references import references
from tasker.signature import BrokenSignatureError, describe, signature
from tasker.validation.findings import suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tasker.document.values import Value
    from tasker.signature import Signature
    from tasker.task import Task
    from tasker.validation.findings import Findings
    from tasker.validation.steps import Entry


def read_signature(entry: Entry, task: type[Task], findings: Findings) -> Signature | None:
    """The signature of the entry's task, or `None` and a fault where nobody could call it."""
    missing = {module: wanted for module, wanted in task.requires.items() if not importable(module)}
    for module, wanted in missing.items():
        message = f"the task '{entry.task}' needs the package '{module}', which is not installed"
        findings.add("missing-extra", entry.place, message, f"pip install '{wanted}'")
    try:
        return signature(task)
    except BrokenSignatureError as error:
        findings.add("broken-task", entry.place, str(error))
        return None


def read_arguments(entry: Entry, expected: Signature, findings: Findings) -> dict[str, Any]:
    """The arguments, converted; what reads outputs is left as a `LateArgument`."""
    given = entry.args.fields if entry.args is not None else {}
    for parameter in expected.parameters:
        if parameter.mandatory and parameter.name not in given:
            message = f"the task '{entry.task}' needs the argument '{parameter.name}'"
            findings.add("missing-argument", entry.place, message, f"expected: {describe(expected)}")
    arguments = {}
    for name, value in given.items():
        parameter = expected.get(name)
        if parameter is None:
            assert entry.args is not None  # noqa: S101 - the argument was found there
            message = f"the task '{entry.task}' takes no argument '{name}'"
            findings.add("unknown-argument", entry.args.key_place(name), message, _expectation(name, expected))
        else:
            arguments[name] = _argument(name, value, parameter.annotation, expected, findings)
    return arguments


def check_types(
    arguments: Mapping[str, Any], handed_on: Mapping[str, Signature | None], expected: Signature, findings: Findings
) -> None:
    """Compare each argument that is one output as a whole with what its step declares; in doubt, it may be."""
    for name, argument in arguments.items():
        if not isinstance(argument, LateArgument) or not isinstance(argument.value, Late):
            continue
        parts = argument.value.parts
        reference = argument.value.references[0]
        declared = getattr(handed_on.get(reference.step), "outputs", None) or {}
        known = len(parts) == 1 and len(reference.keys) == 1 and reference.keys[0] in declared
        if known and not fits(declared[reference.keys[0]], argument.annotation):
            message = f"argument '{name}': {reference} is of another type"
            findings.add("bad-argument", reference.place, message, f"expected: {describe(expected)}")


def _argument(name: str, value: Value, annotation: Any, expected: Signature, findings: Findings) -> Any:
    try:
        converted = convert(value, annotation)
    except Mismatch as mismatch:
        for place, message in mismatch.problems:
            hint = f"expected: {describe(expected)}"
            findings.add("bad-argument", place, f"argument '{name}' of '{expected.task}': {message}", hint)
        return None
    late = isinstance(value, Late) or next(references(value), None) is not None
    return LateArgument(value, annotation) if late else converted


def _expectation(name: str, expected: Signature) -> str:
    near = suggestion(name, [parameter.name for parameter in expected.parameters])
    return f"{near + ' ' if near.startswith('did') else ''}expected: {describe(expected)}"


def importable(module: str) -> bool:
    """Whether a module can be imported, without importing it."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False
