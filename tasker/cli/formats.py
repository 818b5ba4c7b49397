"""Data as HOCON, JSON, YAML or properties, so that it reads back as what it was.

Of our own, since pyhocon's converter writes keys and strings as they are: what it wrote of a key with a dot, a string
with three quotes, or the word `no` in YAML, would be read as something else.
"""

from __future__ import annotations

import json
import re
from itertools import groupby
from typing import TYPE_CHECKING, Any

from tasker.document.values import Late, Reference, Scalar, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FORMATS = ("hocon", "json", "yaml", "properties")

_INDENT = "  "
_ONE_LINE = 80
"""Characters up to which a list without lists and objects in it stands on one line of HOCON."""
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_HOCON_WORDS = {"include"}
"""Keys that HOCON reads as something else."""
_YAML_PLAIN = re.compile(r"[A-Za-z_/](?:[A-Za-z0-9_ ./-]*[A-Za-z0-9_./-])?")
_YAML_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
_LAST_OF_FOUR_DIGITS = 0xFFFF


def written(data: dict[str, Any], form: str, *, indent: int | None = 2) -> str:
    """The data as text. It may hold `Scalar` and `Late` values of a document; without `indent`, JSON is one line."""
    if form == "json":
        return _printable(json.dumps(data, default=_as_json, ensure_ascii=False, indent=indent), _escape)
    return "\n".join(_WRITERS[form](data))


def _as_json(value: Any) -> Any:
    return _text(value) if isinstance(value, Late) else plain(value)


def _text(late: Late) -> str:
    """A value that waits for a run, as it is written."""
    return "".join(_reference(part) if isinstance(part, Reference) else _shown(part) for part in late.parts)


def _shown(part: Scalar) -> str:
    return part.text if part.masked is None else part.masked


def _reference(reference: Reference) -> str:
    keys = ".".join(_hocon_key(key) for key in reference.path)
    return f"${{{'?' * reference.optional}{keys}}}"


def _printable(text: str, escape: Callable[[str], str]) -> str:
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else escape(each) for each in text)


def _escape(character: str) -> str:
    return json.dumps(character)[1:-1]


def _is_branch(value: Any) -> bool:
    return isinstance(value, dict | list) and bool(value)


# HOCON


def _hocon_fields(data: dict[str, Any], indent: str = "") -> Iterator[str]:
    for key, value in data.items():
        yield f"{indent}{_hocon_key(key)}{' ' if isinstance(value, dict) else ' = '}{_hocon_value(value, indent)}"


def _hocon_value(value: Any, indent: str) -> str:
    inner = indent + _INDENT
    if not _is_branch(value):
        return _hocon_leaf(value)
    if isinstance(value, dict):
        return "\n".join(("{", *_hocon_fields(value, inner), f"{indent}}}"))
    items = [_hocon_value(item, inner) for item in value]
    one_line = f"[{', '.join(items)}]"
    if not any(map(_is_branch, value)) and len(one_line) <= _ONE_LINE:
        return one_line
    return "\n".join(("[", *(f"{inner}{item}" for item in items), f"{indent}]"))


def _hocon_key(key: str) -> str:
    return key if _KEY.fullmatch(key) and key not in _HOCON_WORDS else _quoted(key)


def _hocon_leaf(value: Any) -> str:
    match value:
        case str():
            return _quoted(value)
        case Scalar():
            return value.text
        case Late():
            runs = groupby(value.parts, lambda part: isinstance(part, Reference))
            return "".join(_hocon_run(tuple(run)) for _, run in runs)
    return json.dumps(value)


def _hocon_run(parts: tuple[Scalar | Reference, ...]) -> str:
    """References as they are, the text between two as one string."""
    texts = [part for part in parts if isinstance(part, Scalar)]
    references = [_reference(part) for part in parts if isinstance(part, Reference)]
    return _quoted("".join(map(_shown, texts))) if texts else "".join(references)


def _quoted(text: str) -> str:
    return _printable(json.dumps(text, ensure_ascii=False), _escape)


# YAML


def _yaml_lines(value: Any, indent: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if _is_branch(item):
                yield f"{indent}{_yaml_leaf(key)}:"
                yield from _yaml_lines(item, indent + _INDENT)
            else:
                yield f"{indent}{_yaml_leaf(key)}: {_yaml_leaf(item)}"
        return
    for item in value:
        first, *rest = _yaml_lines(item, indent + _INDENT) if _is_branch(item) else [_yaml_leaf(item)]
        yield f"{indent}- {first.lstrip(' ')}"
        yield from rest


def _yaml_leaf(value: Any) -> str:
    match value:
        case str() if _YAML_PLAIN.fullmatch(value) and value.lower() not in _YAML_WORDS:
            return value
        case str():
            return _printable(json.dumps(value, ensure_ascii=False), _yaml_escape)
        case Late():
            return _yaml_leaf(_text(value))
    # YAML 1.1 takes 1e+22 for a string, and 1.0e+22 for a number.
    return re.sub(r"^(-?\d+)e", r"\1.0e", json.dumps(value, default=plain))


def _yaml_escape(character: str) -> str:
    # YAML, unlike JSON, knows no pairs of surrogates.
    return f"\\U{ord(character):08x}" if ord(character) > _LAST_OF_FOUR_DIGITS else _escape(character)


# Properties


def _property_lines(value: Any, path: str = "") -> Iterator[str]:
    """A line for each leaf. Properties have no empty lists and objects, and no null."""
    if _is_branch(value):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from _property_lines(item, f"{path}.{_property_key(str(key))}" if path else _property_key(str(key)))
    elif value not in (None, {}, []):
        yield f"{path} = {_property_leaf(value)}"


def _property_key(key: str) -> str:
    return "".join(f"\\u{ord(each):04x}" if each in ' :=#!\\"' else _property_text(each) for each in key)


def _property_leaf(value: Any) -> str:
    match value:
        case str():
            text = _property_text(value.replace("\\", "\\\\"))
            return f"\\{text}" if text.startswith(" ") else text
        case Late():
            return _property_leaf(_text(value))
    return json.dumps(value, default=plain)


def _property_text(text: str) -> str:
    return "".join(each if each.isascii() and each.isprintable() else _escape(each) for each in text)


_WRITERS: dict[str, Callable[[dict[str, Any]], Iterator[str]]] = {
    "hocon": _hocon_fields,
    "yaml": _yaml_lines,
    "properties": _property_lines,
}
