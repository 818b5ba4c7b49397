"""Faults, shown: as text for people, and as JSON, GitHub's workflow commands and SARIF for machines.

Not to be confused with `faults`, which says what a fault is. Whatever a file holds, or is called, reaches no terminal
and no log as anything but visible characters.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from tasker.faults import CODES, Severity, in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from tasker.faults import Fault, Place

Format = Literal["text", "json", "github", "sarif"]


def report(faults: Iterable[Fault], form: Format = "text", *, colour: bool = False) -> Iterator[str]:
    """The lines that show the faults, by file, line and column, each fault once; `colour` is for text alone."""
    ordered = in_order(faults)
    return _text(ordered, _COLOURS if colour else _PLAIN) if form == "text" else _FORMS[form](ordered)


def visible(text: str) -> str:
    r"""The text with tabs as spaces, and every character that is not to be seen as an escape: `\x1b`, `\u202e`."""
    if text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    return _TAB if character == "\t" else ascii(character)[1:-1]


_TAB = " " * 4


# Text

_PLAIN = dict.fromkeys(("place", Severity.ERROR, Severity.WARNING, "gutter", "hint"), "")
_COLOURS = {
    "place": "\x1b[1m",
    Severity.ERROR: "\x1b[31m",
    Severity.WARNING: "\x1b[33m",
    "gutter": "\x1b[2m",
    "hint": "\x1b[36m",
}


def _text(faults: Sequence[Fault], colours: Mapping[str, str]) -> Iterator[str]:
    def painted(part: str, text: str) -> str:
        return f"{colours[part]}{text}\x1b[0m" if colours[part] and text else text

    for fault in faults:
        kind = "warning: " if fault.severity is Severity.WARNING else ""
        code = painted(fault.severity, f"{kind}{fault.code}")
        yield f"{painted('place', visible(str(fault.place)))}: {code}: {visible(fault.message)}"
        marks = _marks(fault.place)
        if marks:
            yield f"{painted('gutter', f'{fault.place.line:>5} |')} {visible(fault.place.excerpt)}"
        if marks or fault.hint:
            hint = painted("hint", visible(fault.hint))
            gutter = painted("gutter", f"{'':>{max(5, len(str(fault.place.line)))}} |")
            yield f"{gutter} {painted(fault.severity, marks)}{'  ' * bool(marks and hint)}{hint}"


def _marks(place: Place) -> str:
    """Carets below the stretch of the excerpt; empty where the excerpt does not show it."""
    start = place.column - 1
    if not place.excerpt or start > len(place.excerpt):
        return ""
    before, stretch = place.excerpt[:start], place.excerpt[start : start + place.length]
    return " " * _width(visible(before)) + "^" * max(1, _width(visible(stretch)))


def _width(text: str) -> int:
    """The columns that a terminal gives to visible text: two to a wide character, none to a combining one."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width  # noqa: PLC0415 - for lines that are not ASCII alone

    return sum(0 if combining(character) else 1 + (east_asian_width(character) in "WF") for character in text)


# JSON


def _json(faults: Sequence[Fault]) -> Iterator[str]:
    """One object a line."""
    for fault in faults:
        yield json.dumps(
            {
                "code": fault.code,
                "severity": fault.severity,
                "file": fault.place.file,
                "line": fault.place.line,
                "column": fault.place.column,
                "length": fault.place.length,
                "message": fault.message,
                "hint": fault.hint,
            }
        )


# GitHub


def _github(faults: Sequence[Fault]) -> Iterator[str]:
    """One workflow command a line, which GitHub shows beside the changed line."""
    for fault in faults:
        place = fault.place
        stretch = {"line": place.line, "col": place.column, "endColumn": place.column + place.length}
        properties = {"file": place.file, **(stretch if place.line else {}), "title": fault.code}
        listed = ",".join(f"{name}={_escaped(str(value), ':,')}" for name, value in properties.items())
        message = f"{fault.message}\n{fault.hint}" if fault.hint else fault.message
        yield f"::{fault.severity} {listed}::{_escaped(message)}"


def _escaped(text: str, also: str = "") -> str:
    for character in f"%\r\n{also}":
        text = text.replace(character, f"%{ord(character):02X}")
    return visible(text)


# SARIF

_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def _sarif(faults: Sequence[Fault]) -> Iterator[str]:
    """One SARIF 2.1.0 log, which code scanning services take in."""
    rules = [{"id": code, "shortDescription": {"text": meaning}} for code, meaning in CODES.items()]
    run = {
        "tool": {"driver": {"name": "tasker", "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(fault) for fault in faults],
    }
    log = {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}
    yield from json.dumps(log, indent=2).splitlines()


def _result(fault: Fault) -> dict[str, Any]:
    place = fault.place
    stretch = {"startLine": place.line, "startColumn": place.column, "endColumn": place.column + place.length}
    region = {"region": stretch} if place.line else {}
    return {
        "ruleId": fault.code,
        "ruleIndex": [*CODES].index(fault.code),
        "level": fault.severity,
        "message": {"text": f"{fault.message}; {fault.hint}" if fault.hint else fault.message},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": _uri(place.file)}, **region}}],
    }


def _uri(file: str) -> str:
    """A reference relative to the working directory, or a `file:` one where the name is absolute."""
    from urllib.parse import quote  # noqa: PLC0415 - for SARIF alone

    reference = quote(file.encode(errors="surrogateescape"))
    return f"file://{reference}" if file.startswith("/") else reference


_FORMS: Mapping[str, Callable[[Sequence[Fault]], Iterator[str]]] = {"json": _json, "github": _github, "sarif": _sarif}
