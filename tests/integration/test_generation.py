"""Real launchers: what they import, validate and run, and what dies with what."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from support.command import eventually, gone, processes_with, write
from support.generations import SLOT, Listener

from tasker import linux
from tasker.facts import Event
from tasker.journal import read
from tasker.launching.messages import Bounds, Configured, Gone, Lost, Ready, Refused, RunBegan, RunEnded, Told
from tasker.run import Status, StepRun
from tasker.running.earlier import Earlier

TASKS = """
    import os, signal, subprocess, sys, time
    from pathlib import Path
    from tasker import Task

    class Say(Task):
        def run(self, text: str = "hello", times: int = 1):
            for _ in range(times):
                print(text)
            return {"text": text}

    class Wait(Task):
        def run(self, seconds: float = 60, left: Path | None = None, stubborn: bool = False):
            try:
                print("waiting", flush=True)
                time.sleep(seconds)
            finally:
                if stubborn:
                    time.sleep(seconds)
                if left:
                    left.write_text("tidied up")

    class Detach(Task):
        def run(self, mark: str):
            program = "import time; print('there', flush=True); time.sleep(60)"
            subprocess.Popen([sys.executable, "-c", program, mark], start_new_session=True)
            time.sleep(60)

    class Hold(Task):
        def run(self, mark: str):
            os.kill(os.getppid(), signal.SIGSTOP)
            subprocess.run([sys.executable, "-c", "import time; time.sleep(60)", mark])

    class Descriptors(Task):
        def run(self):
            found = {}
            for entry in os.listdir("/proc/self/fd"):
                try:
                    found[entry] = os.readlink(f"/proc/self/fd/{entry}")
                except OSError:
                    pass
            return {"found": found}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with tasks, which is the working one."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "tasks" / "given.py", TASKS)
    (tmp_path / "conf.d").mkdir()
    return tmp_path


def conf(folder: Path, text: str, name: str = "a.conf") -> None:
    write(folder / "conf.d" / name, text)


# What runs carry out


def test_a_run_tells_what_it_carries_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKER_COMMIT", "abc")
    conf(folder, "tasks = [{ name = say, args { text = ${RUN_ID} } }]")
    with Listener(folder) as listener:
        listener.order(listener.valid("a.conf"))
        told = listener.until(Configured)
        listener.ended()
    assert (told.run_id, told.commit) == ("run-1", "abc")
    assert told.config is not None
    assert json.loads(told.config)["tasks"][0]["args"] == {"text": "${RUN_ID}"}


# Importing


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import os\nos._exit(3)", "exit status 3"),
        ("import os\nos.kill(os.getpid(), 11)", "killed by SIGSEGV"),
        ("import time\ntime.sleep(60)", "did not end importing within 2 s"),
    ],
    ids=["exits", "crashes", "hangs"],
)
def test_a_module_that_ends_or_stops_the_launcher_costs_only_who_uses_it(folder: Path, text: str, reason: str) -> None:
    write(folder / "tasks" / "bad.py", text)
    conf(folder, "tasks = [{ name = say }]")
    conf(folder, "tasks = [{ name = bad }]", "b.conf")
    with Listener(folder, Bounds(importing_s=2.0)) as listener:  # a busy machine takes its time with good ones, too
        (fault,) = listener.until(Ready).faults
        found = listener.validated("a.conf", "b.conf")
    assert (fault.code, fault.place.file) == ("broken-task", "tasks/bad.py")
    assert reason in fault.message
    assert found["a.conf"].versions
    assert [each.code for each in found["b.conf"].faults] == ["broken-task"]


def test_a_module_that_hangs_and_ignores_its_alarm_is_left_out_as_others_are(folder: Path) -> None:
    write(
        folder / "tasks" / "bad.py",
        "import signal, time\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\ntime.sleep(60)",
    )
    with Listener(folder, Bounds(importing_s=2.0)) as listener:
        (fault,) = listener.until(Ready).faults
    assert (fault.code, fault.place.file) == ("broken-task", "tasks/bad.py")
    assert "did not end importing within 2 s" in fault.message


