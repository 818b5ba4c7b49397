"""`tasker once FILE…`: validate and run now, in the foreground."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasker.cli import options, telling
from tasker.errors import UsageError
from tasker.faults import Severity

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from tasker.faults import Fault
    from tasker.foreground.planning import Wish
    from tasker.pipeline import Pipeline
    from tasker.running.chosen import Chosen
    from tasker.running.earlier import Earlier

_LAST = "last"
"""What may stand for the last run where a run is named."""
_RUN = re.compile(rf"{_LAST}|\d{{1,8}}(T(\d{{1,6}}(-[0-9a-f]*)?)?)?")
"""How the id of a run begins."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("once", help="validate and run now, in the foreground", description=__doc__)
    parser.add_argument("files", metavar="FILE", nargs="*", help="a conf file; several run one after the other")
    options.add_flag(parser, "--dry-run", help="validate, and show what would run in which order")
    instance = "of a file with for_each, only this one; again for more"
    options.add_words(parser, "--instance", metavar="KEY", help=instance)
    parser.add_argument(
        "--resume",
        metavar="RUN",
        nargs="?",
        const=_LAST,
        default=_resume_by_variable(),
        help="go on with the last run, where it did not succeed, or with the one whose id begins so [TASKER_RESUME]",
    )
    from_ = "only this step and all that need it; outputs of others are those of the last run; again for more"
    options.add_words(parser, "--from", metavar="ID", help=from_)
    options.add_words(parser, "--only", metavar="ID", help="only this step, likewise; again for more")
    schedule = "what has started this, as '15 2 * * 1-5 UTC': a file that says another schedule is refused; none: any"
    options.add(parser, "--on-schedule", metavar="'CRON ZONE'", help=schedule)
    options.add_file_options(parser)
    options.add_params(parser)
    options.add_run_options(parser)
    options.add_history(parser, optional=True)
    parser.set_defaults(command=run)


def _resume_by_variable() -> str | None:
    """What the variable says: yes, no, or which run."""
    said = os.environ.get("TASKER_RESUME", "")
    wanted = options.SWITCH.get(said.lower())
    return said if wanted is None else _LAST if wanted else None


def run(arguments: argparse.Namespace) -> int:
    """Validate all files, then run them; nothing runs where one has a fault."""
    from tasker.foreground.planning import planned, read  # noqa: PLC0415 - `tasker --help` needs none of it

    paths, wish = wished(arguments)
    project = options.project(arguments)
    files, faults = read(project, paths, wish)
    if arguments.on_schedule:
        from tasker.cli.on_schedule import disagreements  # noqa: PLC0415 - only CronJobs say so

        faults += disagreements(arguments.on_schedule, chain.from_iterable(each.wanted for each in files))
    people = telling.is_for_people(arguments)
    telling.tell_faults([*project.catalogue.discovery.faults, *faults], people=people)
    if _is_error(faults):
        return 2
    plan = planned(project, files, wish, options.place(arguments), datetime.now(UTC))
    telling.tell_faults([fault for fault in plan.faults if fault not in faults], people=people)
    if _is_error(plan.faults):
        return 2
    manner = telling.manner(arguments)
    for fact in plan.told:
        manner.tell(fact)
    if arguments.dry_run:
        for run in chain.from_iterable(plan.files):
            _show_plan(run.pipeline, wish.chosen, run.loaded.occasion.earlier)
        return 0
    from tasker.foreground.carrying_out import carry_out  # noqa: PLC0415 - a dry run needs none of it

    return carry_out(project, plan.files, manner)


def wished(arguments: argparse.Namespace) -> tuple[list[Path], Wish]:
    """The files, and what is wanted of them; raises `UsageError`."""
    from tasker.foreground.planning import Wish  # noqa: PLC0415 - as above
    from tasker.running.chosen import Chosen  # noqa: PLC0415 - as above

    files, resume = list(arguments.files), arguments.resume or None
    if resume is not None and not _RUN.fullmatch(resume):
        files, resume = [resume, *files], _LAST  # `--resume FILE`: the option's value is one that may be left out
    if not files:
        message = "a conf file is wanted: tasker once FILE…"
        raise UsageError(message)
    for file in files:
        _check(Path(file))
    chosen = Chosen(from_=tuple(getattr(arguments, "from")), only=tuple(arguments.only))
    return [Path(file) for file in files], Wish(
        overrides=options.pairs(arguments.set, "--set"),
        instances=tuple(arguments.instance),
        resume="" if resume == _LAST else resume,
        chosen=chosen if chosen.from_ or chosen.only else None,
    )


def _check(file: Path) -> None:
    """Raise `UsageError` where this is no file, but something that a person may take for one."""
    if file.is_dir():
        message = (
            f"{file} is a folder: `tasker once FILE…` runs its files, and `tasker watch {file}` all as they are due"
        )
        raise UsageError(message)
    if not file.exists() and (file.parent.is_file() or not file.suffix):
        message = (
            f"there is no file {file}; a pipeline is run by its file: tasker once FILE, with `for_each` --instance KEY"
        )
        raise UsageError(message)


def _is_error(faults: Sequence[Fault]) -> bool:
    return any(fault.severity is Severity.ERROR for fault in faults)


def _show_plan(pipeline: Pipeline, chosen: Chosen | None, earlier: Earlier | None) -> None:
    """Print the steps, hooks last, one JSON object a line, in an order in which they could run one by one."""
    import json  # noqa: PLC0415 - only for a dry run
    from graphlib import TopologicalSorter  # noqa: PLC0415

    from tasker.document.values import plain  # noqa: PLC0415
    from tasker.pipeline import Phase  # noqa: PLC0415

    ids = chosen.steps(pipeline) if chosen is not None else None
    for phase, steps in pipeline.phases.items():
        for step_id in TopologicalSorter({step.id: step.needs for step in steps}).static_order():
            if ids is not None and phase is Phase.TASKS and step_id not in ids:
                continue
            step = pipeline.step(step_id)
            told: dict[str, Any] = {"pipeline": pipeline.name, "step": step.id, "task": step.task, "needs": step.needs}
            told |= {"hook": phase} if phase in pipeline.hooks else {}
            if chosen is None and earlier is not None and step_id in earlier.steps:
                told["succeeded_before"] = True  # whether it is as it was only the run can tell
            told |= {"args": plain(step.given, masked=True) if step.given is not None else {}}
            print(json.dumps(told, ensure_ascii=False, default=str))  # noqa: T201 - the answer of the command
