"""What is known of tables: their names, and their columns as files and statements tell them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp


def table_name(table: exp.Table) -> str:
    """A table's name with what qualifies it; a part with a dot in it stands in quotes, a temporary table behind `#`."""
    if not isinstance(table.this, exp.Identifier) and not isinstance(table.this, exp.Parameter):
        return table.this.sql() if table.this else ""
    return ".".join(map(_part, table.parts))


def _part(part: exp.Expr) -> str:
    if not isinstance(part, exp.Identifier):
        return part.sql(dialect="tsql")
    mark = "##" if part.args.get("global_") else "#" if part.args.get("temporary") else ""
    return f'{mark}"{part.name}"' if "." in part.name else mark + part.name


class Catalogue:
    """The columns of tables, in their order."""

    def __init__(self) -> None:
        self._columns: dict[tuple[str, str], tuple[str, ...]] = {}
        self._unsettled: set[tuple[str, str]] = set()
        self.learned = 0
        """How many tables are known; it only grows."""

    def learn(self, file: str, table: str, columns: Sequence[str]) -> None:
        """Take in what a table's columns are; a table that is said to be two things is as good as unknown."""
        key = _key(file, table)
        if self._columns.setdefault(key, tuple(columns)) != tuple(columns):
            self._unsettled.add(key)
        self.learned = len(self._columns)

    def unsettle(self, file: str, table: str) -> None:
        """Take in that what is said of a table's columns does not hold for good."""
        self._unsettled.add(_key(file, table))

    def columns(self, file: str, table: str) -> tuple[str, ...]:
        """A table's columns; empty where they are not known."""
        key = _key(file, table)
        return () if key in self._unsettled else self._columns.get(key, ())


def _key(file: str, table: str) -> tuple[str, str]:
    """A temporary table belongs to the session that made it, so to its file; any other to all."""
    return (file if table.startswith("#") and not table.startswith("##") else "", table)
