"""What became of slots and runs, kept in a database: SQLite in the state folder, or PostgreSQL.

Not to be confused with the log, which tells the same facts to whoever reads along, nor with a run's journal, which
survives where a daemon does not.
"""

from tasker.history.errors import DamagedError, HeldError, HistoryError, RunIdTakenError, UnfitError
from tasker.history.history import History
from tasker.history.model import (
    ACTIVE,
    Claim,
    Claimed,
    DaemonRecord,
    Orphan,
    PipelineRecord,
    Retention,
    RunRecord,
    RunStatus,
    SlotRecord,
    StepRunRecord,
)
from tasker.history.presence import this_daemon
from tasker.history.sqlite import make_state_folder

__all__ = [
    "ACTIVE",
    "Claim",
    "Claimed",
    "DaemonRecord",
    "DamagedError",
    "HeldError",
    "History",
    "HistoryError",
    "Orphan",
    "PipelineRecord",
    "Retention",
    "RunIdTakenError",
    "RunRecord",
    "RunStatus",
    "SlotRecord",
    "StepRunRecord",
    "UnfitError",
    "make_state_folder",
    "this_daemon",
]
