"""The task `scan_sql`: where the columns that a folder of SQL writes come from.

Reading statements is `_sql_statements`, what they move `_sql_flows`, where it comes from `_sql_lineage`, each in its
bounds `_sql_readings`; here is the scan as a whole: its files, its floor, and what it hands on.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

from annotated_types import Ge, Gt, Le

from tasker import Size, Task

from ._files import is_inside, require_folder, write_if_changed

if TYPE_CHECKING:
    from sqlglot import Dialect

    from ._sql_catalogue import Catalogue
    from ._sql_readings import Reader, Reading

DEFAULT_MAX_FILE_SIZE = Size(4 * 1024**2)
"""Bytes of one file: what is larger is a dump of data, and its tokens would take a hundred times as much memory."""

# fmt: off
DialectName = Literal[
    "tsql", "postgres", "oracle", "snowflake", "mysql", "bigquery", "sqlite", "redshift", "databricks", "spark",
    "duckdb", "athena", "clickhouse", "dax", "doris", "dremio", "drill", "druid", "dune", "exasol", "fabric", "hive",
    "materialize", "presto", "prql", "risingwave", "solr", "spark2", "starrocks", "tableau", "teradata", "trino", "",
]
# fmt: on
"""What sqlglot calls the dialects that it knows, the commonest first, as a message names no more than some of them.

Written out, as a file is validated where sqlglot is not installed, and without the time that importing it takes.
"""

LOGGED_GAPS = 20
"""How many gaps are logged one by one; the output lists all."""

SHOWN_REASONS = 5
"""How many of the commonest reasons the summary has."""


class Scanned(TypedDict):
    """What the task hands on."""

    file: str
    """The JSON lines with everything that was found."""
    files: int
    statements: int
    """Statements that were found, readable or not."""
    statements_failed: int
    """Those that could not be read, or in which nothing could be traced."""
    columns: int
    """Columns that are written, as far as that can be told."""
    columns_traced: int
    """Those of which all origins are known."""
    columns_constant: int
    """Those of the traced that come from no column: constants, counts of rows, the time of day."""
    edges: int
    """Records that lead from a column to a column."""
    untraced: int
    """Records of what could not be traced, each with its reason."""
    summary: str
    """All of that in a few lines for people."""


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the output."""

    file: str
    line: int
    facts: Mapping[str, str | None]

    def __str__(self) -> str:
        kind, *rest = self.facts.items()
        return json.dumps(dict([kind, ("file", self.file), ("line", self.line), *rest]), ensure_ascii=False)


class ScanSql(Task):
    """Find the column-level lineage of a folder of SQL files."""

    task_name = "scan_sql"
    requires = {"sqlglot": "sqlglot>=30"}  # noqa: RUF012 - `Task` says what it is

    def run(
        self,
        path: Path,
        output: Path,
        *,
        dialect: DialectName = "",
        pattern: str | list[str] = "**/*.sql",
        parameters: Mapping[str, str] | None = None,
        schema: Path | None = None,
        timeout: Annotated[timedelta, Gt(timedelta(0))] = timedelta(seconds=10),
        max_file_size: Size = DEFAULT_MAX_FILE_SIZE,
        minimum_statements: Annotated[int, Ge(1)] = 1,
        minimum_edges: Annotated[int, Ge(0)] = 1,
        minimum_share: Annotated[float, Ge(0), Le(1)] = 0.5,
    ) -> Scanned:
        """Trace each written column to the columns it comes from, and list with its reason what cannot be traced.

        The output has a JSON object a line: `edge` (from a column to a column), `filter` (a table that only filters
        or joins) and `untraced`, each with file and line. A scan that stays below a minimum fails, and leaves the
        last output as it was.

        Args:
            path: The folder that the SQL is in.
            output: The file to write.
            dialect: How the SQL is spelt, in sqlglot's words: tsql, postgres, oracle, snowflake, …
            pattern: Which files of the folder are SQL.
            parameters: Values for `@name` in the SQL, as OHDSI's templates have it.
            schema: A JSON file with the columns of tables, {"crm.person": ["id", "name"]}, to expand a `*` by.
            timeout: How long one statement may take; one that takes longer is listed as untraced.
            max_file_size: A file that is larger is listed as untraced.
            minimum_statements: How many statements must be found.
            minimum_edges: How many edges must be found.
            minimum_share: The part of the statements that must be readable, from 0 to 1.
        """
        from sqlglot import Dialect

        from ._sql_readings import Reader, quiet_parser

        require_folder(path, "path")
        files = _files(path, [pattern] if isinstance(pattern, str) else pattern)
        spelling = Dialect.get_or_raise(dialect)
        reader = Reader(spelling, dialect, timeout.total_seconds())
        catalogue = _catalogue(schema, dialect)
        with quiet_parser():
            readings = [
                reading
                for name, file in files.items()
                for reading in _readings(name, file, spelling, parameters or {}, max_file_size, reader)
            ]
            reader.trace(readings, catalogue)
        found = _totals(output, len(files), readings)
        self._log_gaps(readings)
        _require_minimum(found, path, minimum_statements, minimum_edges, minimum_share)
        write_if_changed(output, "".join(f"{record}\n" for record in _sorted_records(readings)))
        self.logger.info("scan is done", **{name: value for name, value in found.items() if name != "summary"})
        return found

    def _log_gaps(self, readings: Sequence[Reading]) -> None:
        failed = [reading for reading in readings if reading.failed]
        for reading in failed[:LOGGED_GAPS]:
            self.logger.warning(
                "statement is not traced", file=reading.place, line=reading.line, reason=reading.reasons()[0]
            )
        if len(failed) > LOGGED_GAPS:
            self.logger.warning("more statements are not traced; the output lists them", count=len(failed))


