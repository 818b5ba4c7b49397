"""What parameters are set to, as `--set` has it: what the file does not declare, and what is of another type there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasker.document import Array, Object, Scalar, number_or_word
from tasker.faults import Fault, Place
from tasker.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tasker.document import Value


def check_parameters(given: Mapping[str, Value | None], declared: Sequence[Object]) -> Iterable[Fault]:
    """What is wrong with what parameters are set to, each an object with the path to its value; `None` if not known.

    `declared` has the `params` of each instance: a parameter is to fit one of those that have it.
    """
    for name, value in given.items():
        first = name.partition(".")[0]
        having = [params for params in declared if first in params.fields]
        if not having:
            names = list(dict.fromkeys(name for params in declared for name in params.fields))
            yield _unknown(name, f"the pipeline declares no parameter '{name}'", names)
        elif isinstance(value, Object):
            faults = [_unfit(name, value, params, ()) for params in having]
            if faults[0] is not None and all(faults):
                yield faults[0]


def _unfit(name: str, value: Object, declared: Object, path: tuple[str, ...]) -> Fault | None:
    """What is wrong with an object that is laid over another one."""
    for key, each in value.fields.items():
        inner = (*path, key)
        shown = ".".join(inner)
        if key not in declared.fields:
            return _unknown(name, f"the pipeline declares no parameter '{shown}'", list(declared.fields))
        known = declared.fields[key]
        if isinstance(each, Object) and isinstance(known, Object):
            fault = _unfit(name, each, known, inner) if known.fields else None
            if fault is not None:
                return fault
        elif not _fits(each, known):
            message = f"the parameter '{shown}' is {_kind(known)}, and cannot be set to {_kind(each)}"
            return Fault("bad-parameter", Place(f"--set {name}", line=0), message, _hint(known))
    return None


def _fits(value: Value, declared: Value) -> bool:
    """Whether one value may stand in the place of another one; whatever is not known may."""
    match declared:
        case Scalar(data=None):
            return True
        case Scalar(data=str()):
            return not isinstance(value, Array | Object)
        case Scalar():
            # A string that reads as a number is one, as everywhere in HOCON: so do variables come.
            return not isinstance(value, Array | Object) and (
                not isinstance(value, Scalar) or _kind_of(number_or_word(value.text)) == _kind_of(declared.data)
            )
        case Array():
            return not isinstance(value, Scalar | Object)
        case Object():
            return not isinstance(value, Scalar | Array)
    return True


def _kind(value: Value) -> str:
    match value:
        case Array():
            return "a list"
        case Object():
            return "an object"
        case Scalar():
            return _kind_of(value.data)
    return "something that is not known yet"


def _kind_of(data: object) -> str:
    kinds = {bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    return kinds.get(type(data), "null")


def _hint(declared: Value) -> str:
    match declared:
        case Array():
            return "a list is written [a, b]"
        case Object():
            return "an object is written { key = value }"
        case Scalar(data=bool()):
            return "write true or false"
    return f"write a number, as {declared.text} is" if isinstance(declared, Scalar) and not declared.masked else ""


def _unknown(name: str, message: str, known: list[str]) -> Fault:
    near = nearest(name.rpartition(".")[2], known)
    hint = f"did you mean '{near}'?" if near else f"it declares: {', '.join(known) or 'none'}"
    return Fault("unknown-parameter", Place(f"--set {name}", line=0), message, hint)
