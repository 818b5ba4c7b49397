"""The task `transform`: JSON or JSON lines, changed by a query in the language of jq.

jq computes with floating point and reads the environment. Here a number that it would change is refused, by line, and
the environment is out of its reach; so is all else beside the record that a query is given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, BinaryIO, NoReturn, Protocol, TypedDict

from annotated_types import Ge

from tasker import Size, Task

from ._files import atomic_path

LINES = frozenset({".jsonl", ".ndjson"})
"""How the names of files end that hold a JSON value a line; any other file holds one."""

EXACT = 2**53 - 1
"""Up to here an integer is kept; beyond it floating point has one number for several integers."""

DEFAULT_MAX_SIZE = Size(256 * 1024**2)
"""Bytes of a record, unless the step says otherwise; in memory it takes some ten times as much."""

_OUT_OF_REACH = ("env", "halt", "halt_error", "halt_error(f)", "input", "inputs", "input_filename", "get_search_list")
_PRELUDE = "".join(f'def {name}: error("a query has no {name[:10]}"); ' for name in _OUT_OF_REACH) + "{} as $ENV |\n"
"""What stands before a query, on a line of its own; a query that imports is refused, since that must come first."""

_COMPLAINT = re.compile(r"jq: error: (syntax error|\S+/\d+ is not defined|\$\w+ is not defined)")
_PLACE = re.compile(r"line (\d+), column (\d+)")


class Transformed(TypedDict):
    """What the task hands on."""

    file: str
    """The file that was written."""
    read: int
    """How many records the query was given."""
    written: int
    """How many values it answered with."""


class Program(Protocol):
    """A query that is ready to run, as jq has it."""

    def input_text(self, text: str) -> Iterable[Any]:
        """What the query answers for a JSON text, one value after the other."""


class RecordError(ValueError):
    """A record that cannot be transformed; the message says which and why."""


class Transform(Task):
    """Change JSON or JSON lines by a jq query."""

    task_name = "transform"
    requires = {"jq": "jq>=1.10"}  # noqa: RUF012 - `Task` says what it is

    def run(
        self,
        input: Path,  # noqa: A002 - the name is part of the conf files' language
        output: Path,
        query: str,
        *,
        slurp: bool = False,
        minimum: Annotated[int, Ge(0)] = 0,
        max_size: Size = DEFAULT_MAX_SIZE,
    ) -> Transformed:
        """Give each record of a file to a query, and write what it answers.

        A file named .jsonl or .ndjson has a record a line, and is read and written as a stream; any other is one
        record. Integers beyond 2^53 - 1, and fractions of more digits than floating point holds, are refused, since jq
        would change them. `output` may be the same as `input`.

        Args:
            input: The file to read.
            output: The file to write; one that is not JSON lines takes exactly one value.
            query: What to do with a record, such as `select(.record == "edge") | del(.line)`.
            slurp: Give the query all records at once, as an array: to sort, group or count. They are held in memory.
            minimum: How many values there must be at least.
            max_size: Bytes that a record may have; with `slurp`, all of them.
        """
        program = _compiled(query)
        tally = _Tally(lines=output.suffix in LINES)
        with input.open("rb") as source, atomic_path(output) as draft, draft.open("w", encoding="utf-8") as target:
            for place, text in _records(source, input, max_size, slurp=slurp):
                tally.read += 1
                target.writelines(tally.counted(_answers(program, text, place), place))
            tally.require(minimum)
        self.logger.info("transform is done", read=tally.read, written=tally.written)
        return {"file": str(output), "read": tally.read, "written": tally.written}


@dataclass(slots=True)
class _Tally:
    """What has been read and written, and what may be."""

    lines: bool
    """Whether JSON lines are written, which may be any number."""
    read: int = 0
    written: int = 0

    def counted(self, values: Iterable[Any], place: str) -> Iterator[str]:
        """The values as text; raises `RecordError` where there are too many."""
        for value in values:
            self.written += 1
            if self.written > 1 and not self.lines:
                _refuse(place, "the query answers with more than one value, and `output` is not named .jsonl")
            yield _dumped(value, place, indent=None if self.lines else 2) + "\n"

    def require(self, minimum: int) -> None:
        """Raise `RecordError` where there are too few values."""
        least = minimum if self.lines else max(1, minimum)
        if self.written < least:
            message = f"{self.written} values come of {self.read} records, and there must be at least {least}"
            raise RecordError(message)


def _compiled(query: str) -> Program:
    """The query, ready to run; raises `ValueError`, which says where the query is wrong and does not repeat it."""
    import jq  # type: ignore[import-not-found]  # it has no types, and may be absent

    try:
        program: Program = jq.compile(_PRELUDE + query)
    except ValueError as error:
        complaint, place = _COMPLAINT.match(str(error)), _PLACE.search(str(error))
        reason = complaint[1] if complaint else "it is not a jq query"
        where = f"line {int(place[1]) - 1}, column {place[2]}: " if place else ""
        message = f"`query` cannot be read: {where}{reason}"
        raise ValueError(message) from None
    return program


def _records(source: BinaryIO, file: Path, max_size: int, *, slurp: bool) -> Iterator[tuple[str, str]]:
    """Each record as text that is known to be JSON which jq keeps as it is, and its place."""
    if file.suffix not in LINES:
        yield _record(_bounded(source.read(max_size + 1), str(file), max_size), str(file))
    elif slurp:
        yield str(file), f"[{','.join(text for _, text in _lines(source, file, max_size, together=True))}]"
    else:
        yield from _lines(source, file, max_size, together=False)


def _lines(source: BinaryIO, file: Path, max_size: int, *, together: bool) -> Iterator[tuple[str, str]]:
    number = size = 0
    while data := source.readline(max_size + 1):
        number += 1
        place = f"{file}:{number}"
        size = size + len(data) if together else len(data)
        if size > max_size:
            _bounded(data, place, -1)
        if data.strip():
            yield _record(data, place)


def _bounded(data: bytes, place: str, max_size: int) -> bytes:
    if len(data) > max_size:
        _refuse(place, "it is larger than `max_size`")
    return data


def _record(data: bytes, place: str) -> tuple[str, str]:
    """The record's text, once it is known that jq will not change any value in it."""
    try:
        text = data.decode("utf-8-sig")
        value = json.loads(text, parse_int=_exact, parse_float=_kept, parse_constant=_no_number)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except RecordError as error:
        _refuse(place, str(error))
    except UnicodeError:
        _refuse(place, "it is not UTF-8, or has half of a surrogate pair")
    except RecursionError:
        _refuse(place, "it is nested too deeply")
    except ValueError as error:
        _refuse(place, f"it is not JSON: {getattr(error, 'msg', 'a number is too long')}")
    return place, text


