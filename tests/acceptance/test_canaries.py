"""No secret gets out: canaries are planted in every way in, and searched for in every way out."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from support import canaries
from support.canaries import (
    FAULTY,
    PASSWORD,
    VARIABLES,
    escaped,
    escaped_to_disk,
    escaped_to_processes,
    pipeline,
    plant,
)
from support.command import eventually, start_tasker, write
from support.daemons import NEVER, Daemon
from support.terminal import on_terminal, tasker

from tasker import WORKSPACE_MARKER, linux

if TYPE_CHECKING:
    from pathlib import Path

    from support.postgres import Server

MASK = "***"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A folder in which everything is planted, and what commands there are to find in their environment."""
    return plant(tmp_path)


def test_the_search_finds_what_gets_out() -> None:
    """A search that finds nothing anywhere would prove nothing."""
    for name, secret in {**canaries.FILES, **VARIABLES}.items():
        for form in (secret, json.dumps({"a": secret}), repr(secret), *secret.splitlines()):
            assert name in {found.canary for found in escaped("here", f"<{form}>")}
        for before in (b"", b"u", b"u:"):
            told = subprocess.run(["base64", "-w0"], input=before + secret.encode(), capture_output=True, check=True)
            assert name in {found.canary for found in escaped("here", told.stdout)}


def test_a_run_lets_no_secret_out(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "until.once").touch()
    write(tmp_path / "once.conf", pipeline("once"))
    told = tasker("once", "once.conf", "--keep-workspace", cwd=tmp_path, env=environment)
    assert told.returncode == 1
    assert escaped("the log", told.stdout) == []
    assert escaped("standard error", told.stderr) == []
    assert escaped_to_disk(tmp_path) == []
    events = [json.loads(line) for line in told.stdout.splitlines()]
    ends = {each["step"]: each["event"] for each in events if each["event"] in {"step.succeeded", "step.failed"}}
    failed = {"shell", "answers", "raises", "fails", "last"}
    assert {step for step, event in ends.items() if event == "step.failed"} == failed
    assert set(ends) == failed | {"waits", "leaks", "again", "told"}
    assert told.stdout.count(MASK) > 500


def test_a_run_on_a_terminal_lets_no_secret_out(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "until.once").touch()
    write(tmp_path / "once.conf", pipeline("once"))
    shown = on_terminal("once", "once.conf", cwd=tmp_path, env=environment, columns=400, rows=100)
    assert shown.status == 1
    assert escaped("the terminal", shown.raw) == []
    assert MASK in shown.raw


@pytest.mark.parametrize(
    "command",
    [
        *(["show", "once.conf", "--format", each] for each in ("hocon", "json", "yaml", "properties")),
        ["once", "once.conf", "--dry-run"],
        ["once", "faulty.conf"],
        ["once", "faulty.conf", "--log-format", "console"],
        *(["validate", "once.conf", "faulty.conf", "--format", each] for each in ("text", "json", "github", "sarif")),
        ["next", "once.conf", "faulty.conf"],
        ["show", "faulty.conf"],
    ],
    ids=" ".join,
)
def test_a_command_lets_no_secret_out(tmp_path: Path, environment: dict[str, str], command: list[str]) -> None:
    write(tmp_path / "once.conf", pipeline("once", f'schedule = "{NEVER}"'))
    write(tmp_path / "faulty.conf", FAULTY)
    told = tasker(*command, cwd=tmp_path, env=environment)
    assert told.returncode == (2 if "faulty.conf" in command else 0), told.stderr
    assert told.stdout + told.stderr
    assert escaped("standard output", told.stdout) == []
    assert escaped("standard error", told.stderr) == []
    assert escaped_to_disk(tmp_path) == []


def test_no_process_shows_a_secret(tmp_path: Path, environment: dict[str, str]) -> None:
    """Neither in its environment nor in its command line: not even a step, of those that it was not given there."""
    write(tmp_path / "once.conf", pipeline("once"))
    run = start_tasker(tmp_path, "once", "once.conf", **environment)
    run.wait_for("step.started", step="waits")
    assert eventually((tmp_path / "begun.once").exists)
    processes = {run.process.pid, *linux.descendants(run.process.pid)}
    assert len(processes) >= 3
    assert escaped_to_processes(processes) == []
    (tmp_path / "until.once").touch()
    assert run.finish().status == 1


