"""HOCON text to a syntax tree: one pass, no file opened, no substitution looked up.

What has nothing left to resolve comes out as a `Value`; the rest as nodes of `syntax`, for `evaluation` to settle.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from tasker.document.surroundings import SECRET
from tasker.document.syntax import Blank, Concatenation, Field, Fields, Include, Listing, Substitution
from tasker.document.values import Array, Object, Scalar, Source, Span, Value
from tasker.faults import Fault

if TYPE_CHECKING:
    from tasker.document.limits import Limits
    from tasker.document.syntax import Node

_WHITE = r" \t\r\x0b\x0c\x1c-\x1f\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
"""White space, as the HOCON specification has it: Unicode's and the byte order mark; a new line is something else."""

_LETTER = rf'(?:[^{_WHITE}\n"$\\`{{}}\[\]:=,#/]|/(?!/))'
"""A character of an unquoted string. Wider than the specification's by `* ? ! @ & ^ +`, whose meaning is plain."""

_WORDS = rf"{_LETTER}++(?:[{_WHITE}]++{_LETTER}++)*+"
_BLANK = re.compile(rf"[{_WHITE}]*+")
_GAP = re.compile(rf"(?:[{_WHITE}\n]++|#[^\n]*+|//[^\n]*+)*+")
_RUN = re.compile(_WORDS)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:(?:\.[0-9]+)?[eE][+-]?[0-9]+|(\.[0-9]+))?")

_PLAIN_KEY = re.compile(rf"([\w-]++)[{_WHITE}]*+(?:[=:]|(?=\{{))")
_PLAIN_VALUE = re.compile(rf'[{_WHITE}]*+(?:"([^"\\\n]*+)"(?!")|({_WORDS}))(?=[{_WHITE}]*+(?:[,\n}}\]#]|//|\Z))')
"""A whole value that is one string, word or number: most of them are."""

_KEY_WORD = re.compile(rf'(?:[^{_WHITE}\n"$\\`{{}}\[\]:=,#/.+*?!@&^]|/(?!/))++')
_QUOTED = re.compile(r'"((?:[^"\\\n]++|\\[^\n])*+)"')
_TRIPLE = re.compile(r'"""(.*?"*)"""(?!")', re.DOTALL)
_PAIR = r"u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
_ESCAPE = re.compile(rf'\\(?:(["\\/bfnrt])|{_PAIR}|u([0-9a-fA-F]{{4}})|.)')
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

_WORD_VALUES: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_MANY_DIGITS = 300
"""Digits beyond which a number is no quantity: Python refuses to read very long ones, and so do other programs."""

_QUOTE_IT = "put a value with this character in double quotes"


class FaultError(Exception):
    """Reading a file stopped at a fault; `fault` says where and why."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(str(fault))


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text says: its root, and what stands in it that others must know of."""

    root: Object | Fields
    includes: tuple[Include, ...]
    joined: tuple[Span, ...] = ()
    """Objects that have a `name` and stand behind another one that has one, without a comma: the two are one."""
    secrets: tuple[str, ...] = ()
    """The names of all `${secret.NAME}`."""


def read(source: Source, limits: Limits) -> Reading:
    """Read a whole file. Raises `FaultError`."""
    reader = _Reader(source, limits)
    return Reading(reader.document(), tuple(reader.includes), tuple(reader.joined), tuple(reader.secrets))


def read_override(source: Source, limits: Limits) -> Reading:
    """Read `path=value`, where a value that is not HOCON is taken as a string. Raises `FaultError`."""
    reader = _Reader(source, limits)
    return Reading(reader.override(), tuple(reader.includes), secrets=tuple(reader.secrets))


