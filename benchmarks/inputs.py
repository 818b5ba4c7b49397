"""What the contestants are given: the same work for tasker and for its peer, and a folder of realistic files."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = 200
TOTAL_BYTES = 1024 * 1024
"""What a ConfigMap can hold."""

HUNDRED = 100
APPLICATIONS = 200
AT_ONCE = 8
LAYERS = 10
WIDTH = 10
NAP_S = 0.1

NOOP_TASK = """from tasker import Task


class Noop(Task):
    def run(self, sql: str = "") -> bool:
        return True
"""

_NAP_TASK = f"""import time
from tasker import Task


class Nap(Task):
    def run(self) -> None:
        time.sleep({NAP_S})
"""

_NOOP_STEP = """def run_step(context):
    pass
"""

_DEFAULTS = """
owner = data-platform
region = ap-southeast-2
defaults { retries { attempts = 3, delay = 10s, backoff = 2 } }
timeout = 2h
"""

_HEADER = """include "_defaults.conf"

# {name}: what comes in over night is checked, packed and moved on.
name = {name}
description = "Nightly intake of {name}, in "${{region}}
schedule {{
  cron = "{minute} {hour} * * 1-5"
  timezone = Australia/Sydney
  overlap = skip
}}
params {{ days = {days}, label = "{name}" }}
base = "/srv/"${{region}}"/{name}"
landing = ${{base}}/landing
tasks = [
"""

_STEPS = (
    """  {{
    id = list-{number}
    name = shell_script
    args {{ command = find, arguments = [${{landing}}/{word}, "-name", "*.csv", "-mtime", "-"${{params.days}}] }}
    timeout = {minutes}m
  }}
""",
    """  {{ id = check-{number}, name = shell_script, args {{
      command = "/usr/bin/env"   // no shell is needed
      arguments = ["python3", "-m", "json.tool", ${{landing}}"/{word}.json"]
      environment {{ LABEL = ${{params.label}}, STAGE = "{word}" }}
  }} }}
""",
    """  {{
    # kept for an audit
    id = pack-{number}
    name = archive
    args {{
      input_directory_path = ${{landing}}/{word}
      target_file_path = ${{base}}"/archive/{word}-"${{TODAY}}".tar.gz"
    }}
    retries {{ attempts = 5, delay = 30s }}
  }}
""",
)

_WORDS = ("orders", "invoices", "customers", "ledger", "stock", "shipments", "returns", "payroll", "leads", "assets")


def write_runs(folder: Path) -> None:
    """One no-op step, and a hundred times /bin/true, for tasker (`*.conf`) and for pypyr (`*.yaml`)."""
    tasks = folder / "tasks"
    tasks.mkdir()
    (tasks / "noop.py").write_text(NOOP_TASK)
    (folder / "noop.py").write_text(_NOOP_STEP)
    (folder / "one.conf").write_text("tasks = [ { name = noop } ]\n")
    (folder / "one.yaml").write_text("steps:\n  - noop\n")
    step = "  { name = shell_script, args { command = /bin/true } }\n"
    (folder / "hundred.conf").write_text(f"tasks = [\n{step * 100}]\n")
    (folder / "hundred.yaml").write_text(
        "steps:\n" + "  - name: pypyr.steps.cmd\n    in:\n      cmd: /bin/true\n" * 100
    )


def write_pipelines(folder: Path) -> None:
    """Steps that do nothing: one, a hundred, and one for each of some applications; and layers of steps that nap."""
    (folder / "tasks" / "nap.py").write_text(_NAP_TASK)
    noop = "  { name = noop }\n"
    for count in (1, HUNDRED):
        (folder / f"step{count}.conf").write_text(f"tasks = [\n{noop * count}]\n")
    for count in (1, APPLICATIONS):
        entries = "".join(f'  app{number} {{ sql = "/data/app{number}" }}\n' for number in range(count))
        task = "  { name = noop, args { sql = ${item.sql} } }\n"
        (folder / f"each{count}.conf").write_text(
            f"max_parallel = {AT_ONCE}\nfor_each {{\n{entries}}}\ntasks = [\n{task}]\n"
        )
    ids = [[f"s{layer}-{number}" for number in range(WIDTH)] for layer in range(LAYERS)]
    steps = (
        f"  {{ id = {each}, name = nap, needs = [{', '.join(before)}] }}\n"
        for before, layer in pairwise([[], *ids])
        for each in layer
    )
    (folder / "graph.conf").write_text(f"max_parallel = {WIDTH}\ntasks = [\n{''.join(steps)}]\n")


def write_corpus(folder: Path) -> list[Path]:
    """A conf folder of `FILES` pipelines of together `TOTAL_BYTES`, the same ones every time; answers the pipelines."""
    folder.mkdir()
    (folder / "_defaults.conf").write_text(_DEFAULTS)
    chance = random.Random(2)  # noqa: S311 - nothing here is secret
    files = []
    for number in range(FILES):
        file = folder / f"intake-{number:03}.conf"
        file.write_text(_pipeline(file.stem, TOTAL_BYTES // FILES, chance))
        files.append(file)
    return files


def _pipeline(name: str, size: int, chance: random.Random) -> str:
    """A pipeline of `size` bytes, filled up with a comment."""
    minute, hour, days = chance.randrange(60), chance.randrange(24), chance.randrange(1, 60)
    text = _HEADER.format(name=name, minute=minute, hour=hour, days=days)
    for step in _steps(chance):
        if len(text) + len(step) + len("]\n# ") > size:
            break
        text += step
    text += "]\n# "
    return text.ljust(size - 1, ".") + "\n"


def _steps(chance: random.Random) -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield chance.choice(_STEPS).format(number=number, word=chance.choice(_WORDS), minutes=chance.randrange(1, 90))