def _exact(digits: str) -> int:
    number = int(digits)
    if abs(number) > EXACT:
        message = f"jq would change the integer {digits}, which is beyond {EXACT}; have it written as a string"
        raise RecordError(message)
    return number


def _kept(digits: str) -> float:
    number = float(digits)
    if abs(number) == float("inf"):
        message = f"the number {digits} is too large"
        raise RecordError(message)
    if repr(number) != digits and not _is_same(number, digits):
        message = f"jq would change the number {digits:.40}, which it cannot hold; have it written as a string"
        raise RecordError(message)
    return number


def _is_same(number: float, digits: str) -> bool:
    """Whether the number, as it is written again, is the one that the digits say."""
    try:
        return Decimal(repr(number)) == Decimal(digits)
    except InvalidOperation:  # an exponent that is beyond all bounds
        return False


def _no_number(word: str) -> NoReturn:
    message = f"{word} is no JSON"
    raise RecordError(message)


def _answers(program: Program, text: str, place: str) -> Iterator[Any]:
    """What the query answers; raises `RecordError`, whose message has none of the record's values."""
    try:
        yield from program.input_text(text)
    except ValueError as error:
        without_values = re.sub(r" \(.*\)", " (…)", str(error), flags=re.DOTALL)
        _refuse(place, f"the query fails: {without_values}")
    except RecursionError:
        _refuse(place, "what the query answers is nested too deeply")


def _dumped(value: Any, place: str, *, indent: int | None) -> str:
    """A value as JSON; raises `RecordError` where a number in it may not be what was meant."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, int) and abs(part) > EXACT:
            _refuse(place, f"the query answers with a number beyond {EXACT}, which jq cannot compute exactly")
        waiting += part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(place: str, reason: str) -> NoReturn:
    message = f"{place}: {reason}"
    raise RecordError(message)