def test_what_a_module_does_to_signals_and_timers_costs_no_other(folder: Path) -> None:
    meddling = """
        import signal
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM, signal.SIGTERM])
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.5)
        """
    write(folder / "tasks" / "a_meddling.py", meddling)
    write(folder / "tasks" / "slow.py", "import time\ntime.sleep(60)")
    write(folder / "tasks" / "z_meddling.py", meddling)
    conf(folder, "tasks = [{ name = say }]")
    with Listener(folder, Bounds(importing_s=2.0)) as listener:
        (fault,) = listener.until(Ready).faults
        listener.order(listener.valid("a.conf"))
        assert listener.ended() == RunEnded(run_id="run-1", status=0)
        os.kill(listener.generation.pid, signal.SIGTERM)
        listener.gone()
    assert fault.place.file == "tasks/slow.py"


def test_what_a_module_sends_that_is_no_message_is_passed_over(folder: Path) -> None:
    module = """
        import json, os, socket, stat, struct
        made_up = [
            {"kind": "x"}, {"kind": ["x"]}, {"x": 1}, {"kind": "RunEnded", "run_id": [], "status": 0},
            {"kind": "RunEnded", "run_id": "run-1", "status": "0"}, {"kind": "Importing", "module": None},
            {"kind": "Told", "fact": {"event": "x", "at": "2026-11-22T00:00:00Z", "level": "info", "run_id": []}},
            {"kind": "ValidationEnded", "number": {}}, {"kind": "Ready", "faults": 5, "task_modules": []},
        ]
        for name in os.listdir("/proc/self/fd"):
            try:
                end = socket.socket(fileno=os.dup(int(name)))
                for number, each in enumerate(made_up):
                    end.send(struct.pack("!IIB", os.getpid(), number, 0) + json.dumps(each).encode())
            except OSError:
                pass
        """
    write(folder / "tasks" / "bad.py", module)
    conf(folder, "tasks = [{ name = say }]")
    with Listener(folder) as listener:
        listener.order(listener.valid("a.conf"))
        assert listener.ended().status == 0


def test_what_is_asked_for_before_the_tasks_are_imported_is_not_lost(folder: Path) -> None:
    conf(folder, "tasks = [{ name = say }]")
    write(folder / "tasks" / "bad.py", "import os\nos._exit(3)")
    with Listener(folder) as listener:
        valid = listener.valid("a.conf")
        listener.order(valid)
        assert listener.ended().status == 0


def test_it_tells_which_files_hold_the_code_of_a_task(folder: Path) -> None:
    write(folder / "tasks" / "_shared.py", "X = 1")
    write(
        folder / "tasks" / "user.py",
        "from tasker import Task\nfrom ._shared import X\nclass User(Task):\n  def run(self): ...\n",
    )
    with Listener(folder) as listener:
        modules = listener.until(Ready).task_modules
    assert modules["user"] == tuple(str(folder / "tasks" / name) for name in ("_shared.py", "user.py"))
    assert modules["say"] == (str(folder / "tasks" / "given.py"),)


def test_a_run_imports_nothing_that_the_launcher_has_not_imported(folder: Path) -> None:
    """Neither for a schedule nor for the logger of a step: each would pay for it anew."""
    task = """
        import sys
        from tasker import Task

        HAS_LOGGERS = "structlog" in sys.modules

        class Modules(Task):
            def run(self):
                looked_for = {"tasker.scheduling.cron", "cronsim", "zoneinfo", "rich"}
                return {"found": [each for each in sys.modules if each in looked_for], "has_loggers": HAS_LOGGERS}
        """
    write(folder / "tasks" / "modules.py", task)
    conf(folder, "tasks = [{ name = modules }]")
    with Listener(folder) as listener:
        listener.order(listener.valid("a.conf"))
        told = listener.until_fact(Event.STEP_SUCCEEDED)
    assert sorted(told.details["outputs"]["found"]) == ["cronsim", "tasker.scheduling.cron", "zoneinfo"]
    assert told.details["outputs"]["has_loggers"]


def test_a_launcher_that_is_not_needed_any_more_does_not_go_on_importing(folder: Path) -> None:
    write(folder / "tasks" / "slow.py", "import time\ntime.sleep(60)")
    with Listener(folder) as listener:
        listener.generation.retire()
        listener.gone()
    assert [type(each) for each in listener.heard] == [Gone]


def test_a_task_whose_module_broke_after_defining_it_is_not_told_as_one_that_is_there(folder: Path) -> None:
    write(
        folder / "tasks" / "half.py", "from tasker import Task\nclass Half(Task):\n  def run(self): ...\nraise OSError"
    )
    with Listener(folder) as listener:
        assert "half" not in listener.until(Ready).task_modules


