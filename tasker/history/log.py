"""The log of runs: their facts, numbered."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tasker.facts import Event, Fact
from tasker.history import observation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tasker.history.database import Database, Row
    from tasker.history.model import DaemonRecord

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PAGE = 1000
_OUTPUT = f'{{"event": "{Event.STEP_OUTPUT}"'
_MICROSECOND = timedelta(microseconds=1)


class Numbers:
    """Gives facts their numbers: the moment in microseconds, or one more than the last where that is not greater."""

    def __init__(self) -> None:
        self._last = 0

    def of(self, fact: Fact) -> int:
        """The number of the next fact."""
        self._last = max(self._last + 1, (fact.at - _EPOCH) // _MICROSECOND)
        return self._last


def row(fact: Fact, number: int) -> Row:
    """The fact as a row."""
    return {"run_id": fact.run_id, "number": number, "fact": json.dumps(fact.to_json())}


def append(database: Database, lines: list[Row]) -> None:
    """Add facts to their logs, unless their numbers are taken."""
    database.change_many(
        "INSERT INTO facts (run_id, number, fact) VALUES (:run_id, :number, :fact) ON CONFLICT DO NOTHING", lines
    )


def replay(database: Database, me: DaemonRecord, facts: Iterable[Fact]) -> int:
    """Take in the facts of a journal; how many were not in the log."""
    numbers, known = Numbers(), dict[str, set[str]]()
    missing: list[Row] = []
    for fact in facts:
        if fact.run_id is None:
            continue
        observation.take_in(database, me, fact)
        line = row(fact, numbers.of(fact))
        if fact.run_id not in known:
            known[fact.run_id] = _known(database, fact.run_id)
        if line["fact"] not in known[fact.run_id]:
            missing.append(line)
    append(database, missing)
    return len(missing)


def _known(database: Database, run_id: str) -> set[str]:
    """The facts of a run's log, as they are written there, without the lines that its steps printed."""
    known, after = set[str](), 0
    while page := _rows(database, run_id, after, _PAGE):
        known |= {each["fact"] for each in page if not each["fact"].startswith(_OUTPUT)}
        after = page[-1]["number"]
    return known


def read(database: Database, run_id: str, after: int, most: int) -> Iterator[tuple[int, Fact]]:
    """The facts of a run behind a number, in order."""
    for each in _rows(database, run_id, after, most):
        yield each["number"], Fact.from_json(json.loads(each["fact"]))


def _rows(database: Database, run_id: str, after: int, most: int) -> Sequence[Row]:
    return database.rows(
        "SELECT number, fact FROM facts WHERE run_id = :run_id AND number > :after ORDER BY number LIMIT :most",
        run_id=run_id,
        after=after,
        most=most,
    )
