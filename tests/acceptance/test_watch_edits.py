"""Edits of every kind, made for real under a running daemon: soon in effect, and never at another's cost."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.command import eventually, write
from support.configmap import ConfigMap
from support.daemons import EACH_SECOND, NEVER, SAYS, Daemon, Moment, conf, daemon, replace_by_rename, seconds

IN_EFFECT_S = 1.0
"""Seconds in which an edit is in effect on a machine that has the time."""
NOTICED_S = 8.0
"""More seconds than that takes on the busiest machine, and fewer than pass between two sweeps."""
POLL_S = 0.3
MODES = {"inotify": (), "polling": ("--poll", str(POLL_S))}


@pytest.fixture(scope="module", params=MODES)
def watched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that many tests share, each with files of its own."""
    with daemon(tmp_path_factory.mktemp("watched"), *MODES[request.param]) as started:
        yield started


def in_effect(watched: Daemon, edit: Callable[[], Any], event: str = "config.loaded", **facts: Any) -> dict[str, Any]:
    """Make an edit, and see it told soon."""
    since = watched.moment()
    edit()
    told = watched.wait_for(event, since, **facts)
    assert seconds(told, since) < NOTICED_S
    return told


def ran_next(watched: Daemon, since: Moment, pipeline: str) -> list[str]:
    """What the run of the first slot that is due after a moment prints."""
    slot = watched.wait_for("slot.due", since, pipeline=pipeline)["slot"]
    run = watched.wait_for("run.started", since, pipeline=pipeline, slot=slot)["run_id"]
    watched.wait_for("run.succeeded", since, run_id=run)
    return [told["line"] for told in watched.named("step.output", since, run_id=run)]


def test_an_edit_is_in_effect_within_a_second(watched: Daemon) -> None:
    def took(number: int) -> float:
        since = watched.moment()
        watched.conf("quick", f"word {number}")
        return seconds(watched.wait_for("config.loaded", since, pipeline="quick"), since)

    # On a machine that is busy with other things one of them may take its time.
    assert any(took(number) < IN_EFFECT_S for number in range(20))


def test_a_file_written_in_place(watched: Daemon) -> None:
    first = in_effect(watched, lambda: watched.conf("in_place", "one"), pipeline="in_place")
    second = in_effect(watched, lambda: watched.conf("in_place", "two"), pipeline="in_place")
    assert first["revision"] != second["revision"]


def test_a_file_replaced_by_rename(watched: Daemon) -> None:
    file = watched.folder / "conf.d" / "renamed_over.conf"
    in_effect(watched, lambda: replace_by_rename(file, conf("one")), pipeline="renamed_over")
    in_effect(watched, lambda: replace_by_rename(file, conf("two")), pipeline="renamed_over")


def test_a_file_deleted_and_back(watched: Daemon) -> None:
    file = watched.folder / "conf.d" / "deleted.conf"
    in_effect(watched, lambda: watched.conf("deleted"), pipeline="deleted")
    in_effect(watched, file.unlink, "config.removed", pipeline="deleted")
    in_effect(watched, lambda: watched.conf("deleted"), pipeline="deleted")


def test_a_file_restored_to_older_content_and_an_older_time(watched: Daemon, tmp_path: Path) -> None:
    file = watched.folder / "conf.d" / "restored.conf"
    first = in_effect(watched, lambda: watched.conf("restored", "one"), pipeline="restored")
    os.utime(file, (1e9, 1e9))
    shutil.copy2(file, tmp_path / "backup")
    in_effect(watched, lambda: watched.conf("restored", "two"), pipeline="restored")
    again = in_effect(watched, lambda: shutil.copy2(tmp_path / "backup", file), pipeline="restored")
    assert again["revision"] == first["revision"]


def test_an_include_that_only_others_include(watched: Daemon) -> None:
    base = watched.folder / "conf.d" / "deep" / "base.conf"
    write(base, "word = one")
    write(watched.folder / "conf.d" / "_middle.conf", 'include "deep/base.conf"')
    text = 'include "_middle.conf"\ntasks = [{ name = says, args { word = ${word} } }]'
    in_effect(watched, lambda: write(watched.folder / "conf.d" / "includes.conf", text), pipeline="includes")
    in_effect(watched, lambda: base.write_text("word = two"), pipeline="includes")


