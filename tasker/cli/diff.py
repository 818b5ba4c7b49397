"""`tasker diff RUN [RUN]`: what changed between two runs, or between a run and its file as it is now."""

from __future__ import annotations

import difflib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasker.cli import options
from tasker.cli.named import WORDS, run_named
from tasker.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from tasker.faults import Fault
    from tasker.history import History, RunRecord
    from tasker.launching.snapshot import Snapshot

DIFFERENT = 1
"""The exit status where it is not the same, as of `diff`."""
INVALID = 2
"""That where the file as it is now has a fault."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("diff", help="what changed between two runs", description=__doc__)
    parser.add_argument("run", metavar="RUN", help=WORDS)
    parser.add_argument("other", metavar="RUN", nargs="?", help="another run; the file as it is now, if none is named")
    options.add_file_options(parser)
    options.add_history(parser)
    parser.set_defaults(command=run)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """What is compared: what a run carried out, or what it would carry out now."""

    name: str
    config: str
    """As JSON."""
    facts: Mapping[str, Any]
    """What else is told of it, where it differs."""

    @property
    def lines(self) -> list[str]:
        """The configuration as people write it."""
        from tasker.cli.formats import written  # noqa: PLC0415 - only once there is something to compare

        return written(json.loads(self.config), "hocon").splitlines()


def run(arguments: argparse.Namespace) -> int:
    """Tell the difference: 0 where there is none in what they carry out, 1 where there is."""
    from tasker.history import History  # noqa: PLC0415 - `tasker --help` needs none of it

    with History.read(options.history(arguments)) as history:
        record = run_named(history, arguments.run)
        one = _of_run(history, record)
        other = _of_run(history, run_named(history, arguments.other)) if arguments.other else None
        snapshot = _snapshot(history, record) if other is None else None
    if other is None:
        assert snapshot is not None  # noqa: S101 - as it was asked for
        other, faults = _of_file(arguments, record, snapshot)
        if other is None:
            from tasker.reports import report  # noqa: PLC0415 - only faults need it

            for line in report(faults, colour=sys.stderr.isatty()):
                print(line, file=sys.stderr)  # noqa: T201 - a command line speaks by printing
            return INVALID
    return _tell(one, other)


def _of_run(history: History, record: RunRecord) -> _Side:
    config = history.config(record.config_id) if record.config_id else None
    if config is None:
        message = f"of {record.id} it is not kept what it carried out: it was too large, or an older tasker ran it"
        raise UsageError(message)
    facts = {
        "revision": record.revision,
        "commit": record.git_commit,
        "overrides": dict(record.overrides),
        "slot": _text(record.slot),
    }
    return _Side(name=record.id, config=config, facts=facts)


def _snapshot(history: History, record: RunRecord) -> Snapshot:
    from tasker.cli.kept import snapshot_of  # noqa: PLC0415 - only for a file as it is now

    return snapshot_of(history, record)


def _of_file(
    arguments: argparse.Namespace, record: RunRecord, snapshot: Snapshot
) -> tuple[_Side | None, Sequence[Fault]]:
    """What the file of a run comes to now, with the parameters of the run; `None` where it has a fault."""
    from tasker.commits import commit_of  # noqa: PLC0415 - as above
    from tasker.folder import ConfFolder  # noqa: PLC0415
    from tasker.launching.snapshot import RecordingFolder  # noqa: PLC0415
    from tasker.pipeline import instance_of  # noqa: PLC0415
    from tasker.shown import kept  # noqa: PLC0415

    project = options.project(arguments)
    if arguments.conf_dir is None:
        project = project.within(Path(snapshot.folder))
    path = Path(snapshot.path)
    root = project.settings.folder_of(path)
    folder = RecordingFolder(ConfFolder(root))
    loaded = project.load(path, record.overrides, folder=folder, instance=instance_of(record.pipeline))
    if loaded.pipeline is None:
        return None, loaded.faults
    texts = folder.snapshot(str(path), str(root)).files
    facts = {
        "revision": loaded.pipeline.revision,
        "commit": commit_of(root, texts),
        "overrides": dict(record.overrides),
    }
    return _Side(name=snapshot.path, config=kept(loaded) or "{}", facts=facts), ()


def _tell(one: _Side, other: _Side) -> int:
    """Tell what differs; the exit status."""
    common = [name for name in one.facts if name in other.facts]
    differing = {name: (one.facts[name], other.facts[name]) for name in common if one.facts[name] != other.facts[name]}
    # As data: what is kept by another tasker may be spelt in another way.
    same = json.loads(one.config) == json.loads(other.config)
    lines = [] if same else [*difflib.unified_diff(one.lines, other.lines, one.name, other.name, lineterm="")]
    if sys.stdout.isatty():
        _print(differing, lines)
    else:
        told = {"from": one.name, "to": other.name, "same": same}
        told |= {name: {"from": before, "to": after} for name, (before, after) in differing.items()}
        print(json.dumps({**told, "diff": "\n".join(lines)}))  # noqa: T201 - the answer of the command
    return 0 if same else DIFFERENT


def _print(differing: Mapping[str, tuple[Any, Any]], lines: Sequence[str]) -> None:
    from tasker.cli.tables import print_diff  # noqa: PLC0415 - nothing of it is needed in a pipe

    print_diff({name: (_words(before), _words(after)) for name, (before, after) in differing.items()}, lines)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={text}" for name, text in value.items()) or "none"
    return "none" if value is None else str(value)


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
