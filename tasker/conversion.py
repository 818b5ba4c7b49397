"""What a file gives, made into what an annotation asks for, or told why not.

Not to be confused with `signature`, which reads the annotations, and `validation`, which knows what they are for.
A message names a value only as far as it is no secret, and never repeats what a library said of it.
"""

from __future__ import annotations

import pathlib
import re
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from enum import Enum
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, get_args, is_typeddict

from tasker import spellings
from tasker.annotations import (
    LISTS,
    OBJECTS,
    NoneType,
    bounds,
    choices,
    is_enum,
    is_fixed,
    is_shape,
    members,
    origin_of,
    peeled,
    plainly,
    shape,
    type_name,
)
from tasker.document.values import Array, Late, Object, Scalar, Value, plain
from tasker.durations import parse_duration
from tasker.errors import TaskerError
from tasker.nearest import nearest
from tasker.references import references
from tasker.sizes import Size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from tasker.annotations import Bound, Field
    from tasker.faults import Place

SHOWN_LIMIT = 60
"""Characters of a value or a key that a message repeats."""

PROBLEMS_LIMIT = 100
"""Problems of one value after which its further items are not read: a megabyte of them would teach no one."""


class Mismatch(TaskerError):  # noqa: N818 - no failure of the program, but its answer about a value
    """A value does not fit its annotation; all that is wrong with it is in `problems`, each with its place."""

    def __init__(self, problems: Iterable[tuple[Place, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(message for _, message in self.problems))


def convert(value: Value, annotation: Any) -> Any:
    """Make `value` into what `annotation` asks for; raises `Mismatch`.

    Late values pass as they are: of a value that reads outputs, the answer only says that nothing known is wrong.
    """
    return _rule(annotation).read(value)


def fits(output: Any, parameter: Any) -> bool:
    """Whether an output annotated with `output` may suit a parameter annotated with `parameter`; in doubt, it may."""
    given, asked = members(peeled(output)[0]), members(peeled(parameter)[0])
    return any(_one_fits(peeled(one)[0], peeled(other)[0]) for one in given for other in asked)


def _one_fits(output: Any, parameter: Any) -> bool:
    if origin_of(output) in LISTS and origin_of(parameter) in LISTS:
        return fits(_of_item(output), _of_item(parameter))
    return not _rule(output).kinds.isdisjoint(_rule(parameter).accepts)


# Words

NULL, BOOLEAN, STRING, NUMBER = "null", "a boolean", "a string", "a number"
LIST, OBJECT, OUTPUT = "a list", "an object", "an output"


def kind(value: Value) -> str:
    """What a file holds, as people call it: `a string`, `a list`."""
    if isinstance(value, Scalar):
        return _KINDS.get(type(value.data), NUMBER)
    return LIST if isinstance(value, Array) else OBJECT if isinstance(value, Object) else OUTPUT


_KINDS = {NoneType: NULL, bool: BOOLEAN, str: STRING}


def shown(value: Value) -> str:
    """The value for a message: secrets masked, long ones cut, and of lists and objects only that they are."""
    if not isinstance(value, Scalar) or value.data is None:
        return kind(value)
    if value.masked is not None:
        return _quoted(value.masked)
    return _quoted(value.text) if isinstance(value.data, str) else _cut(value.text)


def _quoted(text: str) -> str:
    return repr(_cut(text))


def _cut(text: str) -> str:
    return f"{text[:SHOWN_LIMIT]}…" if len(text) > SHOWN_LIMIT else text


def _refusal(value: Value, expected: str, hint: str = "") -> Mismatch:
    return Mismatch([(value.place, f"expected {expected}, not {shown(value)}{hint}")])


def _meant(name: str, known: Iterable[str]) -> str:
    near = nearest(name, known)
    return f"; did you mean {near!r}?" if near else ""


# Rules


@dataclass(frozen=True, slots=True)
class _Rule:
    """How values become what one annotation asks for."""

    expected: str
    """What a message says was expected."""
    kinds: frozenset[str]
    """The kinds of values that are written for it: a union tries these first."""
    accepts: frozenset[str]
    """The kinds of values that it may be read from."""
    read: Callable[[Value], Any]


_rules: dict[int, tuple[Any, _Rule]] = {}
"""Rules by the identity of their annotation: `int | str` equals `str | int`, and yet means another order."""

_RULES_KEPT = 1000
"""Rules kept before all are made anew: a daemon must not keep every annotation of every task it ever reloaded."""


def _rule(annotation: Any) -> _Rule:
    known = _rules.get(id(annotation))
    if known is not None:
        return known[1]
    if len(_rules) >= _RULES_KEPT:
        _rules.clear()
    rule = _made(annotation)
    _rules[id(annotation)] = annotation, rule
    return rule


def _made(annotation: Any) -> _Rule:
    base, metadata = peeled(annotation)
    rule = _rule_of(base)
    limits = tuple(bounds(metadata))
    return replace(rule, read=partial(_read_bounded, rule.read, limits)) if limits else rule


def _rule_of(base: Any) -> _Rule:
    if len(members(base)) > 1:
        return _union_rule(base)
    origin = origin_of(base)
    if origin is Literal or is_enum(base):
        return _choice_rule(base)
    if origin in LISTS:
        read = partial(_read_tuple if is_fixed(base) else _read_list, base)
        return _Rule(f"a {type_name(base)}", frozenset({LIST}), frozenset({LIST}), read)
    if origin in OBJECTS:
        return _Rule(f"an {type_name(base)}", frozenset({OBJECT}), frozenset({OBJECT}), partial(_read_object, base))
    if is_shape(base):
        expected = f"an object {type_name(base)}"
        return _Rule(expected, frozenset({OBJECT}), frozenset({OBJECT}), partial(_read_shape, base))
    return SIMPLE.get(origin) or _NAMED.get(_full_name(base)) or _impossible_rule(base)


def _full_name(base: Any) -> str:
    return f"{getattr(base, '__module__', '')}.{getattr(base, '__qualname__', '')}"


def _read_bounded(read: Callable[[Value], Any], limits: tuple[Bound, ...], value: Value) -> Any:
    done = read(value)
    if done is None or isinstance(done, Late):
        return done
    problems = [
        (value.place, f"must be {bound.words}, not {shown(value)}") for bound in limits if not _holds(bound, done)
    ]
    if problems:
        raise Mismatch(problems)
    return done


def _holds(bound: Bound, done: Any) -> bool:
    try:
        return bool(bound.holds(done))
    except Exception:  # noqa: BLE001 - a bound that the type does not know, such as the length of a number
        return False


def _unless_late(value: Value, expected: str) -> Value:
    """Refuse the value, unless only the run can tell."""
    if isinstance(value, Late):
        return value
    raise _refusal(value, expected)


# Scalars


def _read_string(value: Value) -> Any:
    if isinstance(value, Scalar) and value.data is not None:
        return value.text
    return _unless_late(value, "a string")


def _read_null(value: Value) -> Any:
    if isinstance(value, Scalar) and value.data is None:
        return None
    return _unless_late(value, "null")


def _read_spelling(expected: str, parse: Callable[[str], Any], value: Value) -> Any:
    if isinstance(value, Scalar) and value.data is not None:
        try:
            return parse(value.text)
        except ValueError:  # whose words may repeat a secret
            raise _refusal(value, expected) from None
    return _unless_late(value, expected)


def _spelling_rule(expected: str, parse: Callable[[str], Any], kinds: set[str], *others: str) -> _Rule:
    return _Rule(expected, frozenset(kinds), frozenset({*kinds, *others}), partial(_read_spelling, expected, parse))


def _impossible_rule(base: Any) -> _Rule:
    def read(value: Value) -> Any:
        raise Mismatch([(value.place, f"expected {type_name(base)}, which no file can give")])

    return _Rule(type_name(base), _ANYTHING, _ANYTHING, read)


_ANYTHING = frozenset({NULL, BOOLEAN, STRING, NUMBER, LIST, OBJECT})
_PATH = _spelling_rule("a path", spellings.path, {STRING}, NUMBER, BOOLEAN)
_PLAIN = _Rule("anything", _ANYTHING, _ANYTHING, plain)

SIMPLE: Mapping[Any, _Rule] = {
    Any: _PLAIN,
    object: _PLAIN,
    NoneType: _Rule("null", frozenset({NULL}), frozenset({NULL}), _read_null),
    str: _Rule("a string", frozenset({STRING}), frozenset({STRING, NUMBER, BOOLEAN}), _read_string),
    bool: _spelling_rule("true or false", spellings.boolean, {BOOLEAN}, STRING),
    int: _spelling_rule("a whole number", spellings.whole, {NUMBER}, STRING),
    float: _spelling_rule("a number", spellings.number, {NUMBER}, STRING),
    Size: _spelling_rule("a size such as 512 or 10 MB", Size.parse, {NUMBER, STRING}),
    pathlib.Path: _PATH,
    pathlib.PurePath: _PATH,
    re.Pattern: _spelling_rule("a regular expression", spellings.pattern, {STRING}, NUMBER, BOOLEAN),
    date: _spelling_rule("a date such as 2026-01-31", date.fromisoformat, {STRING}),
    datetime: _spelling_rule("a date and time such as 2026-01-31T08:30:00Z", datetime.fromisoformat, {STRING}),
    time: _spelling_rule("a time of day such as 08:30", time.fromisoformat, {STRING}),
    timedelta: _spelling_rule("a duration with a unit, such as 30s or 10 minutes", parse_duration, {STRING}),
}
"""The types that are read by themselves; of their subclasses nothing is known."""

_NAMED: Mapping[str, _Rule] = {
    "decimal.Decimal": _spelling_rule("a decimal number", spellings.decimal, {NUMBER}, STRING),
    "uuid.UUID": _spelling_rule("a UUID", spellings.uuid, {STRING}),
}
"""Types known by name: to import them costs every start what few tasks need."""


# Enums and literals


def _choice_rule(base: Any) -> _Rule:
    listed = choices(base)
    expected = listed[0] if len(listed) == 1 else f"one of {', '.join(listed)}"
    exact, spelled, named = _by_value(base), _by_spelling(base), _by_name(base)

    def read(value: Value) -> Any:
        if not isinstance(value, Scalar):
            return _unless_late(value, expected)
        for known, key in ((exact, _held(value.data)), (spelled, value.text), (named, value.text.casefold())):
            if key in known:
                return known[key]
        raise _refusal(value, expected, "" if value.masked else _meant(value.text, [*spelled, *named]))

    kinds = frozenset(_KINDS.get(of_type, NUMBER) for of_type, _ in exact) or frozenset({STRING})
    return _Rule(expected, kinds, kinds | {STRING, NUMBER, BOOLEAN}, read)


def _options(base: Any) -> Iterator[tuple[Any, Any]]:
    """What may be given, each with the value that a file has for it."""
    for option in base if is_enum(base) else get_args(base):
        yield option, option.value if isinstance(option, Enum) else option


def _held(data: Any) -> Any:
    """A key that `1` and `true` do not share."""
    return type(data), data


def _by_value(base: Any) -> dict[Any, Any]:
    return {
        _held(held): option for option, held in _options(base) if isinstance(held, (str, int, float, bool, NoneType))
    }


def _by_spelling(base: Any) -> dict[Any, Any]:
    return {plainly(option): option for option, _ in reversed([*_options(base)]) if option is not None}


def _by_name(base: Any) -> dict[Any, Any]:
    return {option.name.casefold(): option for option, _ in _options(base) if isinstance(option, Enum)}


# Unions


def _union_rule(base: Any) -> _Rule:
    # A whole number is a number too: of `float | int`, `3` is to be the int that was written.
    rules = [_rule(member) for member in sorted(members(base), key=lambda member: peeled(member)[0] is not int)]
    expected = " or ".join(_rule(member).expected for member in members(base))

    def read(value: Value) -> Any:
        if isinstance(value, Late):
            return value
        likely = [rule for rule in rules if kind(value) in rule.kinds]
        unlikely = [rule for rule in rules if rule not in likely]
        refusals: list[Mismatch] = []
        for rule in [*likely, *unlikely]:
            try:
                return rule.read(value)
            except Mismatch as mismatch:
                refusals.append(mismatch)
        raise refusals[0] if len(likely) == 1 else _refusal(value, expected)

    kinds = frozenset(chain.from_iterable(rule.kinds for rule in rules))
    accepts = frozenset(chain.from_iterable(rule.accepts for rule in rules))
    return _Rule(expected, kinds, accepts, read)


# Lists and objects


def _read_each(pairs: Iterable[tuple[Value, Any]]) -> list[Any]:
    """Convert each value by its annotation; raises one `Mismatch` of everything that is wrong."""
    done: list[Any] = []
    problems: list[tuple[Place, str]] = []
    for value, annotation in pairs:
        try:
            done.append(_rule(annotation).read(value))
        except Mismatch as mismatch:
            problems += mismatch.problems
        if len(problems) >= PROBLEMS_LIMIT:
            break
    if problems:
        raise Mismatch(problems)
    return done


def _read_list(base: Any, value: Value) -> Any:
    if not isinstance(value, Array):
        return _unless_late(value, f"a {type_name(base)}")
    of_item = _of_item(base)
    items = _read_each((item, of_item) for item in value.items)
    try:
        return LISTS[origin_of(base)](items)
    except TypeError:
        raise Mismatch([(value.place, "expected a list for a set, which cannot hold lists and objects")]) from None


def _of_item(base: Any) -> Any:
    """The annotation of each item of a list; `Any` where it is not one for all."""
    arguments = get_args(base) if origin_of(base) in LISTS and not is_fixed(base) else ()
    return arguments[0] if arguments else Any


def _read_tuple(base: Any, value: Value) -> Any:
    if not isinstance(value, Array):
        return _unless_late(value, f"a list {type_name(base)}")
    asked = get_args(base)
    if len(value.items) != len(asked):
        message = f"expected a list {type_name(base)} of {len(asked)}, not of {len(value.items)}"
        raise Mismatch([(value.place, message)])
    return tuple(_read_each(zip(value.items, asked, strict=True)))


def _read_object(base: Any, value: Value) -> Any:
    if not isinstance(value, Object):
        return _unless_late(value, f"an {type_name(base)}")
    of_key, of_value = get_args(base) or (str, Any)
    keys = ((Scalar(value.keys.get(key, value.span), key, key), of_key) for key in value.fields)
    items = ((item, of_value) for item in value.fields.values())
    done = _read_each(chain(keys, items))
    return dict(zip(done[: len(value.fields)], done[len(value.fields) :], strict=True))


def _read_shape(base: Any, value: Value) -> Any:
    if not isinstance(value, Object):
        return _unless_late(value, f"an object {type_name(base)}")
    fields = _fields(base, value)
    problems = [*_key_problems(fields, value)]
    done: list[Any] = []
    known = [key for key in value.fields if key in fields]
    try:
        done = _read_each((value.fields[key], fields[key].annotation) for key in known)
    except Mismatch as mismatch:
        problems += mismatch.problems
    if problems:
        raise Mismatch(problems)
    given = dict(zip(known, done, strict=True))
    return given if is_typeddict(base) or _is_late(value) else _built(base, given, value)


def _fields(base: Any, value: Object) -> Mapping[str, Field]:
    try:
        return shape(base)
    except Exception:  # noqa: BLE001 - an annotation is code of the author's, and may raise anything
        message = f"expected {type_name(base)}, which no file can give: its annotations cannot be resolved"
        raise Mismatch([(value.place, message)]) from None


def _key_problems(fields: Mapping[str, Field], value: Object) -> Iterator[tuple[Place, str]]:
    absent = [name for name in fields if name not in value.fields]
    for key in value.fields:
        if key not in fields:
            yield value.key_place(key), f"unknown key {_quoted(key)}{_meant(key, absent or fields)}"
    for name in absent:
        if fields[name].required:
            yield value.place, f"missing key {name!r}: {type_name(fields[name].annotation)}"


def _built(base: Any, given: dict[str, Any], value: Object) -> Any:
    try:
        return base(**given)
    except Exception as error:  # noqa: BLE001 - `__post_init__` is code of the author's, and may raise anything
        reason = "" if _is_secret(value) else f": {_cut(str(error))}"
        raise Mismatch([(value.place, f"{base.__name__} refuses these values{reason}")]) from None


def _is_late(value: Value) -> bool:
    return next(references(value), None) is not None


def _is_secret(value: Value) -> bool:
    match value:
        case Array():
            return any(map(_is_secret, value.items))
        case Object():
            return any(map(_is_secret, value.fields.values()))
        case Scalar():
            return value.masked is not None
    return False
