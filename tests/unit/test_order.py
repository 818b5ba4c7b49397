"""`Order` against a plain reading of the rules: each step is decided once, when all that it needs has ended."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.values import output, value

from tasker.masking import Masker
from tasker.pipeline import LateArgument, OnFailure, Step
from tasker.references import outputs_read
from tasker.run import Status, StepRun
from tasker.running.order import Order, Pass

ENDED = [Status.SUCCEEDED, Status.FAILED, Status.INTERRUPTED]


def ended(step: str, status: Status = Status.SUCCEEDED, **outputs: object) -> StepRun:
    return StepRun(step=step, task="t", status=status, outputs=outputs)


def all_next(order: Order) -> list[Step | Pass]:
    """What comes up until steps have to end first; what is passed over ends at once."""
    found: list[Step | Pass] = []
    while (decided := order.next()) is not None:
        found.append(decided)
        if isinstance(decided, Pass):
            order.end(StepRun(step=decided.step.id, task="t", status=decided.status))
    return found


def test_steps_that_need_nothing_of_each_other_come_up_in_the_order_of_the_file() -> None:
    b, a = Step(id="b", task="t"), Step(id="a", task="t")
    assert all_next(Order([b, a])) == [b, a]


def test_a_step_comes_up_when_the_last_of_those_that_it_needs_has_ended() -> None:
    a, b, c = Step(id="a", task="t"), Step(id="b", task="t"), Step(id="c", task="t", needs=("a", "b"))
    order = Order([a, b, c])
    assert all_next(order) == [a, b]
    order.end(ended("b"))
    assert all_next(order) == []
    order.end(ended("a"))
    assert all_next(order) == [c]
    assert not order.finished
    order.end(ended("c"))
    assert order.finished


@pytest.mark.parametrize("status", [Status.FAILED, Status.INTERRUPTED])
def test_after_a_failure_nothing_more_starts(status: Status) -> None:
    a, b = Step(id="a", task="t"), Step(id="b", task="t", needs=("a",))
    order = Order([a, b])
    all_next(order)
    order.end(ended("a", status))
    assert all_next(order) == [Pass(b, Status.SKIPPED, f"step 'a' {status}")]


def test_the_first_reason_to_stop_is_the_one_that_is_told() -> None:
    a = Step(id="a", task="t")
    order = Order([a])
    order.stop("interrupted by SIGINT")
    order.stop("something later")
    assert all_next(order) == [Pass(a, Status.SKIPPED, "interrupted by SIGINT")]


def test_a_condition_is_read_when_the_step_comes_up() -> None:
    a = Step(id="a", task="t")
    b = Step(id="b", task="t", needs=("a",), when=LateArgument(output("a", "go"), bool))
    for go, expected in ((True, b), (False, Pass(b, Status.SKIPPED, "its `when` is false"))):
        order = Order([a, b])
        all_next(order)
        order.end(ended("a", go=go))
        assert all_next(order) == [expected]


def test_a_step_is_given_only_the_outputs_that_it_reads() -> None:
    late = LateArgument(value(["x", output("a", "n")]), list[str])
    a, b = Step(id="a", task="t"), Step(id="b", task="t")
    c = Step(id="c", task="t", needs=("a", "b"), arguments={"text": late})
    order = Order([a, b, c])
    all_next(order)
    order.end(ended("a", n=1, m=2))
    order.end(ended("b", n=3))
    assert order.known(c).outputs == {"a": {"n": 1, "m": 2}}
    assert order.known(b).outputs == {}


def test_a_condition_that_is_no_boolean_is_told_without_secrets() -> None:
    late = LateArgument(output("a", "word"), bool)
    a, b = Step(id="a", task="t"), Step(id="b", task="t", needs=("a",), when=late)
    order = Order([a, b], mask=Masker(["hunter2" * 40]).mask)
    all_next(order)
    order.end(ended("a", word="hunter2" * 40))
    (passed,) = all_next(order)
    assert isinstance(passed, Pass)
    assert passed.reason == "'when': expected true or false, not '***'"


def test_a_condition_that_is_no_boolean_is_a_failure() -> None:
    a = Step(id="a", task="t", when=LateArgument(value([1]), bool))
    (passed,) = all_next(Order([a]))
    assert isinstance(passed, Pass)
    assert passed.status is Status.FAILED
    assert passed.reason.startswith("'when': ")


@dataclass
class Model:
    """The rules, read plainly."""

    steps: tuple[Step, ...]
    status: dict[str, Status] = field(default_factory=dict)
    started: set[str] = field(default_factory=set)
    stopped: bool = False

    def may_come_up(self, step: Step) -> bool:
        return step.id not in self.started and all(needed in self.status for needed in step.needs)

    def end(self, step: Step, status: Status) -> None:
        self.status[step.id] = status
        failed = status in {Status.FAILED, Status.INTERRUPTED}
        self.stopped |= failed and step.on_failure is OnFailure.STOP

    def is_passed_over(self, step: Step) -> bool:
        unread = [read for read in reads(step) if self.status[read] is not Status.SUCCEEDED]
        return self.stopped or bool(unread) or step.when is False


def reads(step: Step) -> list[str]:
    late = step.arguments.get("x")
    return [reference.step for reference in outputs_read(late.value)] if isinstance(late, LateArgument) else []


@st.composite
def plans(draw: st.DrawFn) -> tuple[Step, ...]:
    steps: list[Step] = []
    for number in range(draw(st.integers(1, 8))):
        earlier = [step.id for step in steps]
        needs = draw(st.lists(st.sampled_from(earlier), unique=True)) if earlier else []
        read = draw(st.sampled_from([None, *needs]))
        step = Step(
            id=f"s{number}",
            task="t",
            needs=tuple(needs),
            when=draw(st.sampled_from([True, True, True, False])),
            on_failure=draw(st.sampled_from(OnFailure)),
            arguments={"x": LateArgument(output(read, "key"), str)} if read else {},
        )
        steps.append(step)
    return tuple(draw(st.permutations(steps)))


@given(plans(), st.data())
def test_every_step_is_decided_once_in_an_order_that_is_allowed(steps: tuple[Step, ...], data: st.DataObject) -> None:
    order, model = Order(steps), Model(steps)
    running: list[Step] = []
    for _ in range(2 * len(steps) + 1):
        while (decided := order.next()) is not None:
            step = decided.step if isinstance(decided, Pass) else decided
            assert model.may_come_up(step)
            model.started.add(step.id)
            assert isinstance(decided, Pass) == model.is_passed_over(step)
            if isinstance(decided, Pass):
                order.end(ended(step.id, decided.status))
                model.end(step, decided.status)
            else:
                running.append(step)
        assert not [step for step in steps if model.may_come_up(step)]
        if not running:
            break
        step = running.pop(data.draw(st.integers(0, len(running) - 1)))
        status = data.draw(st.sampled_from(ENDED))
        order.end(ended(step.id, status))
        model.end(step, status)
    assert order.finished
    assert set(order.ended) == model.started == {step.id for step in steps}
