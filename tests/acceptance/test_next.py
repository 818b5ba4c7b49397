"""`tasker next`."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.terminal import on_terminal, tasker

NOOP = "from tasker import Task\n\nclass Noop(Task):\n    def run(self) -> None: ...\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "noop.py").write_text(NOOP)
    (tmp_path / "conf.d").mkdir()
    return tmp_path


def conf(folder: Path, name: str, text: str = "", tasks: str = "[{ name = noop }]") -> None:
    (folder / "conf.d" / f"{name}.conf").write_text(f"{text}\ntasks = {tasks}\n")


def test_the_slots_of_several_come_in_order_one_of_each(folder: Path) -> None:
    conf(folder, "nightly", 'schedule { cron = "15 2 * * *", timezone = Australia/Sydney, jitter = 30s }')
    conf(folder, "often", 'schedule = "* * * * *"')
    conf(folder, "never")
    ended = tasker("next", cwd=folder)
    first, second = map(json.loads, ended.stdout.splitlines())
    assert ended.returncode == 0
    assert (first["pipeline"], second["pipeline"]) == ("often", "nightly")
    assert (second["timezone"], second["jitter_s"]) == ("Australia/Sydney", 30)
    assert datetime.fromisoformat(second["local"]) == datetime.fromisoformat(second["slot"]) > datetime.now(UTC)
    assert "T02:15:00+1" in second["local"]
    assert "note" not in first
    assert ended.stderr == "tasker: 1 pipeline has no schedule: never\n"


def test_of_one_file_five_are_told_and_of_any_as_many_as_one_likes(folder: Path) -> None:
    conf(folder, "often", 'schedule = "* * * * *"')
    assert len(tasker("next", "conf.d/often.conf", cwd=folder).stdout.splitlines()) == 5
    conf(folder, "daily", "schedule = @daily")
    told = [json.loads(line)["slot"] for line in tasker("next", "--count=30", cwd=folder).stdout.splitlines()]
    assert len(told) == 60
    assert told == sorted(told)


def test_each_instance_of_a_file_has_slots_of_its_own(folder: Path) -> None:
    entries = '{ crm { cron = "15 2 * * *" }, erp { cron = "15 3 * * *" } }'
    conf(folder, "all", f"for_each {entries}\nschedule {{ cron = ${{item.cron}}, timezone = Asia/Tokyo }}")
    told = [json.loads(line) for line in tasker("next", "conf.d/all.conf", cwd=folder).stdout.splitlines()]
    assert {(slot["pipeline"], slot["local"][11:16]) for slot in told} == {("all/crm", "02:15"), ("all/erp", "03:15")}
    assert len(told) == 2


def test_an_invalid_file_is_told_and_the_slots_of_the_others_too(folder: Path) -> None:
    conf(folder, "good", "schedule = @daily")
    conf(folder, "bad", 'schedule = "61 * * * *"')
    ended = tasker("next", cwd=folder)
    assert ended.returncode == 2
    assert json.loads(ended.stdout)["pipeline"] == "good"
    assert "conf.d/bad.conf:1:13: bad-cron" in ended.stderr


@pytest.mark.parametrize("count", ["0", "-1", "many", "1.5"])
def test_a_count_that_is_none_is_wrong_usage(folder: Path, count: str) -> None:
    ended = tasker("next", f"--count={count}", cwd=folder)
    assert ended.returncode == 2
    assert f"{count!r} is no count" in ended.stderr


def test_a_place_where_there_is_nothing_is_wrong_usage(folder: Path) -> None:
    assert "there is no pipeline in conf.d" in tasker("next", cwd=folder).stderr
    assert "there is no file or folder nowhere" in tasker("next", "nowhere", cwd=folder).stderr


def test_people_see_a_table(folder: Path) -> None:
    conf(folder, "nightly", 'schedule { cron = "15 2 * * *", timezone = Australia/Sydney, jitter = 30s }')
    shown = on_terminal("next", cwd=folder)
    heads, first, *_ = shown.screen
    assert re.split(" {2,}", heads) == ["local time", "time zone", "UTC", "pipeline"]
    assert re.search(r"20\d\d-\d\d-\d\d 02:15 +Australia/Sydney +\w{3} 1[56]:15 +nightly +up to 30s later", first)
    assert shown.status == 0


def test_people_see_no_table_where_nothing_is_due(folder: Path) -> None:
    conf(folder, "bad", 'schedule = "61 * * * *"')
    shown = on_terminal("next", cwd=folder)
    assert shown.status == 2
    assert shown.screen[0].startswith("conf.d/bad.conf:1:13: bad-cron")
