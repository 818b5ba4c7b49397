"""What can be wrong with a history."""

from __future__ import annotations

from tasker.errors import TaskerError


class HistoryError(TaskerError):
    """The history cannot be read or written now: the disk is full, it is locked, the server does not answer."""


class DamagedError(HistoryError):
    """The file of the history is not what was written to it."""


class HeldError(HistoryError):
    """Another daemon has the state folder."""


class RunIdTakenError(AssertionError):
    """A run was to be made whose id another one has: a fault of tasker's own, which no second try mends."""


class UnfitError(HistoryError):
    """The history cannot be used at all, and trying again does not help: a newer tasker's, not there, a wrong URL."""
