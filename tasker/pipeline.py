"""The immutable plan that a valid conf file comes to: `Pipeline`, its `Step`s, its `Schedule`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from tasker.document.values import Object, Value

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Names of pipelines stand in file names, labels of metrics and the names of Kubernetes objects."""
NAME_RULE = "letters, digits, '.', '_' and '-', beginning with a letter or digit; at most 100"
_OF_INSTANCE = "/"
"""What stands between the name of a file's pipelines and the key of one of them."""
DEFAULT_MAX_PARALLEL = 4
"""Steps of a run that run at once where the file does not say: they wait for networks more than for cores."""


class Overlap(StrEnum):
    """What becomes of a slot that comes due while the pipeline's last run is still going."""

    SKIP = "skip"
    QUEUE = "queue"
    ALLOW = "allow"
    REPLACE = "replace"


class Catchup(StrEnum):
    """Which of the slots missed while nothing was running are made up for."""

    LATEST = "latest"
    ALL = "all"
    NONE = "none"


class OnFailure(StrEnum):
    """Whether a run goes on to later steps after a step has failed; the run has failed either way."""

    STOP = "stop"
    CONTINUE = "continue"


class Resume(StrEnum):
    """Whether a run that broke off is taken up again where it broke off."""

    AUTO = "auto"
    NEVER = "never"


class Keep(StrEnum):
    """Of which runs the workspace is kept when they have ended."""

    FAILURE = "failure"
    ALWAYS = "always"
    NEVER = "never"


class Phase(StrEnum):
    """A list of steps in the file, and the part of a run in which they are done; all but `tasks` are hooks."""

    TASKS = "tasks"
    ON_FAILURE = "on_failure"
    ON_SUCCESS = "on_success"
    FINALLY = "finally"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a pipeline is due."""

    cron: tuple[str, ...]
    timezone: str = "UTC"
    overlap: Overlap = Overlap.SKIP
    catchup: Catchup = Catchup.LATEST
    deadline: timedelta | None = None
    """How late a slot may start; later, it is missed."""
    jitter: timedelta = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """Whether the workspace of a run is kept when it has ended, and for how long."""

    keep: Keep = Keep.FAILURE
    for_: timedelta | None = timedelta(days=7)
    """`None` for ever."""

    def keeps(self, *, bad: bool) -> bool:
        """Whether that of a run is kept that has ended well or badly."""
        return self.keep is Keep.ALWAYS or (bad and self.keep is Keep.FAILURE)

    def until(self, now: datetime) -> datetime | None:
        """When what is kept from now on may go; `None` for never."""
        try:
            return now + self.for_ if self.for_ is not None else None
        except OverflowError:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often, and after which waits, a failed step is tried again."""

    attempts: int = 1
    """Tries in all, the first one included."""
    delay: timedelta = timedelta(seconds=1)
    backoff: float = 1.0
    """What each wait is multiplied with to give the next."""
    max_delay: timedelta = timedelta(hours=1)

    def wait(self, attempt: int) -> timedelta:
        """The time to wait after the failure of `attempt`, which counts from one."""
        longest = self.max_delay.total_seconds()
        try:
            seconds = self.delay.total_seconds() * self.backoff ** (attempt - 1)
        except OverflowError:
            seconds = longest
        return timedelta(seconds=min(seconds, longest))


@dataclass(frozen=True, slots=True)
class LateArgument:
    """An argument with references in it: converted when a run knows what these stand for."""

    value: Value
    annotation: Any
    spared: bool = False
    """Whether it can be left out, where it comes to nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One entry of a pipeline's `tasks`, or of its hooks: a task, with its arguments."""

    id: str
    task: str
    arguments: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """What `run()` is called with: converted, or `LateArgument`."""
    given: Object | None = None
    """The arguments as the file has them, for showing."""
    needs: tuple[str, ...] = ()
    """Ids of the steps that must have ended before this one starts."""
    when: bool | LateArgument = True
    timeout: timedelta | None = None
    retry: Retry = Retry()
    on_failure: OnFailure = OnFailure.STOP


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """One conf file, validated."""

    name: str
    steps: tuple[Step, ...]
    """The entries of `tasks`."""
    on_failure: tuple[Step, ...] = ()
    """Done after the steps where one has failed, or the run was stopped or timed out."""
    on_success: tuple[Step, ...] = ()
    """Done after the steps where all is well."""
    finally_: tuple[Step, ...] = ()
    """Done at the end, whatever happened."""
    revision: str = ""
    description: str = ""
    owner: str = ""
    schedule: Schedule | None = None
    params: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    timeout: timedelta | None = None
    max_parallel: int = DEFAULT_MAX_PARALLEL
    resume: Resume = Resume.AUTO
    workspace: Keeping = Keeping()
    """What becomes of the workspaces of its runs."""
    secrets: frozenset[str] = frozenset()
    """Values that may appear in no log, page or history."""
    file: str = ""
    """The conf file, as shown to people."""
    instance: str | None = None
    """The key of the entry of `for_each` that the pipeline was made for."""

    @property
    def phases(self) -> Mapping[Phase, tuple[Step, ...]]:
        """The steps of each phase."""
        lists = self.steps, self.on_failure, self.on_success, self.finally_
        return MappingProxyType(dict(zip(Phase, lists, strict=True)))

    @property
    def hooks(self) -> Mapping[Phase, tuple[Step, ...]]:
        """The steps of each phase but `tasks`."""
        return {phase: steps for phase, steps in self.phases.items() if phase is not Phase.TASKS}

    def step(self, step_id: str) -> Step:
        """The step with this id, which may be a hook; raises `KeyError`."""
        for step in chain.from_iterable(self.phases.values()):
            if step.id == step_id:
                return step
        raise KeyError(step_id)


def instance_name(base: str, key: str | None) -> str:
    """The name of the pipeline that a file named `base` makes for the entry `key` of its `for_each`."""
    return base if key is None else f"{base}{_OF_INSTANCE}{key}"


def base_name(name: str) -> str:
    """Of a pipeline's name, the part that its file has to itself."""
    return name.partition(_OF_INSTANCE)[0]


def instance_of(name: str) -> str | None:
    """The key of the instance that a pipeline's name tells, or `None` where its file has no `for_each`."""
    return name.partition(_OF_INSTANCE)[2] or None
