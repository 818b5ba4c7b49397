"""One file that makes several pipelines, under a running daemon: each of them goes its own way."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.command import write
from support.daemons import EACH_SECOND, NEVER, Daemon, Moment, daemon, seconds

MANY = 200
_MOST_MEMORY_MIB = 200


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that several tests share, each with a file of its own."""
    with daemon(tmp_path_factory.mktemp("watched")) as started:
        yield started


def put(folder: Path, name: str, words: dict[str, str], cron: str = EACH_SECOND, more: str = "") -> Path:
    """Write a file with an include for each application, which tells the word that its pipeline says."""
    for key, word in words.items():
        say(folder, name, key, word)
    includes = ", ".join(f'{key} {{ include "{name}/{key}.conf" }}' for key in words)
    text = f"""
        {more}
        schedule {{ cron = "{cron}", timezone = UTC }}
        for_each {{ {includes} }}
        tasks = [{{ name = says, args {{ word = ${{item.key}}"-"${{item.word}} }} }}]
    """
    return write(folder / "conf.d" / f"{name}.conf", text)


def say(folder: Path, name: str, key: str, word: str) -> Path:
    """Write what is included for one application."""
    return write(folder / "conf.d" / name / f"{key}.conf", f"word = {word}")


def said(watched: Daemon, since: Moment, pipeline: str) -> list[str]:
    """What the run of the first slot that is due after a moment prints."""
    slot = watched.wait_for("slot.due", since, pipeline=pipeline)["slot"]
    run = watched.wait_for("run.started", since, pipeline=pipeline, slot=slot)["run_id"]
    watched.wait_for("run.succeeded", since, run_id=run)
    return [told["line"] for told in watched.named("step.output", since, run_id=run)]


def told(watched: Daemon, event: str, since: Moment, name: str) -> list[str]:
    """The pipelines of a file that such lines tell of."""
    pipelines = (each.get("pipeline", "") for each in watched.named(event, since))
    return [pipeline for pipeline in pipelines if pipeline.partition("/")[0] == name]


def without_a_gap(lines: list[dict[str, Any]]) -> bool:
    moments = [datetime.fromisoformat(each["slot"]) for each in lines]
    return all(later - earlier == timedelta(seconds=1) for earlier, later in itertools.pairwise(moments))


def test_an_edit_of_what_one_application_includes_touches_that_one_alone(watched: Daemon) -> None:
    put(watched.folder, "lineage", {"crm": "one", "erp": "one", "hr": "one"})
    watched.wait_for("config.loaded", pipeline="lineage/hr")
    since = watched.moment()
    for key in ("crm", "erp", "hr"):
        assert said(watched, since, f"lineage/{key}") == [f"says {key}-one"]
    since = watched.moment()
    say(watched.folder, "lineage", "erp", "two")
    watched.wait_for("config.loaded", since, pipeline="lineage/erp")
    edited = watched.moment()
    assert said(watched, edited, "lineage/erp") == ["says erp-two"]
    assert said(watched, edited, "lineage/crm") == ["says crm-one"]
    assert told(watched, "config.loaded", since, "lineage") == ["lineage/erp"]
    for key in ("crm", "erp", "hr"):
        assert without_a_gap(watched.named("slot.due", pipeline=f"lineage/{key}"))


def test_applications_come_and_go_and_the_others_stay(watched: Daemon) -> None:
    put(watched.folder, "scans", {"crm": "one", "erp": "one"})
    watched.wait_for("config.loaded", pipeline="scans/erp")
    since = watched.moment()
    put(watched.folder, "scans", {"crm": "one", "hr": "one"})
    watched.wait_for("config.loaded", since, pipeline="scans/hr")
    changed = watched.moment()
    assert said(watched, changed, "scans/hr") == ["says hr-one"]
    assert said(watched, changed, "scans/crm") == ["says crm-one"]
    assert told(watched, "config.loaded", since, "scans") == ["scans/hr"]
    assert told(watched, "config.removed", since, "scans") == ["scans/erp"]
    assert told(watched, "slot.due", changed, "scans").count("scans/erp") == 0
    assert watched.metric("tasker_runs_total", pipeline="scans/hr", status="succeeded")


def test_two_files_of_one_name_compete_for_it_whatever_they_make(watched: Daemon) -> None:
    put(watched.folder, "shared", {"crm": "one"}, NEVER)
    watched.wait_for("config.loaded", pipeline="shared/crm")
    since = watched.moment()
    second = put(watched.folder, "other", {"erp": "one"}, NEVER, "name = shared")
    assert watched.wait_for("config.invalid", since, file="conf.d/other.conf")["code"] == "duplicate-pipeline"
    assert told(watched, "config.loaded", since, "shared") == []
    second.unlink()
    watched.wait_for("config.mended", since, file="conf.d/other.conf")


def test_a_bad_edit_of_one_application_leaves_all_as_they_were_also_over_a_restart(tmp_path: Path) -> None:
    put(tmp_path, "lineage", {"crm": "one", "erp": "one", "hr": "one"})
    with daemon(tmp_path) as first:
        first.wait_for("config.loaded", pipeline="lineage/hr")
        since = first.moment()
        say(tmp_path, "lineage", "erp", "${nowhere}")
        invalid = first.wait_for("config.invalid", since)
        assert (invalid["file"], invalid["code"]) == ("conf.d/lineage/erp.conf", "unresolved-substitution")
        assert invalid["runs_on"] == "3 instances"
        since = first.moment()
        for key in ("crm", "erp"):
            assert said(first, since, f"lineage/{key}") == [f"says {key}-one"]
        assert first.stop() == 143
    with daemon(tmp_path) as second:
        (invalid,) = second.readiness()["invalid"]
        assert (invalid["file"], invalid["runs_on"]) == ("conf.d/lineage.conf", "3 instances")
        since = second.moment()
        for key in ("crm", "erp", "hr"):
            assert said(second, since, f"lineage/{key}") == [f"says {key}-one"]
        since = second.moment()
        say(tmp_path, "lineage", "erp", "two")
        second.wait_for("config.mended", since, file="conf.d/lineage.conf")
        assert said(second, second.moment(), "lineage/erp") == ["says erp-two"]
        assert told(second, "config.loaded", since, "lineage") == ["lineage/erp"]


def test_hundreds_of_applications_share_a_daemon_and_an_edit_is_still_of_one(tmp_path: Path) -> None:
    put(tmp_path, "lineage", {f"app{number}": "one" for number in range(MANY)}, NEVER)
    with daemon(tmp_path) as watched:
        assert len(watched.named("config.loaded")) == MANY
        since = watched.moment()
        say(tmp_path, "lineage", "app77", "two")
        loaded = watched.wait_for("config.loaded", since)
        watched.wait_for("config.invalid", watched.moment(), file=str(bad(watched)))
        memory_mib = resident_mib(watched.process.pid)
        sys.stdout.write(f"edit to effect: {seconds(loaded, since):.3f} s; the daemon has {memory_mib:.0f} MiB\n")
        assert told(watched, "config.loaded", since, "lineage") == ["lineage/app77"]
        assert memory_mib < _MOST_MEMORY_MIB


def bad(watched: Daemon) -> Path:
    """Write a file whose fault is told once all before it is."""
    return write(watched.folder / "conf.d" / "bad.conf", "tasks = [").relative_to(watched.folder)


def resident_mib(pid: int) -> float:
    """The memory of a process that is its own and present."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20
