"""The faults that a validation collects, and the words in which it offers help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from tasker.conversion import Mismatch, convert
from tasker.document.values import Object, Scalar, Unknown
from tasker.faults import Fault, Severity
from tasker.nearest import nearest
from tasker.references import references

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tasker.document.values import Value
    from tasker.faults import Place

T = TypeVar("T")
Shared: TypeAlias = dict[tuple[Any, ...], tuple[Any, Any]]
"""What validations of one file have in common: what was made of values, with these, by their ids."""

MOST_FAULTS = 1000
"""Faults after which a validation gives up: who has so many mends those first."""


class TooManyFaultsError(Exception):
    """There are `MOST_FAULTS`; nothing more is looked for."""


class Findings:
    """Every fault found so far, each once; finding one does not end the search, unless there are too many."""

    def __init__(self, known: Iterable[Fault] = (), shared: Shared | None = None) -> None:
        """Begin with the faults that are known already, and what was read for other instances of the file."""
        self._faults = dict.fromkeys(known)
        self._shared = {} if shared is None else shared

    @property
    def faults(self) -> list[Fault]:
        """What was found, in the order of finding."""
        return list(self._faults)

    @property
    def stop(self) -> bool:
        """Whether one of them is an error, so that there is no pipeline."""
        return any(fault.severity is Severity.ERROR for fault in self._faults)

    def warn(self, code: str, place: Place, message: str, hint: str) -> None:
        """Note what stops nothing, and is hardly meant."""
        self._note(Fault(code, place, message, hint, Severity.WARNING))

    def add(self, code: str, place: Place, message: str, hint: str = "") -> None:
        """Note a fault."""
        self._note(Fault(code, place, message, hint))

    def _note(self, fault: Fault) -> None:
        """Note it; raises `TooManyFaultsError` after the last that there is room for."""
        self._faults[fault] = None
        if len(self._faults) >= MOST_FAULTS:
            last = f"there are over {MOST_FAULTS} faults here, and the rest is not looked for"
            self._faults[Fault("too-large", fault.place, last, "mend these first")] = None
            raise TooManyFaultsError

    def once(self, what: str, values: Sequence[Value | None], read: Callable[[], T]) -> T:
        """What `read` makes of the values, once for all instances that have these very ones, if nothing is wrong.

        `what` tells apart what is made of the same values.
        """
        key = (what, *map(id, values))
        if key in self._shared:
            return self._shared[key][1]  # type: ignore[no-any-return] # `what` says what it is
        told = len(self._faults)
        found = read()
        if len(self._faults) == told:
            # With the values, which must not go, and leave their ids to others.
            self._shared[key] = values, found
        return found

    def read(self, value: Value, annotation: Any, what: str) -> Any:
        """The value as `annotation` asks for it, or `None` and a fault for each thing that does not fit."""
        if not self._settled(value, what):
            return None
        try:
            return convert(value, annotation)
        except Mismatch as mismatch:
            for place, message in mismatch.problems:
                self.add("bad-value", place, f"{what}: {message}")
        return None

    def _settled(self, value: Value, what: str) -> bool:
        """Whether the value may decide on a plan: it is known before a run, and may be shown to people."""
        if isinstance(value, Unknown):
            return False
        late = list(references(value))
        for reference in late:
            message = f"{what} cannot read {reference}, which is known only during a run"
            self.add("bad-value", reference.place, message, "such values go into 'args' and 'when'")
        secret = isinstance(value, Scalar) and value.masked is not None
        if secret:
            message = f"{what} cannot come from a secret: it is shown in logs and faults"
            self.add("bad-value", value.place, message, "secrets go into 'args'")
        return not late and not secret

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
    shown = sorted(names)[:_SHOWN] + ["…"] * (len(names) > _SHOWN)
    return f"known here: {', '.join(shown)}" if names else ""


_SHOWN = 30
"""Known names that a hint lists: more than that are no help."""
