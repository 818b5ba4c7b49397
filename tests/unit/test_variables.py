"""The variables that every file may read: where each comes from, and that they are those of the run."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tasker.clock import Clock
from tasker.document import RUN_VARIABLES, plain
from tasker.project import Project
from tasker.secrets_folder import SecretsFolder
from tasker.settings import Settings
from tasker.variables import Variables

NIGHT = datetime(2026, 11, 22, 20, 30, tzinfo=UTC)


def variables(given: dict[str, str] | None = None, environment: dict[str, str] | None = None) -> Variables:
    return Variables(
        run_id="r1",
        slot=NIGHT,
        workspace=Path("/w/r1"),
        conf_dir=Path("/conf.d"),
        cwd=Path("/here"),
        platform="Linux",
        stem="nightly",
        given=given or {},
        environment=environment or {},
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("CWD", "/here"),
        ("PLATFORM", "Linux"),
        ("TODAY", "2026-11-22"),
        ("RUN_ID", "r1"),
        ("RUN_TIME", "2026-11-22T20:30:00+00:00"),
        ("PIPELINE", "nightly"),
        ("WORKSPACE", "/w/r1"),
        ("CONF_DIR", "/conf.d"),
        ("NOBODY", None),
    ],
)
def test_taskers_own(name: str, expected: str | None) -> None:
    assert variables()(name, lambda _: None) == expected
    assert expected is None or name in RUN_VARIABLES


def test_those_set_by_hand_win_over_taskers_own_and_these_over_the_environment() -> None:
    environment = {"TODAY": "environment", "HOME": "environment"}
    assert variables({"TODAY": "hand"}, environment)("TODAY", lambda _: None) == "hand"
    assert variables({}, environment)("TODAY", lambda _: None) == "2026-11-22"
    assert variables({}, environment)("HOME", lambda _: None) == "environment"


@pytest.mark.parametrize(
    ("zone", "today", "time"),
    [
        ("Australia/Sydney", "2026-11-23", "2026-11-23T07:30:00+11:00"),
        ("America/New_York", "2026-11-22", "2026-11-22T15:30:00-05:00"),
        ("Mars/Base", "2026-11-22", "2026-11-22T20:30:00+00:00"),
        ("../../etc/passwd", "2026-11-22", "2026-11-22T20:30:00+00:00"),
    ],
)
def test_today_is_the_slots_day_in_the_schedules_time_zone(zone: str, today: str, time: str) -> None:
    peeked = {"schedule.timezone": zone}
    assert variables()("TODAY", peeked.get) == today
    assert variables()("RUN_TIME", peeked.get) == time


def test_they_are_read_afresh_for_every_run(tmp_path: Path) -> None:
    file = tmp_path / "a.conf"
    file.write_text("name = ${PIPELINE}-x\nx = ${TODAY}/${RUN_ID}\nschedule { cron = @daily, timezone = Asia/Tokyo }\n")
    moments = [NIGHT, NIGHT.replace(day=23)]
    clock = Clock(now=lambda: moments.pop(0))
    project = Project(Settings(environment={}), clock)
    read = [project.load(file).document for _ in range(2)]
    texts = [plain(document.root)["x"] for document in read if document is not None]
    assert [text[:10] for text in texts] == ["2026-11-23", "2026-11-24"]
    assert len({text[11:] for text in texts}) == 2
    assert plain(read[0].root)["name"] == "a-x" if read[0] else False


class TestSecrets:
    def test_one_is_a_file_without_the_line_end_that_editors_leave(self, tmp_path: Path) -> None:
        secrets = SecretsFolder(tmp_path)
        for name, content in {"a": b"x\n", "b": b"x\r\n", "c": b"x", "d": b"x\n\n", "e": b"\xff"}.items():
            (tmp_path / name).write_bytes(content)
        assert [secrets(name) for name in "abcde"] == ["x", "x", "x", "x\n", "\udcff"]

    @pytest.mark.parametrize("name", ["", "..", "../a", "/etc/hostname", ".hidden", "a/b", "gone", "folder", "a\0"])
    def test_what_is_no_file_of_the_folder_is_none(self, name: str, tmp_path: Path) -> None:
        (tmp_path / "s").mkdir()
        (tmp_path / "a").write_text("outside")
        (tmp_path / "s" / "folder").mkdir()
        (tmp_path / "s" / ".hidden").write_text("x")
        assert SecretsFolder(tmp_path / "s")(name) is None

    def test_a_rotated_one_is_read_anew(self, tmp_path: Path) -> None:
        secrets = SecretsFolder(tmp_path)
        (tmp_path / "a").write_text("old")
        assert secrets("a") == "old"
        (tmp_path / "a").write_text("new")
        assert secrets("a") == "new"

    def test_a_pipe_and_what_is_too_large_are_none(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "large").write_bytes(b"x" * (1024 * 1024 + 1))
        assert SecretsFolder(tmp_path)("pipe") is None
        assert SecretsFolder(tmp_path)("large") is None
