"""CronJobs of Kubernetes, as manifests and as values of the chart: pure.

Not to be confused with `scheduling.cronjobs`, which says what becomes of a schedule. The chart makes the same of the
values as stands here, and a test holds both together.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasker.run import DEFAULT_GRACE_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tasker.scheduling.cronjobs import Timing

CONF_DIR = "/etc/tasker/conf.d"
_SECRETS = "/run/secrets/tasker"
_USER = 10001
"""The user of the image, and its group."""
_READABLE = 0o440
"""Rights of secrets: the pod's group reads them."""
_STOP_S = int(2 * DEFAULT_GRACE_S + 20)
"""What a run takes at most to stop, and to say so."""
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9/._-]*")
"""Text that needs no quotes in YAML, but for the words below."""
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CronJob:
    """A pipeline that Kubernetes is to start."""

    name: str
    """What Kubernetes calls it."""
    pipeline: str
    file: str
    """In the conf folder."""
    instance: str | None
    timing: Timing


@dataclass(frozen=True, slots=True)
class Dressing:
    """What no conf file says, and a pod needs."""

    image: str
    config_maps: tuple[str, ...] = ()
    """Of conf files; none where the image has them."""
    secrets: tuple[str, ...] = ()


def values(jobs: Sequence[CronJob]) -> dict[str, Any]:
    """What the chart is to be told."""
    return {"cronJobs": {job.name: _value(job) for job in jobs}}


def _value(job: CronJob) -> dict[str, Any]:
    told: dict[str, Any] = {"file": job.file}
    if job.instance is not None:
        told["instance"] = job.instance
    return told | _timing(job.timing)


def _timing(timing: Timing) -> dict[str, Any]:
    deadline = {} if timing.deadline_s is None else {"startingDeadlineSeconds": timing.deadline_s}
    return {
        "schedule": timing.schedule,
        "timeZone": timing.timezone,
        "concurrencyPolicy": timing.concurrency,
        **deadline,
    }


def manifest(job: CronJob, dressing: Dressing) -> dict[str, Any]:
    """The object that Kubernetes is to be given."""
    labels = {
        "app.kubernetes.io/name": "tasker",
        "app.kubernetes.io/component": "once",
        "tasker/cronjob": job.name,
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": job.name, "labels": labels, "annotations": {"tasker/pipeline": job.pipeline}},
        "spec": {
            **_timing(job.timing),
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {
                "metadata": {"labels": labels},
                "spec": {"backoffLimit": 0, "template": {"metadata": {"labels": labels}, "spec": _pod(job, dressing)}},
            },
        },
    }


def _pod(job: CronJob, dressing: Dressing) -> dict[str, Any]:
    volumes: dict[str, dict[str, Any]] = {
        "conf": _projected("configMap", dressing.config_maps),
        "secrets": _projected("secret", dressing.secrets) | {"defaultMode": _READABLE},
        "tmp": {},
    }
    mounts: list[dict[str, Any]] = [
        *([{"name": "conf", "mountPath": CONF_DIR, "readOnly": True}] if dressing.config_maps else []),
        *([{"name": "secrets", "mountPath": _SECRETS, "readOnly": True}] if dressing.secrets else []),
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - of a container
    ]
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": _STOP_S,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "tasker",
                "image": dressing.image,
                "args": [
                    "once",
                    f"{CONF_DIR}/{job.file}",
                    f"--on-schedule={job.timing.schedule} {job.timing.timezone}",
                    *([] if job.instance is None else [f"--instance={job.instance}"]),
                ],
                "env": [{"name": "TASKER_HISTORY", "value": "none"}, {"name": "TASKER_LOG_FORMAT", "value": "json"}],
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
                "volumeMounts": mounts,
            }
        ],
        "volumes": [
            {"name": name, "emptyDir" if name == "tmp" else "projected": volumes[name]}
            for name in (mount["name"] for mount in mounts)
        ],
    }


def _projected(kind: str, names: Iterable[str]) -> dict[str, Any]:
    return {"sources": [{kind: {"name": name}} for name in names]}


def yaml(value: Mapping[str, Any]) -> str:
    """The value as a YAML document, a line for each key."""
    return "".join(f"{line}\n" for line in _lines(value))


def _lines(value: Any) -> list[str]:
    if isinstance(value, dict) and value:
        return [line for key, below in value.items() for line in _under(f"{_scalar(key)}:", below)]
    if isinstance(value, list) and value:
        return [line for below in value for line in _entry(below)]
    return [_scalar(value)]


def _under(head: str, value: Any) -> list[str]:
    lines = _lines(value)
    if not isinstance(value, (dict, list)) or not value:
        return [f"{head} {lines[0]}"]
    return [head, *(f"  {line}" for line in lines)]


def _entry(value: Any) -> list[str]:
    first, *rest = _lines(value)
    return [f"- {first}", *(f"  {line}" for line in rest)]


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)