# Validating


def test_a_version_says_what_it_was_read_from_and_what_it_depends_on(folder: Path) -> None:
    conf(folder, 'include "_part"\ntasks = [{ name = say, args { text = ${TODAY}${RUN_ID} } }]\nschedule = "@daily"')
    conf(folder, "resume = never\nfinally = [{ name = tell }]", "_part.conf")
    write(folder / "tasks" / "tell.py", "from tasker import Task\nclass Tell(Task):\n    def run(self): ...")
    with Listener(folder) as listener:
        valid = listener.valid("a.conf")
    (version,) = valid.versions
    assert (version.name, version.file, version.named_at.file) == ("a", "conf.d/a.conf", "conf.d/a.conf")
    assert version.schedule is not None
    assert version.schedule.cron == ("@daily",)
    assert version.resume == "never"
    assert valid.snapshot is not None
    assert list(valid.snapshot.files) == ["a.conf", "_part.conf"]
    assert valid.files == tuple(str(folder / "conf.d" / name) for name in ("a.conf", "_part", "_part.conf"))
    assert version.modules == tuple(str(folder / "tasks" / name) for name in ("given.py", "tell.py"))


def test_a_file_with_for_each_is_several_versions_of_one_snapshot_each_of_which_runs(folder: Path) -> None:
    conf(folder, "for_each { crm { say = one }, erp { say = two } }\ntasks = [{ name = say, args.text = ${item.say} }]")
    with Listener(folder) as listener:
        valid = listener.valid("a.conf")
        listener.order(valid, instance="erp")
        assert listener.until_fact("step.output").details["line"] == "two"
        assert listener.ended().status == 0
    assert [each.name for each in valid.versions] == ["a/crm", "a/erp"]
    assert len({each.revision for each in valid.versions}) == 2
    assert {each.pipeline for each in listener.facts()} == {"a/erp"}


def test_a_file_that_is_not_valid_says_which_files_would_mend_it(folder: Path) -> None:
    conf(folder, 'include "_gone"\ntasks = [{ name = say }]')
    with Listener(folder) as listener:
        found = listener.validated("a.conf", "never.conf")
    assert not found["a.conf"].versions
    assert [each.code for each in found["a.conf"].faults] == ["include-missing"]
    assert str(folder / "conf.d" / "_gone.conf") in found["a.conf"].files
    assert [each.code for each in found["never.conf"].faults] == ["unreadable"]


def test_a_version_is_validated_from_memory_under_other_code(folder: Path) -> None:
    conf(folder, "tasks = [{ name = say }]")
    with Listener(folder) as listener:
        valid = listener.valid("a.conf")
        (folder / "conf.d" / "a.conf").unlink()
        found = listener.validated("a.conf", number=2, a=valid.snapshot)["a.conf"]
    assert found.versions == valid.versions


@pytest.mark.parametrize(
    ("cost", "code", "message"),
    [
        ("time.sleep(60)", "too-large", "validating it took over"),
        ("os.kill(os.getpid(), 9)", "too-large", "MiB of memory"),
        ("os._exit(5)", "not-validated", "exit status 5"),
    ],
    ids=["time", "memory", "death"],
)
def test_a_file_that_costs_too_much_is_the_only_one_to_suffer(folder: Path, cost: str, code: str, message: str) -> None:
    write(
        folder / "tasks" / "odd.py",
        f"""
        import os, time
        from dataclasses import dataclass
        from tasker import Task

        @dataclass
        class Shape:
            def __post_init__(self):
                {cost}

        class Odd(Task):
            def run(self, shape: Shape): ...
        """,
    )
    for name in "ace":
        conf(folder, "tasks = [{ name = say }]", f"{name}.conf")
    conf(folder, "tasks = [{ name = odd, args { shape {} } }]", "b.conf")
    with Listener(folder, Bounds(hurried_s=1.0, validating_s=1.5, memory=256 << 20)) as listener:
        found = listener.validated("a.conf", "b.conf", "c.conf", "e.conf")
    assert list(found)[-1] == "b.conf"
    assert [name for name, each in found.items() if each.versions] == ["a.conf", "c.conf", "e.conf"]
    (fault,) = found["b.conf"].faults
    assert fault.code == code
    assert message in fault.message


