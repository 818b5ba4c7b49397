"""Plans that nobody would think of: pipelines, and what goes wrong in their runs, made from a number."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import chain
from typing import Any

from support.values import output, value

from tasker.document.values import Object
from tasker.pipeline import LateArgument, OnFailure, Pipeline, Retry, Step

TASKS, ON_FAILURE, ON_SUCCESS, FINALLY = "tasks", "on_failure", "on_success", "finally"
SECRET = "hunter2-hunter2"
_FINEST = 1 << 20
"""All moments are binary fractions of a second, so that sums of them are exact. Moments of different kinds have odd
numbers of different fractions: what comes first is never open."""


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step, as the contract sees it."""

    id: str
    needs: tuple[str, ...] = ()
    reads: str = ""
    """The step whose output it is given."""
    when: bool = True
    attempts: int = 1
    delay: float = 0.0
    timeout: float = 0.0
    stops: bool = True
    """Whether nothing more starts once it has failed."""
    tells_secret: bool = False
    """Whether what it hands on is masked, and of no use to another run."""


@dataclass(frozen=True, slots=True)
class Mishaps:
    """What happens in one run from outside."""

    stops: tuple[float, ...] = ()
    """When it is asked to stop."""
    killed_at_fact: int = 0
    """Of what it tells, the one with which it is killed; 0 for never."""
    unwritten: bool = False
    """Whether it is killed before that was written down, not after it."""
    edited: frozenset[str] = frozenset()
    """The steps whose arguments are edited before this run."""
    chosen: tuple[str, ...] = ()
    """The steps from which on it is to run, as by `--from`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A pipeline, and its runs, each of which resumes the one before it."""

    seed: int
    phases: dict[str, tuple[PlannedStep, ...]]
    max_parallel: int
    timeout: float
    grace: float
    runs: tuple[Mishaps, ...]
    by_id: dict[str, PlannedStep] = field(repr=False)

    def step(self, step_id: str) -> PlannedStep:
        return self.by_id[step_id]

    def pipeline(self, editions: dict[str, int]) -> Pipeline:
        """The pipeline itself; steps have an argument that tells their edition."""
        made = {
            phase: tuple(_step(step, editions.get(step.id, 0)) for step in self.phases[phase]) for phase in self.phases
        }
        return Pipeline(
            name="p",
            steps=made[TASKS],
            on_failure=made[ON_FAILURE],
            on_success=made[ON_SUCCESS],
            finally_=made[FINALLY],
            max_parallel=self.max_parallel,
            timeout=timedelta(seconds=self.timeout) if self.timeout else None,
            secrets=frozenset({SECRET}),
        )


def _step(step: PlannedStep, edition: int) -> Step:
    given: dict[str, Any] = {"edition": edition, **({"read": output(step.reads, "n")} if step.reads else {})}
    arguments: dict[str, Any] = {"edition": edition}
    if step.reads:
        arguments["read"] = LateArgument(output(step.reads, "n"), int)
    shown = value(given)
    assert isinstance(shown, Object)
    return Step(
        id=step.id,
        task="planned",
        needs=step.needs,
        when=step.when,
        arguments=arguments,
        given=shown,
        timeout=timedelta(seconds=step.timeout) if step.timeout else None,
        retry=Retry(attempts=step.attempts, delay=timedelta(seconds=step.delay), backoff=2),
        on_failure=OnFailure.STOP if step.stops else OnFailure.CONTINUE,
    )


def plan(seed: int, *, timed: bool = True) -> Plan:
    """The plan that a number stands for; where it is not `timed`, nothing in it depends on how long things take."""
    chance = random.Random(seed)
    counts = {TASKS: chance.randint(1, 7)} | {each: chance.choice((0, 1, 1, 2)) for each in (ON_FAILURE, ON_SUCCESS)}
    counts[FINALLY] = chance.choice((0, 1, 1, 2, 3))
    phases = {phase: _steps(chance, phase, count, timed=timed) for phase, count in counts.items()}
    ids = [step.id for step in phases[TASKS]]
    runs = [_mishaps(chance, ids, timed=timed, first=not number) for number in range(chance.choice((1, 2, 3, 4)))]
    return Plan(
        seed=seed,
        phases=phases,
        max_parallel=chance.choice((1, 2, 3, 4)),
        timeout=_odd(chance, 20, 64) if timed and chance.random() < 0.2 else 0.0,
        grace=chance.choice((0.5, 1.0, 4.0)),
        runs=(*runs, Mishaps()),
        by_id={step.id: step for step in chain.from_iterable(phases.values())},
    )


def _steps(chance: random.Random, phase: str, count: int, *, timed: bool) -> tuple[PlannedStep, ...]:
    steps: list[PlannedStep] = []
    for number in range(count):
        earlier = [step.id for step in steps]
        needs = tuple(chance.sample(earlier, chance.randint(0, min(2, len(earlier)))))
        steps.append(
            PlannedStep(
                id=f"{phase}-{number}",
                needs=needs,
                reads=chance.choice(needs) if needs and chance.random() < 0.5 else "",
                when=chance.random() < 0.9,
                attempts=chance.choice((1, 1, 2, 3)),
                delay=chance.choice((0.0, 0.5, 2.0)) if timed else 0.0,
                timeout=_odd(chance, 6, 32) if timed and chance.random() < 0.3 else 0.0,
                stops=chance.random() < 0.6,
                tells_secret=phase == TASKS and chance.random() < 0.1,
            )
        )
    return tuple(chance.sample(steps, len(steps)))


def _mishaps(chance: random.Random, ids: list[str], *, timed: bool, first: bool) -> Mishaps:
    mishaps = Mishaps()
    if timed and chance.random() < 0.35:
        stop = _odd(chance, 12, _FINEST)
        again = (stop + _odd(chance, 4, _FINEST // 2),) if chance.random() < 0.2 else ()
        mishaps = replace(mishaps, stops=(stop, *again))
    if chance.random() < 0.5:
        mishaps = replace(mishaps, killed_at_fact=chance.randint(1, 25), unwritten=chance.random() < 0.5)
    if not first and chance.random() < 0.3:
        mishaps = replace(mishaps, edited=frozenset(chance.sample(ids, 1)))
    if not first and chance.random() < 0.15:
        mishaps = replace(mishaps, chosen=tuple(chance.sample(ids, 1)))
    return mishaps


def _odd(chance: random.Random, most: int, parts: int) -> float:
    """A number of seconds with an odd number of such parts; of 64 or less, a duration is exact as well."""
    return chance.randrange(1, most * parts, 2) / parts
