"""Writers of HOCON: documents whose meaning is known by plain evaluation, and documents such as people write."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from support.documents import NAME

_STRINGS = ["x", "two words", "/data/in", "", "10s", "a.b", "# no comment", 'say "hi"', "é", "*.py", "true", "1.10"]


@dataclass
class Written:
    """Files, and what the main one means."""

    files: dict[str, str] = field(default_factory=dict)
    meaning: dict[str, Any] = field(default_factory=dict)


def written(rng: random.Random) -> Written:
    """Keys `k0`, `k1`, ... that read only earlier keys, each defined once or more, some of it moved into includes.

    HOCON evaluates late and everywhere at once. Where a key reads only keys that come before it in this order, that
    is the same as folding the definitions of one key after the other: this is the plain evaluation.
    """
    example = Written()
    blocks: list[list[str]] = []
    for number in range(rng.randint(1, 6)):
        key = f"k{number}"
        blocks.append([_definition(key, example.meaning, rng) for _ in range(rng.randint(1, 4))])
    example.files[NAME] = "\n".join(_interleaved(blocks, rng, example)) + "\n"
    return example


def _definition(key: str, meaning: dict[str, Any], rng: random.Random) -> str:
    """One more definition of `key`, whose values are folded into `meaning`."""
    before = meaning.get(key)
    earlier = [other for other in meaning if other != key]
    kinds: list[Callable[..., tuple[Any, ...]]] = [_literal, _object, _nested]
    if earlier:
        kinds += [_reference, _joined, _element, _inherited]
    if isinstance(before, list) or key not in meaning:
        kinds.append(_added)
    if key in meaning:
        kinds.append(_looked_back)
    text: str
    text, *values = rng.choice(kinds)(key, meaning, rng)
    for value in values:
        meaning[key] = _over(meaning.get(key), value)
    return text


def _over(before: Any, value: Any) -> Any:
    if not (isinstance(before, dict) and isinstance(value, dict)):
        return deepcopy(value)
    return {**before, **{key: _over(before.get(key), child) for key, child in deepcopy(value).items()}}


def _literal(key: str, _: dict[str, Any], rng: random.Random) -> tuple[str, Any]:
    value = _value(rng, 0)
    return f"{key} = {_spelt(value, rng)}", value


def _object(key: str, _: dict[str, Any], rng: random.Random) -> tuple[str, Any]:
    value = {name: _value(rng, 1) for name in rng.sample("abc", rng.randint(0, 3))}
    return f"{key} {rng.choice(['', '= ', ': '])}{_spelt(value, rng)}", value


def _nested(key: str, _: dict[str, Any], rng: random.Random) -> tuple[str, Any]:
    value = _value(rng, 1)
    one, two = rng.choice("abc"), rng.choice("abc")
    return f"{key}.{one}.{two} = {_spelt(value, rng)}", {one: {two: value}}


def _reference(_key: str, meaning: dict[str, Any], rng: random.Random) -> tuple[str, Any]:
    path, value = _path(_key, meaning, rng)
    if rng.random() < 0.3:
        name = rng.choice("abc")
        return f"{_key}.{name} = ${{{path}}}", {name: value}
    return f"{_key} = ${{{rng.choice(['', '?'])}{path}}}", value


def _joined(key: str, meaning: dict[str, Any], rng: random.Random) -> tuple[str, Any]:
    path, value = _path(key, meaning, rng)
    if isinstance(value, dict | list):
        more = {"z": 1} if isinstance(value, dict) else [1]
        joined = {**value, "z": 1} if isinstance(value, dict) else [*value, 1]
        return f"{key} = ${{{path}}} {json.dumps(more)}", joined
    return f'{key} = pre/${{{path}}} "post"', f"pre/{_text(value)} post"


def _element(key: str, meaning: dict[str, Any], rng: random.Random) -> tuple[str, Any]:
    path, value = _path(key, meaning, rng)
    return f"{key} = [${{?nothing}}, ${{{path}}}, {{ e = ${{{path}}} }}]", [value, {"e": value}]


def _inherited(key: str, meaning: dict[str, Any], rng: random.Random) -> tuple[Any, ...]:
    """Objects side by side, which merge one after the other into what is there."""
    path, value = _path(key, meaning, rng)
    if not isinstance(value, dict):
        return _literal(key, meaning, rng)
    own = {name: _value(rng, 1) for name in rng.sample("abc", 2)}
    return f"{key} = ${{{path}}} {_spelt(own, rng)}", value, own


def _added(key: str, meaning: dict[str, Any], rng: random.Random) -> tuple[str, Any]:
    value = _value(rng, 1)
    return f"{key} += {_spelt(value, rng)}", [*meaning.get(key, []), value]


def _looked_back(key: str, meaning: dict[str, Any], _: random.Random) -> tuple[str, Any]:
    before = meaning[key]
    if isinstance(before, dict):
        return f"{key} = ${{{key}}} {{ y = 2 }}", {**before, "y": 2}
    if isinstance(before, list):
        return f"{key} = [0] ${{?{key}}}", [0, *before]
    return f'{key} = ${{{key}}}"+"', f"{_text(before)}+"


def _path(key: str, meaning: dict[str, Any], rng: random.Random) -> tuple[str, Any]:
    """A path to something that an earlier key holds."""
    start = rng.choice([other for other in meaning if other != key])
    path, value = start, meaning[start]
    while isinstance(value, dict) and value and rng.random() < 0.6:
        name = rng.choice(sorted(value))
        path, value = f"{path}.{name}", value[name]
    return path, value


def _value(rng: random.Random, depth: int) -> Any:
    kind = rng.random()
    if depth < 3 and kind < 0.2:
        return {name: _value(rng, depth + 1) for name in rng.sample("abc", rng.randint(0, 3))}
    if depth < 3 and kind < 0.35:
        return [_value(rng, depth + 1) for _ in range(rng.randint(0, 3))]
    return rng.choice([rng.choice(_STRINGS), rng.randint(-5, 99), True, False, None, 1.5])


def _spelt(value: Any, rng: random.Random) -> str:
    """The value in HOCON, in one of the ways that there are."""
    if isinstance(value, dict):
        between = rng.choice([", ", "\n", " ,\n  # why\n"])
        equals = rng.choice([" = ", ": ", "="])
        return "{ " + between.join(f"{key}{equals}{_spelt(child, rng)}" for key, child in value.items()) + " }"
    if isinstance(value, list):
        between = rng.choice([", ", "\n", ",\n"])
        return "[" + between.join(_spelt(child, rng) for child in value) + "]"
    if isinstance(value, str) and value in ("x", "two words", "/data/in", "10s", "*.py", "é") and rng.random() < 0.7:
        return value
    return json.dumps(value, ensure_ascii=rng.random() < 0.5)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _interleaved(blocks: list[list[str]], rng: random.Random, example: Written) -> list[str]:
    """The lines of all blocks, each block's in order; runs of lines go to files of their own."""
    lines: list[str] = []
    queues = [list(block) for block in blocks]
    while any(queues):
        lines.append(rng.choice([queue for queue in queues if queue]).pop(0))
    for number in range(rng.randint(0, 2)):
        start = rng.randint(0, len(lines))
        end = rng.randint(start, len(lines))
        name = f"part{number}.conf"
        example.files[name] = "\n".join(lines[start:end]) or "# none"
        lines[start:end] = [f'include "{name.removesuffix(".conf")}"']
    return lines


