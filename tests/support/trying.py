"""Plans carried out by the runner, on a machine on which nothing takes any time, and judged by the contract.

`python -m support.trying --count 100000 --seed 7`, which is `make plans`, does it for as many as one likes. What is
found wrong is told with the number of its plan, which `--count 1 --seed NUMBER` tries again.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from support.contract import Judge, Past
from support.plans import SECRET, TASKS, Plan, plan
from support.runs import NOON, Tasks
from support.simulated import Process, Script, SimulatedMachine, Stop

from tasker.facts import Event, Fact
from tasker.pipeline import Pipeline
from tasker.run import Run, Status, StepRun
from tasker.running.chosen import Chosen
from tasker.running.earlier import Earlier
from tasker.running.runner import Occasion, Runner
from tasker.running.worker import Job

_TASKS = Tasks(planned=lambda _task: None).registry


class Killed(BaseException):
    """The process of the run is gone."""


@dataclass
class Journals:
    """What the runs of a plan have told before they were killed, the newest last; and what follows from it."""

    runs: list[list[Fact]] = field(default_factory=list)

    def earlier(self) -> Earlier | None:
        """What the next run may take over, as the history would have it."""
        ran_in: dict[str, int] = {}
        steps: dict[str, StepRun] = {}
        for number, facts in enumerate(self.runs):
            for fact in facts:
                if fact.event == Event.STEP_STARTED:
                    ran_in[str(fact.step)] = number
                    steps.pop(str(fact.step), None)
                elif fact.event == Event.STEP_SUCCEEDED and not fact.details.get("outputs_masked"):
                    steps[str(fact.step)] = _step_run(fact)
        return Earlier(run_id=f"r{len(self.runs) - 1}", steps=steps, ran_in=ran_in) if self.runs else None


def _step_run(fact: Fact) -> StepRun:
    told = fact.details
    return StepRun(
        step=str(fact.step),
        task=str(fact.task),
        status=Status.SUCCEEDED,
        outputs=told.get("outputs", {}),
        fingerprint=told.get("fingerprint", ""),
    )


def learn(past: Past, number: int, facts: Iterable[Fact], plan: Plan, editions: Mapping[str, int]) -> None:
    """What the contract knows of a run that has ended or was killed: what it had told."""
    for fact in facts:
        step = str(fact.step)
        if fact.event == Event.STEP_STARTED and step in editions:
            past.ran_in[step] = number
            past.done_as.pop(step, None)
        elif fact.event == Event.STEP_SUCCEEDED and step in editions and not plan.step(step).tells_secret:
            past.done_as[step] = editions[step]


def from_on(plan: Plan, chosen: Iterable[str]) -> set[str]:
    """These steps, and all that need them, directly or not."""
    found = set(chosen)
    while more := {step.id for step in plan.phases[TASKS] if found & {*step.needs}} - found:
        found |= more
    return found


def try_out(plan: Plan) -> int:
    """Carry out all runs of a plan, each of which resumes the one before; how many processes there were."""
    past, journals = Past(), Journals()
    editions = dict.fromkeys((step.id for step in plan.phases[TASKS]), 0)
    processes = 0
    for number, mishaps in enumerate(plan.runs):
        for each in mishaps.edited:
            editions[each] += 1
        chosen = from_on(plan, mishaps.chosen) if mishaps.chosen else None
        trial = Trial(plan, number, editions, Judge(plan, editions, past, chosen))
        trial.carry_out(plan.pipeline(editions), journals.earlier())
        journals.runs.append(trial.told)
        learn(past, number, trial.told, plan, editions)
        processes += trial.machine.processes
    return processes


class Trial:
    """One run of a plan."""

    def __init__(self, plan: Plan, number: int, editions: Mapping[str, int], judge: Judge) -> None:
        self._plan = plan
        self._number = number
        self._editions = editions
        self._judge = judge
        self._mishaps = plan.runs[number]
        self.told: list[Fact] = []
        chance = random.Random(f"{plan.seed}/{number}")
        self.machine = SimulatedMachine(self._script, chance.shuffle, self._ended)

    def carry_out(self, pipeline: Pipeline, earlier: Earlier | None) -> None:
        stop = Stop(list(self._mishaps.stops), lambda: self._judge.asked_to_stop(self.machine.time))
        occasion = Occasion(
            run_id=f"r{self._number}",
            slot=NOON,
            workspace=Path("/nowhere"),
            earlier=earlier,
            chosen=Chosen(from_=self._mishaps.chosen) if self._mishaps.chosen else None,
        )
        runner = Runner(
            pipeline,
            occasion,
            tasks=_TASKS,
            stop=cast(Any, stop),
            observers=[self._observe],
            machine=cast(Any, self.machine),
            grace_s=self._plan.grace,
            code=lambda _task: "code",
        )
        try:
            self._agree(runner.run())
        except Killed:
            self._judge = cast(Any, None)
        finally:
            self.machine.close()

    def _agree(self, run: Run) -> None:
        self._judge.ended(self.machine.time, well=run.status is Status.SUCCEEDED)
        self._judge.finishes()

    def _observe(self, fact: Fact) -> None:
        """Write down what is told, until it is killed with it."""
        last = len(self.told) + 1 == self._mishaps.killed_at_fact
        if not last or not self._mishaps.unwritten:
            self.told.append(fact)
        if last:
            self.machine.dead = True
            raise Killed

    def _script(self, job: Job) -> Script:
        step, number = job.step.id, job.context.attempt
        chance = random.Random(f"{self._plan.seed}/{self._number}/{step}/{number}")
        self._judge.starts(self.machine.time, step, number)
        if chance.random() < 0.03:
            self._judge.ends(self.machine.time, step, well=False)
            raise OSError(11, "there is no process to be had")
        return script(chance, tells_secret=self._plan.step(step).tells_secret)

    def _ended(self, process: Process) -> None:
        well = not process.killed_by and process.script.answer is not None and "outputs" in process.script.answer
        self._judge.ends(self.machine.time, process.job.step.id, well=well)


def script(chance: random.Random, *, tells_secret: bool) -> Script:
    """What an attempt does."""
    answers: list[Mapping[str, Any] | None] = [
        {"outputs": {"n": chance.randrange(1000), **({"key": SECRET} if tells_secret else {})}},
        {"error": "out of luck"},
        None,
    ]
    (answer,) = chance.choices(answers, (70, 20, 10))
    heeds = chance.choice((0.0, 0.0, chance.randrange(1, 1 << 21) / (1 << 20), None))
    return Script(chance.randrange(1, 1 << 22) / (1 << 20), answer, heeds)


def main() -> int:
    """Try out plans; 1 where one breaks the contract."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    began, processes = time.monotonic(), 0
    for seed in range(arguments.seed, arguments.seed + arguments.count):
        made = plan(seed)
        try:
            processes += try_out(made)
        except AssertionError as error:
            print(f"plan {seed}: {error}\n{made}", file=sys.stderr)  # noqa: T201 - a program of its own
            return 1
    took = time.monotonic() - began
    print(f"{arguments.count} plans, {processes} processes: as the contract says, in {took:.1f} s")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
