"""`tasker validate`, as a CI job runs it: what it finds, in which words, and that nothing brings it down."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tasker.faults import CODES

FAULTY = Path(__file__).parent / "faulty"
STEP = "tasks = [{ name = shell_script, args { command = /bin/true } }]\n"
ELSEWHERE = {"unreadable", "not-validated"}
"""Codes that no file in a checkout can have."""


def tasker(*arguments: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "tasker", "validate", *map(str, arguments)]
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("TASKER_")}
    return subprocess.run(
        command,
        cwd=cwd,
        env={**inherited, "TASKER_CACHE": "", **environment},
        capture_output=True,
        timeout=60,
        check=False,
    )


def told(ended: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    assert ended.returncode in (0, 2), ended.stderr.decode()
    return [json.loads(line) for line in ended.stdout.splitlines()]


def faults(*arguments: str | Path, cwd: Path, **environment: str) -> list[str]:
    """The faults as `file:line:column code`."""
    ended = tasker("--format", "json", *arguments, cwd=cwd, **environment)
    return ["{file}:{line}:{column} {code}".format_map(fault) for fault in told(ended)]


@pytest.fixture(scope="module")
def found_in_faulty() -> list[dict[str, Any]]:
    return told(tasker("--format", "json", ".", cwd=FAULTY))


class TestTheFaultsThatAuthorsMake:
    def test_each_is_found_where_it_is_and_nothing_else_is(self, found_in_faulty: list[dict[str, Any]]) -> None:
        found = ["{file}:{line}:{column} {code}".format_map(fault) for fault in found_in_faulty]
        assert found == (FAULTY / "expected.txt").read_text().splitlines()

    def test_every_code_is_among_them(self, found_in_faulty: list[dict[str, Any]]) -> None:
        codes = {fault["code"] for fault in found_in_faulty}
        assert codes == set(CODES) - ELSEWHERE - {
            "unknown-parameter",
            "bad-parameter",
            "unknown-instance",
            "unknown-step",
            "cronjob-differs",
        }

    def test_each_says_what_is_wrong_in_one_sentence(self, found_in_faulty: list[dict[str, Any]]) -> None:
        for fault in found_in_faulty:
            assert fault["message"].strip()
            assert "\n" not in fault["message"]
            assert not fault["message"].endswith(".")

    @pytest.mark.parametrize("code", [code for code in CODES if code.startswith(("unknown-", "misspelt", "missing-"))])
    def test_what_is_not_known_comes_with_what_is(self, code: str, found_in_faulty: list[dict[str, Any]]) -> None:
        for fault in found_in_faulty:
            tells_it = fault["code"] == "include-missing" or "cannot be the same for all" in fault["message"]
            assert fault["code"] != code or fault["hint"] or tells_it, fault


def test_the_text_shows_the_line_and_what_mends_it(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    for module in ("say.py", "pack.py"):
        shutil.copy(FAULTY / "tasks" / module, tmp_path / "tasks")
    (tmp_path / "crm.conf").write_text("tasks = [\n  {\n    name = sayy\n  }\n  { name = ship, timout = 3 }\n]\n")
    ended = tasker("crm.conf", cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stdout.decode() == (
        "crm.conf:3:12: unknown-task: no task is named 'sayy'\n"
        "    3 |     name = sayy\n"
        "      |            ^^^^  did you mean 'say'?\n"
        "crm.conf:5:12: missing-argument: the task 'ship' needs the argument 'to'\n"
        "    5 |   { name = ship, timout = 3 }\n"
        "      |            ^^^^  expected: ship(to: {host, port?})\n"
        "crm.conf:5:18: unknown-key: a step has no key 'timout'\n"
        "    5 |   { name = ship, timout = 3 }\n"
        "      |                  ^^^^^^  did you mean 'timeout'?\n"
    )
    assert ended.stderr.decode() == "tasker: 3 faults in 1 file\n"


def test_a_valid_folder_is_passed_in_silence(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.conf").write_text(STEP)
    (tmp_path / "conf.d" / "_only_included.conf").write_text("tasks = oops")
    (tmp_path / "conf.d" / ".hidden.conf").write_text("tasks = oops")
    ended = tasker(cwd=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"tasker: no fault in 1 file\n")


def test_a_folder_in_the_place_of_a_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.conf").mkdir()
    (tmp_path / "b.conf").write_text(STEP)
    assert faults(tmp_path, cwd=tmp_path) == [f"{tmp_path}/a.conf:1:1 unreadable"]


def test_a_folder_without_pipelines_is_wrong_usage(tmp_path: Path) -> None:
    """A job in CI with the wrong path must not pass."""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "_only_included.conf").write_text(STEP)
    ended = tasker(cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr.startswith(b"tasker: there is no pipeline in conf.d: ")


def test_a_file_outside_of_the_conf_folder_is_told_to_be(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "a.conf").write_text(STEP)
    ended = tasker("a.conf", "--conf-dir", "elsewhere", cwd=tmp_path)
    assert ended.returncode == 2
    assert b"a.conf:1:1: unreadable: the file is not in the conf folder\n" in ended.stdout
    assert b"--conf-dir" in ended.stdout


def test_one_file_named_twice_is_no_duplicate(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(STEP)
    assert faults("a.conf", "./a.conf", tmp_path / "a.conf", ".", cwd=tmp_path) == []


class TestWhatIsSetFromOutside:
    def test_a_parameter_that_is_not_declared(self, tmp_path: Path) -> None:
        (tmp_path / "a.conf").write_text("params { days = 3 }\n" + STEP)
        assert faults("a.conf", "--set", "dayz=7", cwd=tmp_path) == ["--set dayz:0:1 unknown-parameter"]
        assert faults("a.conf", "--set", "days=7", cwd=tmp_path) == []
        assert faults("a.conf", cwd=tmp_path, TASKER_SET="dayz=7") == ["--set dayz:0:1 unknown-parameter"]
        ended = tasker("a.conf", "--set", "dayz=1:1:1", cwd=tmp_path)
        assert ended.stdout.decode() == (
            "--set dayz: unknown-parameter: the pipeline declares no parameter 'dayz'\n      | did you mean 'days'?\n"
        )

    def test_a_parameter_of_the_wrong_type_is_shown_where_it_was_set(self, tmp_path: Path) -> None:
        step = "tasks = [{ name = prune, args { path = x, older_than = ${params.age} } }]\n"
        (tmp_path / "a.conf").write_text("params { age = 3 days }\n" + step)
        assert faults("a.conf", cwd=tmp_path) == []
        assert faults("a.conf", "--set", "age=old", cwd=tmp_path) == ["--set age=old:0:1 bad-argument"]

    def test_a_variable(self, tmp_path: Path) -> None:
        (tmp_path / "a.conf").write_text("timeout = ${LIMIT}\n" + STEP)
        assert faults("a.conf", cwd=tmp_path) == ["a.conf:1:11 unresolved-substitution"]
        assert faults("a.conf", "--env", "LIMIT=5m", cwd=tmp_path) == []
        assert faults("a.conf", "--env", "LIMIT=soon", cwd=tmp_path) == ["a.conf:1:11 bad-value"]
        assert faults("a.conf", cwd=tmp_path, TASKER_ENV="LIMIT=5m") == []
        assert faults("a.conf", cwd=tmp_path, LIMIT="5m") == []

    @pytest.mark.parametrize(
        ("arguments", "environment"),
        [
            (["--set", "days"], {}),
            (["--env", "=x"], {}),
            (["--format", "xml"], {}),
            (["gone.conf"], {}),
            ([], {"TASKER_SET": "days"}),
            ([], {"TASKER_SET": "a='b"}),
            ([], {"TASKER_FORMAT": "xml"}),
        ],
    )
    def test_what_cannot_be_meant_is_wrong_usage(
        self, arguments: list[str], environment: dict[str, str], tmp_path: Path
    ) -> None:
        (tmp_path / "a.conf").write_text(STEP)
        ended = tasker(*(arguments or ["a.conf"]), "a.conf", cwd=tmp_path, **environment)
        assert ended.returncode == 2, ended.stderr
        assert b"Traceback" not in ended.stderr
        assert ended.stderr


SECRET = "correct-horse-battery"
SECRETS_IN_PLACES = [
    "timeout = ${secret.x}",
    "name = ${secret.x}",
    "owner = [${secret.x}]",
    "max_parallel = ${secret.x}",
    "schedule = ${secret.x}",
    "schedule { cron = [${secret.x}, '0 '${secret.x}], timezone = ${secret.x}, overlap = ${secret.x} }",
    "params = ${secret.x}",
    "defaults { timeout = ${secret.x}, args { times = ${secret.x} } }",
    "tasks = [{ name = ${secret.x} }]",
    "tasks = [{ id = ${secret.x}, name = say }, { id = ${secret.x}, name = say, needs = [${secret.x}, a${secret.x}] }]",
    "tasks = [{ name = say, when = ${secret.x}, retries = ${secret.x}, on_failure = ${secret.x} }]",
    "tasks = [{ name = say, args { text = hi, times = ${secret.x}, loud = ${secret.x}, manner = ${secret.x} } }]",
    "tasks = [{ name = pack, args { paths = ${secret.x}, keep = ${secret.x}, after = ${secret.x} } }]",
    "tasks = [{ name = ship, args { to { host = a, port = ${secret.x} } } }]",
    "tasks = ${secret.x}",
]


def test_no_fault_tells_a_secret(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "x").write_text(SECRET + "\n")
    for number, text in enumerate(SECRETS_IN_PLACES):
        rest = "" if "tasks" in text else "\ntasks = [{ name = say, args { text = hi } }]"
        (tmp_path / f"f{number:02}.conf").write_text(text.replace("'", '"') + rest)
    ended = tasker("--format", "json", "--secrets", "secrets", "--tasks", FAULTY / "tasks", ".", cwd=tmp_path)
    files = {fault["file"] for fault in told(ended)}
    assert {f"f{number:02}.conf" for number in range(len(SECRETS_IN_PLACES))} <= files
    for form in ("json", "text", "github", "sarif"):
        ended = tasker("--format", form, "--secrets", "secrets", "--tasks", FAULTY / "tasks", ".", cwd=tmp_path)
        assert SECRET.encode() not in ended.stdout + ended.stderr


BOMB = "a0 = [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level + 1} = " + f"${{a{level}}}" * 10 + "\n" for level in range(9)
)
HOSTILE = {
    "a bomb of defaults": "defaults { args { "
    + ", ".join(f"k{n} = 1" for n in range(500))
    + " } }\ntasks = ["
    + "{ name = say, args { a = 1 } }, " * 9999
    + "]",
    "five thousand circles": "tasks = ["
    + ", ".join(f"{{ id = s{n}, name = shell_script, needs = [s{n ^ 1}] }}" for n in range(9999))
    + "]",
    "a chain of ten thousand needs": "tasks = ["
    + ", ".join(f"{{ id = s{n}, name = say, needs = [s{n + 1}] }}" for n in range(9999))
    + "]",
    "many cron expressions": "schedule = [" + '"0 0 30 2 1#5", ' * 30_000 + "]\n" + STEP,
    "many names that are nearly right": "tasks = ["
    + "".join(f"{{ name = shell_scrip{n} }}, " for n in range(9999))
    + "]",
}
HOSTILE_DOCUMENTS: dict[str, str | bytes] = {
    "a-thousand-levels": "a = " + "[" * 1000 + "]" * 1000,
    "a-thousand-levels-of-objects": "a" + "{ a " * 1000 + "= 1" + "}" * 1000,
    "five-megabytes": "# " + "x" * (5 << 20),
    "a-bomb-of-substitutions": BOMB + STEP,
    "a-bomb-of-steps": BOMB.replace("x", "{ name = x }") + "tasks = ${a9}",
    "a-circle-of-substitutions": "a = ${b}\nb = ${a}\n" + STEP,
    "a-file-that-includes-itself": 'include "a-file-that-includes-itself.conf"\n' + STEP,
    "an-object-that-needs-itself": "a { b = ${?a} }\na = ${?a}\ntasks = 1",
    "nul": "a = \0\n",
    "invalid-utf-8": b"a = \xff\xfe\n",
    "an-include-of-a-url": 'include url("http://127.0.0.1:9/x")\n',
}
"""What is refused before it is looked at as a pipeline; tests/unit/test_document_hostile.py has more of it."""


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_input_ends_in_a_fault_within_5_seconds_and_500_megabytes(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(content)
    assert told(within_bounds(tmp_path))


def test_hostile_documents_end_in_a_fault_each_within_5_seconds_and_500_megabytes_for_all(tmp_path: Path) -> None:
    for name, content in HOSTILE_DOCUMENTS.items():
        (tmp_path / f"{name}.conf").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert {fault["file"] for fault in told(within_bounds(tmp_path))} == {f"{name}.conf" for name in HOSTILE_DOCUMENTS}


def within_bounds(folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Validate all of a folder, with so much of the processor's time and of memory."""
    command = [sys.executable, "-m", "tasker", "validate", "--format", "json", "."]

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (500 << 20, 500 << 20))
        resource.setrlimit(resource.RLIMIT_CPU, (5, 5))

    start = time.monotonic()
    ended = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "TASKER_CACHE": ""},
        capture_output=True,
        preexec_fn=bounded,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2, (time.monotonic() - start, ended.stderr[-500:])
    return ended


def test_fifty_damaged_files_end_in_faults_and_nothing_else(tmp_path: Path) -> None:
    whole = (FAULTY / "many-at-once.conf").read_bytes()
    for number in range(50):
        at = number * len(whole) // 50
        (tmp_path / f"f{number}.conf").write_bytes(whole[:at] + bytes([number * 5]) + whole[at + 2 :])
    ended = tasker("--format", "json", "--tasks", FAULTY / "tasks", ".", cwd=tmp_path)
    assert ended.returncode == 2
    assert {fault["code"] for fault in told(ended)} <= set(CODES)
