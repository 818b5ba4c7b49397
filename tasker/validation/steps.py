"""The steps of a pipeline, one by one: their keys, their ids, their tasks and arguments."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from tasker.conversion import Mismatch, convert
from tasker.document.values import Array, Object, Scalar
from tasker.nearest import nearest
from tasker.pipeline import OnFailure, Phase, Retry
from tasker.validation.bounds import AtLeast, MoreThan
from tasker.validation.findings import suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from tasker.document.values import Span, Value
    from tasker.faults import Place
    from tasker.validation.findings import Findings

_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
"""Ids stand in substitutions, file names and labels of metrics."""
_NO_ID = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST_BASE = 90
"""Characters of a task's name that its steps are called by, with room for a number."""
_DURATION = Annotated[timedelta, MoreThan(timedelta())]
_KEYS: dict[str, Any] = {"name": str, "id": str, "timeout": _DURATION, "on_failure": OnFailure}
"""The keys of a step that are what they seem; the others have readers of their own."""
STEP_KEYS = (*_KEYS, "args", "needs", "when", "retries")
RETRY_KEYS: dict[str, Any] = {
    "attempts": Annotated[int, AtLeast(1)],
    "delay": Annotated[timedelta, AtLeast(timedelta())],
    "backoff": Annotated[float, AtLeast(1)],
    "max_delay": _DURATION,
}
_NO_DEFAULT = {"id", "name", "needs"}
"""Keys of a step that cannot be the same for all."""
_DEFAULT_KEYS = tuple(key for key in STEP_KEYS if key not in _NO_DEFAULT)
_RETRY_COUNT = Annotated[int, AtLeast(0)]
_RETRIES = Annotated[int, AtLeast(0)] | dict[str, Any]
_OTHER_WORDS = {"task": "name", "arguments": "args", "params": "args", "depends_on": "needs", "if": "when"}
"""What other programs call the keys of a step."""
MOST_STEPS = 10_000
"""Steps of a pipeline: each takes a process of its own, and what they need of each other grows with the square."""
MOST_DEFAULTS = 1_000_000
"""Values that `defaults` may come to, once for each step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of a list of steps, its own keys read; what it has to do with others and its task is still open."""

    id: str
    task: str
    span: Span
    """Where the task's name is written, or the entry where it has none."""
    given: Object
    args: Object | None
    needs: tuple[tuple[str, Span], ...] | None
    """Ids, and where each is written; `None` for the step before."""
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """The fields of `Step` that the entry sets by itself."""

    @property
    def place(self) -> Place:
        """Where to tell what is wrong with the step as a whole."""
        return self.span.place


def read_entries(
    lists: Mapping[Phase, Value], defaults: Object | None, findings: Findings
) -> Mapping[Phase, list[Entry]]:
    """The entries of each list of steps, with `defaults` merged under each; no two steps of a file have one id."""
    items = {phase: _items(phase, value, findings) for phase, value in lists.items()}
    if (count := sum(map(len, items.values()))) > MOST_STEPS:
        message = f"a pipeline has at most {MOST_STEPS:,} steps, not {count:,}"
        longest = max(items, key=lambda phase: len(items[phase]))
        place, hint = lists[longest].place, "let one step do more, or make several pipelines of it"
        findings.add("too-large", place, message, hint)
        return {}
    if defaults is not None and size(defaults) * count > MOST_DEFAULTS:
        message = f"merged under {count:,} steps, this comes to over {MOST_DEFAULTS:,} values"
        findings.add("too-large", defaults.place, message)
        defaults = None
    steps = {phase: [item for item in each if isinstance(item, Object)] for phase, each in items.items()}
    for item in chain.from_iterable(items.values()):
        if not isinstance(item, Object):
            findings.read(item, dict, "a step")
    ids = iter(_ids(list(chain.from_iterable(steps.values())), findings))
    return {phase: [_read_entry(step, next(ids), defaults, findings) for step in each] for phase, each in steps.items()}


def _items(phase: Phase, value: Value, findings: Findings) -> tuple[Value, ...]:
    """What stands in a list of steps."""
    if isinstance(value, Array):
        if phase is Phase.TASKS and not value.items:
            findings.add("missing-key", value.place, "'tasks' is empty", "a pipeline has at least one step")
        return value.items
    if phase is Phase.ON_FAILURE and isinstance(value, Scalar) and value.text in set(OnFailure):
        message = "of a pipeline, 'on_failure' is a list of steps, and not what to do after a step has failed"
        hint = f"for one step, put it there; for all: defaults {{ on_failure = {value.text} }}"
        findings.add("bad-value", value.place, message, hint)
    else:
        findings.read(value, list, f"'{phase}'")
    return ()


def warn_of_joined(root: Object, joined: AbstractSet[Span], findings: Findings) -> None:
    """Warn of two steps between which a comma is missing: HOCON merges them into one, and the first is not done."""
    lists = (root.fields.get(phase) for phase in Phase) if joined else ()
    for step in chain.from_iterable(each.items for each in lists if isinstance(each, Array)):
        if step.span in joined:
            message = "this step and the one before it are merged into one, as nothing stands between them"
            findings.warn("merged-steps", step.place, message, "put a comma or a new line before it")


def read_defaults(value: Value, findings: Findings) -> Object | None:
    """The defaults of all steps, once; a key that cannot be the same for all is a fault."""
    if not isinstance(value, Object):
        findings.read(value, dict, "'defaults'")
        return None
    for key in value.fields:
        if key in _NO_DEFAULT:
            findings.add("unknown-key", value.key_place(key), f"'{key}' cannot be the same for all steps")
        elif key not in _DEFAULT_KEYS:
            hint = suggestion(key, _DEFAULT_KEYS)
            findings.add("unknown-key", value.key_place(key), f"'defaults' has no key '{key}'", hint)
    known = {key: item for key, item in value.fields.items() if key in _DEFAULT_KEYS}
    return _with_retries_as_object(Object(value.span, known, value.keys))