# Documents such as people write

_NAMES = ["name", "args", "tasks", "path", "days", "owner", "retries", "env", "a.b", "x-y", '"q k"', "n1", "a b"]
_WORDS = [
    "x",
    "true",
    "null",
    "10s",
    "1.10",
    "007",
    "-a",
    "--all",
    "/data/in",
    "3",
    "days",
    "7days.tar.gz",
    "hello",
    "world",
    "uname",
    "-a",
    "build",
    "1e5",
    "2026-11-22",
    "5d/logs",
    "64k",
    "on",
    "yes",
    "a/b.c",
    "./run.sh",
    "1.2.3",
    "-5",
    "0",
    "42",
    "é",
    "'q'",
    "50%",
    "(x)",
    "1_000",
    "0x1F",
]
_QUOTED = ['"x y"', '""', '"a:b=c"', '"#"', '"\\t\\u00e9"', '"${x}"', '"""t "q" t"""', '"""two\nlines"""', '"*.py"']
_REFERENCES = ["${a}", "${b}", "${?unset}", "${base.x}", "${dir}", "${?base.x}"]
_WHOLES = ["${base}", "${list}", "${?list}", "${tasks}", "${list} [1]", "${?unset} ${list}", "[${b}] ${?unset}"]


def realistic(rng: random.Random) -> str:
    """A document with what people use of HOCON: some of it wrong, most of it right."""
    lines = ["a = 1", "b = text", "base { x = 1.10, y = [1] }", "list = [x]", "dir = /data"]
    lines = [line for line in lines if rng.random() < 0.97]
    for _ in range(rng.randint(1, 7)):
        lines.insert(rng.randint(0, len(lines)), _line(rng, 0))
    return rng.choice(["\n", "\n\n", "\n# comment\n", " // why\n", "\r\n"]).join(lines) + "\n"


def _line(rng: random.Random, depth: int) -> str:
    kind = rng.random()
    if kind < 0.08:
        return f"list += {_anything(rng, depth + 1)}"
    if kind < 0.14:
        return rng.choice(["list = ${list} [y]", "dir = ${dir}/x", "base = ${base} { z = 1 }", "base.x = ${?base.x}1"])
    if kind < 0.18:
        return f"base {{ {_line(rng, depth + 1)} }}" if depth < 3 else "base { w = 1 }"
    if kind < 0.22:
        return f"tasks += {{ name = {rng.choice(_WORDS)} }}"
    name = rng.choice(_NAMES)
    if kind < 0.35 and depth < 3:
        return f"{name} {{ {_line(rng, depth + 1)}, {_line(rng, depth + 1)} }}"
    return f"{name}{rng.choice([' = ', ': ', '=', ' : '])}{_anything(rng, depth)}"


def _anything(rng: random.Random, depth: int) -> str:
    kind = rng.random()
    if depth < 3 and kind < 0.15:
        between = rng.choice([", ", "\n", ",\n "])
        return "[" + between.join(_anything(rng, depth + 1) for _ in range(rng.randint(0, 4))) + "]"
    if depth < 3 and kind < 0.25:
        return "{ " + ", ".join(_line(rng, depth + 1) for _ in range(rng.randint(0, 3))) + " }"
    if kind < 0.3:
        return f"${{base}} {{ {_line(rng, 3)} }}"
    if kind < 0.35:
        return rng.choice(_WHOLES)
    pieces = [
        rng.choice(rng.choice([_WORDS, _WORDS, _QUOTED, _REFERENCES])) for _ in range(rng.choice([1, 1, 1, 2, 3]))
    ]
    return rng.choice([" ", " ", "", "  "]).join(pieces)
