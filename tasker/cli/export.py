"""`tasker export cronjobs [FILE or DIR…]`: the schedules of the files, as CronJobs of Kubernetes."""

from __future__ import annotations

import os
import re
import sys
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING

from tasker.cli import options
from tasker.cli.files import named_files
from tasker.cli.manifests import CronJob, Dressing, manifest, values, yaml
from tasker.cli.reporting import faults_of, pipelines_of, report_faults, report_unscheduled, scheduled_at
from tasker.faults import Fault, Severity
from tasker.scheduling.cronjobs import differences, timing

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator
    from datetime import timedelta

    from tasker.pipeline import Schedule
    from tasker.project import Loaded, Project
    from tasker.scheduling.cronjobs import Difference

FORMATS = ("manifests", "helm")
_LONGEST = 40
"""Characters of a CronJob's name: Kubernetes takes 52, and the chart puts the name of its release before it."""
_DIGEST = 8
"""Characters by which names that were cut differ."""
_HEAD = "# Written by `tasker export cronjobs`: edit the schedules in the files, and export them again.\n"


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("export", help="the schedules, for others to keep", description=__doc__)
    kinds = parser.add_subparsers(title="what to export", metavar="{cronjobs}", required=True)
    jobs = kinds.add_parser("cronjobs", help="CronJobs of Kubernetes", description=__doc__)
    jobs.add_argument("paths", metavar="FILE or DIR", nargs="*", default=["conf.d"], help="default: conf.d")
    words = "manifests, or values of the chart; default: manifests"
    options.add(jobs, "--format", choices=FORMATS, default=FORMATS[0], help=words)
    options.add(jobs, "--image", metavar="IMAGE", default="tasker", help="the image of manifests; default: tasker")
    words = "a ConfigMap of conf files, for manifests; again for more (default: the conf.d of the image)"
    options.add_words(jobs, "--config-map", metavar="NAME", help=words)
    words = "a Secret whose keys ${secret.NAME} reads, for manifests; again for more"
    options.add_words(jobs, "--secret", metavar="NAME", help=words)
    options.add_file_options(jobs)
    options.add_params(jobs)
    jobs.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the CronJobs of all files; none where one has a fault: who applies the list may prune what is not on it."""
    project = options.project(arguments)
    overrides = options.pairs(arguments.set, "--set")
    files = [project.load_file(file, overrides) for file in named_files(arguments.paths)]
    scheduled = [loaded for file in files for loaded in file.loaded if loaded.pipeline and loaded.pipeline.schedule]
    faults = [*faults_of(files), *_differences(scheduled, datetime.now(UTC)), *_namesakes(scheduled)]
    if status := report_faults(faults):
        return status
    report_unscheduled([each.name for each in pipelines_of(files) if each.schedule is None])
    made = [_job(project, loaded) for loaded in scheduled]
    if arguments.format == "helm":
        sys.stdout.write(_HEAD + yaml(values(made)))
        return 0
    dressing = Dressing(arguments.image, tuple(arguments.config_map), tuple(arguments.secret))
    sys.stdout.write(_HEAD + "---\n".join(yaml(manifest(job, dressing)) for job in made))
    return 0


def _job(project: Project, loaded: Loaded) -> CronJob:
    pipeline, path = loaded.pipeline, loaded.path
    assert pipeline is not None  # noqa: S101 - it has no fault
    assert pipeline.schedule is not None  # noqa: S101 - others are left out
    return CronJob(
        name=job_name(pipeline.name),
        pipeline=pipeline.name,
        file=os.path.relpath(path, project.settings.folder_of(path)),
        instance=loaded.instance,
        timing=timing(pipeline.schedule),
    )


def job_name(pipeline: str) -> str:
    """What Kubernetes can call a pipeline: small letters, digits and hyphens, not too many of them."""
    name = re.sub(r"[^a-z0-9]+", "-", pipeline.lower()).strip("-")
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - _DIGEST - 1].rstrip('-')}-{sha256(pipeline.encode()).hexdigest()[:_DIGEST]}"


def _differences(scheduled: Iterable[Loaded], now: datetime) -> Iterator[Fault]:
    """A fault for all that Kubernetes would do otherwise than tasker, each once: instances mostly share a schedule."""

    @cache
    def found(schedule: Schedule, timeout: timedelta | None) -> tuple[Difference, ...]:
        return tuple(differences(schedule, timeout=timeout, now=now))

    told = (
        _fault(loaded, difference)
        for loaded in scheduled
        if loaded.pipeline is not None and loaded.pipeline.schedule is not None
        for difference in found(loaded.pipeline.schedule, loaded.pipeline.timeout)
    )
    yield from dict.fromkeys(told)


def _fault(loaded: Loaded, difference: Difference) -> Fault:
    severity = Severity.WARNING if difference.bearable else Severity.ERROR
    return Fault("cronjob-differs", scheduled_at(loaded, difference.key), difference.message, difference.hint, severity)


def _namesakes(scheduled: Iterable[Loaded]) -> Iterator[Fault]:
    """A fault for each pipeline that Kubernetes cannot tell from one before it."""
    first: dict[str, str] = {}
    for loaded in scheduled:
        assert loaded.pipeline is not None  # noqa: S101 - it is valid
        pipeline = loaded.pipeline.name
        name = job_name(pipeline)
        if (known := first.setdefault(name, pipeline)) != pipeline:
            message = f"the CronJobs of '{known}' and of '{pipeline}' would both be called '{name}'"
            yield Fault("cronjob-differs", loaded.named_at, message, "rename one of them")
