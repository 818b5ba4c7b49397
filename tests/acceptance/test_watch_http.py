"""What `tasker watch --http` answers, from the start to the end of a real daemon."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

from support.command import TASKER, Command, eventually, write
from support.daemons import EACH_SECOND, SAYS, Daemon, conf

GATED = """
    import signal, time
    from pathlib import Path
    from tasker import Task

    def wait_for(gate):
        while not Path({folder!r}, gate).exists():
            time.sleep(0.01)

    wait_for("may be imported")

    class Lingers(Task):
        def run(self):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print("lingers")
            wait_for("may end")
"""


def open_gate(folder: Path, name: str) -> None:
    (folder / name).touch()


def test_it_is_ready_from_the_first_validation_until_it_is_to_stop_and_healthy_all_along(tmp_path: Path) -> None:
    write(tmp_path / "tasks" / "gated.py", GATED.format(folder=str(tmp_path)))
    write(
        tmp_path / "conf.d" / "lingers.conf", conf(cron=EACH_SECOND).replace("says", "lingers").split("args")[0] + "}]"
    )
    with Daemon(tmp_path, "--http", ":0") as daemon:
        host, _, port = daemon.wait_for("daemon.started")["http"].rpartition(":")
        daemon.port = int(port)
        assert host == "127.0.0.1"
        assert eventually(lambda: daemon.get("/readyz")[0] == 503)
        assert daemon.readiness()["reason"] == "the first validation is under way"
        assert daemon.get("/healthz") == (200, "ok\n")
        assert daemon.metric("tasker_ready") == 0

        open_gate(tmp_path, "may be imported")
        assert daemon.settled().readiness()["ready"]
        assert daemon.get("/healthz") == (200, "ok\n")
        daemon.wait_for("step.output", line="lingers")

        daemon.send(signal.SIGTERM)
        assert eventually(lambda: daemon.get("/readyz")[0] == 503)
        assert daemon.readiness()["reason"] == "the daemon is stopping"
        assert daemon.get("/healthz") == (200, "ok\n")

        open_gate(tmp_path, "may end")
        assert daemon.end() == 128 + signal.SIGTERM
        assert daemon.get("/healthz")[0] == 0


def test_its_metrics_count_the_runs(tmp_path: Path) -> None:
    write(tmp_path / "tasks" / "says.py", SAYS)
    with Daemon(tmp_path) as daemon:
        daemon.settled().conf("talks", cron=EACH_SECOND)
        daemon.conf("waits")
        daemon.wait_for("run.succeeded", pipeline="talks")
        assert eventually(lambda: bool(daemon.metric("tasker_runs_total", pipeline="talks", status="succeeded")))
        assert daemon.metric("tasker_run_duration_seconds_count", pipeline="talks")
        assert daemon.metric("tasker_slots_total", outcome="ran", pipeline="talks")
        assert daemon.metric("tasker_runs_total", pipeline="talks", status="failed") == 0
        assert daemon.metric("tasker_runs_total", pipeline="waits", status="succeeded") == 0
        assert daemon.metric("tasker_config_valid", file="conf.d/talks.conf") == 1
        assert daemon.metric("tasker_ready") == 1
        assert daemon.stop() == 128 + signal.SIGTERM
        assert daemon.stderr == ""


def test_it_does_not_start_where_the_address_is_in_use(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = Command(tmp_path, [*TASKER, "watch", "--http", address, "conf.d"], {}).finish()
    assert result.status == 2
    assert result.events == []
    assert result.stderr == (
        f"tasker: cannot listen on {address}: Address already in use; choose another with --http HOST:PORT\n"
    )
