"""The container image: built from this tree, and run with all taken from it that can be taken."""

from __future__ import annotations

import json
import os
import re
import signal
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import image as images
from support.command import eventually, write
from support.configmap import ConfigMap
from support.daemons import EACH_SECOND, SAYS, Daemon, conf, seconds
from support.image import ContainedDaemon, podman

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "how-to" / "container.md"
IN_EFFECT_S = 1.0
"""Seconds in which an edit is in effect on a machine that has the time."""
NOTICED_S = 8.0
"""More seconds than that takes on the busiest machine, and fewer than pass between two sweeps."""
MEMORY_MIB = 256

WORKS = """
    import os
    import signal
    import subprocess
    import sys
    import time

    from tasker import Task

    class Orphans(Task):
        def run(self, count: int):
            for number in range(count):
                if os.fork() == 0:
                    # Its child is nobody's when it ends itself, and most of them outlive the step for a moment.
                    subprocess.Popen([sys.executable, "-S", "-c", f"import time; time.sleep({number % 3} / 20)"])
                    os._exit(0)
            for _ in range(count):
                os.wait()
            print("orphaned", count)

    class Devours(Task):
        def run(self):
            held = []
            while True:
                held.append(bytearray(os.urandom(1 << 20)))

    class Lingers(Task):
        def run(self):
            print("lingers")
            time.sleep(60)
"""
STATES = """
import os
for pid in filter(str.isdecimal, os.listdir("/proc")):
    try:
        print(pid, open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0])
    except OSError:
        pass
"""


@pytest.fixture(scope="module")
def image() -> str:
    """The image of this tree."""
    reason = images.missing()
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    return images.built()


