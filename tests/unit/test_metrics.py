"""What is counted, and how Prometheus reads it."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tasker.facts import Event, Fact
from tasker.faults import Fault, Place
from tasker.monitoring.exposition import exposition
from tasker.monitoring.metrics import MOST, OTHERS, Metrics
from tasker.monitoring.state import DaemonState
from tasker.pipeline import Schedule
from tasker.run import Status

NOW = datetime(2026, 11, 22, 2, 15, tzinfo=UTC)
NIGHTLY = Schedule(cron=("15 2 * * *",))
READY = DaemonState(turned_at=0, ready=True)
DOCUMENT = Path(__file__).parents[2] / "docs" / "how-to" / "watch-it.md"


def fact(event: str, *, pipeline: str | None = "crm", at: datetime = NOW, run_id: str = "r1", **details: Any) -> Fact:
    return Fact(event=event, at=at, pipeline=pipeline, revision="4f0c", run_id=run_id, details=details)


def counting(*facts: Fact, schedule: Schedule | None = NIGHTLY, since: datetime = NOW - timedelta(hours=1)) -> Metrics:
    metrics = Metrics()
    metrics.keep("crm", file="conf.d/crm.conf", since=since, schedule=schedule)
    for each in facts:
        metrics.observe(each)
    return metrics


def families(metrics: Metrics, state: DaemonState = READY, now: datetime = NOW) -> dict[str, Metric]:
    text = exposition(metrics, state, now).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(metrics: Metrics, name: str, state: DaemonState = READY, now: datetime = NOW, **labels: str) -> float | None:
    """The value of the one series; `None` where there is none."""
    found = [
        sample.value
        for family in families(metrics, state, now).values()
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    assert len(found) <= 1
    return found[0] if found else None


def slot(moment: datetime = NOW) -> str:
    return moment.isoformat().replace("+00:00", "Z")


# Runs


def test_runs_are_counted_by_how_they_ended() -> None:
    metrics = counting(
        fact(Event.RUN_SUCCEEDED, duration_s=1.0),
        fact(Event.RUN_SUCCEEDED, duration_s=1.0),
        fact(Event.RUN_FAILED, duration_s=1.0),
    )
    assert value(metrics, "tasker_runs_total", pipeline="crm", status="succeeded") == 2
    assert value(metrics, "tasker_runs_total", pipeline="crm", status="failed") == 1
    assert value(metrics, "tasker_runs_total", pipeline="crm", status="interrupted") == 0


def test_what_a_run_took_falls_in_its_bucket_and_all_above() -> None:
    metrics = counting(fact(Event.RUN_SUCCEEDED, duration_s=5.0), fact(Event.RUN_FAILED, duration_s=1e9))
    name = "tasker_run_duration_seconds"
    assert value(metrics, f"{name}_bucket", pipeline="crm", le="1.0") == 0
    assert value(metrics, f"{name}_bucket", pipeline="crm", le="5.0") == 1
    assert value(metrics, f"{name}_bucket", pipeline="crm", le="15.0") == 1
    assert value(metrics, f"{name}_bucket", pipeline="crm", le="+Inf") == 2
    assert value(metrics, f"{name}_count", pipeline="crm") == 2
    assert value(metrics, f"{name}_sum", pipeline="crm") == 1e9 + 5


def test_a_run_that_starts_is_a_slot_that_ran_as_late_as_it_is() -> None:
    metrics = counting(fact(Event.RUN_STARTED, at=NOW + timedelta(seconds=2), slot=slot()))
    assert value(metrics, "tasker_slots_total", pipeline="crm", outcome="ran") == 1
    assert value(metrics, "tasker_slot_lateness_seconds_sum") == 2
    assert value(metrics, "tasker_slot_lateness_seconds_bucket", le="1.0") == 0
    assert value(metrics, "tasker_slot_lateness_seconds_bucket", le="2.5") == 1


def test_a_run_that_resumes_another_is_no_further_slot_and_not_late() -> None:
    metrics = counting(fact(Event.RUN_STARTED, at=NOW + timedelta(hours=2), slot=slot(), resumed_from="r0"))
    assert value(metrics, "tasker_slots_total", pipeline="crm", outcome="ran") == 0
    assert value(metrics, "tasker_slot_lateness_seconds_count") == 0


def test_a_clock_that_was_set_back_makes_no_run_early() -> None:
    metrics = counting(fact(Event.RUN_STARTED, at=NOW - timedelta(hours=1), slot=slot()))
    assert value(metrics, "tasker_slot_lateness_seconds_sum") == 0


# Slots


def test_slots_are_counted_by_their_outcome() -> None:
    metrics = counting(
        fact(Event.SLOT_SKIPPED, slot=slot(), outcome="skipped"),
        fact(Event.SLOT_SKIPPED, slot=slot(), outcome="superseded"),
        fact(Event.SLOT_SKIPPED, slot=slot(), outcome="refused"),
        fact(Event.SLOT_MISSED, slot=slot(), outcome="missed"),
    )
    for outcome in ("skipped", "superseded", "refused", "missed"):
        assert value(metrics, "tasker_slots_total", pipeline="crm", outcome=outcome) == 1
    assert value(metrics, "tasker_slots_total", pipeline="crm", outcome="ran") == 0


def test_facts_that_say_less_than_expected_disturb_nothing() -> None:
    metrics = counting(
        fact(Event.SLOT_DUE),
        fact(Event.SLOT_SKIPPED, outcome="unheard of"),
        fact(Event.SLOT_MISSED, slot="tomorrow"),
        fact(Event.SLOT_DUE, slot="2026-11-22T02:15:00"),
        fact(Event.RUN_STARTED, slot=7),
        fact(Event.RUN_FAILED),
        fact("what a task said"),
    )
    assert value(metrics, "tasker_runs_total", pipeline="crm", status="failed") == 1


# Overdue, and the last success


def test_a_pipeline_is_overdue_from_the_failure_of_its_run_to_the_next_success() -> None:
    metrics = counting(fact(Event.SLOT_DUE, slot=slot()), fact(Event.RUN_STARTED, slot=slot()))
    assert value(metrics, "tasker_pipeline_overdue", pipeline="crm") == 0
    metrics.observe(fact(Event.RUN_FAILED))
    assert value(metrics, "tasker_pipeline_overdue", pipeline="crm") == 1
    assert metrics.overdue(NOW) == {"crm": "its last run failed, and nothing has succeeded since"}
    metrics.observe(fact(Event.RUN_STARTED, run_id="r2", slot=slot()))
    assert value(metrics, "tasker_pipeline_overdue", pipeline="crm") == 0
    metrics.observe(fact(Event.RUN_SUCCEEDED, run_id="r2"))
    assert value(metrics, "tasker_pipeline_overdue", pipeline="crm") == 0


def test_a_slot_that_nobody_decides_is_overdue_though_the_daemon_says_nothing() -> None:
    later = NOW + timedelta(minutes=5)
    assert value(counting(), "tasker_pipeline_overdue", now=later, pipeline="crm") == 1
    assert value(counting(fact(Event.SLOT_DUE, slot=slot())), "tasker_pipeline_overdue", now=later, pipeline="crm") == 0


def test_a_refused_slot_is_overdue_at_once() -> None:
    metrics = counting(fact(Event.SLOT_DUE, slot=slot()), fact(Event.SLOT_SKIPPED, slot=slot(), outcome="refused"))
    assert metrics.overdue(NOW) == {
        "crm": "its slot of 2026-11-22T02:15:00Z was refused, and nothing has succeeded since"
    }


def test_a_slot_that_was_skipped_since_the_last_run_goes_on_is_not_overdue() -> None:
    metrics = counting(
        fact(Event.RUN_STARTED, slot=slot(NOW - timedelta(days=1)), at=NOW),
        fact(Event.SLOT_SKIPPED, slot=slot(), outcome="skipped"),
    )
    assert metrics.overdue(NOW + timedelta(minutes=5)) == {}


def test_a_pipeline_without_a_schedule_is_never_overdue() -> None:
    metrics = counting(fact(Event.RUN_FAILED), schedule=None)
    assert value(metrics, "tasker_pipeline_overdue", pipeline="crm") is None


def test_the_history_tells_a_new_daemon_when_a_pipeline_last_succeeded() -> None:
    metrics = Metrics()
    night = timedelta(days=1)
    metrics.keep(
        "crm",
        file="conf.d/crm.conf",
        since=NOW - 9 * night,
        schedule=NIGHTLY,
        succeeded_at=NOW - night,
        decided=NOW - night,
    )
    assert value(metrics, "tasker_last_success_timestamp_seconds", pipeline="crm") == (NOW - night).timestamp()
    assert metrics.overdue(NOW) == {}
    assert metrics.overdue(NOW + timedelta(minutes=2))


def test_a_new_daemon_does_not_settle_what_went_wrong_under_the_last_one() -> None:
    metrics = Metrics()
    metrics.keep("crm", file="crm.conf", since=NOW, schedule=NIGHTLY, decided=NOW, last_run=Status.FAILED)
    assert metrics.overdue(NOW) == {"crm": "its last run failed, and nothing has succeeded since"}
    metrics.keep("crm", file="crm.conf", since=NOW, schedule=NIGHTLY, decided=NOW, last_run=Status.SUCCEEDED)
    metrics.observe(fact(Event.RUN_SUCCEEDED))
    assert metrics.overdue(NOW) == {}


def test_there_is_no_last_success_before_the_first() -> None:
    assert value(counting(), "tasker_last_success_timestamp_seconds", pipeline="crm") is None


def test_a_new_version_goes_on_counting_and_owes_what_the_last_one_owed() -> None:
    metrics = counting(fact(Event.SLOT_DUE, slot=slot()), fact(Event.RUN_STARTED, slot=slot()), fact(Event.RUN_FAILED))
    metrics.keep("crm", file="conf.d/crm.conf", since=NOW - timedelta(hours=1), schedule=NIGHTLY)
    assert value(metrics, "tasker_runs_total", pipeline="crm", status="failed") == 1
    assert metrics.overdue(NOW)


# Cardinality


def test_the_series_of_a_pipeline_that_is_gone_are_gone() -> None:
    metrics = counting(fact(Event.RUN_SUCCEEDED))
    metrics.forget("crm")
    assert b'"crm"' not in exposition(metrics, READY, NOW)
    assert b"crm.conf" not in exposition(metrics, READY, NOW)


def test_a_run_that_outlives_its_pipeline_is_counted_among_the_others() -> None:
    metrics = counting()
    metrics.forget("crm")
    metrics.observe(fact(Event.RUN_SUCCEEDED))
    assert value(metrics, "tasker_runs_total", pipeline=OTHERS, status="succeeded") == 1
    assert value(metrics, "tasker_runs_total", pipeline="crm", status="succeeded") is None


def test_pipelines_beyond_a_bound_have_one_series_together() -> None:
    metrics = Metrics()
    for number in range(MOST + 5):
        metrics.keep(f"p{number}", file=f"{number}.conf", since=NOW)
        metrics.observe(fact(Event.RUN_SUCCEEDED, pipeline=f"p{number}"))
    assert len(metrics.tallies()) == MOST + 1
    assert metrics.tallies()[OTHERS].runs["succeeded"] == 5


def test_invalid_files_beyond_a_bound_have_no_series_of_their_own() -> None:
    fault = Fault("syntax", Place("x.conf"), "x")
    state = DaemonState(turned_at=0, invalid={f"{number}.conf": (fault,) for number in range(MOST + 5)})
    assert len(families(counting(), state)["tasker_config_valid"].samples) == MOST


# The daemon


def test_each_file_is_told_to_be_valid_or_not() -> None:
    fault = Fault("syntax", Place("conf.d/erp.conf"), "x")
    metrics = counting()
    metrics.keep("erp", file="conf.d/erp.conf", since=NOW)  # its last good version
    state = DaemonState(turned_at=0, invalid={"conf.d/erp.conf": (fault,), 'ta"sks\\\n.py': (fault,)})
    assert value(metrics, "tasker_config_valid", state, file="conf.d/crm.conf") == 1
    assert value(metrics, "tasker_config_valid", state, file="conf.d/erp.conf") == 0
    assert value(metrics, "tasker_config_valid", state, file='ta"sks\\\n.py') == 0


def test_the_daemon_tells_how_it_stands() -> None:
    state = DaemonState(
        turned_at=0, waiting=3, running=2, polling=True, troubles={"history": "disk full"}, log_dropped=7
    )
    told = {
        "tasker_ready": 0,
        "tasker_runs_waiting": 3,
        "tasker_runs_running": 2,
        "tasker_watch_polling": 1,
        "tasker_history_up": 0,
        "tasker_log_dropped_lines_total": 7,
    }
    assert {name: value(Metrics(), name, state) for name in told} == told
    assert value(Metrics(), "tasker_troubled", state, what="history") == 1
    assert value(Metrics(), "tasker_ready") == 1
    assert value(Metrics(), "tasker_history_up") == 1


# The form


def full() -> dict[str, Metric]:
    """Every metric there is, with a series each."""
    metrics = counting(fact(Event.RUN_STARTED, slot=slot()), fact(Event.RUN_SUCCEEDED, duration_s=1))
    return families(metrics, DaemonState(turned_at=0, troubles={"history": "disk full"}))


def test_names_keep_to_the_rules_of_prometheus() -> None:
    for name, family in full().items():
        assert family.documentation, name
        assert re.fullmatch(r"(tasker|process)(_[a-z]+)+", name)
        assert not re.search(r"_(counter|gauge|histogram|total|count|sum|bucket|created)$", name)
        assert not re.search(r"(milli|micro|minutes|hours|_(ms|s|kb|mb)(_|$)|kilo|mega)", name)
        suffix = {"counter": {"_total"}, "histogram": {"_bucket", "_sum", "_count"}, "gauge": {""}}[family.type]
        assert {sample.name.removeprefix(name) for sample in family.samples} == suffix
        assert not {"le", "job", "instance"} & {
            label for sample in family.samples for label in sample.labels if family.type != "histogram"
        }


def test_every_metric_is_documented() -> None:
    documented = set(re.findall(r"`(tasker_[a-z_]+)", DOCUMENT.read_text()))
    told = {f"{name}_total" if family.type == "counter" else name for name, family in full().items()}
    assert {name for name in told if name.startswith("tasker_")} <= documented


def test_counting_is_cheap_and_telling_of_a_thousand_pipelines_is_bearable() -> None:
    metrics = Metrics()
    for number in range(1000):
        metrics.keep(f"p{number}", file=f"{number}.conf", since=NOW, schedule=NIGHTLY)
    facts = [fact(Event.RUN_SUCCEEDED, pipeline=f"p{number}", duration_s=1) for number in range(1000)]
    began = time.process_time()
    for each in facts:
        metrics.observe(each)
    counted = time.process_time()
    exposition(metrics, READY, NOW)
    assert counted - began < 0.1
    assert time.process_time() - counted < 3
