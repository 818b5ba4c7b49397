"""Plans carried out with real processes: their runs are killed at some moment, and resumed from what they had told.

`python -m support.resuming --count 1000 --seed 7` does it for as many as one likes: it is the second half of
`make plans`. A program of its own has little memory to copy whenever it forks.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import structlog  # noqa: F401 - where runs are logged it is there, and no step has to import it
from support.contract import Judge, Past
from support.histories import claim, opened
from support.plans import SECRET, TASKS, Plan, plan
from support.runs import NOON, Tasks
from support.trying import from_on, learn

from tasker import Task, linux
from tasker.facts import Event, Fact
from tasker.history import History, RunStatus
from tasker.journal import Journal, read
from tasker.running.chosen import Chosen
from tasker.running.earlier import Earlier
from tasker.running.process import Leftovers
from tasker.running.runner import Occasion, Runner
from tasker.running.stop import StopRequest

_LONGEST_S = 60.0
"""Seconds after which a run that goes on is a failure."""
_LATE = 12
"""A run that is to be killed with a later fact than this one is killed at some moment, wherever it has come by then."""


def does(made: Plan, task: Task) -> Any:
    """Say that it was here, take its time, and answer, fail or die, as the plan has it."""
    told = task.context
    with (told.workspace / "marks").open("a", encoding="utf-8") as marks:
        marks.write(f"{told.run_id} {told.step}\n")
    chance = random.Random(f"{made.seed}/{told.run_id}/{told.step}/{told.attempt}")
    time.sleep(chance.random() * 0.01)
    if chance.random() < 0.1:
        os._exit(3)
    secret = {"key": SECRET} if made.step(told.step).tells_secret else {}
    return chance.random() < 0.8 and {"n": chance.randrange(1000), **secret}


def try_out(made: Plan, folder: Path) -> int:
    """Carry out all runs of a plan, each of which resumes the one before; how many steps began."""
    chance = random.Random(made.seed)
    tasks = Tasks().add("planned", lambda task, **_given: does(made, task))
    past, editions = Past(), {step.id: 0 for step in made.phases[TASKS]}
    leftovers = Leftovers()
    with opened(folder / "state") as history:
        for number, mishaps in enumerate(made.runs):
            for each in mishaps.edited:
                editions[each] += 1
            earlier = resumed(history, number)
            known = {each for each in (earlier.steps if earlier else ()) if each in editions}
            assert known == {*past.done_as}, f"the history knows of {known}, and it is {past.done_as}"
            run = partial(carry_out, made, number, editions, tasks, earlier, folder)
            ended_by_itself = end_of(run, chance.random() * 0.2 if mishaps.killed_at_fact > _LATE else _LONGEST_S)
            leftovers.kill(set())
            facts = list(read(folder / f"r{number}.jsonl"))
            assert not ended_by_itself or facts[-1].event in {Event.RUN_SUCCEEDED, Event.RUN_FAILED}
            chosen = from_on(made, mishaps.chosen) if mishaps.chosen else None
            follow(Judge(made, dict(editions), past, chosen, exact=False), facts)
            learn(past, number, facts, made, editions)
            history.replay(facts)
    return compare(folder)


def resumed(history: History, number: int) -> Earlier | None:
    """What a run may take over, which the history knows of from now on: the first one by its claim."""
    if not number:
        history.claim([claim("r0", pipeline="p")])
        return None
    history.end(f"r{number - 1}", RunStatus.INTERRUPTED, "it was killed", NOON)
    history.resume(f"r{number - 1}", f"r{number}", NOON)
    return history.earlier(f"r{number - 1}")


def compare(folder: Path) -> int:
    """What runs have told of their steps is what happened; how many steps began."""
    facts = [fact for path in folder.glob("*.jsonl") for fact in read(path)]
    started = Counter((str(each.run_id), str(each.step)) for each in facts if each.event == Event.STEP_STARTED)
    done = Counter((str(each.run_id), str(each.step)) for each in facts if each.event == Event.STEP_SUCCEEDED)
    marks = folder / "marks"
    lines = marks.read_text(encoding="utf-8").splitlines() if marks.exists() else []
    there = Counter((run, step) for run, step in map(str.split, lines))
    # Of a step that was told to start, the process may have been killed before it was there; not the other way round.
    assert not there - started, "a step was there that nobody had told to start"
    assert not done - there, "a step succeeded that never was there"
    assert max(done.values(), default=1) == 1, "a step succeeded twice in a run"
    return started.total()


def follow(judge: Judge, facts: list[Fact]) -> None:
    """Have what a run has told judged."""
    for fact in facts:
        step = str(fact.step)
        match fact.event:
            case Event.STEP_STARTED:
                judge.starts(0, step, fact.attempt or 0)
            case Event.STEP_SUCCEEDED | Event.STEP_RETRYING | Event.STEP_FAILED:
                judge.ends(0, step, well=fact.event == Event.STEP_SUCCEEDED)
            case Event.RUN_SUCCEEDED | Event.RUN_FAILED:
                judge.ended(0, well=fact.event == Event.RUN_SUCCEEDED)
                judge.finishes()


def end_of(run: Any, patience_s: float) -> bool:
    """Carry out a run in a process of its own, which is killed when one has been patient for so long; if it was not."""
    pid = os.fork()
    if pid == 0:
        try:
            run()
        finally:
            os._exit(0)
    linux.wait(pid, patience_s)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    assert patience_s < _LONGEST_S or status in {0, signal.SIGKILL}
    return status == 0


def carry_out(
    made: Plan, number: int, editions: dict[str, int], tasks: Tasks, earlier: Earlier | None, folder: Path
) -> None:
    """Carry out a run, which kills itself with one of the facts that it tells."""
    mishaps, facts = made.runs[number], 0

    def kill(_fact: Fact) -> None:
        nonlocal facts
        facts += 1
        if facts == mishaps.killed_at_fact <= _LATE:
            os.kill(os.getpid(), signal.SIGKILL)

    with Journal(folder / f"r{number}.jsonl") as journal:
        Runner(
            made.pipeline(editions),
            Occasion(
                run_id=f"r{number}",
                slot=NOON,
                workspace=folder,
                earlier=earlier,
                chosen=Chosen(from_=mishaps.chosen) if mishaps.chosen else None,
            ),
            tasks=tasks.registry,
            stop=StopRequest(),
            observers=[kill, journal.write] if mishaps.unwritten else [journal.write, kill],
            code=lambda _task: "code",
        ).run()


def main() -> int:
    """Try out plans; 1 where one breaks the contract."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    began, steps = time.monotonic(), 0
    for seed in range(arguments.seed, arguments.seed + arguments.count):
        made = plan(seed, timed=False)
        with tempfile.TemporaryDirectory() as folder:
            try:
                steps += try_out(made, Path(folder))
            except AssertionError as error:
                print(f"plan {seed}: {error}\n{made}", file=sys.stderr)  # noqa: T201 - a program of its own
                raise
    took = time.monotonic() - began
    print(f"{arguments.count} plans, {steps} real steps: as the contract says, in {took:.1f} s")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
