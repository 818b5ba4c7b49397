"""Laws of the scheduler that hold whatever happens, in whatever order: no slot is lost, and none runs twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from support.budget import budget
from support.scheduling import INSTANT, World, wakes_at

from tasker.pipeline import Catchup, Overlap, Schedule
from tasker.run import Slot
from tasker.scheduling.timetable import Timetable

STARTS = (
    datetime(2026, 11, 22, 11, 59, 30, tzinfo=UTC),
    datetime(2026, 4, 4, 14, 50, tzinfo=UTC),  # Sydney's and Lord Howe's clocks are about to go back
    datetime(2026, 10, 3, 15, 20, tzinfo=UTC),  # and forward
)
SCHEDULES: st.SearchStrategy[Schedule] = st.builds(
    Schedule,
    cron=st.sampled_from(
        [
            ("* * * * *",),
            ("*/20 * * * * *",),
            ("*/5 * * * *", "*/3 * * * *"),
            ("30 2 * * *",),
            ("0,30 1-3 * * *",),
            ("@hourly",),
        ]
    ),
    timezone=st.sampled_from(["UTC", "Australia/Sydney", "Australia/Lord_Howe"]),
    overlap=st.sampled_from(Overlap),
    catchup=st.sampled_from(Catchup),
    deadline=st.sampled_from([None, timedelta(seconds=10), timedelta(minutes=2), timedelta(hours=1)]),
    jitter=st.sampled_from([timedelta(), timedelta(seconds=30), timedelta(minutes=3)]),
)
NAMES = st.sampled_from(["crm", "erp", "lineage"])
STEPS = st.sampled_from([0.000001, 1, 19, 20, 59, 60, 61, 300, 1800, 7200])


class Laws(RuleBasedStateMachine):
    """What may happen to a daemon; the world checks each decision as it is made."""

    @initialize(start=st.sampled_from(STARTS), most=st.integers(1, 3), name=NAMES, schedule=SCHEDULES)
    def begin(self, start: datetime, most: int, name: str, schedule: Schedule) -> None:
        self.world = World(start, most)
        self.world.put(name, schedule)

    @rule()
    def wakes(self) -> None:
        moment = wakes_at(self.world.scheduler, self.world.wanted)
        if moment is not None and moment < self.world.now + timedelta(hours=3):
            self.world.advance(moment)
        self.world.tick()

    @rule()
    def ticks_just_before_it_would_wake(self) -> None:
        moment = wakes_at(self.world.scheduler, self.world.wanted)
        if moment is not None and self.world.now + INSTANT < moment < self.world.now + timedelta(hours=3):
            self.world.advance(moment - INSTANT)
            assert self.world.scheduler.tick(self.world.now) == []

    @rule(seconds=STEPS)
    def wakes_late(self, seconds: float) -> None:
        self.world.advance(self.world.now + timedelta(seconds=seconds))
        self.world.tick()

    @rule(seconds=STEPS)
    def time_goes_on(self, seconds: float) -> None:
        self.world.advance(self.world.now + timedelta(seconds=min(seconds, 300)))

    @rule(seconds=STEPS)
    def the_clock_is_set_back(self, seconds: float) -> None:
        self.world.set_back(self.world.now - timedelta(seconds=seconds))

    @rule(name=NAMES, schedule=SCHEDULES)
    def a_file_is_edited(self, name: str, schedule: Schedule) -> None:
        self.world.put(name, schedule)

    @rule(name=NAMES)
    def a_file_is_read_again(self, name: str) -> None:
        if name in self.world.wanted:
            self.world.put(name, self.world.wanted[name])

    @rule(name=NAMES, schedule=SCHEDULES)
    def a_file_is_edited_in_the_second_of_a_slot(self, name: str, schedule: Schedule) -> None:
        slot = self.world.scheduler.upcoming(name)
        if slot is not None and slot < self.world.now + timedelta(hours=3):
            self.world.advance(slot)
            self.world.put(name, schedule)

    @rule(name=NAMES)
    def a_file_is_removed(self, name: str) -> None:
        self.world.remove(name)

    @rule(count=st.integers(1, 30))
    def the_history_works(self, count: int) -> None:
        self.world.work(count)

    @precondition(lambda self: hasattr(self, "world") and self.world.answers)
    @rule(data=st.data(), busy=st.booleans())
    def a_claim_is_answered(self, data: Any, busy: bool) -> None:
        self.world.answer(data.draw(st.integers(0, len(self.world.answers) - 1)), busy=busy)

    @rule()
    def the_history_answers_everything(self) -> None:
        self.world.work(len(self.world.operations))
        while self.world.answers:
            self.world.answer(0)

    @precondition(lambda self: hasattr(self, "world") and self.world.running)
    @rule(data=st.data())
    def a_run_ends(self, data: Any) -> None:
        self.world.end(data.draw(st.sampled_from(sorted(self.world.running))))

    @rule(name=NAMES)
    def another_daemon_is_first(self, name: str) -> None:
        if name in self.world.wanted:
            slot = Timetable.of(self.world.wanted[name]).next(self.world.now)
            if slot is not None:
                self.world.intrude(Slot(name, slot))

    @rule(seconds=STEPS, resume=st.booleans())
    def the_program_is_killed_and_started_again(self, seconds: float, resume: bool) -> None:
        self.world.advance(self.world.now + timedelta(seconds=seconds))
        self.world.restart(resume=resume)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.tick()
            self.world.come_to_rest()


TestLaws = Laws.TestCase
TestLaws.settings = settings(
    max_examples=budget(200),
    stateful_step_count=40,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],  # explaining traces every line, for minutes
    suppress_health_check=[HealthCheck.too_slow],
)
