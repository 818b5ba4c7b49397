"""Slots agree with Debian's rules, evaluated at every minute around both changes of the clocks, in five zones."""

from __future__ import annotations

from datetime import UTC, timedelta
from functools import cache
from itertools import takewhile
from random import Random
from zoneinfo import ZoneInfo

import pytest
from support.budget import budget
from support.debian_cron import Expression, Stretch, around, clock_changes, expressions

from tasker.scheduling.cron import Cron

ZONES = (
    "Australia/Sydney",
    "Australia/Lord_Howe",  # half an hour
    "Atlantic/Azores",  # midnight is left out, and comes twice
    "Africa/Cairo",  # a day begins twice
    "Antarctica/Troll",  # two hours
)
YEAR = 2026
BATCHES = budget(8, share=8)
EXPRESSIONS = 250
"""Of a batch."""


@cache
def stretches(zone: str, reach: timedelta, step: timedelta) -> list[Stretch]:
    """What lies around the changes of the clocks in a year."""
    changes = clock_changes(ZoneInfo(zone), YEAR)
    assert len(changes) == 2, f"{zone} has changed its rules: take another one"
    return [around(change, ZoneInfo(zone), reach, step) for change in changes]


def check(expression: Expression, stretch: Stretch, random: Random) -> None:
    """Every slot of a stretch, one after the other, and the next one after any moments."""
    cron, due = Cron.parse(str(expression)), stretch.due(expression)
    found = (slot.astimezone(UTC) for slot in cron.moments(stretch.begin - stretch.step, stretch.zone))
    assert list(takewhile(lambda slot: slot < stretch.end, found)) == due, str(expression)
    for _ in range(2):
        moment = stretch.at(random.randrange(stretch.moments)).astimezone(stretch.zone)
        coming = cron.next(moment, stretch.zone)
        within = coming is not None and coming.astimezone(UTC) < stretch.end
        expected = next((slot for slot in due if slot > moment.astimezone(UTC)), None)
        assert (coming.astimezone(UTC) if coming and within else None) == expected, f"{expression} after {moment}"


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("batch", range(BATCHES))
def test_every_slot_of_any_expression_is_that_of_debians_cron(zone: str, batch: int) -> None:
    random = Random(batch)
    for expression in expressions(batch, EXPRESSIONS):
        for stretch in stretches(zone, timedelta(hours=14), timedelta(minutes=1)):
            check(expression, stretch, random)


@pytest.mark.parametrize("zone", ZONES)
def test_every_slot_with_seconds_follows_the_same_rules(zone: str) -> None:
    random = Random(zone)
    for expression in expressions(0, budget(120, share=8), has_seconds=True):
        for stretch in stretches(zone, timedelta(hours=2, minutes=10), timedelta(seconds=1)):
            check(expression, stretch, random)