@pytest.fixture(scope="module")
def own_image(image: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image with a task and a package of its own, made by the Dockerfile that the document shows."""
    folder = tmp_path_factory.mktemp("own")
    (dockerfile,) = re.findall(r"```dockerfile\n(FROM tasker\n.+?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    write(folder / "Dockerfile", dockerfile)
    write(folder / "tasks" / "says.py", SAYS)
    return images.built_on(image, folder)


@pytest.fixture(scope="module")
def contained(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainedDaemon]:
    """A daemon in a container, which several tests share, with a limit on its memory and tasks that are mounted."""
    folder = tmp_path_factory.mktemp("contained")
    write(folder / "tasks" / "says.py", SAYS)
    write(folder / "tasks" / "works.py", WORKS)
    with ContainedDaemon(folder, image, f"--memory={MEMORY_MIB}m") as daemon:
        daemon.wait_for("daemon.started")
        yield daemon


def runs(contained: Daemon, name: str, step: str) -> None:
    """Have a pipeline run, at the next second."""
    write(contained.folder / "conf.d" / f"{name}.conf", f'schedule = "{EACH_SECOND}"\ntasks = [{{ {step} }}]\n')


# The image itself


def test_it_runs_without_root_and_says_what_it_is(image: str) -> None:
    (told,) = json.loads(podman("image", "inspect", image).stdout)
    config = told["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["tasker"]
    assert config["WorkingDir"] == "/etc/tasker"
    assert config["Labels"]["org.opencontainers.image.title"] == "tasker"
    assert {"TASKER_STATE=/var/lib/tasker", "TASKER_HTTP=:9090"} <= set(config["Env"])


def test_all_of_it_is_compiled(image: str) -> None:
    """Who may write nothing would compile what is not, at each start."""
    program = """
        import sys, importlib.util as util, subprocess
        names = subprocess.run(
            [sys.executable, "-c", "import sys; from tasker.cli import main;"
             "main(['once', 'conf.d/params.conf', '--dry-run']); print(*sys.modules)"],
            capture_output=True, text=True, check=True).stdout.splitlines()[-1].split()
        for name in names:
            spec = util.find_spec(name) if not name.startswith(("__", "tasker_tasks_")) else None
            if spec and spec.cached and spec.origin.endswith(".py"):
                assert open(spec.cached, "rb").read(4) == util.MAGIC_NUMBER, name
                print(name)
    """
    done = podman("run", "--rm", *images.HARDENED, "--entrypoint=python", image, "-c", textwrap.dedent(program))
    assert done.returncode == 0, done.stderr
    assert {"tasker.project", "argparse"} <= set(done.stdout.split())


# `once`


def test_once_runs_the_sample_of_the_seed(image: str) -> None:
    ended = images.run(image, "once", "conf.d/sample.conf")
    assert ended.status == 0, ended.stderr
    assert "Linux" in ended.output("shell_script")[0]
    assert "/etc/tasker/tasks/archive.py" in ended.output("shell_script_2")
    assert ended.end("archive")["outputs"]["entries"] > 10
    assert len(ended.named("history.unavailable")) == 1


def test_once_keeps_its_runs_on_a_volume_and_logs_as_the_environment_says(image: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    options = [f"--volume={tmp_path}:/var/lib/tasker", "--env=TASKER_LOG_LEVEL=warning"]
    ended = images.run(image, "once", "conf.d/params.conf", options=options)
    assert {told["level"] for told in ended.events} == {"warning"}
    assert not ended.named("history.unavailable")
    (run,) = images.run(image, "runs", options=options).events
    assert (run["pipeline"], run["status"]) == ("params", "succeeded")


def test_once_runs_the_demo_with_a_package_of_its_own(own_image: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    built = [f"--volume={tmp_path}:/etc/tasker/build"]
    # All eight applications of it would keep two cores busy for seven seconds.
    some = ("--instance=people", "--instance=cohorts", "--instance=reports")
    scanned = images.run(own_image, "once", "conf.d/lineage.conf", *some, options=built)
    assert {told["pipeline"] for told in scanned.named("run.failed")} == {"lineage/reports"}  # on purpose
    merged = images.run(own_image, "once", "conf.d/lineage-all.conf", "--set=applications=2", options=built)
    assert (scanned.status, merged.status) == (1, 0)
    assert merged.end("backup")["outputs"]["entries"] >= 4


def test_an_image_made_of_it_has_tasks_of_its_own_and_cannot_change_those_that_ship(own_image: str) -> None:
    own = podman("run", "--rm", *images.HARDENED, own_image, "tasks", "says")
    assert (own.returncode, json.loads(own.stdout)["name"]) == (0, "says")
    touched = "import tasker.cli, pathlib; pathlib.Path(tasker.cli.__file__).unlink()"
    done = podman("run", "--rm", "--cap-drop=ALL", "--network=none", "--entrypoint=python", own_image, "-c", touched)
    assert "PermissionError" in done.stderr


# `watch`


def test_it_runs_as_the_user_and_is_well(contained: ContainedDaemon) -> None:
    assert contained.execute("id", "-u").stdout.strip() == "10001"
    assert podman("healthcheck", "run", contained.name).returncode == 0
    assert contained.execute("tasker", "health", "--http", ":1").returncode == 1


def test_it_runs_no_more_at_once_than_there_is_memory_for(contained: ContainedDaemon) -> None:
    assert contained.wait_for("daemon.started")["max_runs"] == (MEMORY_MIB - 128) // 64


def test_it_sees_the_edits_of_a_configmap_within_a_second(image: str, tmp_path: Path) -> None:
    mounted = ConfigMap(tmp_path / "conf.d")
    kept = {"b.conf": conf("stays")}
    mounted.write({"a.conf": conf("first"), **kept})
    write(tmp_path / "tasks" / "says.py", SAYS)
    with ContainedDaemon(tmp_path, image) as daemon:
        for name in "ab":
            daemon.wait_for("config.loaded", pipeline=name)
        quickest = dict.fromkeys(("added", "edited", "removed", "restored", "after a half-written one"), 99.0)

        def edit(kind: str, payload: dict[str, str], event: str, pipeline: str) -> None:
            since = daemon.moment()
            mounted.write({**payload, **kept})
            took = seconds(daemon.wait_for(event, since, pipeline=pipeline), since)
            assert took < NOTICED_S
            quickest[kind] = min(quickest[kind], took)

        for number in range(5):
            before, after, new = {"a.conf": conf("first")}, {"a.conf": conf(f"{number}")}, {"c.conf": conf("new")}
            edit("added", {**before, **new}, "config.loaded", "c")
            edit("edited", {**after, **new}, "config.loaded", "a")
            edit("removed", after, "config.removed", "c")
            edit("restored", {**after, **new}, "config.loaded", "c")
            for step in mounted.steps({"a.conf": "tasks = [", "z.conf": "tasks = ["}):
                if step == "a.conf is written":
                    break
            edit("after a half-written one", before, "config.loaded", "a")
            if max(quickest.values()) < IN_EFFECT_S:
                break
        # On a machine that is busy with other things one of them may take its time.
        assert max(quickest.values()) < IN_EFFECT_S, quickest
        assert not daemon.named("config.invalid")
        assert not daemon.named("config.loaded", pipeline="z")
        assert len(daemon.named("config.loaded", pipeline="b")) == 1


def test_it_reaps_what_a_step_orphans(contained: ContainedDaemon) -> None:
    runs(contained, "orphans", "name = orphans, args { count = 100 }")
    contained.wait_for("run.succeeded", pipeline="orphans")
    (contained.folder / "conf.d" / "orphans.conf").unlink()
    contained.wait_for("config.removed", pipeline="orphans")

    def states() -> list[str]:
        return contained.execute("python", "-S", "-c", STATES).stdout.splitlines()

    assert eventually(lambda: len(states()) <= 4 and not any(line.endswith(" Z") for line in states())), states()


def test_a_step_that_runs_out_of_memory_has_failed_and_the_daemon_lives_on(contained: ContainedDaemon) -> None:
    runs(contained, "devours", "name = devours")
    told = contained.wait_for("step.failed", pipeline="devours")
    (contained.folder / "conf.d" / "devours.conf").unlink()
    assert "killed by SIGKILL, as the kernel does when memory runs out" in told["error"]
    since = contained.moment()
    contained.conf("afterwards", "all is well", cron=EACH_SECOND)
    contained.wait_for("step.output", since, line="says all is well")
    (contained.folder / "conf.d" / "afterwards.conf").unlink()
    assert not contained.named("daemon.troubled")
    assert contained.inspect(".State.Running") == "true"


@pytest.mark.parametrize("command", ["watch", "once conf.d/lingers.conf"])
def test_a_stop_ends_a_running_step_in_time_and_does_what_is_to_be_done_finally(
    image: str, tmp_path: Path, command: str
) -> None:
    write(tmp_path / "tasks" / "says.py", SAYS)
    write(tmp_path / "tasks" / "works.py", WORKS)
    steps = "tasks = [{ name = lingers }]\nfinally = [{ name = says, args { word = bye } }]\n"
    write(tmp_path / "conf.d" / "lingers.conf", f'schedule = "{EACH_SECOND}"\n{steps}')
    with ContainedDaemon(tmp_path, image, command=command.split()) as daemon:
        daemon.wait_for("step.output", line="lingers")
        since = daemon.moment()
        assert podman("stop", "--time=40", daemon.name).returncode == 0
        assert daemon.end() == 128 + signal.SIGTERM
        assert daemon.wait_for("step.output", since)["line"] == "says bye"
        (interrupted,) = daemon.named("run.interrupted")
        assert seconds(interrupted, since) < 10
        assert daemon.events[-1]["event"] == ("daemon.stopped" if command == "watch" else "run.interrupted")
