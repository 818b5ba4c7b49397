"""The chart, rendered by the real helm.

`PYTHONPATH=tests python -m support.chart` writes the snapshots anew: read what has changed before you commit it.
"""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import yaml
from support import helm

if TYPE_CHECKING:
    from collections.abc import Iterator

CHART = helm.ROOT / "helm" / "tasker"
TABLE = helm.ROOT / "tests" / "acceptance" / "chart"
VALUES = {file.stem: file for file in sorted((TABLE / "values").glob("*.yaml"))}
SNAPSHOTS = {name: TABLE / "snapshots" / f"{name}.yaml" for name in ("default", "cronjobs", "replicas")}
KUBERNETES = ("1.29", "1.37")
CUSTOM = frozenset({"ServiceMonitor", "PrometheusRule"})
"""Kinds of the Prometheus operator, of which Kubernetes has no schema."""

Manifest = dict[str, Any]


@cache
def rendered(name: str, by: helm.Helm = helm.THREE) -> str:
    """What a file of values comes to, as helm prints it."""
    with tempfile.TemporaryDirectory() as home:
        answer = by("template", "nightly", CHART, "--namespace", "data", "--values", VALUES[name], home=Path(home))
    assert answer.status == 0, answer.all
    return answer.stdout


@cache
def manifests(name: str, by: helm.Helm = helm.THREE) -> tuple[Manifest, ...]:
    """The objects that a file of values comes to."""
    return tuple(each for each in yaml.safe_load_all(rendered(name, by)) if each)


def of_kind(name: str, kind: str) -> list[Manifest]:
    """Those of one kind."""
    return [each for each in manifests(name) if each["kind"] == kind]


def the(name: str, kind: str) -> Manifest:
    """The only one of its kind."""
    (found,) = of_kind(name, kind)
    return found


def pod_specs(objects: tuple[Manifest, ...] | list[Manifest]) -> Iterator[Manifest]:
    """What each pod is to be, whatever makes it."""
    for each in objects:
        match each["kind"]:
            case "Pod":
                yield each["spec"]
            case "Deployment":
                yield each["spec"]["template"]["spec"]
            case "CronJob":
                yield each["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def judge(manifest: Manifest) -> None:
    """Raise where a version of Kubernetes would not take it."""
    for version in KUBERNETES:
        _judge(json.dumps(manifest, sort_keys=True), version)


@cache
def _judge(manifest: str, version: str) -> None:
    """As most values leave most objects as they are, each of them is looked at once."""
    kubernetes_validate.validate(json.loads(manifest), version, strict=True)


if __name__ == "__main__":
    for name, file in SNAPSHOTS.items():
        file.write_text(rendered(name), encoding="utf-8")
