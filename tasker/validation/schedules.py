"""The `schedule` of a pipeline, from what the file says."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

from tasker.document.values import Array, Object, Scalar
from tasker.pipeline import Catchup, Overlap, Schedule
from tasker.validation.bounds import AtLeast, MoreThan

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from tasker.document.values import Value
    from tasker.validation.findings import Findings

_KEYS: dict[str, Any] = {
    "cron": str | list[str],
    "timezone": str,
    "overlap": Overlap,
    "catchup": Catchup,
    "deadline": Annotated[timedelta, MoreThan(timedelta())],
    "jitter": Annotated[timedelta, AtLeast(timedelta())],
}


def read_schedule(value: Value, now: datetime, findings: Findings) -> Schedule | None:
    """The schedule, or `None` and faults; `now` is where the search for a slot that comes due begins."""
    if not isinstance(value, Object):
        value = Object(value.span, {"cron": value}, {})
    found = findings.section(value, _KEYS, "a schedule")
    zone = _zone(value.fields.get("timezone"), findings)
    expressions = _expressions(value.fields.get("cron"))
    if "cron" not in value.fields:
        findings.add("missing-key", value.place, "a schedule needs the key 'cron'", 'such as cron = "15 2 * * *"')
    for expression in expressions:
        _check(expression, zone, now, findings)
    if "cron" not in found:
        return None
    found["cron"] = tuple(expression.text for expression in expressions)
    return Schedule(**found)


def _expressions(value: Value | None) -> list[Scalar]:
    items = value.items if isinstance(value, Array) else (value,)
    return [item for item in items if isinstance(item, Scalar)]


def _zone(value: Value | None, findings: Findings) -> ZoneInfo:
    from tasker.cron import UnknownTimezoneError, timezone  # noqa: PLC0415 - only files with a schedule pay for it

    try:
        return timezone(value.text if isinstance(value, Scalar) else "UTC")
    except UnknownTimezoneError as error:
        assert value is not None  # noqa: S101 - UTC is known everywhere
        findings.add("unknown-timezone", value.place, str(error), error.hint)
        return timezone("UTC")


def _check(expression: Scalar, zone: ZoneInfo, now: datetime, findings: Findings) -> None:
    from tasker.cron import Cron, CronError  # noqa: PLC0415 - only files with a schedule pay for it

    try:
        cron = Cron.parse(expression.text)
    except CronError as error:
        findings.add("bad-cron", expression.place, str(error), error.hint)
        return
    if cron.next(now, zone) is None:
        message = f"the cron expression '{expression.text}' never comes due"
        findings.add("never-due", expression.place, message, "is there such a day in that month?")