def test_memory_that_a_validation_takes_is_bounded(folder: Path) -> None:
    many = "x" * 1000
    conf(folder, f"a = {many}\ntasks = [{{ name = say }}]" + "".join(f"\nb{n} = ${{a}}${{a}}" for n in range(2000)))
    with Listener(folder, Bounds(memory=1 << 20)) as listener:
        (fault,) = listener.validated("a.conf")["a.conf"].faults
    assert (fault.code, fault.message) == ("too-large", "validating it took over 1 MiB of memory")


# Running


def test_a_run_is_read_from_its_snapshot_with_the_variables_of_its_own(folder: Path) -> None:
    conf(folder, "tasks = [{ name = say, args { text = ${RUN_ID}_${TODAY} } }]")
    with Listener(folder) as listener:
        valid = listener.valid("a.conf")
        conf(folder, "tasks = [{ name = wait }]")
        listener.order(valid)
        listener.order(valid, "run-2")
        assert listener.ended() == RunEnded(run_id="run-1", status=0)
        listener.generation.retire()
        listener.gone()
        lines = {
            run: [each.details["line"] for each in listener.facts(run) if each.event == "step.output"]
            for run in ("run-1", "run-2")
        }
    assert lines == {"run-1": [f"run-1_{SLOT:%Y-%m-%d}"], "run-2": [f"run-2_{SLOT:%Y-%m-%d}"]}
    assert {each.revision for each in listener.facts()} == {valid.versions[0].revision}


def test_a_run_tells_how_late_it_is_and_writes_its_journal(folder: Path) -> None:
    conf(folder, "tasks = [{ name = say }]")
    with Listener(folder) as listener:
        listener.order(listener.valid("a.conf"), journal=folder / "journal")
        listener.ended()
    assert listener.facts()[0].details["late_s"] > 0
    assert [each.event for each in read(folder / "journal")] == [
        "run.started",
        "step.started",
        "step.succeeded",
        "run.succeeded",
    ]


def test_a_resumed_run_takes_up_what_is_done_and_goes_on_in_the_same_workspace(folder: Path) -> None:
    conf(
        folder,
        """
        workspace.keep = always
        tasks = [
          { id = one, name = say, args { text = ${WORKSPACE} } }
          { id = two, name = say, args { text = ${outputs.one.text} } }
        ]
        """,
    )
    with Listener(folder) as listener:
        listener.order(listener.valid("a.conf"))
        done = listener.until_fact(Event.STEP_SUCCEEDED)
        listener.ended()
        one = StepRun(step="one", task="say", status=Status.SUCCEEDED, fingerprint=done.details["fingerprint"])
        earlier = Earlier(run_id="run-1", steps={"one": replace(one, outputs={"text": "before"})})
        listener.order(listener.valid("a.conf"), "run-2", earlier=earlier)
        listener.ended("run-2")
    started, *facts = listener.facts("run-2")
    assert started.details["resumed_from"] == "run-1"
    assert started.details["workspace"] == str(folder / "workspaces" / "run-1")
    said = [each.details["line"] for each in facts if each.event == Event.STEP_OUTPUT]
    assert said == ["before"]


def test_a_run_whose_file_is_not_valid_any_more_is_refused(folder: Path) -> None:
    secret = write(folder / "secrets" / "KEY", "s3cret")
    conf(folder, "tasks = [{ name = say, args { text = ${secret.KEY} } }]")
    with Listener(folder) as listener:
        valid = listener.valid("a.conf")
        secret.unlink()
        listener.order(valid)
        refused = listener.until(Refused)
        listener.generation.retire()
        listener.gone()
    assert [each.code for each in refused.faults] == ["unresolved-substitution"]
    assert not [each for each in listener.heard if isinstance(each, RunEnded)]


def test_a_run_that_cannot_go_on_says_why(folder: Path) -> None:
    conf(folder, "tasks = [{ name = say }]")
    write(folder / "workspaces", "a file")
    with Listener(folder) as listener:
        listener.order(listener.valid("a.conf"))
        assert "the workspace" in str(listener.ended().error)