def test_a_secret_that_a_file_has_waited_for(tmp_path: Path) -> None:
    with daemon(tmp_path, "--secrets", "secrets") as watched:
        since = watched.moment()
        watched.conf("secretive", more='for = "x"${secret.TOKEN}')
        watched.wait_for("config.invalid", since, code="unresolved-substitution")
        in_effect(watched, lambda: write(tmp_path / "secrets" / "TOKEN", "hush"), pipeline="secretive")


def test_an_include_that_appears_where_one_was_looked_for(watched: Daemon) -> None:
    file = watched.folder / "conf.d" / "looks.conf"
    text = 'include "deep/appears.conf"\ntasks = [{ name = says, args { word = ${word} } }]'
    told = in_effect(watched, lambda: write(file, text), "config.invalid", file="conf.d/looks.conf")
    assert told["code"] == "include-missing"
    appears = watched.folder / "conf.d" / "deep" / "appears.conf"
    in_effect(watched, lambda: write(appears, "word = some"), pipeline="looks")
    in_effect(watched, appears.unlink, "config.invalid", file="conf.d/looks.conf")


def test_the_code_of_a_task(watched: Daemon) -> None:
    watched.task("coded", SAYS.replace("Says", "Coded"))
    text = f'schedule {{ cron = "{EACH_SECOND}", timezone = UTC }}\ntasks = [{{ name = coded }}]'
    in_effect(watched, lambda: write(watched.folder / "conf.d" / "code.conf", text), pipeline="code")
    edited = SAYS.replace("Says", "Coded").replace('"says"', '"cries"')
    in_effect(watched, lambda: watched.task("coded", edited), pipeline="code")
    assert ran_next(watched, watched.moment(), "code") == ["cries x"]
    (watched.folder / "conf.d" / "code.conf").unlink()


def test_a_module_that_a_task_imports_and_one_of_its_package(watched: Daemon) -> None:
    tasks = watched.folder / "tasks"
    write(tasks / "kit" / "__init__.py", "from .inner import ANSWER")
    write(tasks / "kit" / "inner.py", "ANSWER = 41")
    write(tasks / "aside.py", "WORD = 'one'")
    code = """
        from tasker import Task
        from .aside import WORD
        from .kit import ANSWER

        class Leans(Task):
            def run(self):
                print(WORD, ANSWER)
    """
    text = f'schedule {{ cron = "{EACH_SECOND}", timezone = UTC }}\ntasks = [{{ name = leans }}]'
    watched.task("leaning", code)
    in_effect(watched, lambda: write(watched.folder / "conf.d" / "leaning.conf", text), pipeline="leaning")
    in_effect(watched, lambda: write(tasks / "aside.py", "WORD = 'two'"), pipeline="leaning")
    assert ran_next(watched, watched.moment(), "leaning") == ["two 41"]
    in_effect(watched, lambda: write(tasks / "kit" / "inner.py", "ANSWER = 42"), pipeline="leaning")
    assert ran_next(watched, watched.moment(), "leaning") == ["two 42"]
    (watched.folder / "conf.d" / "leaning.conf").unlink()


def test_a_new_task_that_mends_a_file_which_asked_for_it(watched: Daemon) -> None:
    file = watched.folder / "conf.d" / "early.conf"
    told = in_effect(
        watched, lambda: write(file, "tasks = [{ name = later }]"), "config.invalid", file="conf.d/early.conf"
    )
    assert told["code"] == "unknown-task"
    in_effect(watched, lambda: watched.task("later", SAYS.replace("Says", "Later")), pipeline="early")
    assert eventually(lambda: "conf.d/early.conf" not in {each["file"] for each in watched.readiness()["invalid"]})


