"""A valid file, damaged at random: whatever it has become, it is valid or has faults, and soon."""

from __future__ import annotations

import random
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasker.faults import CODES
from tasker.project import Project
from tasker.settings import Settings

ROOT = Path(__file__).parents[2]
FAULTY = ROOT / "tests" / "acceptance" / "faulty"
WHOLE = """
include "_shared.conf"
name = nightly
schedule { cron = ["15 2 * * 1-5", "@daily"], timezone = Australia/Sydney, overlap = skip, deadline = 6h }
params { days = 30, label = "a b" }
timeout = 2h
defaults { retries { attempts = 3, delay = 10s, backoff = 2 }, timeout = 5m }
paths = [/a, /b]
paths += /c
tasks = [
  { id = scan, name = measure, args { path = ${region}/x } }
  { id = pack, name = pack, args { paths = ${paths}, keep = 3 days, after = 2026-01-31 }, needs = [scan] }
  { name = say, args { text = ${outputs.scan.file}"/x", times = 2, manner = whisper }, when = ${outputs.scan.found} }
  { name = ship, args { to = { host = example.org } { port = 22 } }, retries = 2, on_failure = continue }
]
tasks += { name = say, args = ${greeting}, needs = [] }
on_failure = [{ name = say, args { text = ${run.failed_step}": "${run.error} }, when = ${?outputs.scan.found} }]
finally = [
  { id = tell, name = say, args { text = ${?outputs.scan.file}${run.status} } }
  { name = say, args { text = x }, needs = tell }
]
greeting { text = hi ${?USER} }
"""
SHARED = 'region = "ap"\nowner = data\nlong = """several\nlines"""\n'
TOKENS = [
    *("{", "}", "[", "]", "=", ",", ":", "+=", '"', '"""', "${", "${?a}", "}", "#", "//", "\\", "\n", " ", ".", "0"),
    *("include", "null", "true", "-1", "1e9", "tasks", "needs", "id", "name", "args", "${outputs.scan}", "${tasks}"),
    *("é", "\U0001f600", "\u202e", "\ufeff", "\0", "10s", "defaults", "${params.days}", "${a}${b}", "scan"),
]
CASES = 1000
SECONDS = 5


def mutated(text: str, chance: random.Random) -> bytes:
    """The text with one to four changes to its bytes, its tokens or its lines."""
    content = text.encode()
    for _ in range(chance.randint(1, 4)):
        content = chance.choice((_byte, _token, _line))(content, chance)
    return content


def _byte(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content) + 1)
    new = bytes([chance.randrange(256)]) if chance.random() < 0.7 else b""
    return content[:at] + new + content[at + chance.randint(0, 2) :]


def _token(content: bytes, chance: random.Random) -> bytes:
    parts = re.split(rb"(\w+|\s+)", content)
    at = chance.randrange(len(parts))
    parts[at] = chance.choice(TOKENS).encode() if chance.random() < 0.7 else chance.choice(parts)
    return b"".join(parts)


def _line(content: bytes, chance: random.Random) -> bytes:
    lines = content.split(b"\n")
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    match chance.randrange(4):
        case 0:
            del lines[one]
        case 1:
            lines.insert(one, lines[other])
        case 2:
            lines[one], lines[other] = lines[other], lines[one]
        case _:
            lines[one] += lines[other]
    return b"\n".join(lines)


@contextmanager
def bounded(seconds: int) -> Iterator[None]:
    def ring(*_: object) -> None:
        pytest.fail("it takes too long")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def originals() -> list[tuple[str, dict[str, str]]]:
    """A file that has everything, and those of the conf folder, each with what lies beside it to include."""
    shipped = {file.name: file.read_text() for file in sorted((ROOT / "conf.d").glob("*.conf"))}
    included = {name: text for name, text in shipped.items() if name.startswith("_")}
    return [(WHOLE, {"_shared.conf": SHARED})] * 3 + [(text, included) for text in shipped.values()]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    for module in ("say.py", "pack.py"):
        (tmp_path / "tasks").mkdir(exist_ok=True)
        (tmp_path / "tasks" / module).write_bytes((FAULTY / "tasks" / module).read_bytes())
    return Project(Settings(tasks=(tmp_path / "tasks",), environment={}, secrets=tmp_path / "secrets"))


def test_the_file_that_has_everything_is_valid(project: Project, tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(WHOLE)
    (tmp_path / "_shared.conf").write_text(SHARED)
    assert project.load(tmp_path / "a.conf").faults == ()


@pytest.mark.parametrize("part", range(4))
def test_a_damaged_file_is_valid_or_has_faults(part: int, project: Project, tmp_path: Path) -> None:
    file = tmp_path / "a.conf"
    files = originals()
    for case in range(part * CASES // 4, (part + 1) * CASES // 4):
        chance = random.Random(case)
        text, beside = chance.choice(files)
        file.write_bytes(mutated(text, chance))
        for name, content in beside.items():
            (tmp_path / name).write_bytes(mutated(content, chance) if chance.random() < 0.2 else content.encode())
        with bounded(SECONDS):
            loaded = project.load_file(file)
        assert loaded.is_valid != bool(loaded.faults), case
        for fault in loaded.faults:
            assert fault.code in CODES, case
            assert fault.message, case
            assert fault.place.line >= 1, case
            assert fault.place.column >= 1, case
