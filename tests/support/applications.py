"""Seven steps over twenty applications, killed at random points and resumed each time, beside an undisturbed run.

`python -m support.applications --kills 100 --seed 7`, which is `make interrupt`, does it for as long as one likes.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.command import Command, eventually, processes_with, start_tasker, write

from tasker import linux

APPLICATIONS = 20
AT_ONCE = 4
ALL = 7 * APPLICATIONS
"""Steps of all of them."""
TASK = '''
    import json
    import re
    from pathlib import Path

    from tasker import Task


    class Scan(Task):
        """Which tables each table of some SQL is made from."""

        def run(self, path: Path, output: Path) -> dict[str, str]:
            found = []
            for file in sorted(path.glob("*.sql")):
                for to, source in re.findall(r"insert into (\\S+) select \\S+ from (\\S+);", file.read_text()):
                    found.append({"to": to, "from": source, "file": file.name})
            with output.open("w") as lines:
                for each in found:
                    lines.write(json.dumps(each) + "\\n")
                    lines.flush()
            return {"file": str(output)}
'''
CONF = """
    max_parallel = {at_once}
    for_each {{ {entries} }}
    tasks = [
      {{ id = setup, name = upload, args {{ source = ${{CWD}}/sql/${{item.key}}, destination = ${{WORKSPACE}}/sql }} }}
      {{ id = scan, name = scan, args {{
          path = ${{outputs.setup.destination}}, output = ${{WORKSPACE}}/found.jsonl }} }}
      {{ id = modify, name = transform, args {{
          input = ${{outputs.scan.file}}, output = ${{WORKSPACE}}/results/tables.json, slurp = true
          query = "group_by(.to) | map({{key: .[0].to, value: map(.from)}}) | from_entries" }} }}
      {{ id = upload, name = upload, args {{
          source = ${{WORKSPACE}}/results, destination = ${{CWD}}/kept/results/${{item.key}} }} }}
      {{ id = backup, name = archive, args {{
          input_directory_path = ${{outputs.upload.destination}}
          target_file_path = ${{CWD}}/kept/backups/${{item.key}}_${{TODAY}}.tar.gz }} }}
      {{ id = clean, name = cleanup }}
      {{ id = prune, name = prune, args {{
          path = ${{CWD}}/kept/backups, pattern = ${{item.key}}"_*.tar.gz", by = name
          older_than = ${{item.days}} days }} }}
    ]
"""
OLD = "2020-01-01"


class Project:
    """A folder with the SQL of some applications, and backups of long ago."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        keys = [f"app{number:02}" for number in range(APPLICATIONS)]
        write(folder / "tasks" / "scan.py", TASK)
        entries = ", ".join(f"{key} {{ days = 30 }}" for key in keys)
        write(folder / "pipe.conf", CONF.format(at_once=AT_ONCE, entries=entries))
        for number, key in enumerate(keys):
            for file in range(1 + number % 3):
                text = "".join(f"insert into {key}.t{n} select x from {key}.s{n * file};\n" for n in range(number + 1))
                write(folder / "sql" / key / f"{file}.sql", text)
            write(folder / "kept" / "backups" / f"{key}_{OLD}.tar.gz", f"of {key}, and old")

    def once(self, *options: str) -> Command:
        """Run all of them."""
        words = ["once", "pipe.conf", "--env", "TODAY=2026-11-22", *options]
        return start_tasker(self.folder, *words, APPLICATIONS_IN=str(self.folder))

    def kept(self) -> dict[str, bytes]:
        """What there is of results and backups."""
        kept = self.folder / "kept"
        return {str(file.relative_to(kept)): file.read_bytes() for file in kept.rglob("*") if file.is_file()}

    def die(self, command: Command, chance: random.Random) -> None:
        """Kill all that belongs to the command, or the command alone, which leaves its runs to end by themselves."""
        everything = [command.process.pid, *linux.descendants(command.process.pid)]
        if chance.random() < 0.3:
            everything = everything[:1]
        for signum in (signal.SIGSTOP, signal.SIGKILL):  # none is to have the time to act on the death of another
            for pid in everything:
                linux.send(pid, signum)


@dataclass(slots=True)
class Interrupted:
    """What came of killing and resuming."""

    complaints: list[str] = field(default_factory=list)
    started: int = 0
    """Steps that were begun, again and again."""
    left_alone: int = 0
    """Steps that were not done again, as they had been."""
    lives: int = 0

    @property
    def figures(self) -> dict[str, Any]:
        """What may be told of it."""
        return {"lives": self.lives, "steps": self.started, "taken over": self.left_alone}


def interrupt(folder: Path, seed: int, kills: int) -> Interrupted:
    """Have one run that nobody disturbs, and one that is killed so often; compare what they leave."""
    chance, told, wholes = random.Random(seed), Interrupted(), 0
    whole, broken = Project(folder / "whole"), Project(folder / "broken")
    if (status := whole.once().finish().status) != 0:
        told.complaints.append(f"undisturbed, it ends with {status}")
    for _ in range(kills):
        command = broken.once("--resume")
        _live_a_while(command, chance, ALL // kills)
        broken.die(command, chance)
        wholes += _count(command, told) == 0  # it came to its end before it was killed, and begins anew
        if not eventually(lambda: not processes_with(f"APPLICATIONS_IN={broken.folder}")):
            told.complaints.append("processes are left behind")
    last = broken.once("--resume")
    if (status := _count(last, told)) != 0:
        told.complaints.append(f"resumed for the last time, it ends with {status}")
    told.complaints += _differences(whole.kept(), broken.kept())
    most = ALL * (1 + wholes) + 2 * AT_ONCE * kills  # of each run, what was under way, and what had been just before
    if told.started > most:
        told.complaints.append(f"{told.started} steps were begun, where {most} are enough")
    return told


def _live_a_while(command: Command, chance: random.Random, most: int) -> None:
    """Let it do some steps, and a little of another."""
    for _ in range(chance.randint(0, most)):
        if not command.next_of("step.succeeded"):
            return
    time.sleep(chance.uniform(0, 0.05))


def _count(command: Command, told: Interrupted) -> int:
    """Take down what it did; its exit status."""
    ended = command.finish()
    told.lives += 1
    told.started += len(ended.named("step.started"))
    told.left_alone += sum("succeeded in run" in str(each.get("reason", "")) for each in ended.named("step.skipped"))
    if ended.status not in {0, -signal.SIGKILL}:
        told.complaints.append(f"it ends with {ended.status}: {ended.stderr[-500:]} {ended.events[-1:]}")
    return ended.status


def _differences(expected: dict[str, bytes], found: dict[str, bytes]) -> list[str]:
    names = sorted({*expected, *found})
    return [f"an undisturbed run leaves other {name}" for name in names if expected.get(name) != found.get(name)]


def main() -> int:
    """Do it as the command line says; 1 where something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=None)
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if arguments.seed is None else arguments.seed
    with tempfile.TemporaryDirectory(prefix="interrupt-") as folder:
        told = interrupt(Path(folder).resolve(), seed, arguments.kills)
    print(f"seed {seed}: {json.dumps(told.figures)}")  # noqa: T201
    for complaint in told.complaints:
        print(complaint, file=sys.stderr)  # noqa: T201
    return 1 if told.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
