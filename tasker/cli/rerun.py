"""`tasker rerun RUN`: repeat what ran then, now and in the foreground: from its texts, with its parameters and slot."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tasker.cli import options, telling
from tasker.cli.named import WORDS, run_named

if TYPE_CHECKING:
    import argparse

    from tasker.history import RunRecord
    from tasker.launching.snapshot import Snapshot
    from tasker.project import Loaded, Project


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("rerun", help="repeat what ran then, in the foreground", description=__doc__)
    parser.add_argument("run", metavar="RUN", help=WORDS)
    options.add_surroundings(parser)
    options.add_params(parser)
    options.add_run_options(parser)
    options.add_history(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Repeat a run; its exit status."""
    from tasker.cli.kept import snapshot_of  # noqa: PLC0415 - `tasker --help` needs none of it
    from tasker.foreground.carrying_out import carry_out  # noqa: PLC0415
    from tasker.foreground.planned import Planned  # noqa: PLC0415
    from tasker.history import History  # noqa: PLC0415

    with History.read(options.history(arguments)) as history:
        record = run_named(history, arguments.run)
        snapshot = snapshot_of(history, record)
    now = datetime.now(UTC)
    overrides = {**record.overrides, **options.pairs(arguments.set, "--set")}
    project = options.project(arguments).within(Path(snapshot.folder))
    loaded = _loaded(project, record, snapshot, overrides, now)
    telling.tell_faults([*project.catalogue.discovery.faults, *loaded.faults], people=telling.is_for_people(arguments))
    if loaded.pipeline is None:
        return 2
    if loaded.pipeline.revision != record.revision:
        print(  # noqa: T201 - a command line speaks by printing
            f"tasker: this is not quite what ran then: revision {loaded.pipeline.revision}, not {record.revision}, "
            "as a variable or a parameter is another now",
            file=sys.stderr,
        )
    planned = Planned(loaded=loaded, snapshot=snapshot, at=now, overrides=overrides)
    return carry_out(project, [[planned]], telling.manner(arguments))


def _loaded(
    project: Project, record: RunRecord, snapshot: Snapshot, overrides: dict[str, str], now: datetime
) -> Loaded:
    from tasker.launching.snapshot import SnapshotFolder  # noqa: PLC0415 - as above
    from tasker.pipeline import instance_of  # noqa: PLC0415
    from tasker.run import new_run_id  # noqa: PLC0415

    occasion = project.occasion(new_run_id(now), record.slot, snapshot=snapshot.id)
    return project.load(
        Path(snapshot.path),
        overrides,
        folder=SnapshotFolder(snapshot),
        occasion=occasion,
        instance=instance_of(record.pipeline),
    )
