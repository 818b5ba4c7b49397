"""Substitutions within quotes, which HOCON takes for text: the commonest slip of those who know other languages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tasker.document.surroundings import RUN_VARIABLES
from tasker.document.values import Array, Object, Scalar

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from tasker.document.values import Value
    from tasker.validation.findings import Findings
    from tasker.validation.steps import Entry

_QUOTED = re.compile(r"\$\{\??(?P<root>[A-Za-z_]\w*)[\w.-]*\}")
_OF_A_SHELL = re.compile(r"\$\{[A-Za-z_]\w*(?:-.*)?\}")
"""What a shell reads as a variable of its own; `${params.n}` and `${?TODAY}` are nothing to it."""
_ROOTS = {"outputs", "run", "secret", *RUN_VARIABLES}


def warn_of_quoted(entry: Entry, names: Container[str], findings: Findings) -> None:
    """Warn of each argument that has `${…}` in its quotes, where that names what tasker or the file knows.

    Not where it may be a variable of the shell that is to read it, nor in triple quotes, which hold other languages.
    """
    args = entry.args
    if args is None:
        return
    of_shell = args.fields.get("command") if _is_true(args.fields.get("shell")) else None
    for scalar in _strings(args):
        for found in _QUOTED.finditer(scalar.text):
            if scalar is of_shell and _OF_A_SHELL.fullmatch(found[0]):
                continue
            if found["root"] in _ROOTS or found["root"] in names:
                message = f"{found[0]} within quotes is text, and no substitution"
                hint = f'end the quotes before it, and begin them anew behind it: "…"{found[0]}"…"'
                findings.warn("quoted-substitution", scalar.place, message, hint)


def _strings(value: Value) -> Iterator[Scalar]:
    """The strings that were written in single quotes and have what looks like a substitution."""
    match value:
        case Scalar(data=str()) if "${" in value.text and value.masked is None and _is_quoted(value):
            yield value
        case Array():
            for item in value.items:
                yield from _strings(item)
        case Object():
            for item in value.fields.values():
                yield from _strings(item)


def _is_quoted(scalar: Scalar) -> bool:
    text, start = scalar.span.source.text, scalar.span.start
    return text.startswith('"', start) and not text.startswith('"""', start)


def _is_true(value: Value | None) -> bool:
    return isinstance(value, Scalar) and value.text in {"true", "yes", "on"}
