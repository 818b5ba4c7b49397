"""The pipelines of `conf.d` by the real command: the lineage of real applications, and a file for each feature."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from pathlib import Path

import pytest
from support.command import Result, run_tasker

CONF_D = Path(__file__).parents[2] / "conf.d"
SMALL = sorted(file.name for file in CONF_D.glob("[!_]*.conf") if not file.name.startswith("lineage"))
EDGES = {
    "cohorts": 33,
    "conditions": 373,
    "costs": 499,
    "encounters": 230,
    "findings": 417,
    "people": 172,
    "treatments": 395,
}
TODAY = "2026-11-22"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the shipped pipelines, and something for them to pack."""
    shutil.copytree(CONF_D, tmp_path / "conf.d")
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "notes.txt").write_text("nothing to import")
    return tmp_path


def once(project: Path, name: str, *options: str) -> Result:
    marks = ["--env", f"TODAY={TODAY}", "--env", f"PLATFORM={project.name}"]  # the sample archives to /tmp
    return run_tasker(project, "once", f"conf.d/{name}", *marks, *options)


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


def test_applications_are_scanned_each_by_itself_and_then_merged_and_again_changes_nothing(project: Path) -> None:
    scanned = once(project, "lineage.conf")
    (failed,) = scanned.named("run.failed")
    assert (scanned.status, failed["pipeline"]) == (1, "lineage/reports")
    assert "0 edges, and `minimum_edges` is 1" in failed["error"]
    assert {each["pipeline"] for each in scanned.named("run.succeeded")} == {f"lineage/{key}" for key in EDGES}
    merged = once(project, "lineage-all.conf")
    assert (merged.status, merged.stderr) == (0, "")
    lines = merged.output("summary")
    assert json.loads("".join(lines[:-2])) == {"edges": 2119, "tables": 379, "applications": EDGES}
    results, archive = (Path(line.split()[1]) for line in lines[-2:])
    before = state(project / "build" / "lineage")
    assert sorted(before) == [
        f"backups/lineage_{TODAY}.tar.gz",
        *sorted(
            ["results/all/found.json", "results/all/tables.json", *(f"results/{key}/lineage.jsonl" for key in EDGES)]
        ),
    ]
    with tarfile.open(archive) as backup:
        kept = {name for name in backup.getnames() if name.endswith((".json", ".jsonl"))}
    assert kept == {str(file.relative_to(results)) for file in results.rglob("*.json*")}
    for name, options in (
        ("lineage.conf", ["--instance", "cohorts", "--instance", "reports"]),
        ("lineage-all.conf", []),
    ):
        once(project, name, *options)
    assert state(project / "build" / "lineage") == before


def test_where_the_results_of_an_application_are_missing_nothing_is_merged(project: Path) -> None:
    assert once(project, "lineage.conf", "--instance", "cohorts").status == 0
    ended = once(project, "lineage-all.conf")
    assert ended.status == 1
    assert 'there are only ["cohorts"]' in ended.end("tables")["error"]
    assert not (project / "build" / "lineage" / "backups").exists()


@pytest.mark.parametrize("name", SMALL)
def test_each_small_pipeline_runs(project: Path, name: str) -> None:
    ended = once(project, name)
    for leftover in Path("/tmp").glob(f"{project.name}_*.tar.gz"):
        leftover.unlink()
    assert (ended.status, ended.stderr) == (0, "")


def test_every_pipeline_is_valid(project: Path) -> None:
    assert run_tasker(project, "validate").status == 0
