"""The faults that a validation collects, and the words in which it offers help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tasker.conversion import Mismatch, convert
from tasker.document.values import Object
from tasker.faults import Fault
from tasker.nearest import nearest
from tasker.references import references

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tasker.document.values import Value
    from tasker.faults import Place


class Findings:
    """Every fault found so far; finding one never ends the search."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def add(self, code: str, place: Place, message: str, hint: str = "") -> None:
        """Note a fault."""
        self.faults.append(Fault(code, place, message, hint))

    def read(self, value: Value, annotation: Any, what: str) -> Any:
        """The value as `annotation` asks for it, or `None` and a fault for each thing that does not fit."""
        for reference in references(value):
            self.add("bad-value", reference.place, f"{what} cannot read {reference}, which is known only during a run")
            return None
        try:
            return convert(value, annotation)
        except Mismatch as mismatch:
            for place, message in mismatch.problems:
                self.add("bad-value", place, f"{what}: {message}")
        return None

    def section(self, section: Value, keys: Mapping[str, Any], what: str) -> dict[str, Any]:
        """The known keys of an object, each read; a key that means nothing there is a fault."""
        if not isinstance(section, Object):
            self.read(section, dict, what)
            return {}
        for key in section.fields:
            if key not in keys:
                self.add("unknown-key", section.key_place(key), f"{what} has no key '{key}'", suggestion(key, keys))
        found = {key: self.read(section.fields[key], keys[key], f"'{key}'") for key in keys if key in section.fields}
        return {key: value for key, value in found.items() if value is not None}


def suggestion(name: str, known: Iterable[str]) -> str:
    """The hint for a name that is not among the known ones."""
    names = list(known)
    near = nearest(name, names)
    if near is not None:
        return f"did you mean '{near}'?"
    return f"known here: {', '.join(sorted(names))}" if names else ""