def _readings(
    name: str, file: Path, dialect: Dialect, parameters: Mapping[str, str], max_file_size: int, reader: Reader
) -> Iterator[Reading]:
    """The statements of a file, parsed where that can be done."""
    from ._sql_readings import Reading
    from ._sql_statements import statements, substitute

    try:
        text = substitute(_text(file, max_file_size), parameters)
    except (OSError, ValueError) as error:
        yield Reading(name, 1, failure=_why_unreadable(error))
        return
    for statement in statements(text, dialect):
        yield reader.parsed(name, statement)


def _files(folder: Path, patterns: Sequence[str]) -> dict[str, Path]:
    """The files that match, by their path in the folder, sorted; links that lead out of it are passed over."""
    found = {
        file for pattern in patterns for file in folder.glob(pattern) if file.is_file() and is_inside(file, folder)
    }
    if not found:
        message = f"no file in {folder} matches {' or '.join(patterns)}: there is nothing to scan"
        raise FileNotFoundError(message)
    return {file.relative_to(folder).as_posix(): file for file in sorted(found)}


def _text(file: Path, max_size: int) -> str:
    size = file.stat().st_size
    if size > max_size:
        message = f"the file has {size} bytes, and `max_file_size` is {int(max_size)}"
        raise ValueError(message)
    data = file.read_bytes()
    encoding = "utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    return data.decode(encoding)


def _why_unreadable(error: OSError | ValueError) -> str:
    if isinstance(error, UnicodeError):
        return "the file is neither UTF-8 nor UTF-16"
    return f"the file cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)


def _catalogue(schema: Path | None, dialect: str) -> Catalogue:
    """The tables that the schema file tells; raises `ValueError` where it is not one."""
    from sqlglot import exp
    from sqlglot.optimizer.normalize_identifiers import normalize_identifiers

    from ._sql_catalogue import Catalogue, table_name

    catalogue = Catalogue()
    for table, columns in _schema(schema).items() if schema else ():
        normalized = normalize_identifiers(exp.to_table(table, dialect=dialect), dialect=dialect)
        names = [normalize_identifiers(exp.to_identifier(name), dialect=dialect).name for name in columns]
        catalogue.learn("", table_name(normalized), names)
    return catalogue


def _schema(file: Path) -> dict[str, list[str]]:
    said: Any = None
    try:
        said = json.loads(file.read_bytes())
    except ValueError:
        """It is told below, with all else that is no schema."""
    right = isinstance(said, dict) and all(
        isinstance(columns, list) and all(isinstance(name, str) for name in columns) for columns in said.values()
    )
    if not right:
        message = f'`schema` is not a JSON object of tables and their columns, {{"crm.person": ["id"]}}: {file}'
        raise ValueError(message)
    return dict(said)


def _totals(output: Path, files: int, readings: Sequence[Reading]) -> Scanned:
    traces = [reading.trace for reading in readings if reading.trace and not reading.failure]
    edges = sum(len(trace.edges) for trace in traces)
    tables = {column.table for trace in traces for edge in trace.edges for column in edge}
    found: Scanned = {
        "file": str(output),
        "files": files,
        "statements": len(readings),
        "statements_failed": sum(reading.failed for reading in readings),
        "columns": sum(trace.columns for trace in traces),
        "columns_traced": sum(trace.columns_traced for trace in traces),
        "columns_constant": sum(trace.columns_constant for trace in traces),
        "edges": edges,
        "untraced": sum(len(reading.reasons()) for reading in readings),
        "summary": "",
    }
    found["summary"] = "\n".join(_summary(found, len(tables), readings))
    return found


def _summary(found: Scanned, tables: int, readings: Sequence[Reading]) -> Iterator[str]:
    yield f"files       {found['files']}"
    yield f"statements  {found['statements']}, {found['statements_failed']} of them failed"
    traced = f"{found['columns_traced']} traced, {found['columns_constant']} of these constant"
    yield f"columns     {found['columns']} written, {traced}"
    yield f"edges       {found['edges']} between the columns of {tables} tables"
    failed = [reading for reading in readings if reading.failed]
    gaps = Counter(reason for reading in readings if not reading.failed for reason in reading.reasons())
    for reading in failed[:LOGGED_GAPS]:
        yield f"failed      {reading.place}:{reading.line}: {reading.reasons()[0]}"
    for reason, count in gaps.most_common(SHOWN_REASONS):
        yield f"untraced    {count} times: {reason}"
    if len(failed) > LOGGED_GAPS or len(gaps) > SHOWN_REASONS:
        yield "            and more, all of it listed in the output"


def _require_minimum(found: Scanned, path: Path, statements: int, edges: int, share: float) -> None:
    """Raise `ValueError` where too little was found: green and empty is worse than red."""
    readable = found["statements"] - found["statements_failed"]
    shortages = []
    if found["statements"] < statements:
        shortages.append(f"{found['statements']} statements, and `minimum_statements` is {statements}")
    if readable < share * found["statements"]:
        shortages.append(f"{readable} of {found['statements']} are readable, and `minimum_share` is {share:g}")
    if found["edges"] < edges:
        shortages.append(f"{found['edges']} edges, and `minimum_edges` is {edges}")
    if shortages:
        message = f"too little was found in {path}: {'; '.join(shortages)}"
        raise ValueError(message)


def _records(reading: Reading) -> Iterator[Record]:
    """What the output says of a statement."""
    for facts in reading.facts():
        yield Record(reading.place, reading.line, facts)


def _sorted_records(readings: Sequence[Reading]) -> list[Record]:
    return sorted(
        {str(record): record for reading in readings for record in _records(reading)}.values(),
        key=lambda record: (record.file, record.line, str(record)),
    )
