"""A digest of a resolved tree: of what it says, wherever it was written, and not of what tells of one run."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from tasker.document.values import Array, Late, Object, Scalar

if TYPE_CHECKING:
    from tasker.document.values import Value


def tree_digest(value: Value, known: dict[int, tuple[Value, bytes]]) -> bytes:
    """The digest; secrets by the substitutions that name them, variables of a run by their names.

    Objects and arrays that are `known`, from a tree that has them in common with this one, are not read again.
    """
    if not isinstance(value, Object | Array):
        return _told(value).encode("utf-8", "surrogatepass")
    if id(value) not in known:
        digest = sha256(type(value).__name__.encode())
        for key, child in value.fields.items() if isinstance(value, Object) else enumerate(value.items):
            told = tree_digest(child, known)
            digest.update(f"{key!r}:{len(told)}:".encode("utf-8", "surrogatepass"))
            digest.update(told)
        # Kept with its digest, it cannot go, and leave its id to another.
        known[id(value)] = value, digest.digest()
    return known[id(value)][1]


def _told(value: Value) -> str:
    if isinstance(value, Scalar):
        if value.masked is None and value.lasting is None:
            return f"{type(value.data).__name__} {value.text}"
        shown = value.lasting if value.lasting is not None else value.masked
        return f"made {shown} {value.span.source.text[value.span.start : value.span.end]}"
    parts = value.parts if isinstance(value, Late) else ()
    return repr([_told(part) if isinstance(part, Scalar) else str(part) for part in parts])
