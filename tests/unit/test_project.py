"""Where pure parts meet the disk: one file read on several occasions, and from several places."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tasker.launching.snapshot import Snapshot, SnapshotFolder
from tasker.project import Project
from tasker.settings import Settings

SLOT = datetime(2026, 11, 22, 2, 15, tzinfo=UTC)
TEXT = "tasks = [{ name = shell_script, args { command = ${RUN_ID}${RUN_TIME}${WORKSPACE}${TODAY} } }]"


def revision(file: Path, slot: datetime = SLOT, **given: str) -> str:
    project = Project(Settings(given=given))
    loaded = project.load(file, occasion=project.occasion(f"run-{slot:%d}", slot))
    assert loaded.pipeline is not None, loaded.faults
    return loaded.pipeline.revision


def test_the_revision_is_the_same_for_every_run_of_a_version(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(TEXT)
    assert revision(tmp_path / "a.conf") == revision(tmp_path / "a.conf", SLOT + timedelta(days=1))


def test_a_day_that_someone_sets_is_a_part_of_the_revision(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(TEXT)
    revisions = {revision(tmp_path / "a.conf", TODAY=day) for day in ("2026-11-22", "2026-11-23")}
    assert len(revisions | {revision(tmp_path / "a.conf")}) == 3


def test_a_file_is_read_from_a_snapshot_as_from_its_folder(tmp_path: Path) -> None:
    texts = {"a.conf": f'include "_b"\n{TEXT}', "_b.conf": "name = b"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    project = Project(Settings())
    snapshot = Snapshot(path=str(tmp_path / "a.conf"), folder=str(tmp_path), files=texts)
    from_disk, from_memory = (
        project.within(tmp_path).load(tmp_path / "a.conf", folder=folder) for folder in (None, SnapshotFolder(snapshot))
    )
    assert from_disk.pipeline is not None
    assert from_memory.pipeline is not None
    assert from_memory.pipeline.revision == from_disk.pipeline.revision
    assert from_memory.pipeline.name == "b"
