"""The pipelines of `conf.d` by the real command: seven steps on a real code base, and a file for each feature."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from pathlib import Path

import pytest
from support.command import Result, run_tasker

CONF_D = Path(__file__).parents[2] / "conf.d"
SMALL = sorted(file.name for file in CONF_D.glob("[!_]*.conf") if file.name != "lineage.conf")
TODAY = "2026-11-22"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the shipped pipelines, and something for them to pack."""
    shutil.copytree(CONF_D, tmp_path / "conf.d")
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "notes.txt").write_text("nothing to import")
    return tmp_path


def once(project: Path, name: str) -> Result:
    marks = ["--env", f"TODAY={TODAY}", "--env", f"PLATFORM={project.name}"]  # the sample archives to /tmp
    return run_tasker(project, "once", f"conf.d/{name}", *marks)


def state(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Each file's content, and whether it is still the one that it was."""
    return {
        str(file.relative_to(folder)): (
            hashlib.sha256(file.read_bytes()).hexdigest(),
            file.stat().st_ino,
            file.stat().st_mtime_ns,
        )
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_the_seven_steps_scan_a_real_code_base_and_a_second_run_changes_nothing(project: Path) -> None:
    first = once(project, "lineage.conf")
    assert (first.status, first.stderr) == (0, "")
    before = state(project / "build")
    assert sorted(before) == [
        f"demo/backups/lineage_{TODAY}.tar.gz",
        "demo/results/lineage.jsonl",
        "demo/results/tables.json",
    ]
    assert once(project, "lineage.conf").status == 0
    assert state(project / "build") == before
    assert not list((project / "workspaces").iterdir())


def test_the_seven_steps_end_with_a_summary_that_holds(project: Path) -> None:
    ended = once(project, "lineage.conf")
    told = ended.end("scan")["outputs"]
    results = project / "build" / "demo" / "results"
    records = [json.loads(line) for line in (results / "lineage.jsonl").read_text().splitlines()]
    count = {kind: sum(each["record"] == kind for each in records) for kind in ("edge", "untraced")}
    assert (told["files"], told["statements"], told["statements_failed"]) == (301, 580, 9)
    assert (told["edges"], told["untraced"]) == (count["edge"], count["untraced"])
    summary = ended.output("summary")
    assert summary[:2] == ["files       301", "statements  580, 9 of them failed"]
    assert sum(line.startswith("failed") for line in summary) == 9
    assert summary[-2:] == [
        f"results     {results}",
        f"backup      {project}/build/demo/backups/lineage_{TODAY}.tar.gz",
    ]
    with tarfile.open(summary[-1].split()[1]) as backup:
        assert sorted(backup.getnames()) == ["lineage.jsonl", "tables.json"]


@pytest.mark.parametrize("name", SMALL)
def test_each_small_pipeline_runs(project: Path, name: str) -> None:
    ended = once(project, name)
    for leftover in Path("/tmp").glob(f"{project.name}_*.tar.gz"):
        leftover.unlink()
    assert (ended.status, ended.stderr) == (0, "")


def test_every_pipeline_is_valid(project: Path) -> None:
    assert run_tasker(project, "validate").status == 0
