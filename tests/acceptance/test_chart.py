"""The chart, by the real helm: what values come to, what Kubernetes takes, and which values are refused."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from support import chart, helm

from tasker.cli import _parser
from tasker.facts import Event, Fact, Level
from tasker.monitoring.exposition import exposition
from tasker.monitoring.metrics import Metrics
from tasker.monitoring.state import DaemonState
from tasker.pipeline import Schedule
from tasker.run import longest_stop_s

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(bool(helm.missing()), reason=helm.missing())

EVERY = sorted(chart.VALUES)
BOTH = [helm.THREE, helm.FOUR]
_MARGIN_S = 15
"""Seconds that the daemon takes beyond the longest that a run takes to stop, before it kills what is left."""

named = pytest.mark.parametrize("name", EVERY)
by_both = pytest.mark.parametrize("by", BOTH, ids=lambda by: f"helm {by.major}")


@named
def test_what_values_come_to_is_what_kubernetes_takes(name: str) -> None:
    for manifest in chart.manifests(name):
        if manifest["kind"] not in chart.CUSTOM:
            chart.judge(manifest)


@named
def test_no_two_objects_have_one_name_and_all_tell_whose_they_are(name: str) -> None:
    found = [(each["kind"], each["metadata"]["name"]) for each in chart.manifests(name)]
    assert len(set(found)) == len(found) > 2
    assert all(len(called) <= 63 for _, called in found)
    for each in chart.manifests(name):
        assert {"helm.sh/chart", "app.kubernetes.io/instance"} <= set(each["metadata"]["labels"])


@named
def test_pods_obey_the_restricted_standard_and_have_no_token(name: str) -> None:
    for spec in chart.pod_specs(chart.manifests(name)):
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        for container in spec["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
        allowed = {"configMap", "projected", "emptyDir", "persistentVolumeClaim", "ephemeral", "secret"}
        assert all(set(volume) - {"name"} <= allowed for volume in spec.get("volumes", []))
    for account in chart.of_kind(name, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


@named
def test_what_is_mounted_is_there_and_what_is_there_is_mounted(name: str) -> None:
    objects = chart.manifests(name)
    made = {each["metadata"]["name"] for each in objects}
    given = yaml.safe_load(chart.VALUES[name].read_text(encoding="utf-8"))
    for spec in chart.pod_specs(objects):
        volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
        for container in spec["containers"]:
            mounts = container.get("volumeMounts", [])
            assert sorted(mount["name"] for mount in mounts) == sorted(volumes)
            assert len({mount["mountPath"] for mount in mounts}) == len(mounts)
            variables = [variable["name"] for variable in container.get("env", [])]
            assert len(set(variables)) == len(variables)
        ours = {config for volume in volumes.values() for config in config_maps(volume)}
        others = {each for part in ("conf", "tasks") for each in given.get(part, {}).get("existingConfigMaps", [])}
        assert ours <= made | others
        assert spec["serviceAccountName"] in made | {"pipelines"}


def config_maps(volume: dict[str, Any]) -> Iterator[str]:
    for source in volume.get("projected", {}).get("sources", []):
        if "configMap" in source:
            yield source["configMap"]["name"]


@named
def test_a_pod_is_killed_only_when_all_that_runs_has_had_its_time(name: str) -> None:
    for spec in chart.pod_specs(chart.manifests(name)):
        for variable in spec["containers"][0].get("env", []):
            if variable["name"] == "TASKER_GRACE":
                longest = longest_stop_s(float(variable["value"]))
                assert spec["terminationGracePeriodSeconds"] >= longest + _MARGIN_S


@pytest.mark.parametrize(
    "name", ["both", "conf-of-several", "cronjob-with-everything", "monitored", "network", "volume"]
)
def test_helm_4_says_the_same_as_helm_3(name: str) -> None:
    # Helm 4 separates them by more empty lines.
    assert chart.manifests(name, helm.FOUR) == chart.manifests(name, helm.THREE)


@pytest.mark.parametrize("name", sorted(chart.SNAPSHOTS))
def test_what_was_read_by_eye_is_what_comes_out(name: str) -> None:
    assert chart.rendered(name) == chart.SNAPSHOTS[name].read_text(encoding="utf-8")


@by_both
@pytest.mark.parametrize("name", ["default", "cronjob-with-everything"])
def test_helm_finds_nothing_to_complain_of(by: helm.Helm, name: str, tmp_path: Path) -> None:
    answer = by("lint", "--strict", "--values", chart.VALUES[name], chart.CHART, home=tmp_path)
    assert answer.status == 0, answer.all
    assert "WARNING" not in answer.all


def test_an_edit_of_what_the_daemon_watches_restarts_nothing(tmp_path: Path) -> None:
    def deployment(text: str) -> Any:
        given = json.dumps({"conf": {"files": {"a.conf": text}}, "tasks": {"files": {"b.py": f"# {text}"}}})
        (tmp_path / "values.yaml").write_text(given)
        arguments = ("template", "x", chart.CHART, "--values", tmp_path / "values.yaml")
        objects = list(yaml.safe_load_all(helm.THREE(*arguments, home=tmp_path).stdout))
        (found,) = (each for each in objects if each["kind"] == "Deployment")
        assert text in json.dumps(objects)
        return found

    assert deployment("before") == deployment("after")


def test_conf_files_arrive_as_they_were_written() -> None:
    given = yaml.safe_load(chart.VALUES["conf-of-values"].read_text(encoding="utf-8"))["conf"]["files"]
    assert chart.the("conf-of-values", "ConfigMap")["data"] == given


def test_a_state_folder_is_given_to_one_daemon_at_a_time() -> None:
    spec = chart.the("default", "Deployment")["spec"]
    assert spec["strategy"] == {"type": "Recreate"}
    assert spec["replicas"] == 1
    claim = chart.the("default", "PersistentVolumeClaim")
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert {"name": "state", "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}} in spec["template"][
        "spec"
    ]["volumes"]


def test_daemons_that_share_a_history_are_replaced_one_by_one_and_need_no_volume() -> None:
    spec = chart.the("replicas", "Deployment")["spec"]
    assert spec["strategy"]["type"] == "RollingUpdate"
    assert spec["replicas"] == 3
    assert chart.of_kind("replicas", "PersistentVolumeClaim") == []
    assert {"name": "state", "emptyDir": {}} in spec["template"]["spec"]["volumes"]


def test_no_password_stands_in_a_manifest() -> None:
    (container,) = chart.the("replicas", "Deployment")["spec"]["template"]["spec"]["containers"]
    (url,) = (each for each in container["env"] if each["name"] == "TASKER_HISTORY")
    assert url["valueFrom"] == {"secretKeyRef": {"name": "history", "key": "url"}}


def test_secrets_are_files_that_only_tasker_reads() -> None:
    spec = chart.the("secrets", "Deployment")["spec"]["template"]["spec"]
    (volume,) = (each for each in spec["volumes"] if each["name"] == "secrets")
    assert volume["projected"]["defaultMode"] == 0o440
    assert spec["securityContext"]["fsGroup"] == spec["securityContext"]["runAsGroup"]


def test_what_a_cronjob_is_told_reaches_it() -> None:
    spec = chart.the("cronjob-with-everything", "CronJob")["spec"]
    (container,) = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["args"] == [
        "once",
        "/etc/tasker/conf.d/crm-nightly.conf",
        "--on-schedule=15,45 2-4/2 * JAN-NOV MON Australia/Sydney",
        "--instance=sydney",
        "--set=days=1000000",
        "--set=dry=false",
        "--set=name=two words",
        "--set=rate=0.5",
        "--log-level=debug",
    ]
    told = (spec["startingDeadlineSeconds"], spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"])
    assert told == (1000000, 0, 0)
    assert spec["suspend"] is True
    assert spec["jobTemplate"]["spec"]["ttlSecondsAfterFinished"] == 0


def test_a_service_leads_to_the_daemon_and_to_no_other_pod() -> None:
    selector = chart.the("both", "Service")["spec"]["selector"]
    job = chart.the("both", "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    assert selector.items() <= chart.the("both", "Deployment")["spec"]["template"]["metadata"]["labels"].items()
    assert not selector.items() <= job.items()


def test_every_variable_is_an_option_that_tasker_knows() -> None:
    known = set(re.findall(r"`(--[a-z-]+)", (helm.ROOT / "docs/reference/commands.md").read_text(encoding="utf-8")))
    for name in EVERY:
        for spec in chart.pod_specs(chart.manifests(name)):
            for variable in spec["containers"][0].get("env", []):
                option = variable["name"].removeprefix("TASKER_").lower().replace("_", "-")
                assert not variable["name"].startswith("TASKER_") or f"--{option}" in known


@pytest.mark.parametrize("name", ["default", "knobs", "ipv6", "replicas", "cronjob-with-everything", "both"])
def test_what_a_container_is_started_with_tasker_understands(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for spec in chart.pod_specs(chart.manifests(name)):
        (container,) = spec["containers"]
        with monkeypatch.context() as environment:
            for variable in container.get("env", []):
                environment.setenv(variable["name"], variable.get("value", "postgresql://tasker@database/tasker"))
            parsed = _parser(container["args"]).parse_args(container["args"])
        if container["args"][0] == "watch":
            (port,) = container["ports"]
            assert parsed.http[1] == port["containerPort"]
            assert parsed.grace * 2 < spec["terminationGracePeriodSeconds"]


def test_the_chart_is_of_this_tasker() -> None:
    told = yaml.safe_load((chart.CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert told["appVersion"] == version("tasker")


@by_both
@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("wacth.enabled=true", "wacth"),
        ("watch.replcas=2", "replcas"),
        ("watch.persistence.sise=2Gi", "sise"),
        ("watch.http.prot=9090", "prot"),
        ("cronJobs.crm.shedule=@daily", "shedule"),
        ("history.existingSecret.nam=history", "nam"),
        ("env[0].nam=X", "nam"),
        ("watch.replicas=two", "watch.replicas"),
        ("watch.maxRuns=0", "watch.maxRuns"),
        ("graceSeconds=0", "graceSeconds"),
        ("log.level=loud", "log.level"),
        ("image.pullPolicy=Sometimes", "image.pullPolicy"),
        ("image.digest=latest", "image.digest"),
        ("conf.files.crm=x", "'?crm'? (is )?not allowed"),
        ("cronJobs.CRM.schedule=@daily", "'?CRM'? (is )?not allowed"),
        ("cronJobs.crm.schedule=0 0 2 * * *", "cronJobs.crm.schedule"),
        ("cronJobs.crm.schedule=@often", "cronJobs.crm.schedule"),
        ("cronJobs.crm.concurrencyPolicy=Queue", "cronJobs.crm.concurrencyPolicy"),
        ("history.url=sqlite:/tmp/x", "history.url"),
        ("history.keep=30", "history.keep"),
        ("securityContext.allowPrivilegeEscalation=true", "securityContext.allowPrivilegeEscalation"),
        ("podSecurityContext.runAsUser=0", "podSecurityContext.runAsUser"),
    ],
)
def test_a_wrong_value_is_refused_by_name(by: helm.Helm, given: str, says: str, tmp_path: Path) -> None:
    refused(by, given, says, tmp_path)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("watch.replicas=2", "watch.replicas: more than one daemon needs a history on PostgreSQL"),
        ("watch.enabled=false", "nothing would run: set watch.enabled to true, or give cronJobs"),
        ("history.url=postgresql://u:p@h/d", "history.url holds a password"),
        ("history.url=postgresql://h/d?password=p", "history.url holds a password"),
        ("history.url=postgresql://h/d,history.existingSecret.name=s", "history.existingSecret.name: only one"),
        ("env[0].name=TASKER_GRACE,env[0].value=five", "env: TASKER_GRACE is set by the chart"),
        ("workspaces.storageClass=fast", "workspaces.sizeLimit: a volume of workspaces.storageClass needs a size"),
        ("watch.podDisruptionBudget.minAvailable=1,watch.podDisruptionBudget.maxUnavailable=1", "cannot be set both"),
        (
            "cronJobs.a-name-that-is-too-long-for-what-kubernetes-makes-of-it.schedule=@daily",
            "and Kubernetes allows 52 characters",
        ),
    ],
)
def test_what_cannot_be_together_is_refused(given: str, says: str, tmp_path: Path) -> None:
    refused(helm.THREE, given, says, tmp_path)


def refused(by: helm.Helm, given: str, says: str, home: Path) -> None:
    answer = by("template", "x", chart.CHART, "--set", given, home=home)
    assert answer.status == 1
    # Helm 3 writes watch.replicas, and helm 4 /watch/replicas.
    assert re.search(says.replace(".", "[./]"), answer.stderr), answer.stderr


def test_what_is_to_be_done_next_is_told(tmp_path: Path) -> None:
    def notes(*more: str) -> str:
        return helm.FOUR("install", "x", chart.CHART, "--dry-run=client", *more, home=tmp_path).stdout

    nothing = notes()
    assert "exec deployment/x-tasker -- tasker health" in nothing
    assert "It has no pipeline yet." in nothing
    jobs = notes("--set=watch.enabled=false,cronJobs.crm.schedule=@daily,watch.persistence.enabled=false")
    assert "create job --from cronjob/x-tasker-crm crm-now" in jobs
    assert "deployment" not in jobs
    assert "the history is gone with the pod" in notes("--set=watch.persistence.enabled=false")


def test_every_value_is_in_the_schema_and_nothing_else_is() -> None:
    schema = json.loads((chart.CHART / "values.schema.json").read_text(encoding="utf-8"))
    values = yaml.safe_load((chart.CHART / "values.yaml").read_text(encoding="utf-8"))
    assert list(missing_values(values, schema, schema)) == []


def missing_values(values: Any, schema: dict[str, Any], whole: dict[str, Any], path: str = "") -> Iterator[str]:
    """What the schema knows and `values.yaml` does not show, down to where anything goes."""
    known = schema.get("properties")
    if known is None or path in {".podSecurityContext", ".securityContext"} or path.endswith(("Probe", "resources")):
        return
    for key, below in known.items():
        if key != "global" and key not in values:
            yield f"{path}.{key}"
        elif isinstance(values.get(key), dict):
            name = below.get("$ref", "").rpartition("/")[2]
            yield from missing_values(values[key], whole["definitions"].get(name, below), whole, f"{path}.{key}")


def test_alerts_ask_for_numbers_that_the_daemon_tells() -> None:
    alerts = yaml.safe_load((chart.CHART / "files/alerts.yaml").read_text(encoding="utf-8"))
    told = series()
    for rule in (rule for group in alerts["groups"] for rule in group["rules"]):
        assert {"alert", "expr", "labels", "annotations"} <= set(rule), rule
        assert rule["labels"]["severity"] in {"page", "ticket"}
        for metric, selected in re.findall(r"\b(tasker_[a-z_]+)(?:\{(.*?)\})?", rule["expr"]):
            assert metric in told, rule
            assert set(re.findall(r"(\w+)!?=", selected)) <= told[metric], rule
        by = [label for words in re.findall(r"by \((.*?)\)", rule["expr"]) for label in words.split(", ")]
        shown = re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"]))
        assert set(by) <= set().union(*told.values()), rule
        assert set(shown) <= set(by), rule
    assert chart.the("monitored", "PrometheusRule")["spec"] == alerts


def series() -> dict[str, set[str]]:
    """Every metric of a daemon that has something to tell of each, with its labels."""
    now = datetime(2026, 11, 23, tzinfo=UTC)
    metrics = Metrics()
    metrics.keep("crm", file="crm.conf", since=now, schedule=Schedule(cron=("* * * * *",)))
    metrics.observe(Fact(event=Event.RUN_STARTED, at=now, level=Level.INFO, pipeline="crm", run_id="1"))
    state = DaemonState(turned_at=0, troubles={"history": "the disk is full"})
    found: dict[str, set[str]] = {}
    for line in exposition(metrics, state, now).decode().splitlines():
        if matched := re.match(r"(\w+)(?:\{(.*)\})? ", line):
            found.setdefault(matched[1], set()).update(re.findall(r'(\w+)="', matched[2] or ""))
    return found


@pytest.mark.parametrize("document", ["run-in-kubernetes", "run-as-cronjobs"])
def test_values_that_documents_show_are_such(document: str, tmp_path: Path) -> None:
    text = (helm.ROOT / f"docs/how-to/{document}.md").read_text(encoding="utf-8")
    shown = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert shown
    for block in shown:
        (tmp_path / "values.yaml").write_text(block)
        answer = helm.FOUR("template", "x", chart.CHART, "--values", tmp_path / "values.yaml", home=tmp_path)
        assert answer.status == 0, answer.all
