"""Steps under attack: whatever a step does, it is one step that failed or succeeded, and tasker is as it was."""

from __future__ import annotations

import re
import resource
from pathlib import Path

import pytest
from support.command import Result, processes_with, run_tasker

ATTACKS = Path(__file__).parent / "fixtures" / "attacks"
MIB = 1024 * 1024

ENDS = {
    "raises": "ValueError: as expected",
    "raisesodd": "Odd: not even an Exception",
    "raisesinterrupt": "KeyboardInterrupt",
    "raisesunprintable": "Unprintable: <Unprintable without a text>",
    "raisesdeep": "RecursionError: maximum recursion depth exceeded",
    "exits": "the task called sys.exit(0) instead of answering",
    "exitshard { status = 0 }": "its process ended without an answer (exit status 0)",
    "exitshard { status = 3 }": "its process ended without an answer (exit status 3)",
    "segfaults": "its process was killed by SIGSEGV",
    "aborts": "its process was killed by SIGABRT",
    "kills { signum = 9 }": "its process was killed by SIGKILL, as the kernel does when memory runs out",
    "kills { signum = 15 }": "it was told to end",
    "kills { signum = 2 }": "KeyboardInterrupt",
    "kills { signum = 40 }": "its process was killed by signal 40",
    "eatsmemory": "MemoryError",
    "hangs": "it timed out after 200ms",
    "deadlocks": "it timed out after 200ms",
    "ignoresterm": "it timed out after 200ms",
    "blockssignals": "it timed out after 200ms",
    "swallowsend": "it timed out after 200ms",
    "logsforever": "it timed out after 200ms",
    "closesall": "its process ended without an answer (exit status 1)",
    "closesallandstays": "its process ended without an answer (exit status 1)",
    "handsonmuch": "its outputs are 2097164 characters of JSON, over 1048576: write a file and hand on its path",
    "answers { what = nought }": "run() answered a int, not True, False, None or a mapping of outputs",
    "answers { what = one }": "run() answered a int, not True, False, None or a mapping of outputs",
    "answers { what = word }": "run() answered a str, not True, False, None or a mapping of outputs",
    "answers { what = list }": "run() answered a list, not True, False, None or a mapping of outputs",
    "answers { what = generator }": "run() answered a generator, not True, False, None or a mapping of outputs",
    "answers { what = class }": "run() answered a type, not True, False, None or a mapping of outputs",
    "fails": "the disk is full (disk=/dev/sda1)",
}
"""How each attack that is a failure is told."""

SUCCEEDS = [
    "forkbomb",
    "daemonises",
    "leavesprogram",
    "leavesthread",
    "forkreturns",
    "closesoutput",
    "dropsoutput",
    "writesrubbish",
    "printsmuch",
    "printslong",
    "printsbytes",
    "printssurrogates",
    "printsatexit",
    "moves",
    "staysput",
    "leavesfiles",
    "handson",
    "logs",
    "logsfromeverywhere",
    "fine",
]
OTHERS = ["raiseslong"]


def step_id(spelled: str) -> str:
    return "".join(each for each in spelled if each.isalnum())


def entry(spelled: str) -> str:
    name, _, arguments = spelled.partition(" ")
    timeout = "timeout = 200ms" if ENDS.get(spelled, "").startswith("it timed out") else ""
    return f"{{ id = {step_id(spelled)}, name = {name}, args {arguments or '{}'}, {timeout} }}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("attacks")


@pytest.fixture(scope="module")
def attacked(folder: Path) -> Result:
    """All attacks, one after the other, in one run."""
    entries = "\n".join(map(entry, [*ENDS, *SUCCEEDS, *OTHERS]))
    conf = f"defaults {{ on_failure = continue }}\ntasks = [\n{entries}\n]"
    return run_tasker(folder, conf=conf, TASKER_TASKS=str(ATTACKS), TASKER_GRACE="0.1")