def test_a_run_whose_journal_cannot_be_written_goes_on_without(folder: Path) -> None:
    conf(folder, "tasks = [{ name = say }]")
    write(folder / "file", "no folder")
    with Listener(folder) as listener:
        listener.order(listener.valid("a.conf"), journal=folder / "file" / "journal")
        assert listener.ended().error is None
    assert listener.facts()[-1].event == Event.RUN_SUCCEEDED


def test_a_folder_of_journals_that_is_gone_is_made_again(folder: Path) -> None:
    conf(folder, "tasks = [{ name = say }]")
    with Listener(folder) as listener:
        listener.order(listener.valid("a.conf"), journal=folder / "gone" / "journal")
        listener.ended()
    assert [each.event for each in read(folder / "gone" / "journal")][-1] == Event.RUN_SUCCEEDED


def test_a_run_begins_before_it_tells_and_ends_after_all_that_it_told(folder: Path) -> None:
    conf(folder, "tasks = [{ name = say, args { times = 5000 } }]")
    with Listener(folder) as listener:
        listener.order(listener.valid("a.conf"))
        listener.ended()
    of_run = [each for each in listener.heard if isinstance(each, RunBegan | Told | RunEnded)]
    assert isinstance(of_run[0], RunBegan)
    assert isinstance(of_run[-1], RunEnded)
    assert [each.event for each in listener.facts()].count(Event.STEP_OUTPUT) == 5000
    assert listener.facts()[-1].event == Event.RUN_SUCCEEDED


def test_a_step_holds_no_descriptor_of_the_launcher(folder: Path) -> None:
    conf(folder, "tasks = [{ name = descriptors }]")
    with Listener(folder) as listener:
        valid = listener.valid("a.conf")
        listener.order(valid)
        sockets = _sockets(listener.generation.pid)
        listener.ended()
    (found,) = [each.details["outputs"]["found"] for each in listener.facts() if each.event == Event.STEP_SUCCEEDED]
    assert sockets
    assert not sockets & set(found.values())


def _sockets(pid: int) -> set[str]:
    links = [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()]
    return {link for link in links if link.startswith("socket:")}


def test_orders_wait_for_a_launcher_that_is_slow_and_hold_nobody_up(folder: Path) -> None:
    conf(folder, f"tasks = [{{ name = say }}]\n# {'x' * 900_000}")
    with Listener(folder) as listener:
        valid = listener.valid("a.conf")
        os.kill(listener.generation.pid, signal.SIGSTOP)
        for number in range(5):
            listener.order(valid, f"run-{number}")
        os.kill(listener.generation.pid, signal.SIGCONT)
        for _ in range(5):
            assert listener.until(RunEnded).status == 0


# Stopping


def test_a_stopped_run_tells_the_reason_and_tidies_up(folder: Path) -> None:
    conf(folder, f"tasks = [{{ name = wait, args {{ left = {folder}/left }} }}]")
    with Listener(folder) as listener:
        listener.order(listener.valid("a.conf"))
        listener.until_fact(Event.STEP_OUTPUT)
        listener.generation.stop("run-1", "replaced by the slot of 02:30")
        assert listener.ended() == RunEnded(run_id="run-1", status=143)
    assert "replaced by the slot of 02:30" in listener.facts()[-1].details["error"]
    assert listener.facts()[-1].event == Event.RUN_INTERRUPTED
    assert (folder / "left").exists()


def test_a_killed_run_does_not_wait_for_its_steps(folder: Path) -> None:
    conf(folder, "tasks = [{ name = wait, args { stubborn = true } }]")
    with Listener(folder, grace_s=60.0) as listener:
        listener.order(listener.valid("a.conf"))
        listener.until_fact(Event.STEP_OUTPUT)
        listener.generation.stop("run-1", "the daemon is stopping")
        listener.generation.kill("run-1")
        began = time.monotonic()
        assert listener.ended().error is None
        assert time.monotonic() - began < 20
    assert listener.facts()[-1].event == Event.RUN_INTERRUPTED


@pytest.mark.parametrize("how", ["at once", "in order"])
def test_a_run_whose_step_keeps_it_from_answering_is_killed_in_the_end(folder: Path, how: str) -> None:
    mark = f"mark-{os.getpid()}-stopped"
    conf(folder, f"tasks = [{{ name = hold, args {{ mark = {mark} }} }}]")
    with Listener(folder, grace_s=0.1) as listener:
        listener.order(listener.valid("a.conf"))
        began = listener.until(RunBegan)
        assert eventually(lambda: _state(began.pid) == "T")
        listener.generation.stop("run-1", "the daemon is stopping")
        if how == "at once":
            listener.generation.kill("run-1")
        ended = listener.ended()
        assert not processes_with(mark)
    assert ended.status == -signal.SIGKILL
    assert "the daemon is stopping" in str(ended.error)
    assert (folder / "workspaces" / "run-1").exists()


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]


