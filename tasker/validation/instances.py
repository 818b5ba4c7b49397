"""The entries of `for_each`: what they may be called, how many there may be, and whose faults are whose.

A file is valid as a whole or not at all: nobody can tell a fault of one application from one of the file.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tasker.document.values import Array, Object
from tasker.errors import InvalidFileError
from tasker.faults import Fault
from tasker.pipeline import NAME, NAME_RULE, Phase
from tasker.validation.findings import Findings, suggestion
from tasker.validation.steps import MOST_DEFAULTS, size

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from tasker.document import Document, Entries
    from tasker.document.values import Value
    from tasker.faults import Place

MOST_INSTANCES = 1_000
"""Pipelines of one file: each has a schedule and a history of its own, which people must find their way in."""
MOST_STEPS = 100_000
"""Steps of all instances of a file together."""
_NAMED = 3
"""Instances that a message names, where there are more than one of them besides."""


def check_entries(entries: Entries) -> None:
    """Refuse what cannot make pipelines: raises `InvalidFileError`."""
    findings = Findings(entries.faults)
    if len(entries.keys) > MOST_INSTANCES:
        message = f"'for_each' has at most {MOST_INSTANCES:,} entries, not {len(entries.keys):,}"
        findings.add(
            "too-large", entries.span.place, message, "make several files of it, which include what they share"
        )
    elif not entries.keys and not entries.faults:
        message = "'for_each' has no entry, and the file makes no pipeline"
        hint = "give it an entry; a file that is only there to be included has a name that begins with '_'"
        findings.add("missing-key", entries.span.place, message, hint)
    for key, span in entries.keys.items() if len(entries.keys) <= MOST_INSTANCES else ():
        if not NAME.fullmatch(key):
            findings.add("bad-value", span.place, "an entry of 'for_each' cannot be named like this", NAME_RULE)
    if len(findings.faults) > len(entries.faults) or not entries.keys:
        raise InvalidFileError(findings.faults)


def check_instance(instance: str | None, keys: Collection[str] | None, asked: Place) -> None:
    """Refuse what names none of a file's pipelines, from the place where it is asked for: raises `InvalidFileError`.

    `keys` are those of its `for_each`, where it has one.
    """
    if keys is None:
        if instance is None:
            return
        message, hint = f"there is no instance '{instance}': the file has no 'for_each'", "leave the instance out"
    elif instance is None:
        message, hint = "the file makes several pipelines, and it is not said which", suggestion("", keys)
    elif instance not in keys:
        message, hint = f"no instance is named '{instance}'", suggestion(instance, keys)
    else:
        return
    raise InvalidFileError([Fault("unknown-instance", asked, message, hint)])


def check_size(documents: Sequence[Document], entries: Entries) -> None:
    """Refuse more steps than there is room for in all instances together: raises `InvalidFileError`."""
    steps = [_steps(document.root) for document in documents]
    message = ""
    if sum(steps) > MOST_STEPS:
        message = f"the instances of a file have at most {MOST_STEPS:,} steps together, not {sum(steps):,}"
    elif _defaults(documents, steps) > MOST_DEFAULTS:
        message = f"merged under the steps of all instances, 'defaults' comes to over {MOST_DEFAULTS:,} values"
    if message:
        raise InvalidFileError([Fault("too-large", entries.span.place, message, "make several files of it")])


def _steps(root: Object) -> int:
    lists = (root.fields.get(phase) for phase in Phase)
    return sum(len(each.items) for each in lists if isinstance(each, Array))


def _defaults(documents: Sequence[Document], steps: Sequence[int]) -> int:
    """The values that defaults come to, as far as they are merged anew for an instance."""
    sizes: dict[int, int] = {}
    for document in documents:
        defaults: Value | None = document.root.fields.get("defaults")
        if defaults is not None and id(defaults) not in sizes:
            sizes[id(defaults)] = size(defaults)
    found = (id(document.root.fields.get("defaults")) for document in documents)
    return sum(sizes.get(each, 0) * count for each, count in zip(found, steps, strict=True))


def of_instances(told: Mapping[str | None, Sequence[Fault]], entries: Entries) -> tuple[Fault, ...]:
    """The faults of instances, each once, in the order of their places: what not all have, with those that do."""
    keys: dict[Fault, list[str | None]] = {}
    hints: dict[Fault, str] = {}
    for key, faults in told.items():
        for fault in faults:
            # What would mend it may differ from one to the next: the first one's is told.
            bare = replace(fault, hint="")
            keys.setdefault(bare, []).append(key)
            hints.setdefault(bare, fault.hint)
    of_file = {replace(fault, hint="") for fault in entries.faults}
    found = []
    for bare, having in keys.items():
        of_all = bare in of_file or (len(having) == len(told) and len(told) > 1)
        found.append(replace(bare, message=bare.message + ("" if of_all else _of(having)), hint=hints[bare]))
    return tuple(sorted(found, key=lambda fault: (fault.place.file, fault.place.line, fault.place.column)))


def _of(keys: Sequence[str | None]) -> str:
    """In which instances."""
    quoted = [f"'{key}'" for key in keys]
    if len(quoted) == 1:
        return f" (instance {quoted[0]})"
    if len(quoted) <= _NAMED + 1:
        return f" (instances {', '.join(quoted[:-1])} and {quoted[-1]})"
    return f" (instances {', '.join(quoted[:_NAMED])} and {len(quoted) - _NAMED} more)"
