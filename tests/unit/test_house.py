"""The rules of the house that no linter knows."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tasker.cli import COMMANDS
from tasker.facts import Event
from tasker.faults import CODES

ROOT = Path(__file__).parents[2]
CORE = sorted((ROOT / "tasker").rglob("*.py"))
SHIPPED = sorted((ROOT / "tasks").glob("*.py"))

CODE_ROW = re.compile(r"^\| `([a-z-]+)` \| (.+?) \|", re.MULTILINE)
WORD_ROW = re.compile(r"^\| ([a-z ]+) \|", re.MULTILINE)
PINNED = re.compile(r"^([a-z0-9-]+)==", re.MULTILINE)
VERSION = re.compile(r"^[a-z0-9-]+==\S+", re.MULTILINE)

HEAVY = {
    "apprise",
    "apscheduler",
    "asyncio",
    "click",
    "cronsim",
    "fsspec",
    "jq",
    "obstore",
    "paramiko",
    "pydantic",
    "pyhocon",
    "prometheus_client",
    "pyparsing",
    "rich",
    "sqlalchemy",
    "sqlglot",
    "structlog",
    "waitress",
    "watchdog",
}
"""Packages that cost more than all of ours: whoever only asks for help pays for none of them."""


def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def strings(file: Path) -> set[str]:
    return {
        node.value
        for node in ast.walk(ast.parse(file.read_bytes()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def imported_modules(file: Path) -> list[str]:
    """What a file imports, a relative import with its leading dots."""
    found: list[str] = []
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append("." * node.level + (node.module or ""))
    return found


def modules_loaded_by(program: str) -> set[str]:
    """The modules that Python has loaded when `program` has ended well."""
    report = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))"
    ended = subprocess.run([sys.executable, "-c", f"{report}\n{program}"], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return set(ended.stderr.split())


def test_every_fault_is_documented_in_the_words_of_the_code() -> None:
    assert dict(CODE_ROW.findall(text("docs/reference/faults.md"))) == CODES


def test_every_fault_can_occur() -> None:
    used = set().union(*(strings(file) for file in CORE if file.name != "faults.py"))
    assert set(CODES) <= used


def test_every_event_is_documented() -> None:
    documented = set(re.findall(r"`([a-z]+\.[a-z]+)`", text("docs/reference/logs.md")))
    assert set(Event) <= documented


def test_every_word_of_the_contract_is_in_the_glossary() -> None:
    words = {"task", "step", "pipeline", "slot", "run", "step run", "attempt", "outputs", "revision", "fault"}
    assert words <= set(WORD_ROW.findall(text("docs/glossary.md")))


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_a_shipped_task_imports_only_public_names_of_tasker(file: Path) -> None:
    ours = {name for name in imported_modules(file) if name.partition(".")[0] == "tasker"}
    assert ours <= {"tasker"}


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_what_a_shipped_task_asks_to_install_is_what_an_extra_brings(file: Path) -> None:
    asked = re.findall(r"""['"]([a-z]+>=[0-9.]+)['"]""", file.read_text(encoding="utf-8"))
    assert all(f'"{requirement}"' in text("pyproject.toml") for requirement in asked)


@pytest.mark.parametrize(
    "program", ["import tasker", "import sys; from tasker.cli import main; sys.exit(main(['--help']))"]
)
def test_start_up_loads_nothing_heavy(program: str) -> None:
    assert not {module.partition(".")[0] for module in modules_loaded_by(program)} & HEAVY


def test_a_daemon_that_answers_nobody_loads_no_server() -> None:
    assert not {"prometheus_client", "waitress"} & modules_loaded_by("import tasker.daemon.loop, tasker.cli.watch")


def test_who_asks_for_the_version_pays_for_no_command() -> None:
    loaded = modules_loaded_by("import sys; from tasker.cli import main; sys.exit(main(['--version']))")
    assert not {"tasker.document", "tasker.settings", *(f"tasker.cli.{command}" for command in COMMANDS)} & loaded


@pytest.mark.parametrize("name", ["dev", "image", "build"])
def test_what_is_pinned_comes_with_hashes_and_names_no_index(name: str) -> None:
    pins = text(f"requirements/{name}.txt")
    assert "://" not in pins
    assert "--hash=" in pins
    for block in re.split(r"\n(?=\S)", pins):
        assert not PINNED.match(block) or "--hash=sha256:" in block


def test_every_dependency_is_pinned() -> None:
    declared = importlib.metadata.requires("tasker") or []
    names = {re.split(r"[^A-Za-z0-9-]", each, maxsplit=1)[0].lower() for each in declared}
    assert names <= set(PINNED.findall(text("requirements/dev.txt")))


def test_the_image_is_made_of_what_the_tests_ran_with() -> None:
    tested = set(VERSION.findall(text("requirements/dev.txt")))
    for name in ("image", "build"):
        assert set(VERSION.findall(text(f"requirements/{name}.txt"))) <= tested


def test_the_image_has_each_extra_that_a_task_may_need() -> None:
    (extras,) = re.findall(r'^ARG EXTRAS="(.+)"$', text("Dockerfile"), re.MULTILINE)
    (locked,) = re.findall(r"^EXTRAS := (.+)$", text("Makefile"), re.MULTILINE)
    offered = importlib.metadata.metadata("tasker").get_all("Provides-Extra") or []
    assert set(extras.split()) == set(locked.split()) == set(offered) - {"test", "dev"}


def test_every_make_target_says_what_it_does() -> None:
    makefile = text("Makefile")
    (phony,) = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert set(phony.split()) == set(re.findall(r"^([a-z-]+):.* ## ", makefile, re.MULTILINE))
