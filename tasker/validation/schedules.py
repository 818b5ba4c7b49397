"""The `schedule` of a pipeline, from what the file says."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

from tasker.document.values import Array, Object, Scalar
from tasker.nearest import nearest
from tasker.pipeline import Catchup, Overlap, Schedule
from tasker.validation.bounds import AtLeast, MoreThan

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from tasker.document.values import Value
    from tasker.faults import Place
    from tasker.validation.findings import Findings

SCHEDULE_KEYS: dict[str, Any] = {
    "cron": str | list[str],
    "timezone": str,
    "overlap": Overlap,
    "catchup": Catchup,
    "deadline": Annotated[timedelta, MoreThan(timedelta())],
    "jitter": Annotated[timedelta, AtLeast(timedelta())],
}
_EXAMPLE = 'such as cron = "15 2 * * *"'
_MOST = 20
"""Cron expressions of one schedule: looking for the next slot of each takes its time."""


def read_schedule(value: Value, now: datetime, findings: Findings) -> Schedule | None:
    """The schedule, or `None` and faults; `now` is where the search for a slot that comes due begins."""
    if not isinstance(value, Object):
        value = Object(value.span, {"cron": value}, {})
    found = findings.section(value, SCHEDULE_KEYS, "a schedule")
    zone = _zone(value.fields.get("timezone"), found.get("timezone", "UTC"), findings)
    meant = {nearest(key, SCHEDULE_KEYS) for key in value.fields if key not in SCHEDULE_KEYS}
    if "cron" not in value.fields and "cron" not in meant:
        findings.add("missing-key", value.place, "a schedule needs the key 'cron'", _EXAMPLE)
    if "cron" not in found:
        return None
    cron = value.fields["cron"]
    items = cron.items if isinstance(cron, Array) else (cron,)
    expressions = [item for item in items if isinstance(item, Scalar)]
    if not items:
        findings.add("missing-key", cron.place, "'cron' is an empty list", _EXAMPLE)
    elif len(expressions) > _MOST:
        findings.add(
            "too-large", cron.place, f"a schedule has at most {_MOST} cron expressions", "ranges make one of many"
        )
    else:
        for expression in expressions:
            _check(expression, zone, now, findings)
    schedule = Schedule(**{**found, "cron": tuple(expression.text for expression in expressions)})
    if schedule.deadline is not None and schedule.jitter > schedule.deadline / 2:
        message = "the jitter is over half of the deadline: what starts so much later may come too late"
        findings.add("bad-value", value.fields["jitter"].place, message, "a longer deadline, or less jitter")
    return schedule


def _zone(value: Value | None, name: str, findings: Findings) -> ZoneInfo:
    from tasker.scheduling.cron import UnknownTimezoneError, timezone  # noqa: PLC0415 - only files with a schedule pay for it

    try:
        return timezone(name)
    except UnknownTimezoneError as error:
        assert value is not None  # noqa: S101 - UTC is known everywhere
        findings.add("unknown-timezone", value.place, str(error), error.hint)
        return timezone("UTC")


def _check(expression: Scalar, zone: ZoneInfo, now: datetime, findings: Findings) -> None:
    from tasker.scheduling.cron import Cron, CronError  # noqa: PLC0415 - only files with a schedule pay for it

    try:
        cron = Cron.parse(expression.text)
    except CronError as error:
        findings.add("bad-cron", _within(expression, error.offset, error.length), str(error), error.hint)
        return
    if cron.next(now, zone) is None:
        message = f"the cron expression '{expression.text}' never comes due"
        findings.add("never-due", expression.place, message, "is there such a day in that month?")


def _within(expression: Scalar, offset: int, length: int) -> Place:
    """The characters of an expression that are to blame, where it stands in the file as it is."""
    span = expression.span
    at = span.source.text.find(expression.text, span.start, span.end)
    if at < 0:
        return expression.place
    return span.source.place(at + offset, at + offset + length)
