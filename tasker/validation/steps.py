"""The steps of a pipeline, one by one: their keys, their ids, their tasks and arguments."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from tasker.document.values import Array, Object, Scalar
from tasker.pipeline import OnFailure, Retry
from tasker.validation.bounds import AtLeast, MoreThan
from tasker.validation.findings import suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tasker.document.values import Value
    from tasker.faults import Place
    from tasker.validation.findings import Findings

_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
"""Ids stand in substitutions, file names and labels of metrics."""
_DURATION = Annotated[timedelta, MoreThan(timedelta())]
_KEYS: dict[str, Any] = {"name": str, "id": str, "timeout": _DURATION, "on_failure": OnFailure}
"""The keys of a step that are what they seem; the others have readers of their own."""
STEP_KEYS = (*_KEYS, "args", "needs", "when", "retries")
_RETRY_KEYS: dict[str, Any] = {
    "attempts": Annotated[int, AtLeast(1)],
    "delay": Annotated[timedelta, AtLeast(timedelta())],
    "backoff": Annotated[float, AtLeast(1)],
    "max_delay": _DURATION,
}
_NO_DEFAULT = {"id", "name", "needs"}
"""Keys of a step that cannot be the same for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of `tasks`, its own keys read; what it has to do with other steps and with its task is still open."""

    id: str
    task: str
    place: Place
    """Where the task's name is written, or the entry where it has none."""
    given: Object
    args: Object | None
    needs: tuple[tuple[str, Place], ...] | None
    """Ids, and where each is written; `None` for the step before."""
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """The fields of `Step` that the entry sets by itself."""


def read_entries(tasks: Value, defaults: Object | None, findings: Findings) -> list[Entry]:
    """The entries of the list `tasks`, with `defaults` merged under each."""
    if not isinstance(tasks, Array):
        findings.read(tasks, list, "'tasks'")
        return []
    if not tasks.items:
        findings.add("missing-key", tasks.place, "'tasks' is empty", "a pipeline has at least one step")
    objects = []
    for item in tasks.items:
        if isinstance(item, Object):
            objects.append(item)
        else:
            findings.read(item, dict, "a step")
    ids = _ids(objects, findings)
    return [_entry(item, step_id, defaults, findings) for item, step_id in zip(objects, ids, strict=True)]


def read_defaults(value: Value, findings: Findings) -> Object | None:
    """The defaults of all steps, once; a key that cannot be the same for all is a fault."""
    if not isinstance(value, Object):
        findings.read(value, dict, "'defaults'")
        return None
    known = [key for key in STEP_KEYS if key not in _NO_DEFAULT]
    for key in value.fields:
        if key not in known:
            findings.add("unknown-key", value.key_place(key), f"'defaults' has no key '{key}'", suggestion(key, known))
    return _with_retries_as_object(
        Object(value.span, {key: item for key, item in value.fields.items() if key in known}, value.keys)
    )


def _ids(steps: list[Object], findings: Findings) -> list[str]:
    """The id of each step: its own, or its task's name, numbered where that is taken."""
    own = [_own_id(step, findings) for step in steps]
    taken: dict[str, Place] = {}
    for step, step_id in zip(steps, own, strict=True):
        if step_id is None:
            continue
        if step_id in taken:
            message = f"two steps have the id '{step_id}'"
            findings.add("duplicate-id", step.fields["id"].place, message, f"the first one is at {taken[step_id]}")
        taken.setdefault(step_id, step.fields["id"].place)
    return [step_id or _numbered(step, taken) for step, step_id in zip(steps, own, strict=True)]


def _own_id(step: Object, findings: Findings) -> str | None:
    value = step.fields.get("id")
    if not isinstance(value, Scalar):
        return None
    if not _ID.fullmatch(value.text):
        hint = "letters, digits, '_' and '-', beginning with a letter; at most 100"
        findings.add("bad-value", value.place, "an id cannot be written like this", hint)
        return None
    return value.text


def _numbered(step: Object, taken: dict[str, Place]) -> str:
    name = step.fields.get("name")
    base = name.text if isinstance(name, Scalar) else "step"
    step_id, number = base, 1
    while step_id in taken:
        number += 1
        step_id = f"{base}_{number}"
    taken[step_id] = step.place
    return step_id


def _entry(step: Object, step_id: str, defaults: Object | None, findings: Findings) -> Entry:
    name = step.fields.get("name")
    if name is None:
        findings.add("missing-key", step.place, "a step needs the key 'name'", "the name of its task")
    step = _merged(defaults, _with_retries_as_object(step))
    for key in step.fields:
        if key not in STEP_KEYS:
            findings.add("unknown-key", step.key_place(key), f"a step has no key '{key}'", _key_hint(key))
    plain_keys = Object(step.span, {key: step.fields[key] for key in _KEYS if key in step.fields}, step.keys)
    found = findings.section(plain_keys, _KEYS, "a step")
    return Entry(
        id=step_id,
        task=found.pop("name", ""),
        place=name.place if name is not None else step.place,
        given=step,
        args=_args(step.fields.get("args"), findings),
        needs=_needs(step.fields.get("needs"), findings),
        settings={key: value for key, value in found.items() if key != "id"} | _retry(step, findings),
    )


def _key_hint(key: str) -> str:
    hint = suggestion(key, STEP_KEYS)
    return hint if hint.startswith("did") else f"{hint}; a task's arguments stand in 'args'"


def _args(value: Value | None, findings: Findings) -> Object | None:
    if value is None or isinstance(value, Object):
        return value
    findings.read(value, dict, "'args'")
    return None


def _needs(value: Value | None, findings: Findings) -> tuple[tuple[str, Place], ...] | None:
    if value is None:
        return None
    items = value.items if isinstance(value, Array) else (value,)
    read = [(findings.read(item, str, "'needs'"), item.place) for item in items]
    return tuple((step_id, place) for step_id, place in read if step_id is not None)


def _retry(step: Object, findings: Findings) -> dict[str, Retry]:
    value = step.fields.get("retries")
    if value is None:
        return {}
    if not isinstance(value, Object):
        hint = "a count such as 3, or an object with 'attempts', 'delay', 'backoff', 'max_delay'"
        findings.add("bad-value", value.place, "'retries' cannot be this", hint)
        return {}
    return {"retry": Retry(**findings.section(value, _RETRY_KEYS, "'retries'"))}


def _with_retries_as_object(step: Object) -> Object:
    """The step with `retries = 3` spelled out: three tries after the first one."""
    value = step.fields.get("retries")
    if not isinstance(value, Scalar) or type(value.data) is not int or value.data < 0:
        return step
    attempts = value.data + 1
    spelled_out = Object(value.span, {"attempts": Scalar(value.span, attempts, str(attempts))}, {})
    return Object(step.span, {**step.fields, "retries": spelled_out}, step.keys)


def _merged(under: Object | None, over: Object) -> Object:
    """Two objects as HOCON merges them: the keys of `over` win, and objects within merge in turn."""
    if under is None:
        return over
    return Object(over.span, dict(_merged_fields(under, over)), {**under.keys, **over.keys})


def _merged_fields(under: Object, over: Object) -> Iterator[tuple[str, Value]]:
    for key, value in {**under.fields, **over.fields}.items():
        below = under.fields.get(key)
        both = isinstance(value, Object) and isinstance(below, Object) and key in over.fields
        yield key, _merged(below, value) if both else value  # type: ignore[arg-type]  # `both` says that they are objects