@pytest.mark.parametrize("links_first", [False, True], ids=["kubelet", "old kubelet"])
@pytest.mark.parametrize("mode", MODES)
def test_a_configmap(tmp_path: Path, mode: str, links_first: bool) -> None:
    mounted = ConfigMap(tmp_path / "conf.d", links_first=links_first)
    payload = {"a.conf": conf("one"), "bad.conf": "word = one"}
    mounted.write(payload)
    with daemon(tmp_path, *MODES[mode]) as watched:
        watched.wait_for("config.invalid", file="conf.d/bad.conf")
        payload = {"a.conf": conf("two"), "b.conf": conf("new")}
        since = watched.moment()
        mounted.write(payload)
        for name in "ab":
            assert seconds(watched.wait_for("config.loaded", since, pipeline=name), since) < NOTICED_S
        in_effect(watched, lambda: mounted.write({"a.conf": conf("one")}), "config.removed", pipeline="b")
        in_effect(watched, lambda: mounted.write(payload), pipeline="b")
        since = watched.moment()
        for step in mounted.steps({"a.conf": conf("three"), "c.conf": conf("c")}):
            if step == "a.conf is written":
                break
        mounted.look_after()
        in_effect(watched, lambda: mounted.write({"a.conf": conf("four")}), pipeline="a")
        assert not watched.named("config.invalid", since)
        assert len(watched.named("config.loaded", since, pipeline="a")) == 1


def test_of_a_thousand_edits_in_a_burst_the_last_one_wins(tmp_path: Path) -> None:
    with daemon(tmp_path) as watched:
        since = watched.moment()
        for number in range(1000):
            watched.conf("burst", f"word {number}")
        last = in_effect(watched, lambda: watched.conf("burst", "last", cron=EACH_SECOND), pipeline="burst")
        assert ran_next(watched, watched.moment(), "burst") == ["says last"]
        told = watched.named("config.loaded", since, pipeline="burst") + watched.named("config.invalid", since)
        took = seconds(last, since)
        assert len(told) <= 3 + 2 * took / 0.3


def test_an_edit_in_the_very_second_of_a_slot_fires_it_once(tmp_path: Path) -> None:
    with daemon(tmp_path) as watched:
        in_effect(watched, lambda: edit_ticking(watched, "tick", "0"), pipeline="tick")
        since = watched.moment()
        numbers = itertools.count(1)
        while len(watched.named("slot.due", since)) < 4:
            edited = watched.moment()
            edit_ticking(watched, "tick", str(next(numbers)))
            watched.wait_for("config.loaded", edited, pipeline="tick")
        slots = [told["slot"] for told in watched.named("slot.due", since)]
        for slot in slots:
            watched.wait_for("run.started", since, slot=slot)
        started = [told["slot"] for told in watched.named("run.started", since)]
        assert len(set(slots)) == len(slots)
        assert len(set(started)) == len(started)
        assert _without_a_gap(slots)


def edit_ticking(watched: Daemon, name: str, word: str, *, more: str = "") -> Path:
    """Write a pipeline that is due each second, whatever still runs of it."""
    text = conf(word, cron=EACH_SECOND, more=more).replace("timezone = UTC", "timezone = UTC, overlap = allow")
    return write(watched.folder / "conf.d" / f"{name}.conf", text)


def _without_a_gap(slots: list[str]) -> bool:
    moments = [datetime.fromisoformat(slot) for slot in slots]
    return all(later - earlier == timedelta(seconds=1) for earlier, later in itertools.pairwise(moments))


def test_a_bad_edit_of_one_file_among_a_hundred_costs_nobody_anything(tmp_path: Path) -> None:
    when = write(tmp_path / "conf.d" / "_when.conf", f'schedule {{ cron = "{NEVER}", timezone = UTC }}')
    for number in range(99):
        due = 'include "_when.conf"\n' if number < 10 else ""
        write(tmp_path / "conf.d" / f"p{number}.conf", f"{due}tasks = [{{ name = says }}]")
    file = write(tmp_path / "conf.d" / "crm.conf", conf("good", cron=EACH_SECOND))
    with daemon(tmp_path, "--max-runs", "100") as watched:
        good = watched.wait_for("config.loaded", pipeline="crm")["revision"]
        bad = conf("bad", cron=EACH_SECOND).replace("says", "sayz")
        told = in_effect(watched, lambda: file.write_text(bad), "config.invalid")
        assert (told["file"], told["line"], told["code"]) == ("conf.d/crm.conf", 3, "unknown-task")
        assert told["runs_on"] == good
        (invalid,) = watched.readiness()["invalid"]
        assert (invalid["file"], invalid["runs_on"]) == ("conf.d/crm.conf", good)
        assert eventually(lambda: watched.metric("tasker_config_valid", file="conf.d/crm.conf") == 0)
        assert watched.metric("tasker_config_valid", file="conf.d/p98.conf") == 1
        since = watched.moment()
        when.write_text(f'schedule {{ cron = "{EACH_SECOND}", timezone = UTC }}')
        for number in range(10):
            watched.wait_for("run.succeeded", since, pipeline=f"p{number}")
        assert watched.wait_for("run.succeeded", since, pipeline="crm")["revision"] == good
        in_effect(watched, lambda: file.write_text(bad.replace("sayz", "says")), pipeline="crm")
        assert watched.readiness()["invalid"] == []
        assert eventually(lambda: watched.metric("tasker_config_valid", file="conf.d/crm.conf") == 1)


