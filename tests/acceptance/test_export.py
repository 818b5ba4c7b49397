"""`tasker export cronjobs`: the schedules of the files, as Kubernetes and the chart take them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from support import chart, helm

from tasker.cli import main
from tasker.cli.export import job_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

STEP = "tasks = [{ name = shell_script, args { command = echo } }]\n"
CRM = 'schedule { cron = "15 2 * * 1-5", timezone = Australia/Sydney, deadline = 6h }\ntimeout = 2h\n'
EACH = 'schedule = "@hourly"\ntimeout = 5m\nfor_each { crm { x = 1 }, ERP_2 { x = 2 } }\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf.d").mkdir()
    return tmp_path


def conf(folder: Path, name: str, text: str) -> None:
    (folder / "conf.d" / f"{name}.conf").write_text(text + STEP)


def exported(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    """The documents that the command prints."""
    assert main(["export", "cronjobs", *arguments]) == 0
    return list(yaml.safe_load_all(capsys.readouterr().out))


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command says where it prints nothing."""
    assert main(["export", "cronjobs", *arguments]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    return told.err


def test_each_pipeline_with_a_schedule_is_a_cronjob(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conf(folder, "crm", CRM)
    conf(folder, "each", EACH)
    conf(folder, "by-hand", "")
    assert main(["export", "cronjobs"]) == 0
    told = capsys.readouterr()
    jobs = list(yaml.safe_load_all(told.out))
    assert [job["metadata"]["name"] for job in jobs] == ["crm", "each-crm", "each-erp-2"]
    assert [job["metadata"]["annotations"]["tasker/pipeline"] for job in jobs] == ["crm", "each/crm", "each/ERP_2"]
    assert [job["spec"]["schedule"] for job in jobs] == ["15 2 * * 1-5", "0 * * * *", "0 * * * *"]
    assert (jobs[0]["spec"]["timeZone"], jobs[0]["spec"]["startingDeadlineSeconds"]) == ("Australia/Sydney", 21600)
    assert arguments_of(jobs[0]) == [
        "once",
        "/etc/tasker/conf.d/crm.conf",
        "--on-schedule=15 2 * * 1-5 Australia/Sydney",
    ]
    assert arguments_of(jobs[2])[-1] == "--instance=ERP_2"
    assert told.err == "tasker: 1 pipeline has no schedule: by-hand\n"


def arguments_of(job: Mapping[str, Any]) -> list[str]:
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    found: list[str] = container["args"]
    return found


def test_kubernetes_takes_what_is_exported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conf(folder, "crm", CRM)
    (job,) = exported(capsys, "--image=registry.example/t:1", "--config-map=a", "--config-map=b", "--secret=s")
    chart.judge(job)
    spec = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert spec["containers"][0]["image"] == "registry.example/t:1"
    assert [volume["name"] for volume in spec["volumes"]] == ["conf", "secrets", "tmp"]


@pytest.mark.skipif(bool(helm.missing()), reason=helm.missing())
def test_the_chart_makes_the_same_of_the_exported_values(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conf(folder, "crm", CRM)
    conf(folder, "each", EACH)
    (values,) = exported(capsys, "--format=helm")
    jobs = exported(capsys, "--image=tasker:0.1.0", "--config-map=pipelines", "--secret=database")
    more = {"watch": {"enabled": False}, "conf": {"existingConfigMaps": ["pipelines"]}}
    (folder / "values.json").write_text(json.dumps(values | more | {"secrets": {"existingSecrets": ["database"]}}))
    arguments = ("template", "x", chart.CHART, "--values", folder / "values.json", "--set=serviceAccount.create=false")
    answer = helm.THREE(*arguments, home=folder)
    rendered = [each for each in yaml.safe_load_all(answer.stdout) if each and each["kind"] == "CronJob"]
    assert [essence(each) for each in rendered] == [essence(each) for each in jobs]


def essence(job: dict[str, Any]) -> Any:
    """A CronJob without what only a release of the chart has, and what says what goes without saying."""
    spec = job["spec"]
    assert spec.pop("suspend", False) is False
    del spec["jobTemplate"]["metadata"], spec["jobTemplate"]["spec"]["template"]["metadata"]
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    assert pod.pop("serviceAccountName", "default") == "default"
    (container,) = pod["containers"]
    assert container.pop("imagePullPolicy", "IfNotPresent") == "IfNotPresent"
    stated = {"TASKER_LOG_LEVEL": "info", "TASKER_LOG_FORMAT": "json", "TASKER_GRACE": "10"}
    variables = {each["name"]: each["value"] for each in container.pop("env")}
    assert {name: value for name, value in (stated | variables).items() if name not in stated} == {
        "TASKER_HISTORY": "none"
    }
    return spec


def test_a_schedule_that_cannot_mean_the_same_is_a_fault_and_nothing_is_exported(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conf(folder, "crm", CRM)
    conf(
        folder,
        "queue",
        'schedule { cron = "30 2 * * *", timezone = Europe/Berlin\n  overlap = queue, catchup = all }\n',
    )
    told = refused(capsys)
    assert re.findall(r"^(\S+): cronjob-differs: (.{20})", told, re.MULTILINE) == [
        ("conf.d/queue.conf:1:19", "when clocks in Europ"),
        ("conf.d/queue.conf:2:13", "Kubernetes has no qu"),
        ("conf.d/queue.conf:2:30", "Kubernetes makes up "),
    ]


def test_an_invalid_file_is_told_and_nothing_is_exported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conf(folder, "crm", CRM)
    conf(folder, "bad", 'schedule = "61 * * * *"\n')
    assert "conf.d/bad.conf:1:13: bad-cron" in refused(capsys)


def test_what_is_only_somewhat_different_is_a_warning(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conf(folder, "each", EACH.replace("timeout = 5m\n", ""))
    assert main(["export", "cronjobs"]) == 0
    told = capsys.readouterr()
    assert len(list(yaml.safe_load_all(told.out))) == 2
    assert told.err.count("cronjob-differs") == 1
    assert "shorter than the time between two slots" in told.err


def test_pipelines_that_kubernetes_could_not_tell_apart_are_a_fault(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conf(folder, "crm-a", CRM)
    conf(folder, "crm_a", CRM)
    assert "the CronJobs of 'crm-a' and of 'crm_a' would both be called 'crm-a'" in refused(capsys)


@pytest.mark.parametrize("pipeline", ["x", "CRM_Nightly/Erp.2", "a" * 100, "a" * 99 + "b", "-_-x" + "." * 90 + "y"])
def test_a_name_is_one_that_kubernetes_takes(pipeline: str) -> None:
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?", job_name(pipeline))


def test_names_that_are_cut_differ() -> None:
    assert job_name("a" * 100) != job_name("a" * 99 + "b")


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ('"@daily"', "0 0 * * * Etc/UTC"),
        ('"@daily"', "@daily UTC"),
        ('["0 4 * * 7"]', "0 4 * * 0 UTC"),
        ('{ cron = "15 2 * * 1-5", timezone = Australia/Sydney }', "15 2 * * 1-5 Australia/Sydney"),
    ],
)
def test_a_run_is_refused_only_where_its_file_says_another_schedule(
    schedule: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conf(folder, "crm", f"schedule = {schedule}\n")
    conf(folder, "by-hand", "")
    for other in (said, "1 2 3 4 5 UTC", said.replace("Sydney", "Perth").replace("UTC", "GMT+1"), "none"):
        same = other == said
        status = main(["once", "--dry-run", f"--on-schedule={other}", "conf.d/by-hand.conf", "conf.d/crm.conf"])
        told = capsys.readouterr()
        assert (status, "cronjob-differs" in told.out + told.err) == ((0, False) if same else (2, True)), other


def test_a_schedule_that_nobody_can_read_is_wrong_usage(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conf(folder, "crm", CRM)
    assert main(["once", "--dry-run", "--on-schedule=often UTC", "conf.d/crm.conf"]) == 2
    assert "--on-schedule 'often UTC': a cron expression has five fields" in capsys.readouterr().err
