"""Statements on their way from text to lineage, each within its bounds: one that fails loses only itself."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlglot import Dialect
from sqlglot.expressions import Expr

from ._sql_catalogue import Catalogue
from ._sql_statements import Statement, StatementError, parse
from ._sql_trace import Trace, trace
from ._time_limit import TimeLimitExceeded, time_limit


@dataclass(slots=True)
class Reading:
    """A statement, and what is known of it so far."""

    place: str
    """What it is in: a file, a view."""
    line: int
    trees: list[Expr] = field(default_factory=list)
    failure: str = ""
    trace: Trace | None = None

    @property
    def failed(self) -> bool:
        """Whether nothing at all is known of the statement."""
        return bool(self.failure) or (self.trace is not None and bool(self.trace.gaps) and not self.trace.writes)

    def reasons(self) -> list[str]:
        """Why something is not traced."""
        return [self.failure] if self.failure else [gap.reason for gap in self.trace.gaps] if self.trace else []

    def facts(self) -> Iterator[Mapping[str, str | None]]:
        """What an output says of the statement, beside its place."""
        if self.failure:
            yield {"record": "untraced", "to_table": None, "to_column": None, "reason": self.failure}
        if self.trace is None:
            return
        for source, target in self.trace.edges:
            yield {
                "record": "edge",
                "from_table": source.table,
                "from_column": source.name,
                "to_table": target.table,
                "to_column": target.name,
            }
        for table, target_table in self.trace.filters:
            yield {"record": "filter", "from_table": table, "to_table": target_table}
        for gap in self.trace.gaps:
            yield {"record": "untraced", "to_table": gap.table, "to_column": gap.column, "reason": gap.reason}


class Reader:
    """Parses and traces statements of one dialect, each in its time."""

    def __init__(self, dialect: Dialect, name: str, timeout: float) -> None:
        self._dialect = dialect
        self._name = name
        self._timeout = timeout

    def parsed(self, place: str, statement: Statement) -> Reading:
        """A statement with its syntax trees, or why it has none."""
        reading = Reading(place, statement.line)
        with self._bounded(reading):
            reading.trees = parse(statement, self._dialect)
        return reading

    def trace(self, readings: Sequence[Reading], catalogue: Catalogue) -> None:
        """Trace all statements in their order; those with gaps again as long as more tables become known."""
        waiting: Sequence[Reading] = readings
        known: int | None = None
        while waiting and known != catalogue.learned:
            known = catalogue.learned
            for reading in waiting:
                if not reading.failure:
                    with self._bounded(reading):
                        reading.trace = trace(reading.trees, reading.place, catalogue, self._name)
            waiting = [each for each in waiting if each.trace and each.trace.gaps]

    @contextmanager
    def _bounded(self, reading: Reading) -> Iterator[None]:
        """Let a statement take its time and fail in its own way."""
        try:
            with time_limit(self._timeout):
                yield
        except (StatementError, TimeLimitExceeded) as error:
            reading.failure = str(error)
        except RecursionError:
            reading.failure = "it is nested too deeply"
        except Exception as error:  # noqa: BLE001 - the parser meets what no one foresaw, and there are other statements
            reading.failure = f"it cannot be traced ({type(error).__name__})"


@contextmanager
def quiet_parser() -> Iterator[None]:
    """Keep the parser's warnings off the log: what it could not read is in the output, with its place."""
    logger = logging.getLogger("sqlglot")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before