class _Reader:
    """A cursor over one text. Each method reads one thing at `at`, and leaves `at` behind it."""

    def __init__(self, source: Source, limits: Limits) -> None:
        self.source = source
        self.text = source.text
        self.limits = limits
        self.at = 0
        self.depth = 0
        self.includes: list[Include] = []
        self.secrets: list[str] = []
        self.joined: list[Span] = []

    # Wholes

    def document(self) -> Object | Fields:
        self._refuse_nul()
        start = self._skip()
        if not self.text.startswith("{", start):
            if self.text.startswith("[", start):
                self._fail(start, "a file holds keys and values, not an array", "write `key = [ ... ]`")
            return self._fields("", start)
        root = self._object()
        if self._skip() < len(self.text):
            self._fail(self.at, f"the file goes on after its closing brace with {self._found()}")
        return root

    def override(self) -> Object | Fields:
        self._refuse_nul()
        keys = self.path("=")
        self.at = start = self.at + 1
        try:
            node = self._value("")
            if self._skip() < len(self.text):
                self._fail(self.at, "this is more than one value")
        except FaultError:
            del self.includes[:]
            text = self.text[start:].strip()
            node = Scalar(self._span(start, len(self.text)), text, text)
        field = self._nested(keys, node, adds=False)
        return self._settled(self._span(0, len(self.text)), [field])

    def _refuse_nul(self) -> None:
        at = self.text.find("\0")
        if at >= 0:
            self._fail(at, "a NUL character stands in the text", "is this a text file?")

    # Objects

    def _object(self) -> Object | Fields:
        start = self.at
        self._deeper(start)
        self.at += 1
        node = self._fields("}", start)
        self.depth -= 1
        return node

    def _fields(self, close: str, start: int) -> Object | Fields:
        """The entries of an object up to and with `close`, which is empty for a file without outer braces."""
        entries: list[Field | Include] = []
        while self._skip() < len(self.text) and self.text[self.at] != close:
            entries.append(self._entry())
            self._separator(close)
        self._close(close, start)
        return self._settled(self._span(start, self.at), entries)

    def _entry(self) -> Field | Include:
        start = self.at
        plain = _PLAIN_KEY.match(self.text, start)
        if plain is not None and plain[1] != "include":
            self.at = plain.end()
            key = (plain[1], self._span(start, plain.end(1)))
            return Field(*key, self._value(plain[1]))
        if self.text.startswith("include", start) and not _KEY_WORD.match(self.text, start + 7):
            return self._include()
        keys = self.path("key")
        adds = self._assign(keys[-1][0])
        return self._nested(keys, self._value(keys[-1][0]), adds=adds)

    def _assign(self, key: str) -> bool:
        """Step over what stands between a key and its value; whether that is `+=`."""
        at = self._skip()
        if self.text.startswith("+=", at):
            self.at += 2
            return True
        if self.text[at : at + 1] in ("=", ":"):
            self.at += 1
        elif not self.text.startswith("{", at):
            self._fail(at, f"after the key '{_short(key)}' comes '=', ':' or '{{', but here is {self._found()}")
        return False

    def _nested(self, keys: list[tuple[str, Span]], node: Node, *, adds: bool) -> Field:
        """`a.b.c = node` as the field `a` of objects in objects."""
        field = Field(*keys[-1], node, adds)
        for key, span in reversed(keys[:-1]):
            field = Field(key, span, self._settled(field.span, [field]))
        if len(keys) + self.depth > self.limits.nesting:
            self._too_deep(keys[0][1].start)
        return field

    @staticmethod
    def _settled(span: Span, entries: list[Field | Include] | list[Field]) -> Object | Fields:
        """The entries as a value, where there is nothing to resolve or to merge in them."""
        fields: dict[str, Value] = {}
        keys: dict[str, Span] = {}
        for entry in entries:
            if type(entry) is not Field or entry.adds or entry.key in fields or not isinstance(entry.node, Value):
                return Fields(span, tuple(entries))
            fields[entry.key] = entry.node
            keys[entry.key] = entry.span
        return Object(span, fields, keys)

    # Includes

    def _include(self) -> Include:
        start = self.at
        self.at = self._after_blank(start + 7)
        closing = 0
        for word in ("required", "file"):
            if opened := re.compile(rf"{word}\([{_WHITE}]*+").match(self.text, self.at):
                self.at = opened.end()
                closing += 1
        self._refuse_include_of_other_things(start)
        name = self._quoted_at(self.at)
        span = self._span(*name[1:])
        for _ in range(closing):
            at = self.at = self._after_blank(self.at)
            if not self.text.startswith(")", at):
                self._fail(at, f"a closing parenthesis is expected, but here is {self._found()}")
            self.at += 1
        self.includes.append(Include(span, name[0]))
        return self.includes[-1]

    def _refuse_include_of_other_things(self, start: int) -> None:
        if self.text.startswith('"', self.at):
            return
        other = re.compile(r"(\w+)\(").match(self.text, self.at)
        if other is None:
            self._fail(
                start,
                f"after `include` comes a file's name in double quotes, but here is {self._found()}",
                'write include "_defaults.conf"; a key of that name is written "include"',
                length=7,
            )
        self._fail(
            start,
            f"an include reads files of the conf folder, and nothing by `{other[1]}(...)`",
            'write include "_defaults.conf"',
            code="include-refused",
            length=other.end() - 1 - start,
        )

    # Keys and paths

    def path(self, context: str) -> list[tuple[str, Span]]:
        """Keys with dots between them, each a run of words and quoted strings."""
        keys: list[tuple[str, Span]] = []
        while True:
            keys.append(self._key(context))
            if not self.text.startswith(".", self.at):
                return keys
            self.at += 1

    def _key(self, context: str) -> tuple[str, Span]:
        start = self.at
        parts: list[str] = []
        end = start
        while True:
            blank = self._after_blank(self.at)
            word = _KEY_WORD.match(self.text, blank)
            if word is None and not self.text.startswith('"', blank):
                break
            parts.append(self.text[end:blank])
            self.at = blank
            parts.append(word[0] if word else self._quoted_at(blank)[0])
            self.at = end = word.end() if word else self.at
        if not parts:
            self._no_key(start, context)
        if self.text.startswith(".", blank) and blank > end:
            self._fail(end, "white space stands before the dot of a path", "write a.b, or quote the key")
        self.at = end if context == "key" else blank
        return "".join(parts if context == "key" else parts[1:]), self._span(start, end)

    def _no_key(self, at: int, context: str) -> NoReturn:
        self.at = self._after_blank(at)
        if self.text[at - 1 : at] == "." or self.text.startswith(".", self.at):
            self._fail(self.at, "a dot of a path has no key beside it", 'an empty key is written ""')
        what = "a key" if context == "key" else "a path"
        self._fail(self.at, f"{what} is expected, but here is {self._found()}", self._key_hint())

    def _key_hint(self) -> str:
        found = self.text[self.at : self.at + 1]
        if found == ",":
            return "one comma is enough"
        if found in ("{", "["):
            return "a closing bracket may be missing before this"
        return "put a key with this character in double quotes" if found in set("$\\`*?!@&^+") else ""

    # Values

    def _value(self, key: str) -> Node:
        plain = _PLAIN_VALUE.match(self.text, self.at)
        if plain is None:
            return self._composed(key)
        self.at = plain.end()
        word = plain[2]
        if word is None:
            text = plain[1]
            return Scalar(self._span(plain.start(1) - 1, self.at), text, text)
        return Scalar(self._span(plain.start(2), self.at), number_or_word(word), word)

    def _composed(self, key: str) -> Node:
        """A value of any kind: one part, or several side by side."""
        before = self.at
        start = self._skip()
        parts: list[Node | Blank] = []
        while True:
            part = self._part()
            if part is None:
                break
            parts.append(part)
            end = self.at
            self.at = self._after_blank(end)
            if self.at > end:
                parts.append(Blank(self._span(end, self.at), self.text[end : self.at]))
        if not parts:
            self._no_value(before, start, key)
        if isinstance(parts[-1], Blank):
            self.at = parts.pop().span.start
        self._refuse_lost_separator(before, start, key)
        return self._joined(parts)

    def _part(self) -> Node | None:
        start = self.at
        run = _RUN.match(self.text, start)
        if run is not None:
            self.at = run.end()
            return Scalar(self._span(start, self.at), number_or_word(run[0]), run[0])
        opening = self.text[start : start + 1]
        if opening == '"':
            text, *ends = self._quoted_at(start)
            return Scalar(self._span(*ends), text, text)
        if opening == "{":
            return self._object()
        if opening == "[":
            return self._array()
        return self._substitution() if self.text.startswith("${", start) else None

    def _joined(self, parts: list[Node | Blank]) -> Node:
        span = self._span(parts[0].span.start, parts[-1].span.end)
        first = parts[0]
        if len(parts) == 1 and not isinstance(first, Blank):
            return first
        if all(isinstance(part, Scalar | Blank) for part in parts):
            text = "".join(part.text for part in parts if isinstance(part, Scalar | Blank))
            return Scalar(span, text, text)
        if _has_name(parts[-1]) and any(map(_has_name, parts[:-1])):
            self.joined.append(parts[-1].span)
        return Concatenation(span, tuple(parts))

    def _array(self) -> Array | Listing:
        start = self.at
        self._deeper(start)
        self.at += 1
        items: list[Node] = []
        while self._skip() < len(self.text) and self.text[self.at] != "]":
            items.append(self._value(""))
            self._separator("]")
        self._close("]", start)
        self.depth -= 1
        values = tuple(item for item in items if isinstance(item, Value))
        span = self._span(start, self.at)
        return Array(span, values) if len(values) == len(items) else Listing(span, tuple(items))

    def _substitution(self) -> Substitution:
        start = self.at
        optional = self.text.startswith("?", start + 2)
        self.at = start + 2 + optional
        keys = self.path("${")
        if not self.text.startswith("}", self.at):
            self._fail(self.at, f"the substitution's closing brace is expected, but here is {self._found()}")
        self.at += 1
        path = tuple(key for key, _ in keys)
        if path[0] == SECRET:
            self.secrets.append(".".join(path[1:]))
        return Substitution(self._span(start, self.at), path, optional)

    def _no_value(self, before: int, start: int, key: str) -> NoReturn:
        if key and ("\n" in self.text[before:start] or start == len(self.text)):
            self._fail(before - 1, f"the key '{_short(key)}' has no value", 'an empty string is written ""')
        self._fail(start, f"a value is expected, but here is {self._found()}", self._value_hint())

    def _refuse_lost_separator(self, before: int, start: int, key: str) -> None:
        """Words of the next line were read as the value of a key that has none: `a =`, new line, `b = 1`."""
        if key and self.text.startswith(("=", ":"), self._after_blank(self.at)) and "\n" in self.text[before:start]:
            self._fail(before - 1, f"the key '{_short(key)}' has no value", 'an empty string is written ""')

    # Strings

    def _quoted_at(self, start: int) -> tuple[str, int, int]:
        """The string in quotes at `start`, decoded, and where it begins and ends."""
        if self.text.startswith('"""', start):
            triple = _TRIPLE.match(self.text, start)
            if triple is None:
                self._fail(start, 'the string that begins here with """ does not end', length=3)
            self.at = triple.end()
            return triple[1], start, self.at
        quoted = _QUOTED.match(self.text, start)
        if quoted is None:
            hint = 'a string of several lines stands in """three quotes"""'
            self._fail(start, "the string that begins here does not end on its line", hint)
        self.at = quoted.end()
        text = quoted[1]
        return (self._decoded(text, start + 1) if "\\" in text else text), start, self.at

    def _decoded(self, text: str, offset: int) -> str:
        def decode(escape: re.Match[str]) -> str:
            letter, high, low, code = escape.groups()
            if letter:
                return _ESCAPES[letter]
            if high:
                return chr(0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF))
            at = offset + escape.start()
            if not code:
                hint = 'a backslash itself is written \\\\; in """three quotes""" it needs nothing'
                self._fail(at, f"'{escape[0]}' is no escape that a string knows", hint, length=len(escape[0]))
            if 0xD800 <= int(code, 16) <= 0xDFFF:  # noqa: PLR2004 - the surrogates, half a character each
                self._fail(at, f"'{escape[0]}' is half of a character", length=len(escape[0]))
            if code == "0000":
                self._fail(at, "a NUL character stands in the string", length=len(escape[0]))
            return chr(int(code, 16))

        return _ESCAPE.sub(decode, text)

    # Between things

    def _skip(self) -> int:
        """Step over white space, new lines and comments."""
        gap = _GAP.match(self.text, self.at)
        self.at = gap.end() if gap else self.at
        return self.at

    def _after_blank(self, at: int) -> int:
        """Where the white space that may stand at `at` ends."""
        blank = _BLANK.match(self.text, at)
        return blank.end() if blank else at

    def _separator(self, close: str) -> None:
        """Step over the comma or the new line that ends an element."""
        start = self.at
        end = self._skip()
        found = self.text[end : end + 1]
        if found == ",":
            self.at += 1
            if self._skip() < len(self.text) and self.text[self.at] == ",":
                self._fail(self.at, "a comma stands where an element is expected", "one comma is enough")
        elif found and found != close and "\n" not in self.text[start:end]:
            expected = f"a comma, a new line or '{close}'" if close else "a comma or a new line"
            self._fail(end, f"after a value comes {expected}, but here is {self._found()}", self._value_hint())

    def _close(self, close: str, start: int) -> None:
        if not close:
            return
        if self.at >= len(self.text):
            self._fail(start, f"the '{self.text[start]}' that stands here is never closed", f"add '{close}'")
        self.at += 1

    def _value_hint(self) -> str:
        found = self.text[self.at : self.at + 1]
        if found == "$":
            return "a substitution is written ${NAME}; in double quotes $ is an ordinary character"
        if found in ("=", ":"):
            return f"{_QUOTE_IT}; or a new line is missing before this key"
        if found and found in "}]":
            return "there is one closing bracket too many, or one opening too few"
        return "" if found in ("", ",") else _QUOTE_IT

    # Faults

    def _deeper(self, at: int) -> None:
        self.depth += 1
        if self.depth > self.limits.nesting:
            self._too_deep(at)

    def _too_deep(self, at: int) -> NoReturn:
        self._fail(at, f"objects and arrays are nested over {self.limits.nesting} levels", code="too-deep")

    def _found(self) -> str:
        """What stands at the cursor, for people."""
        rest = self.text[self.at : self.at + 20]
        if not rest:
            return "the end of the file" if self.source.text is self.text else "the end"
        if rest[0] == "\n":
            return "the end of the line"
        word = _RUN.match(rest)
        return f"'{_short(word[0].split()[0] if word else rest[0])}'"

    def _fail(self, at: int, message: str, hint: str = "", *, code: str = "syntax", length: int = 1) -> NoReturn:
        raise FaultError(Fault(code, self._span(at, at + length).place, message, hint))

    def _span(self, start: int, end: int) -> Span:
        return Span(self.source, start, end)


def _has_name(node: Node | Blank) -> bool:
    """Whether it is an object in which the key `name` is written, as it is in a step."""
    if isinstance(node, Object):
        return "name" in node.fields
    return isinstance(node, Fields) and any(isinstance(each, Field) and each.key == "name" for each in node.entries)


def number_or_word(word: str) -> str | int | float | bool | None:
    """What an unquoted value is: `true`, `false`, `null`, a number as JSON spells it, or the string itself."""
    if word in _WORD_VALUES:
        return _WORD_VALUES[word]
    number = _NUMBER.fullmatch(word) if word[0] in "-0123456789" and len(word) <= _MANY_DIGITS else None
    if number is None:
        return word
    if number.end() == len(word) and word.lstrip("-").isdigit():
        return int(word)
    value = float(word)
    return word if value in (float("inf"), float("-inf")) else value


def _short(text: str) -> str:
    """A name to repeat in a message, cut to what a line can bear; nothing in it moves a terminal's cursor."""
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= 40 else text[:39] + "…"  # noqa: PLR2004 - about half a terminal's line