def test_after_a_bad_edit_and_a_restart_the_last_good_version_stays_scheduled(tmp_path: Path) -> None:
    with daemon(tmp_path) as first:
        in_effect(first, lambda: first.conf("crm", "good", cron=EACH_SECOND), pipeline="crm")
        in_effect(first, lambda: first.conf("crm", "good", more="nonsense = ["), "config.invalid")
        assert first.stop() == 143
    with daemon(tmp_path) as second:
        second.wait_for("config.invalid", file="conf.d/crm.conf")
        assert ran_next(second, second.moment(), "crm") == ["says good"]
        assert second.readiness()["invalid"][0]["runs_on"]
        for number in range(3):  # each of these interrupts what the one before has begun
            edit = partial(second.conf, "crm", "bad", more=f"nonsense{number} = [")
            in_effect(second, edit, "config.invalid")
        assert ran_next(second, second.moment(), "crm") == ["says good"]
        in_effect(second, lambda: second.conf("crm", "better", cron=EACH_SECOND), pipeline="crm")
        assert ran_next(second, second.moment(), "crm") == ["says better"]
        assert second.readiness()["invalid"] == []


BROKEN = ("def broken(:", "raise RuntimeError('broken')", "import os\nos._exit(3)")


def test_broken_code_costs_only_new_versions_of_the_pipelines_that_use_it(tmp_path: Path) -> None:
    write(tmp_path / "tasks" / "other.py", SAYS.replace("Says", "Other"))
    uses_other = conf("x", cron=EACH_SECOND).replace("says", "other")
    write(tmp_path / "conf.d" / "other.conf", uses_other)
    write(tmp_path / "conf.d" / "crm.conf", conf("x", cron=EACH_SECOND))
    with daemon(tmp_path) as watched:
        for broken in BROKEN:
            break_it = partial(watched.task, "says", broken)
            told = in_effect(watched, break_it, "config.invalid", file="tasks/says.py")
            assert told["code"] == "broken-task"
        watched.wait_for("config.invalid", file="conf.d/crm.conf")
        assert ran_next(watched, watched.moment(), "crm") == ["says x"]
        edited = SAYS.replace("Says", "Other").replace('"says"', '"cries"')
        in_effect(watched, lambda: watched.task("other", edited), pipeline="other")
        assert ran_next(watched, watched.moment(), "other") == ["cries x"]
        assert ran_next(watched, watched.moment(), "crm") == ["says x"]
        assert {each["file"] for each in watched.readiness()["invalid"]} == {"conf.d/crm.conf", "tasks/says.py"}
        in_effect(watched, lambda: watched.task("says", SAYS.replace('"says"', '"sings"')), pipeline="crm")
        assert ran_next(watched, watched.moment(), "crm") == ["sings x"]
        assert watched.readiness()["invalid"] == []
        assert eventually(lambda: len(watched.launchers()) == 1)


def test_a_module_that_hangs_when_it_is_imported_holds_up_no_conf_file(tmp_path: Path) -> None:
    with daemon(tmp_path) as watched:
        in_effect(watched, lambda: watched.conf("crm", "one", cron=EACH_SECOND), pipeline="crm")
        watched.task("hangs", "import time\ntime.sleep(3600)")
        assert eventually(lambda: len(watched.launchers()) == 2)
        in_effect(watched, lambda: watched.conf("crm", "two", cron=EACH_SECOND), pipeline="crm")
        assert ran_next(watched, watched.moment(), "crm") == ["says two"]
        since = watched.moment()
        (watched.folder / "tasks" / "hangs.py").unlink()
        assert eventually(lambda: len(watched.launchers()) == 1)
        assert not watched.named("config.invalid", since)