def test_the_run_has_failed_and_said_so_once(attacked: Result) -> None:
    assert attacked.status == 1
    assert attacked.stderr == ""
    assert [event["event"] for event in attacked.events][-1] == "run.failed"
    assert len(attacked.named("run.failed")) == 1


def test_no_process_is_left_behind(attacked: Result, folder: Path) -> None:
    assert attacked.status == 1
    assert not processes_with(str(folder))


def test_no_file_is_left_behind(attacked: Result, folder: Path) -> None:
    handed_on = Path(attacked.end("leavesfiles")["outputs"]["folder"])
    assert handed_on.is_relative_to(folder / "workspaces")
    assert sorted(each.name for each in folder.iterdir()) == [".tasker", "pipe.conf", "workspaces"]
    assert [each.name for each in (folder / "workspaces").iterdir()] == [attacked.events[-1]["run_id"]]


@pytest.mark.parametrize("spelled", ENDS)
def test_a_step_that_attacks_has_failed_and_its_log_says_how(attacked: Result, spelled: str) -> None:
    end = attacked.end(step_id(spelled))
    assert (end["event"], end["level"], end["error"]) == ("step.failed", "error", ENDS[spelled])


@pytest.mark.parametrize("step", SUCCEEDS)
def test_a_step_that_is_merely_odd_has_succeeded(attacked: Result, step: str) -> None:
    assert attacked.end(step)["event"] == "step.succeeded"


@pytest.mark.parametrize("step", ["forkbomb", "daemonises", "leavesprogram"])
def test_what_a_step_left_behind_is_counted(attacked: Result, step: str) -> None:
    assert attacked.end(step)["leftover_processes"] >= 1


@pytest.mark.parametrize("step", ["raises", "raisesodd", "raisesinterrupt", "raisesunprintable", "raisesdeep"])
def test_an_exception_has_its_traceback_in_the_log(attacked: Result, step: str) -> None:
    traceback = attacked.end(step)["traceback"]
    assert traceback.startswith("Traceback (most recent call last):")
    assert "attacks.py" in traceback


def test_of_an_error_without_end_the_log_has_beginning_and_end(attacked: Result) -> None:
    end = attacked.end("raiseslong")
    assert end["error"].startswith("ValueError: xxx")
    assert len(end["error"]) + len(end["traceback"]) < 200_000


def test_a_child_of_the_task_that_comes_back_from_run_does_not_speak_for_it(attacked: Result) -> None:
    assert attacked.end("forkreturns")["outputs"] == {"from": "parent"}
    assert "RuntimeError: the child is lost" in attacked.output("forkreturns", "stderr")
    assert [each["level"] for each in attacked.of("forkreturns") if each["event"] == "from the child"] == ["info"]


def test_every_line_printed_is_told_in_order_before_the_end(attacked: Result) -> None:
    assert attacked.output("printsmuch") == [str(number) for number in range(10_000)]
    assert attacked.of("printsmuch")[-1]["event"] == "step.succeeded"


def test_a_line_without_end_comes_in_parts(attacked: Result) -> None:
    parts = attacked.output("printslong")
    assert "".join(parts) == "x" * (10 * MIB)
    assert max(map(len, parts)) == MIB


def test_bytes_that_are_no_text_are_told_with_their_values(attacked: Result) -> None:
    assert attacked.output("printsbytes") == ["caf\\xe9 \\xff\0 😀", "last"]
    assert attacked.output("printssurrogates") == ["a\\udc80b"]


def test_the_rest_of_a_line_is_told_and_handlers_for_the_programs_own_end_do_not_run(attacked: Result) -> None:
    assert attacked.output("printsatexit") == ["without a line end"]


def test_what_a_step_printed_before_it_closed_its_output_is_told(attacked: Result) -> None:
    assert attacked.output("closesoutput") == ["before"]


def test_a_step_changes_folder_and_environment_only_for_itself(attacked: Result, folder: Path) -> None:
    assert attacked.end("staysput")["outputs"] == {"folder": str(folder), "moved": "no", "path": True}


