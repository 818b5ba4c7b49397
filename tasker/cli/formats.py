"""Data as HOCON, JSON, YAML or properties: pyhocon lays it out, and here each key and value is spelled.

Left to itself, pyhocon's converter writes keys and strings as they are: what it wrote of a key with a dot, a string
with three quotes or the word `no` would be read as something else.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasker.document.values import Late, OutputReference, Scalar, plain

if TYPE_CHECKING:
    from collections.abc import Callable

FORMATS = ("hocon", "json", "yaml", "properties")

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_HOCON_WORDS = {"include"}
"""Keys that HOCON reads as something else."""
_YAML_PLAIN = re.compile(r"[A-Za-z_/](?:[A-Za-z0-9_ ./-]*[A-Za-z0-9_./-])?")
_YAML_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
_SPECIAL_IN_KEY = re.compile(r"[\s\\:=#!\"]")
_LAST_ASCII = 0x7E
_LAST_OF_FOUR_DIGITS = 0xFFFF


def written(data: dict[str, Any], form: str, *, indent: int | None = 2) -> str:
    """The data as text. It may hold `Scalar` and `Late` values of a document; without `indent`, JSON is one line."""
    if form == "json":
        return _printable(json.dumps(data, default=_as_json, ensure_ascii=False, indent=indent), _json_escape)
    from pyhocon import HOCONConverter  # noqa: PLC0415 - it takes a tenth of a second to import

    text: str = HOCONConverter.convert(_tree(data, *_SPELLINGS[form]), form)
    return text


@dataclass(frozen=True, slots=True)
class _Spelled:
    """A value that stands in the text as it is here."""

    text: str

    def __str__(self) -> str:
        return self.text


def _tree(data: Any, key: Callable[[str], str], value: Callable[[Any], str | None]) -> Any:
    """The data as pyhocon's converter wants it, with keys and values spelled."""
    from pyhocon import ConfigTree  # noqa: PLC0415 - as above

    if isinstance(data, dict) and data:
        tree = ConfigTree()
        for name, item in data.items():
            tree[key(name)] = _tree(item, key, value)
        return tree
    if isinstance(data, list) and data:
        return [_tree(item, key, value) for item in data]
    spelled = value(data)
    return None if spelled is None else _Spelled(spelled)


def _as_json(value: Any) -> Any:
    return _text(value) if isinstance(value, Late) else plain(value)


def _text(late: Late) -> str:
    """A value that waits for outputs, as it is written."""
    return "".join(_reference(part) if isinstance(part, OutputReference) else _shown(part) for part in late.parts)


def _shown(part: Scalar) -> str:
    return part.text if part.masked is None else part.masked


def _reference(reference: OutputReference) -> str:
    keys = ".".join(_hocon_key(key) for key in ("outputs", reference.step, *reference.keys))
    return f"${{{'?' * reference.optional}{keys}}}"


# Spellings


def _quoted(text: str) -> str:
    """The text as JSON has it, which HOCON and YAML have in common; what cannot be seen is escaped."""
    return _printable(json.dumps(text, ensure_ascii=False), _json_escape)


def _printable(text: str, escape: Callable[[str], str]) -> str:
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else escape(each) for each in text)


def _json_escape(character: str) -> str:
    return json.dumps(character)[1:-1]


def _yaml_escape(character: str) -> str:
    # YAML, unlike JSON, knows no pairs of surrogates.
    return f"\\U{ord(character):08x}" if ord(character) > _LAST_OF_FOUR_DIGITS else _json_escape(character)


def _hocon_key(key: str) -> str:
    return key if _KEY.fullmatch(key) and key not in _HOCON_WORDS else _quoted(key)


def _hocon(value: Any) -> str:
    match value:
        case str():
            return _quoted(value)
        case Scalar():
            return value.text
        case Late():
            return "".join(_hocon_part(part) for part in value.parts)
    return json.dumps(value)


def _hocon_part(part: Scalar | OutputReference) -> str:
    return _reference(part) if isinstance(part, OutputReference) else _quoted(_shown(part))


def _yaml_key(key: str) -> str:
    if _is_plain_in_yaml(key):
        return key
    # The converter takes double quotes off both ends of a key.
    return f"'{key.replace(chr(39), chr(39) * 2)}'" if key.isprintable() else f"!!str {_yaml(key)} "


def _yaml(value: Any) -> str:
    match value:
        case str():
            plain_text = _is_plain_in_yaml(value)
            return value if plain_text else _printable(json.dumps(value, ensure_ascii=False), _yaml_escape)
        case Late():
            return _yaml(_text(value))
    # YAML 1.1 takes 1e+22 for a string, and 1.0e+22 for a number.
    return re.sub(r"^(-?\d+)e", r"\1.0e", json.dumps(value, default=plain))


def _is_plain_in_yaml(text: str) -> bool:
    return _YAML_PLAIN.fullmatch(text) is not None and text.lower() not in _YAML_WORDS


def _properties_key(key: str) -> str:
    return _SPECIAL_IN_KEY.sub(lambda match: f"\\u{ord(match[0]):04x}", _properties(key))


def _properties(value: Any) -> str:
    match value:
        case str():
            text = value.replace("\\", "\\\\")
            text = f"\\{text}" if text.startswith(" ") else text
            return "".join(each if " " <= each <= chr(_LAST_ASCII) else json.dumps(each)[1:-1] for each in text)
        case Late():
            return _properties(_text(value))
    return json.dumps(value, default=plain)


_SPELLINGS: dict[str, tuple[Callable[[str], str], Callable[[Any], str | None]]] = {
    "hocon": (_hocon_key, _hocon),
    "yaml": (_yaml_key, _yaml),
    "properties": (_properties_key, lambda value: None if value in (None, {}, []) else _properties(value)),
}
