"""`Course` against a plain reading of the rules: steps, then `on_failure` or `on_success`, then always `finally`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from tasker.pipeline import OnFailure, Phase, Pipeline, Step
from tasker.run import Status, StepRun
from tasker.running.course import Course
from tasker.running.earlier import Earlier
from tasker.running.order import Pass
from tasker.running.reuse import Reuse

if TYPE_CHECKING:
    from collections.abc import Callable


def plan(*steps: Step, failure: str = "", success: str = "", finally_: str = "") -> Pipeline:
    """A pipeline of these steps, with a hook of each letter."""
    made = [tuple(Step(id=each, task="t") for each in letters) for letters in (failure, success, finally_)]
    return Pipeline(name="p", steps=steps, on_failure=made[0], on_success=made[1], finally_=made[2])


def ended(step: Step, status: Status = Status.SUCCEEDED) -> StepRun:
    error = None if status is Status.SUCCEEDED else "out of luck"
    return StepRun(step=step.id, task="t", status=status, error=error, fingerprint="c-a")


def carried_out(course: Course, *, statuses: dict[str, Status] | None = None) -> list[str]:
    """The ids of the steps that start, each of which ends at once; nobody meddles."""
    started = []
    while not course.finished:
        match course.next():
            case None:
                assert course.phase_ended
                course.proceed(1.5)
            case Pass() as passed:
                course.end(course.passed(passed))
            case step:
                started.append(step.id)
                course.end(ended(step, (statuses or {}).get(step.id, Status.SUCCEEDED)))
    return started


A, B = Step(id="a", task="t"), Step(id="b", task="t")


def test_after_success_come_on_success_and_finally() -> None:
    course = Course(plan(A, B, failure="f", success="s", finally_="z"))
    assert carried_out(course) == ["a", "b", "s", "z"]
    assert course.standing.status is Status.SUCCEEDED
    assert "f" not in course.ended


def test_after_a_failure_come_on_failure_and_finally() -> None:
    course = Course(plan(A, failure="f", success="s", finally_="z"))
    assert carried_out(course, statuses={"a": Status.FAILED}) == ["a", "f", "z"]


def test_the_failure_of_a_hook_hides_no_failure_and_keeps_nothing_from_being_tidied_up() -> None:
    course = Course(plan(A, failure="f", success="s", finally_="z"))
    bad = dict.fromkeys("afz", Status.FAILED)
    assert carried_out(course, statuses=bad) == ["a", "f", "z"]
    assert (course.standing.error, course.standing.failed_step) == ("step 'a': out of luck", "a")


def test_a_hook_that_fails_after_success_makes_the_run_a_failure() -> None:
    course = Course(plan(A, failure="f", success="s", finally_="z"))
    assert carried_out(course, statuses={"s": Status.FAILED}) == ["a", "s", "z"]
    assert (course.standing.status, course.standing.error) == (Status.FAILED, "step 's': out of luck")


def test_hooks_are_told_what_the_run_has_come_to_without_secrets() -> None:
    course = Course(plan(A, failure="f"), mask=lambda told: told.replace("luck", "***"))
    course.next()
    course.end(ended(A, Status.FAILED))
    course.proceed(61.5)
    hook = course.next()
    assert isinstance(hook, Step)
    told = {"status": "failed", "failed_step": "a", "error": "step 'a': out of ***", "duration": "1m 1s"}
    assert course.known(hook).run == told


def test_what_was_done_before_is_not_done_again_but_hooks_are() -> None:
    done = {each.id: ended(each) for each in (A, Step(id="z", task="t"))}
    pipeline = plan(A, B, finally_="z")
    reuse = Reuse(pipeline, earlier=Earlier(run_id="r0", steps=done), fingerprint=lambda _step, _known: "c-a")
    assert carried_out(Course(pipeline, reuse=reuse)) == ["b", "z"]


@dataclass
class Model:
    """The rules, read plainly."""

    pipeline: Pipeline
    phases: list[Phase] = field(default_factory=lambda: [Phase.TASKS])
    first_bad: tuple[Status, str] | None = None
    bad_here: tuple[Status, str] | None = None
    stopped: bool = False
    halted: tuple[Status, str] | None = None
    gave_up: bool = False

    def end(self, step: Step, status: Status) -> None:
        if status in {Status.FAILED, Status.INTERRUPTED}:
            self.bad_here = self.bad_here or (status, f"step '{step.id}': out of luck")
            self.stopped |= step.on_failure is OnFailure.STOP

    def halt(self, status: Status) -> None:
        self.halted = self.halted or (status, "halted")
        self.stopped |= self.phases[-1] is Phase.TASKS

    def proceed(self) -> None:
        counts = self.halted and (self.phases[-1] is Phase.TASKS or self.halted[0] is Status.FAILED)
        self.first_bad = self.first_bad or (self.halted if counts else self.bad_here)
        hook = Phase.ON_FAILURE if self.first_bad else Phase.ON_SUCCESS
        self.phases.append(hook if len(self.phases) == 1 else Phase.FINALLY)
        self.bad_here, self.stopped = None, self.gave_up


@st.composite
def plans(draw: st.DrawFn) -> Pipeline:
    lists = []
    for phase in Phase:
        steps: list[Step] = []
        for number in range(draw(st.integers(1 if phase is Phase.TASKS else 0, 3))):
            earlier = [step.id for step in steps]
            needs = draw(st.lists(st.sampled_from(earlier), unique=True)) if earlier else []
            goes_on = draw(st.sampled_from(OnFailure))
            steps.append(Step(id=f"{phase}-{number}", task="t", needs=tuple(needs), on_failure=goes_on))
        lists.append(tuple(steps))
    return Pipeline(name="p", steps=lists[0], on_failure=lists[1], on_success=lists[2], finally_=lists[3])


@given(plans(), st.data())
def test_every_phase_comes_in_its_turn_whatever_happens(pipeline: Pipeline, data: st.DataObject) -> None:
    course, model = Course(pipeline), Model(pipeline)
    running: list[Step] = []
    decided: list[str] = []

    def end_one() -> None:
        step = running.pop(data.draw(st.integers(0, len(running) - 1)))
        status = data.draw(st.sampled_from([Status.SUCCEEDED, Status.SUCCEEDED, Status.FAILED, Status.INTERRUPTED]))
        course.end(ended(step, status))
        model.end(step, status)

    def halt() -> None:
        status = data.draw(st.sampled_from([Status.FAILED, Status.INTERRUPTED]))
        course.halt(status, "halted")
        model.halt(status)

    def give_up() -> None:
        course.give_up("given up")
        model.stopped = model.gave_up = True

    meddling: list[Callable[[], None]] = [end_one] * 6 + [halt, give_up]
    while not course.finished:
        assert course.phase is model.phases[-1]
        match course.next():
            case None if course.phase_ended:
                assert not running
                model.proceed()
                course.proceed(0)
            case None:
                data.draw(st.sampled_from(meddling))()
            case Pass(step, status):
                decided.append(step.id)
                assert (model.stopped, status) == (True, Status.SKIPPED)
                course.end(course.passed(Pass(step, status, "")))
            case step:
                decided.append(step.id)
                assert not model.stopped
                running.append(step)
    reached = [[step.id for step in pipeline.phases[phase]] for phase in model.phases[:3]]
    assert [sorted(decided[sum(map(len, reached[:n])) :][: len(ids)]) for n, ids in enumerate(reached)] == reached
    assert len(decided) == sum(map(len, reached))
    assert (course.phase, model.phases[2]) == (Phase.FINALLY, Phase.FINALLY)
    standing = course.standing
    assert (standing.status, standing.error) == (model.first_bad or (Status.SUCCEEDED, ""))
