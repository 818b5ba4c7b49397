"""`tasker show`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.terminal import on_terminal, tasker

CONF = """
name = crm
owner = data
schedule = "15 2 * * *"
params { days = 30, token = ${secret.TOKEN} }
timeout = 90m
defaults { retries { attempts = 3, backoff = 2 } }
tasks = [
  { id = scan, name = shell_script, args { command = echo, arguments = ["x", ${params.days}] }, timeout = 1500ms }
  { name = shell_script, args { command = "say "${outputs.scan.text}", "${secret.TOKEN} } }
]
"""
SHOWN = {
    "name": "crm",
    "owner": "data",
    "schedule": {"cron": ["15 2 * * *"], "timezone": "UTC", "overlap": "skip", "catchup": "latest", "jitter": "0s"},
    "params": {"days": 30, "token": "***"},
    "timeout": "90m",
    "max_parallel": 4,
    "resume": "auto",
    "tasks": [
        {
            "id": "scan",
            "name": "shell_script",
            "needs": [],
            "when": True,
            "timeout": "1500ms",
            "retries": {"attempts": 3, "delay": "1s", "backoff": 2.0, "max_delay": "1h"},
            "on_failure": "stop",
            "args": {"command": "echo", "arguments": ["x", 30]},
        },
        {
            "id": "shell_script",
            "name": "shell_script",
            "needs": ["scan"],
            "when": True,
            "retries": {"attempts": 3, "delay": "1s", "backoff": 2.0, "max_delay": "1h"},
            "on_failure": "stop",
            "args": {"command": "say ${outputs.scan.text}, ***"},
        },
    ],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "crm.conf").write_text(CONF)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "TOKEN").write_text("s3cr3t\n")
    return tmp_path


def test_in_a_pipe_the_pipeline_is_one_json_object_on_a_line(folder: Path) -> None:
    ended = tasker("show", "crm.conf", "--secrets", "secrets", cwd=folder)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.count("\n") == 1
    assert json.loads(ended.stdout) == SHOWN


def test_on_a_terminal_it_is_hocon(folder: Path) -> None:
    text = on_terminal("show", "crm.conf", "--secrets", "secrets", cwd=folder).text
    assert text.startswith('name = "crm"\n')
    assert 'command = "say "${outputs.scan.text}", ***"' in text


@pytest.mark.parametrize("form", ["hocon", "json", "yaml", "properties"])
def test_no_form_shows_a_secret(folder: Path, form: str) -> None:
    shown = on_terminal("show", "crm.conf", "--secrets", "secrets", "--format", form, cwd=folder)
    assert shown.status == 0
    assert "s3cr3t" not in shown.raw
    assert "***" in shown.raw


def test_what_is_shown_as_hocon_is_a_pipeline_that_is_shown_in_the_same_way(folder: Path) -> None:
    first = tasker("show", "crm.conf", "--secrets", "secrets", "--format", "hocon", cwd=folder).stdout
    (folder / "again.conf").write_text(first)
    again = tasker("show", "again.conf", "--format", "hocon", cwd=folder)
    assert (again.stderr, again.stdout) == ("", first)


def test_parameters_can_be_set(folder: Path) -> None:
    ended = tasker("show", "crm.conf", "--secrets", "secrets", "--set", "days=7", cwd=folder)
    assert json.loads(ended.stdout)["tasks"][0]["args"]["arguments"] == ["x", 7]


def test_of_a_file_with_instances_each_is_shown_or_the_one_named(folder: Path) -> None:
    conf = "for_each { a {}, b {} }\ntasks = [{ name = shell_script, args { command = ${PIPELINE} } }]"
    (folder / "all.conf").write_text(conf)
    for chosen, names in ((["--instance", "b"], ["all/b"]), ([], ["all/a", "all/b"])):
        lines = tasker("show", "all.conf", *chosen, cwd=folder).stdout.splitlines()
        shown = [json.loads(line) for line in lines]
        assert [(each["name"], each["tasks"][0]["args"]["command"]) for each in shown] == [(n, n) for n in names]
    ended = tasker("show", "all.conf", "--instance", "bb", cwd=folder)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "all.conf: unknown-instance: no instance is named 'bb'\n      | did you mean 'b'?\n"


def test_an_invalid_file_is_told_on_standard_error(folder: Path) -> None:
    (folder / "bad.conf").write_text("tasks = [{ name = shel_script, args { command = a } }]")
    ended = tasker("show", "bad.conf", cwd=folder)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("bad.conf:1:19: unknown-task: no task is named 'shel_script'\n")


@pytest.mark.parametrize("where", ["option", "environment"])
def test_an_unknown_form_is_refused(folder: Path, where: str) -> None:
    option = ["--format", "toml"] if where == "option" else []
    env = {"TASKER_SHOW_FORMAT": "toml"} if where == "environment" else {}
    ended = tasker("show", "crm.conf", *option, cwd=folder, env=env)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "tasker: no format is named 'toml'; there are hocon, json, yaml, properties\n"