def test_what_a_step_hands_on_is_made_into_json(attacked: Result) -> None:
    outputs = attacked.end("handson")["outputs"]
    assert outputs.pop("huge").startswith("0x1000")
    assert str(outputs.pop("cyclic")).count("…") == 1
    assert outputs == {
        "text": "é",
        "1": "one",
        "('a', 2)": "tuple",
        "nan": "nan",
        "set": [1, 2, 3],
        "path": "/a",
        "date": "2026-11-22",
        "colour": "red",
        "plain": {"number": 1, "path": "/b"},
        "odd": "<Unprintable without a text>",
    }


def test_what_a_task_logs_cannot_break_the_log(attacked: Result) -> None:
    logged = {each["event"]: each for each in attacked.of("logs")}
    reserved = logged["reserved"]
    assert (reserved["step"], reserved["step_"], reserved["level"], reserved["level_"]) == ("logs", "s", "info", "l")
    assert (reserved["attempt"], reserved["attempt_"], reserved["run_id_"], reserved["fact"]) == (1, 7, "r", 1)
    odd = logged["odd"]
    assert (odd["nan"], odd["unprintable"]) == ("inf", "<Unprintable without a text>")
    assert odd["mapping"] == {"('a', 'b')": [1, 2], "when": "2026-11-22"}
    assert logged["1 of 2"]["level"] == "warning"
    assert logged["critical"]["level"] == "error"
    assert logged["bound"]["bound"] == "yes"


def test_a_task_cannot_speak_in_the_names_of_the_runs_own_events(attacked: Result) -> None:
    assert [each["step"] for each in attacked.named("run.failed_")] == ["logs"]


def test_an_exception_that_is_logged_has_its_traceback(attacked: Result) -> None:
    logged = {each["event"]: each for each in attacked.of("logs")}
    assert logged["with its traceback"]["level"] == "error"
    for event in ("with its traceback", "later"):
        assert "ValueError: caught" in logged[event]["traceback"]


def test_a_log_entry_beyond_measure_is_told_without_its_facts(attacked: Result) -> None:
    (big,) = (each for each in attacked.of("logs") if each["event"] == "big")
    assert "over 4194304: write it to a file" in big["error"]


def test_threads_and_forks_log_whole(attacked: Result) -> None:
    said = [(each["by"], each["number"]) for each in attacked.of("logsfromeverywhere") if each["event"] == "said"]
    assert sorted(said) == [(by, number) for by in ("a", "b", "c", "child") for number in range(5)]


def test_a_step_that_has_closed_its_descriptors_costs_the_runner_nothing(tmp_path: Path) -> None:
    """The runner would otherwise be woken again and again to find nothing there."""
    assert cpu_seconds(tmp_path, "closesallandstays") < cpu_seconds(tmp_path, "fine") + 0.5


def cpu_seconds(folder: Path, task: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run_tasker(folder, conf=f"tasks = [{{ name = {task} }}]", TASKER_TASKS=str(ATTACKS))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


COMMON = {"timestamp", "level", "event", "pipeline", "revision", "run_id", "step", "task", "attempt"}
DOCUMENTED = re.compile(r"^\| `([a-z]+\.[a-z]+)` \| (\w+) \|[^|]*\|(.*)\|$", re.MULTILINE)


def test_every_event_has_the_level_and_keys_that_the_reference_says(attacked: Result) -> None:
    reference = (Path(__file__).parents[2] / "docs" / "reference" / "logs.md").read_text(encoding="utf-8")
    documented = {
        name: (level, set(re.findall(r"`(\w+)`", keys))) for name, level, keys in DOCUMENTED.findall(reference)
    }
    for told in attacked.events:
        if told["event"] in documented:
            level, keys = documented[told["event"]]
            assert told["level"] == level
            assert set(told) <= COMMON | keys, told["event"]