def size(value: Value) -> int:
    """The values in a value, itself included."""
    if isinstance(value, Object):
        return 1 + sum(map(size, value.fields.values()))
    return 1 + sum(map(size, value.items)) if isinstance(value, Array) else 1


def _ids(steps: Sequence[Object], findings: Findings) -> list[str]:
    """The id of each step: its own, or its task's name, numbered where that is taken."""
    own = [_own_id(step, findings) for step in steps]
    first: dict[str, Value] = {}
    for step, step_id in zip(steps, own, strict=True):
        if step_id is None:
            continue
        value = step.fields["id"]
        if (known := first.setdefault(step_id, value)) is not value:
            hint = f"the first one is at {known.place}"
            findings.add("duplicate-id", value.place, f"two steps have the id '{step_id}'", hint)
    numbers: dict[str, int] = {}
    return [step_id or _numbered(step, first, numbers) for step, step_id in zip(steps, own, strict=True)]


def _own_id(step: Object, findings: Findings) -> str | None:
    value = step.fields.get("id")
    if not isinstance(value, Scalar) or value.data is None or value.masked is not None:
        return None
    if not _ID.fullmatch(value.text):
        hint = "letters, digits, '_' and '-', beginning with a letter or '_'; at most 100"
        findings.add("bad-value", value.place, "an id cannot be written like this", hint)
        return None
    return value.text


def _numbered(step: Object, taken: Mapping[str, Value], numbers: dict[str, int]) -> str:
    """The task's name as an id: `archive`, then `archive_2`; `numbers` says how far each name has come."""
    base = _id_of(step.fields.get("name"))
    while True:
        number = numbers[base] = numbers.get(base, 0) + 1
        step_id = base if number == 1 else f"{base}_{number}"
        if step_id not in taken and (number == 1 or step_id not in numbers):
            # Another task may be called like this one with a number.
            numbers.setdefault(step_id, 1)
            return step_id


def _id_of(name: Value | None) -> str:
    """A task's name in the letters that an id may have."""
    if not isinstance(name, Scalar) or name.data is None or name.masked is not None:
        return "step"
    letters = _NO_ID.sub("_", name.text[:_LONGEST_BASE])
    return letters if _ID.fullmatch(letters) else f"_{letters}"


def _read_entry(step: Object, step_id: str, defaults: Object | None, findings: Findings) -> Entry:
    return findings.once(f"entry {step_id}", [step, defaults], lambda: _entry(step, step_id, defaults, findings))


def _entry(step: Object, step_id: str, defaults: Object | None, findings: Findings) -> Entry:
    step = _merged(defaults, _with_retries_as_object(step))
    unknown = {key: _meant(key) for key in step.fields if key not in STEP_KEYS}
    for key, meant in unknown.items():
        hint = f"did you mean '{meant}'?" if meant else _KNOWN
        findings.add("unknown-key", step.key_place(key), f"a step has no key '{key}'", hint)
    name = step.fields.get("name")
    if name is None and "name" not in unknown.values():
        findings.add("missing-key", step.place, "a step needs the key 'name'", "the name of its task")
    found = {key: _read(step.fields[key], key, findings) for key in _KEYS if key in step.fields}
    return Entry(
        id=step_id,
        task=found.pop("name", None) or "",
        span=name.span if name is not None else step.span,
        given=step,
        args=_args(step.fields.get("args"), findings),
        needs=_needs(step.fields.get("needs"), findings),
        settings={key: value for key, value in found.items() if key != "id" and value is not None}
        | _retry(step, findings),
    )


def _read(value: Value, key: str, findings: Findings) -> Any:
    return findings.once(f"step.{key}", [value], lambda: findings.read(value, _KEYS[key], f"'{key}'"))


def _meant(key: str) -> str | None:
    return _OTHER_WORDS.get(key) or nearest(key, STEP_KEYS)


_KNOWN = f"{suggestion('', STEP_KEYS)}; a task's arguments stand in 'args'"


def _args(value: Value | None, findings: Findings) -> Object | None:
    if value is None or isinstance(value, Object):
        return value
    findings.read(value, dict, "'args'")
    return None


def _needs(value: Value | None, findings: Findings) -> tuple[tuple[str, Span], ...] | None:
    """The ids that are given, one alone without brackets too."""
    if value is None:
        return None
    items = value.items if isinstance(value, Array) else (value,)
    read = [(findings.read(item, str, "'needs'"), item.span) for item in items]
    return tuple((step_id, span) for step_id, span in read if step_id is not None)


def _retry(step: Object, findings: Findings) -> dict[str, Retry]:
    value = step.fields.get("retries")
    if value is None:
        return {}
    if not isinstance(value, Object):
        findings.read(value, _RETRIES, "'retries'")
        return {}
    retries = value
    read = findings.once("retries", [retries], lambda: findings.section(retries, RETRY_KEYS, "'retries'"))
    return {"retry": Retry(**read)}


def _with_retries_as_object(step: Object) -> Object:
    """The step with `retries = 3` spelled out: three tries after the first one."""
    value = step.fields.get("retries")
    if not isinstance(value, Scalar) or value.masked is not None:
        return step
    try:
        attempts = convert(value, _RETRY_COUNT) + 1
    except Mismatch:
        return step
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
