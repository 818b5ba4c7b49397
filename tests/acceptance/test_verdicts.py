"""`tasker validate` again: quick where nothing has changed, and never by an answer that is no longer true."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

import pytest

TASKER = Path(sysconfig.get_path("scripts")) / "tasker"
TASK = """from tasker import Task
from ._common import KIND


class Greet(Task):
    def run(self, name: str, times: KIND = 1) -> bool:
        return True
"""
FILE = """include "_shared"
schedule { cron = "@daily", timezone = Australia/Sydney }
tasks = [{ name = greet, args { name = ${who}, times = ${times}, note = ${?NOTE} } }]
"""


class Folder:
    """A conf folder, a task folder and a cache."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(path), "TIMES": "3"}
        self.write("tasks/greet.py", TASK.replace("times:", "note: str = '', times:"))
        self.write("tasks/_common.py", "KIND = int\n")
        self.write("conf.d/_shared.conf", "who = world\ntimes = ${TIMES}\n")
        self.write("conf.d/a.conf", FILE)

    def write(self, name: str, text: str) -> None:
        (self.path / name).parent.mkdir(exist_ok=True, parents=True)
        (self.path / name).write_text(text)

    def validate(self, *options: str, cache: str = "cache", **environment: str) -> tuple[int, bool, str]:
        """The exit status, whether the files were read anew, and what was found."""
        ended = self.run(*options, cache=cache, **environment)
        assert "Traceback" not in ended.stderr
        return ended.returncode, "tasker.validation" in ended.stderr, ended.stdout

    def run(self, *options: str, cache: str = "cache", **environment: str) -> subprocess.CompletedProcess[str]:
        """Validate; standard error tells every module that is imported."""
        return subprocess.run(
            [TASKER, "validate", "--cache", cache, *options],
            cwd=self.path,
            env={**self.environment, "PYTHONVERBOSE": "", "PYTHONPROFILEIMPORTTIME": "1", **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module", autouse=True)
def _verdicts_are_kept(tmp_path_factory: pytest.TempPathFactory) -> None:
    """In a new checkout Python writes bytecode beside modules; nothing is kept before their folders have settled."""
    made = Folder(tmp_path_factory.mktemp("new"))
    give_up = time.monotonic() + 30
    while made.validate() != (0, False, ""):
        assert time.monotonic() < give_up


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder that has been found valid."""
    made = Folder(tmp_path)
    assert made.validate() == (0, True, "")
    return made


def test_what_is_known_to_be_valid_is_not_paid_for(folder: Folder) -> None:
    ended = folder.run()
    assert "tasker.verdicts" in ended.stderr
    for module in ("tasker.document", "tasker.project", "tasker_tasks_", "structlog", "rich"):
        assert module not in ended.stderr


def sub(name: str, old: str, new: str) -> Callable[[Folder], None]:
    def change(folder: Folder) -> None:
        text = (folder.path / name).read_text()
        assert old in text
        folder.write(name, text.replace(old, new))

    return change


def create(name: str, text: str) -> Callable[[Folder], None]:
    return lambda folder: folder.write(name, text)


def delete(name: str) -> Callable[[Folder], None]:
    return lambda folder: (folder.path / name).unlink()


def lead_out(folder: Folder) -> None:
    """Put a link to the same text, but outside of the conf folder, in the place of the include."""
    include = folder.path / "conf.d/_shared.conf"
    include.rename(folder.path / "elsewhere")
    include.symlink_to(folder.path / "elsewhere")


CHANGES: dict[str, Callable[[Folder], None]] = {
    "the file": sub("conf.d/a.conf", "greet", "great"),
    "an include": sub("conf.d/_shared.conf", "who = world", "whom = world"),
    "the task": sub("tasks/greet.py", "name: str", "surname: str"),
    "what the task imports": sub("tasks/_common.py", "int", "bool"),
    "a deleted include": delete("conf.d/_shared.conf"),
    "a deleted task": delete("tasks/greet.py"),
    "a file that comes before the included one": create("conf.d/_shared", "nothing = here\n"),
    "a package that comes before the imported module": create("tasks/_common/__init__.py", "KIND = bool\n"),
    "another task of that name": create("tasks/twin.py", TASK.replace("from ._common import KIND", "KIND = int")),
    "a module that does not import": create("tasks/other.py", "import nothing_of_this_name\nfrom tasker import Task"),
    "a variable": lambda folder: folder.environment.update(TIMES="often"),
    "a variable that is gone": lambda folder: folder.environment.__delitem__("TIMES"),
    "a link that leads out of the folder": lead_out,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_that_makes_a_file_invalid_is_seen(change: Callable[[Folder], None], folder: Folder) -> None:
    change(folder)
    status, anew, found = folder.validate()
    assert anew
    assert found
    assert status == (0 if "other.py" in found else 2)


def test_a_variable_that_was_not_set_is_seen_when_it_is(folder: Folder) -> None:
    assert folder.validate(NOTE="x") == (0, True, "")
    assert folder.validate(NOTE="x") == (0, False, "")
    assert folder.validate()[:2] == (0, True)


def test_overrides_and_variables_set_by_hand_have_verdicts_of_their_own(folder: Folder) -> None:
    assert folder.validate("--env", "TIMES=x")[0] == 2
    assert folder.validate("--set", "x=1")[0] == 2
    assert folder.validate("--tasks", "conf.d")[1]
    assert folder.validate() == (0, False, "")


def test_today_is_part_of_a_verdict_and_the_run_is_not(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write("conf.d/_shared.conf", "who = ${RUN_ID}${RUN_TIME}${WORKSPACE}${PIPELINE}${TODAY}\ntimes = 1")
    assert folder.validate()[:2] == (0, True)
    assert folder.validate()[:2] == (0, False)
    assert folder.validate("--env", "TODAY=2001-01-01")[:2] == (0, True)
    assert folder.validate("--env", "RUN_ID=x")[:2] == (0, True)


def test_a_file_with_instances_is_known_to_be_valid_as_a_whole(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write(
        "conf.d/_shared.conf", "for_each { a { times = 1, zone = Asia/Tokyo }, b { times = ${TIMES}, zone = UTC } }"
    )
    task = "{ name = greet, args { name = ${PIPELINE}${TODAY}, times = ${item.times} } }"
    folder.write(
        "conf.d/a.conf",
        f'include "_shared"\nschedule {{ cron = "@daily", timezone = ${{item.zone}} }}\ntasks = [{task}]',
    )
    assert folder.validate() == (0, True, "")
    assert folder.validate() == (0, False, "")
    assert folder.run().stderr.endswith("tasker: no fault in 1 file, 2 pipelines\n")
    status, _, found = folder.validate(TIMES="often")
    assert status == 2
    assert "bad-argument" in found
    assert "(instance 'b')" in found
    folder.write("conf.d/b.conf", FILE.replace("include", "who = w, times = 1, name = a\n#"))
    assert "two pipelines are named 'a'" in folder.validate()[2]


def test_two_pipelines_of_one_name_are_found_among_those_that_are_known(folder: Folder) -> None:
    folder.write("conf.d/b.conf", FILE + "name = b")
    assert folder.validate()[:2] == (0, True)
    folder.write("conf.d/c.conf", FILE + "name = a")
    for _ in range(2):
        status, _, found = folder.validate()
        assert status == 2
        assert "conf.d/c.conf:4:8: duplicate-pipeline" in found
    assert folder.validate("conf.d/a.conf", "conf.d/b.conf")[:2] == (0, False)


@pytest.mark.parametrize("optional", ["", "?"])
def test_of_a_file_that_reads_secrets_nothing_is_kept(optional: str, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write("secrets/x", "3")
    folder.write("conf.d/a.conf", FILE + f"x = ${{{optional}secret.x}}")
    for _ in range(2):
        assert folder.validate("--secrets", "secrets")[:2] == (0, True)


def test_what_is_not_valid_is_told_every_time(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write("conf.d/a.conf", "tasks = 3")
    first, again = folder.validate(), folder.validate()
    assert first == again
    assert first[0] == 2


def test_a_damaged_cache_is_as_good_as_none(folder: Folder) -> None:
    (cache,) = (folder.path / "cache" / "verdicts").iterdir()
    whole = cache.read_bytes()
    for damaged in (whole[:-1], b"{}", b"\0" * 100, b"x\n{", b"[" * 100_000):
        cache.write_bytes(damaged)
        assert folder.validate() == (0, True, ""), damaged[:9]
    assert folder.validate() == (0, False, "")


def test_a_cache_that_others_can_write_to_is_not_believed(folder: Folder) -> None:
    (folder.path / "cache" / "verdicts").chmod(0o777)
    assert folder.validate() == (0, True, "")


def test_a_cache_that_cannot_be_written_is_done_without(folder: Folder) -> None:
    for _ in range(2):
        assert folder.validate(cache="/proc/nowhere") == (0, True, "")
        assert folder.validate(cache="conf.d/a.conf") == (0, True, "")
        assert folder.validate(cache="") == (0, True, "")


def test_it_is_private_and_stands_where_caches_stand(folder: Folder) -> None:
    subprocess.run([TASKER, "validate"], cwd=folder.path, env=folder.environment, check=True, capture_output=True)
    (cache,) = (folder.path / ".cache" / "tasker" / "verdicts").iterdir()
    assert cache.stat().st_mode & 0o777 == 0o600
    assert cache.parent.stat().st_mode & 0o777 == 0o700
    assert b"world" not in cache.read_bytes()
