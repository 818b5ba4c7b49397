"""Where pure parts meet the disk: one file read on several occasions, and from several places."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tasker.launching.snapshot import Snapshot, SnapshotFolder
from tasker.project import LoadedFile, Project
from tasker.running.earlier import Earlier
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


ALL = """
name = crm
for_each { a { days = 1 }, b { days = 2 } }
params { days = ${item.days} }
tasks = [{ name = shell_script, args { command = ${PIPELINE}/${WORKSPACE}, arguments = [${params.days}] } }]
"""


def load_all(folder: Path, text: str, **overrides: str) -> LoadedFile:
    (folder / "all.conf").write_text(text)
    return Project(Settings(environment={}, workspaces=folder)).load_file(folder / "all.conf", overrides)


def test_a_file_with_for_each_makes_a_pipeline_of_each_entry(tmp_path: Path) -> None:
    file = load_all(tmp_path, ALL)
    pipelines = [loaded.pipeline for loaded in file.loaded]
    assert [(each.name, each.instance, dict(each.params)) for each in pipelines if each] == [
        ("crm/a", "a", {"days": 1}),
        ("crm/b", "b", {"days": 2}),
    ]
    assert (file.name, file.named_at.line, file.is_valid) == ("crm", 2, True)


def test_each_instance_has_a_run_and_a_workspace_of_its_own(tmp_path: Path) -> None:
    file = load_all(tmp_path, ALL)
    for loaded in file.loaded:
        assert loaded.pipeline is not None
        assert loaded.pipeline.steps[0].arguments["command"] == f"{loaded.pipeline.name}/{loaded.occasion.workspace}"
        assert loaded.occasion.environment["TASKER_PIPELINE"] == loaded.pipeline.name
    assert len({loaded.occasion.run_id for loaded in file.loaded}) == 2


def test_an_instance_alone_is_what_it_is_among_all(tmp_path: Path) -> None:
    file = load_all(tmp_path, ALL + "\nlog = x\nsource = ${?item.log}")
    for among in file.loaded:
        alone = Project(Settings(environment={})).load(file.path, instance=among.instance, occasion=among.occasion)
        assert (alone.faults, alone.pipeline and alone.pipeline.revision) == (
            (),
            among.pipeline and among.pipeline.revision,
        )
        assert alone.pipeline is not None
        assert among.pipeline is not None
        assert alone.pipeline.steps[0].arguments == among.pipeline.steps[0].arguments


def test_one_bad_entry_refuses_the_file(tmp_path: Path) -> None:
    file = load_all(tmp_path, ALL + '\ntimeout = ${?item.timeout}\nfor_each.b.timeout = "often"')
    assert [loaded.pipeline for loaded in file.loaded] == [None, None]
    assert [str(fault.place).rpartition("/")[2] for fault in file.faults] == ["all.conf:8:22"]
    assert file.faults[0].message.endswith("(instance 'b')")


def test_a_key_that_one_instance_reads_is_no_slip_in_the_others(tmp_path: Path) -> None:
    text = ALL + "\nschedul = nightly\nfor_each.b.why = ${schedul}"
    assert load_all(tmp_path, text).faults == ()
    assert Project(Settings(environment={})).load(tmp_path / "all.conf", instance="a").faults == ()
    assert [fault.code for fault in load_all(tmp_path, text.replace("${schedul}", "x")).faults] == ["misspelt-key"]


def test_a_warning_of_every_instance_is_told_once_and_refuses_none(tmp_path: Path) -> None:
    keys = ", ".join(f"k{number}" for number in range(300))
    quoted = ", ".join(f'"${{TODAY}}{number}"' for number in range(5))
    text = f"for_each = [{keys}]\ntasks = [{{ name = shell_script, args {{ command = x, arguments = [{quoted}] }} }}]"
    file = load_all(tmp_path, text)
    assert file.is_valid
    assert [fault.code for fault in file.faults] == ["quoted-substitution"] * 5


def test_a_parameter_is_set_in_all_instances_if_one_declares_it(tmp_path: Path) -> None:
    text = ALL.replace("params { days = ${item.days} }", "params = ${?item.params}").replace(
        "${params.days}", "${?params.days}"
    )
    text += "\nfor_each.a.params { days = 1 }"
    first, _ = load_all(tmp_path, text, days="7").loaded
    assert first.pipeline is not None
    assert first.pipeline.steps[0].arguments["arguments"] == ["7"]
    assert [fault.code for fault in load_all(tmp_path, text, dayz="7").faults] == ["unknown-parameter"]


def test_a_run_goes_on_in_a_workspace_of_its_own_where_that_of_before_is_none_any_more(tmp_path: Path) -> None:
    project, slot = Project(Settings(environment={}, workspaces=tmp_path)), datetime.now(UTC)

    def going_on(before: Path | None) -> str:
        return project.occasion("r2", slot, earlier=Earlier(run_id="r1", workspace=before)).workspace.name

    assert [going_on(None), going_on(tmp_path / "r0")] == ["r1", "r0"]
    for name in ("r0", "r1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    assert [going_on(None), going_on(tmp_path / "r0")] == ["r2", "r2"]


@pytest.mark.parametrize(("instance", "told"), [(None, "the file makes several"), ("c", "no instance is named 'c'")])
def test_an_instance_that_is_not_there_is_told(instance: str | None, told: str, tmp_path: Path) -> None:
    (tmp_path / "all.conf").write_text(ALL)
    (fault,) = Project(Settings(environment={})).load(tmp_path / "all.conf", instance=instance).faults
    assert (fault.code, fault.place.line) == ("unknown-instance", 0)
    assert fault.message.startswith(told)


def test_what_is_wrong_with_a_parameter_is_told_of_what_was_typed(tmp_path: Path) -> None:
    text = "params { wait = 1h }\ntimeout = ${params.wait}\ntasks = [{ name = shell_script, args { command = x } }]"
    (fault,) = load_all(tmp_path, text, wait="long").faults
    assert (fault.code, str(fault.place)) == ("bad-value", "--set wait=long")


@pytest.mark.parametrize("asked", ["b", "crm/b"])
def test_an_instance_is_asked_for_by_its_key_or_its_whole_name(asked: str, tmp_path: Path) -> None:
    assert [loaded.instance for loaded in load_all(tmp_path, ALL).only(asked).loaded] == ["b"]


def test_a_file_without_instances_has_none(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(TEXT)
    project = Project(Settings(environment={}))
    (fault,) = project.load(tmp_path / "a.conf", instance="a").faults
    assert fault.message == "there is no instance 'a': the file has no 'for_each'"
    assert [loaded.instance for loaded in project.load_file(tmp_path / "a.conf").loaded] == [None]


def test_more_steps_than_there_is_room_for_are_refused_before_they_are_read(tmp_path: Path) -> None:
    steps = ", ".join(["{ name = shell_script, args { command = x } }"] * 1001)
    keys = ", ".join(f"k{number}" for number in range(100))
    (fault,) = load_all(tmp_path, f"for_each = [{keys}]\ntasks = [{steps}]").faults
    assert (fault.code, fault.message) == (
        "too-large",
        "the instances of a file have at most 100,000 steps together, not 100,100",
    )


def test_an_item_in_quotes_is_warned_of(tmp_path: Path) -> None:
    file = load_all(tmp_path, ALL.replace("${PIPELINE}/${WORKSPACE}", '"/data/${item.key}"'))
    assert [(fault.code, fault.place.line) for fault in file.faults] == [("quoted-substitution", 5)]