def test_what_is_made_of_secrets_for_each_application_lets_none_out(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """Nor does what is kept of runs, and what comes of it later, when a secret has another value."""
    write(tmp_path / "many.conf", canaries.INSTANCES)
    told = [tasker("once", "many.conf", cwd=tmp_path, env=environment)]
    assert {each["step"] for each in _ends(told[0].stdout)} == {"item", "again"}
    crm, erp = (_run(tmp_path, environment, f"many/{key}") for key in ("crm", "erp"))
    assert len([*(tmp_path / "workspaces").rglob(WORKSPACE_MARKER)]) == 2
    assert escaped_to_disk(tmp_path) == []
    (tmp_path / "secrets" / "plain").write_text("another-canary-of-a-file")
    write(tmp_path / "many.conf", canaries.INSTANCES.replace("retries = 2", "retries = 1"))
    for command in (
        ["show", "many.conf"],
        ["diff", crm],
        ["diff", crm, erp],
        ["rerun", crm],
        ["once", "many.conf", "--resume"],
        ["runs", "many"],
        ["logs", crm],
        ["logs", "many/crm"],
    ):
        told.append(tasker(*command, cwd=tmp_path, env=environment))
        assert told[-1].returncode in {0, 1}, told[-1].stderr
    assert [found for each in told for found in escaped("what it tells", each.stdout + each.stderr)] == []
    assert "another-canary" not in "".join(each.stdout + each.stderr for each in told)
    assert escaped_to_disk(tmp_path) == []
    assert sum(each.stdout.count(MASK) for each in told) > 500


@pytest.mark.parametrize("text", canaries.FAULTY_ITEMS)
def test_faults_of_applications_let_no_secret_out(tmp_path: Path, environment: dict[str, str], text: str) -> None:
    write(tmp_path / "faulty.conf", text)
    told = tasker("validate", "faulty.conf", cwd=tmp_path, env=environment)
    assert told.returncode == 2
    assert "faulty.conf" in told.stdout
    assert escaped("what it tells", told.stdout + told.stderr) == []


def test_a_run_that_is_cancelled_lets_no_secret_out(tmp_path: Path, environment: dict[str, str]) -> None:
    write(tmp_path / "once.conf", pipeline("once"))
    run = start_tasker(tmp_path, "once", "once.conf", **environment)
    run_id = run.wait_for("step.started", step="waits")["run_id"]
    assert eventually((tmp_path / "begun.once").exists)
    told = tasker("cancel", run_id, cwd=tmp_path, env={**environment, "USER": VARIABLES["CANARY_READ"]})
    assert told.returncode == 0, told.stderr
    ended = run.finish()
    assert ended.named("run.interrupted")
    assert escaped("what it tells", told.stdout + told.stderr + json.dumps(ended.events) + ended.stderr) == []
    assert escaped_to_disk(tmp_path) == []


def _ends(log: str) -> list[dict[str, Any]]:
    return [told for told in map(json.loads, log.splitlines()) if told["event"] in {"step.succeeded", "step.failed"}]


def _run(folder: Path, environment: dict[str, str], name: str) -> str:
    """The last run of a pipeline."""
    told = tasker("runs", name, cwd=folder, env=environment)
    run_id: str = json.loads(told.stdout.splitlines()[0])["run_id"]
    return run_id


def test_a_secret_on_a_command_line_is_refused(tmp_path: Path, environment: dict[str, str]) -> None:
    write(tmp_path / "once.conf", pipeline("once"))
    told = tasker("once", "once.conf", "--env", "CANARY_READ=x", cwd=tmp_path, env=environment)
    assert told.returncode == 2
    assert "--env CANARY_READ: --secret-env calls it a secret" in told.stderr


def test_a_daemon_lets_no_secret_out(tmp_path: Path, environment: dict[str, str]) -> None:
    _watched(tmp_path, environment, ["--state", "state"])


def test_a_daemon_with_a_server_lets_no_secret_out(
    tmp_path: Path, environment: dict[str, str], postgres_url: str, postgres_server: Server
) -> None:
    url = postgres_url.replace("//tasker@", f"//tasker:{PASSWORD}@")
    assert PASSWORD in url
    _watched(tmp_path, {**environment, "TASKER_HISTORY": url}, [])
    assert [found for found in escaped_to_disk(postgres_server.folder) if found.canary != "short"] == []


def _watched(folder: Path, environment: dict[str, str], where: list[str]) -> None:
    """Have a daemon killed within a run and another one take it up; look everywhere at each moment."""
    schedule = 'schedule { cron = "*/3 * * * * *", catchup = none }'
    for name, text in (("quick", pipeline("quick", schedule)), ("late", pipeline("late", schedule)), ("bad", FAULTY)):
        write(folder / "conf.d" / f"{name}.conf", text)
    (folder / "until.quick").touch()
    shown = []
    with Daemon(folder, **environment) as first:
        first.settled().wait_for("run.failed", pipeline="quick")
        assert eventually((folder / "begun.late").exists)
        assert escaped_to_processes(_processes(first)) == []
        assert escaped_to_disk(folder) == []
        shown += [first.get(path)[1] for path in ("/readyz", "/metrics", "/healthz")]
        first.send(signal.SIGKILL)
        first.end()
        shown += [first.stderr, json.dumps(first.events, ensure_ascii=False)]
    assert escaped_to_disk(folder) == []
    (folder / "until.late").touch()
    with Daemon(folder, "--log-level", "debug", **environment) as second:
        run_id = second.settled().wait_for("run.failed", pipeline="late")["run_id"]
        for command in (["runs"], ["runs", "--slots"], ["logs", run_id], ["logs", "quick"]):
            told = tasker(*command, *where, cwd=folder, env=environment)
            assert told.returncode == 0, told.stderr
            shown += [told.stdout, told.stderr]
        assert second.stop() == 128 + signal.SIGTERM
        shown += [second.stderr, json.dumps(second.events, ensure_ascii=False)]
    assert [found for text in shown for found in escaped("what it tells", text)] == []
    assert escaped_to_disk(folder) == []
    assert sum(text.count(MASK) for text in shown) > 1000


def _processes(daemon: Daemon) -> set[int]:
    found = {daemon.process.pid, *linux.descendants(daemon.process.pid)}
    names = {_name(pid) for pid in found}
    assert {"tasker-launcher", "tasker-run", "tasker-step"} <= names, names
    return found


def _name(pid: int) -> str:
    told = subprocess.run(["cat", f"/proc/{pid}/comm"], capture_output=True, text=True, check=False)
    return told.stdout.strip()
