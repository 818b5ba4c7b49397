"""The tables, and how those of an older tasker become those of this one: by numbered steps, forward only.

A step that has been released is never changed: a new one follows it. `{text}` is text that sorts by its characters'
numbers, whatever language the database speaks.
"""

from __future__ import annotations

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE daemons (
            id {text} PRIMARY KEY,
            host {text} NOT NULL,
            pid BIGINT NOT NULL,
            pid_started BIGINT NOT NULL,
            started_at {text} NOT NULL,
            beat_at {text} NOT NULL
        )""",
        """CREATE TABLE pipelines (
            name {text} PRIMARY KEY,
            file {text} NOT NULL,
            since {text} NOT NULL,
            schedule {text},
            snapshot_id {text} NOT NULL,
            updated_at {text} NOT NULL
        )""",
        """CREATE TABLE snapshots (
            id {text} PRIMARY KEY,
            content {text} NOT NULL
        )""",
        """CREATE TABLE slots (
            pipeline {text} NOT NULL,
            slot {text} NOT NULL,
            outcome {text} NOT NULL,
            reason {text},
            run_id {text},
            daemon {text} NOT NULL,
            decided_at {text} NOT NULL,
            PRIMARY KEY (pipeline, slot)
        )""",
        """CREATE TABLE runs (
            id {text} PRIMARY KEY,
            pipeline {text} NOT NULL,
            slot {text} NOT NULL,
            revision {text} NOT NULL,
            snapshot_id {text},
            status {text} NOT NULL,
            error {text},
            daemon {text} NOT NULL,
            claimed_at {text} NOT NULL,
            started_at {text},
            ended_at {text},
            duration_s DOUBLE PRECISION,
            late_s DOUBLE PRECISION,
            pid BIGINT,
            pid_started BIGINT,
            host {text},
            resumed_from {text},
            resumption BIGINT NOT NULL DEFAULT 0,
            lines_dropped BIGINT NOT NULL DEFAULT 0,
            taken_from {text},
            taken_at {text}
        )""",
        """CREATE TABLE step_runs (
            run_id {text} NOT NULL,
            step {text} NOT NULL,
            task {text} NOT NULL,
            status {text} NOT NULL,
            attempts BIGINT NOT NULL,
            began_at {text} NOT NULL,
            duration_s DOUBLE PRECISION,
            error {text},
            outputs {text},
            reusable BIGINT NOT NULL,
            PRIMARY KEY (run_id, step)
        )""",
        """CREATE TABLE facts (
            run_id {text} NOT NULL,
            number BIGINT NOT NULL,
            fact {text} NOT NULL,
            PRIMARY KEY (run_id, number)
        )""",
        "CREATE INDEX slots_by_slot ON slots (slot)",
        "CREATE INDEX slots_by_decision ON slots (decided_at)",
        "CREATE INDEX runs_by_claim ON runs (claimed_at)",
        "CREATE INDEX runs_by_pipeline ON runs (pipeline, claimed_at)",
        "CREATE INDEX runs_by_status ON runs (status, pipeline, claimed_at)",
        "CREATE INDEX runs_by_snapshot ON runs (snapshot_id)",
        "CREATE UNIQUE INDEX runs_resume_once ON runs (resumed_from)",
    ),
    (
        "ALTER TABLE daemons ADD COLUMN foreground BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE runs ADD COLUMN foreground BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE runs ADD COLUMN workspace {text}",
        "ALTER TABLE runs ADD COLUMN git_commit {text}",
        "ALTER TABLE runs ADD COLUMN config_id {text}",
        "ALTER TABLE runs ADD COLUMN overrides {text}",
        "ALTER TABLE runs ADD COLUMN chosen {text}",
        "ALTER TABLE runs ADD COLUMN cancel_at {text}",
        "ALTER TABLE runs ADD COLUMN cancel_by {text}",
        "ALTER TABLE step_runs ADD COLUMN fingerprint {text} NOT NULL DEFAULT ''",
        """CREATE TABLE configs (
            id {text} PRIMARY KEY,
            content {text} NOT NULL
        )""",
        "CREATE INDEX runs_by_config ON runs (config_id)",
        "CREATE INDEX runs_to_cancel ON runs (daemon) WHERE cancel_at IS NOT NULL AND ended_at IS NULL",
        # What a daemon resumes it resumes once; a person may go on with a run again and again.
        "DROP INDEX runs_resume_once",
        "CREATE UNIQUE INDEX runs_resume_once ON runs (resumed_from) WHERE foreground = 0",
        "CREATE INDEX runs_by_resumed ON runs (resumed_from)",
    ),
)
"""The statements of each step; the first makes version 1."""

NEWEST = len(MIGRATIONS)
"""The version that this tasker reads and writes."""
