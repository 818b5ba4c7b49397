"""`Tasker`, as a Python program uses it; that it runs is shown by the acceptance tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyhocon import ConfigTree, HOCONConverter

from tasker import Tasker
from tasker.errors import InvalidFileError, UsageError
from tasker.settings import Settings


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("s3cr3t")
    file = tmp_path / "nightly.conf"
    file.write_text("""
        base = /data
        token = ${secret.token}
        tasks = [{ name = shell_script, args { command = echo, arguments = [${base}/in, 1.10] } }]
    """)
    return file


def test_its_config_is_the_resolved_file_as_a_tree_of_pyhocon(conf: Path) -> None:
    config = Tasker(conf, settings=Settings(secrets=conf.parent)).config
    assert isinstance(config, ConfigTree)
    assert config.get_list("tasks")[0].get_list("args.arguments") == ["/data/in", 1.10]


def test_its_config_shows_no_secret(conf: Path) -> None:
    config = Tasker(conf, settings=Settings(secrets=conf.parent)).config
    assert "s3cr3t" not in HOCONConverter.to_json(config)
    assert config["token"] == "***"


def test_it_validates_to_a_plan(conf: Path) -> None:
    pipeline = Tasker(conf, settings=Settings(secrets=conf.parent)).validate()
    assert (pipeline.name, [step.id for step in pipeline.steps]) == ("nightly", ["shell_script"])


def test_what_env_gives_wins(conf: Path) -> None:
    conf.write_text("tasks = [{ name = shell_script, args { command = ${TODAY} } }]")
    pipeline = Tasker(conf, {"TODAY": "2026-11-22"}).validate()
    assert pipeline.steps[0].arguments == {"command": "2026-11-22"}


def test_it_raises_every_fault_before_anything_runs(conf: Path) -> None:
    conf.write_text("tasks = [{ name = shell_scrip }, { name = archiv }]")
    with pytest.raises(InvalidFileError) as raised:
        Tasker(conf).run()
    assert [fault.code for fault in raised.value.faults] == ["unknown-task", "unknown-task"]


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"DAYS": 7}, "the variable 'DAYS' cannot be set: its value is to be text, not int"),
        ({"A": "s3cr3t\0"}, "the variable 'A' cannot be set: it holds a character that no variable can hold"),
        ({"A": "s3cr3t\ud800"}, "the variable 'A' cannot be set: it holds a character that no variable can hold"),
        ({"A=B": "1"}, "the variable 'A=B' cannot be set: a name is text, and not empty, without '='"),
        ({"": "1"}, "the variable '' cannot be set: a name is text, and not empty, without '='"),
        ({7: "1"}, "the variable 7 cannot be set: a name is text, and not empty, without '='"),
    ],
)
def test_it_refuses_what_cannot_be_a_variable(conf: Path, env: dict[Any, Any], told: str) -> None:
    with pytest.raises(UsageError) as raised:
        Tasker(conf, env)
    assert str(raised.value) == told


def test_of_a_file_with_instances_all_run_and_it_worked_if_all_of_them_did(tmp_path: Path) -> None:
    conf = tmp_path / "all.conf"
    command = f"echo ${{item.key}} >> {tmp_path}/ran; test ${{item.key}} != b"
    conf.write_text(
        f"""
        for_each = [a, b, c]
        tasks = [{{ name = shell_script, args {{ shell = true, command = "{command}" }} }}]
    """.replace("${item.key}", '"${item.key}"')
    )
    settings = Settings(workspaces=tmp_path / "w")
    assert [pipeline.name for pipeline in Tasker(conf).pipelines()] == ["all/a", "all/b", "all/c"]
    assert not Tasker(conf, settings=settings).run()
    assert (tmp_path / "ran").read_text().split() == ["a", "b", "c"]
    assert Tasker(conf, instance="c", settings=settings).run()
    assert (tmp_path / "ran").read_text().split() == ["a", "b", "c", "c"]
    assert Tasker(conf, instance="c").validate().name == "all/c"


def test_one_of_several_pipelines_must_be_named(tmp_path: Path) -> None:
    (tmp_path / "all.conf").write_text("for_each = [a, b]\ntasks = [{ name = shell_script, args { command = x } }]")
    for asked in (lambda: Tasker(tmp_path / "all.conf").config, Tasker(tmp_path / "all.conf", instance="x").run):
        with pytest.raises(InvalidFileError) as raised:
            asked()
        assert [fault.code for fault in raised.value.faults] == ["unknown-instance"]