def test_two_files_that_exchange_their_names(tmp_path: Path) -> None:
    for file, name in (("a", "one"), ("b", "two")):
        write(tmp_path / "conf.d" / f"{file}.conf", conf(name, more=f"name = {name}"))
    with daemon(tmp_path) as watched:
        since = watched.moment()
        replace_by_rename(tmp_path / "conf.d" / "a.conf", conf("one", more="name = two"))
        replace_by_rename(tmp_path / "conf.d" / "b.conf", conf("two", more="name = one"))
        for name, file in (("two", "conf.d/a.conf"), ("one", "conf.d/b.conf")):
            assert watched.wait_for("config.loaded", since, pipeline=name)["file"] == file
        assert not watched.named("config.removed", since)
        assert watched.readiness()["invalid"] == []


def test_a_file_that_is_renamed_keeps_its_pipeline(tmp_path: Path) -> None:
    with daemon(tmp_path) as watched:
        file = edit_ticking(watched, "a", "x", more="name = kept")
        watched.wait_for("slot.due", pipeline="kept")
        since = watched.moment()
        in_effect(watched, lambda: file.rename(file.with_name("b.conf")), pipeline="kept", file="conf.d/b.conf")
        ran_next(watched, watched.moment(), "kept")
        assert not watched.named("config.removed", since)
        assert not watched.named("config.invalid", since)
        assert _without_a_gap([told["slot"] for told in watched.named("slot.due", pipeline="kept")])


def test_of_two_files_with_one_name_the_first_keeps_it_until_it_gives_it_up(tmp_path: Path) -> None:
    first = write(tmp_path / "conf.d" / "a.conf", conf("first", more='include "name.conf"'))
    write(tmp_path / "conf.d" / "_name.conf", "name = shared")
    first.write_text(conf("first", more='include "_name.conf"'))
    with daemon(tmp_path) as watched:
        second = conf("second", more="name = shared")
        told = in_effect(
            watched, lambda: write(tmp_path / "conf.d" / "b.conf", second), "config.invalid", file="conf.d/b.conf"
        )
        assert told["code"] == "duplicate-pipeline"
        since = watched.moment()
        in_effect(watched, lambda: write(tmp_path / "conf.d" / "_name.conf", "name = other"), pipeline="other")
        assert watched.wait_for("config.loaded", since, pipeline="shared")["file"] == "conf.d/b.conf"
        assert watched.readiness()["invalid"] == []


def test_a_run_under_way_ends_on_the_version_that_it_began_with(tmp_path: Path) -> None:
    waits = """
        from pathlib import Path
        import time
        from tasker import Task

        class Waits(Task):
            def run(self):
                while not Path("go").exists():
                    time.sleep(0.01)
    """
    write(tmp_path / "tasks" / "waits.py", waits)
    text = (
        conf("WORD", cron=EACH_SECOND)
        .replace("tasks = [", "tasks = [{ name = waits }, ")
        .replace(" }]", ", needs = [waits] }]")
    )
    write(tmp_path / "conf.d" / "long.conf", text.replace("WORD", "before"))
    with daemon(tmp_path) as watched:
        run = watched.wait_for("run.started", pipeline="long")
        file = watched.folder / "conf.d" / "long.conf"
        told = in_effect(watched, lambda: write(file, text.replace("WORD", "after")), pipeline="long")
        assert told["revision"] != run["revision"]
        in_effect(watched, lambda: watched.task("says", SAYS.replace('"says"', '"cries"')), pipeline="long")
        (watched.folder / "go").touch()
        ended = watched.wait_for("run.succeeded", run_id=run["run_id"])
        assert ended["revision"] == run["revision"]
        assert [each["line"] for each in watched.named("step.output", run_id=run["run_id"])] == ["says before"]
        since = watched.moment()
        assert ran_next(watched, since, "long") == ["cries after"]


def test_sighup_validates_everything_anew(tmp_path: Path) -> None:
    for number in range(5):
        write(tmp_path / "conf.d" / f"p{number}.conf", conf())
    write(tmp_path / "conf.d" / "bad.conf", "tasks = [")
    with daemon(tmp_path) as watched:
        (launcher,) = watched.launchers()
        since = watched.moment()
        watched.send(signal.SIGHUP)
        for number in range(5):
            watched.wait_for("config.loaded", since, pipeline=f"p{number}")
        watched.wait_for("config.invalid", since, file="conf.d/bad.conf")
        assert eventually(lambda: len(watched.launchers()) == 1 and watched.launchers() != [launcher])