def test_a_retiring_launcher_waits_for_its_runs(folder: Path) -> None:
    conf(folder, "tasks = [{ name = wait, args { seconds = 0.3 } }]")
    with Listener(folder) as listener:
        listener.order(listener.valid("a.conf"))
        listener.generation.retire()
        assert listener.ended().status == 0
        assert listener.gone() == Gone(status=0)
    assert not [each for each in listener.heard if isinstance(each, Lost)]


# Dying


def test_a_run_that_is_killed_leaves_nothing_but_its_workspace_and_says_how_it_ended(folder: Path) -> None:
    mark = f"mark-{os.getpid()}-run"
    conf(folder, f"tasks = [{{ name = detach, args {{ mark = {mark} }} }}]")
    with Listener(folder) as listener:
        listener.order(listener.valid("a.conf"))
        began = listener.until(RunBegan)
        assert linux.started(began.pid) == began.pid_started
        listener.until_fact(Event.STEP_OUTPUT)
        os.kill(began.pid, signal.SIGKILL)
        ended = listener.ended()
        assert not processes_with(mark)
        assert (folder / "workspaces" / "run-1").exists()
        assert not listener.generation.busy
    assert ended.status == -signal.SIGKILL
    assert "SIGKILL" in str(ended.error)


def test_when_the_launcher_is_killed_its_runs_stop_in_order_and_are_still_told(folder: Path) -> None:
    conf(folder, f"tasks = [{{ name = wait, args {{ left = {folder}/left }} }}]")
    with Listener(folder) as listener:
        valid = listener.valid("a.conf")
        listener.order(valid)
        listener.until_fact(Event.STEP_OUTPUT)
        os.kill(listener.generation.pid, signal.SIGSTOP)
        listener.order(valid, "run-2")
        os.kill(listener.generation.pid, signal.SIGKILL)
        listener.until(Lost, status=-signal.SIGKILL)
        listener.gone()
    ends = {each.run_id: each for each in listener.heard if isinstance(each, RunEnded)}
    assert ends["run-1"] == RunEnded(run_id="run-1", status=143)
    assert "launcher" in str(ends["run-2"].error)
    assert listener.facts()[-1].event == Event.RUN_INTERRUPTED
    assert isinstance(listener.heard[-1], Gone)
    assert (folder / "left").exists()
    assert (folder / "workspaces" / "run-1").exists()


DAEMON = """
    import select, sys
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    from support.generations import Listener
    with Listener(Path.cwd()) as listener:
        listener.order(listener.valid("a.conf"), journal=Path("journal"))
        listener.until_fact("step.output")
        print("there", flush=True)
        listener.ended()
"""


def test_when_the_daemon_is_killed_runs_stop_in_order_and_no_process_stays(folder: Path) -> None:
    mark = f"mark-{os.getpid()}-daemon"
    conf(folder, f"tasks = [{{ name = wait, args {{ left = {folder}/left }} }}]")
    program = write(folder / "daemon.py", DAEMON.format(tests=str(Path(__file__).parents[1])))
    daemon = subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, env={**os.environ, "MARK": mark})
    assert daemon.stdout is not None
    assert daemon.stdout.readline() == b"there\n"
    daemon.kill()
    daemon.wait()
    daemon.stdout.close()
    assert gone(mark)
    assert [each.details["error"] for each in read(folder / "journal") if each.event == Event.RUN_INTERRUPTED] == [
        "interrupted: the program that it ran under has died"
    ]
    assert (folder / "left").exists()
    assert (folder / "workspaces" / "run-1").exists()


def test_closing_kills_what_there_still_is(folder: Path) -> None:
    mark = f"mark-{os.getpid()}-close"
    conf(folder, "tasks = [{ name = wait, args { stubborn = true } }]")
    with Listener(folder, given={"MARK": mark}) as listener:
        listener.order(listener.valid("a.conf"))
        listener.until_fact(Event.STEP_OUTPUT)
    assert gone(mark)
