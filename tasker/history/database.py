"""What the history needs of a database; SQLite and PostgreSQL each have a module that offers it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

Row: TypeAlias = "Mapping[str, Any]"


class Database(Protocol):
    """A connection. Statements have parameters such as `:name`; whatever fails raises `HistoryError`."""

    text: str
    """The type of a column of text that sorts by its characters' numbers."""
    upgradable: bool
    """Whether an older schema may be brought up to date by this connection."""

    @property
    def exclusive(self) -> bool:
        """Whether nobody else can claim."""

    @property
    def usable(self) -> bool:
        """Whether it is still the connection to what it was opened for; otherwise only a new one helps."""

    def rows(self, statement: str, **given: Any) -> Sequence[Row]:
        """What a statement answers."""

    def change(self, statement: str, **given: Any) -> int:
        """Carry a statement out; how many rows it changed."""

    def change_many(self, statement: str, given: Sequence[Row]) -> int:
        """Carry a statement out once with each of what is given; how many rows that changed in all."""

    def begin(self) -> None:
        """Begin a transaction that will write."""

    def commit(self) -> None:
        """Write what the transaction changed, so that it is there after a loss of power."""

    def rollback(self) -> None:
        """Take back what the transaction changed; raises nothing."""

    def take_turns(self) -> None:
        """Until the transaction ends let no other daemon be where this is called."""

    def now(self) -> datetime:
        """The time by the one clock that all who use the database share."""

    def found(self) -> None:
        """Make the place where the tables are to be."""

    def has(self, table: str) -> bool:
        """Whether there is such a table."""

    def without_daemon(self) -> AbstractContextManager[bool]:
        """Whether no daemon has it; as far as it can be helped none gets it meanwhile."""

    def tidy(self) -> None:
        """Give back what was deleted, a little at a time."""

    def close(self) -> None:
        """Let go of it; raises nothing."""


def clean(text: str | None) -> str | None:
    """The text without what databases refuse: halves of characters, and the character of number nought."""
    if text is None or (text.isascii() and "\0" not in text):
        return text
    return text.replace("\0", "\\x00").encode(errors="backslashreplace").decode()
