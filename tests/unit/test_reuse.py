"""Which steps an earlier run spares a new one, and which a person leaves out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.values import SPAN, output, secret, value

from tasker.document.values import Late, Object, Scalar
from tasker.pipeline import LateArgument, Pipeline, Step
from tasker.references import Known
from tasker.run import Status, StepRun
from tasker.running.chosen import Chosen
from tasker.running.course import Course
from tasker.running.earlier import Earlier
from tasker.running.order import Pass
from tasker.running.reuse import Reuse, fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

WORKSPACE = Path("/w/r0")
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def step(step_id: str, *needs: str, given: Any = None, **more: Any) -> Step:
    arguments = value(given or {})
    assert isinstance(arguments, Object)
    late = {key: LateArgument(each, Any) for key, each in arguments.fields.items() if isinstance(each, Late)}
    return Step(id=step_id, task="t", needs=needs, given=arguments, arguments=late, **more)


A, B, C = step("a"), step("b", "a"), step("c", "b")


def prints(step: Step, known: Known) -> str:
    return fingerprint(step, "code", known, str, NOON)


def done(*steps: Step, known: Known | None = None, **outputs: Any) -> dict[str, StepRun]:
    """That these succeeded, each with an output named as it is."""
    return {
        each.id: StepRun(
            step=each.id,
            task="t",
            status=Status.SUCCEEDED,
            outputs={each.id: outputs.get(each.id, 1)},
            fingerprint=prints(each, known or Known()),
        )
        for each in steps
    }


class Outcome:
    """What a run does with the steps of a pipeline, where each that starts succeeds, unless it is to fail."""

    def __init__(self, steps: tuple[Step, ...], earlier: Earlier | None, fails: str = "", **more: Any) -> None:
        pipeline = Pipeline(name="p", steps=steps)
        self.reuse = Reuse(pipeline, **{"earlier": earlier, "fingerprint": prints, **more})
        course = Course(pipeline, reuse=self.reuse)
        self.ran: list[str] = []
        self.passed: dict[str, tuple[Status, str]] = {}
        while (decided := course.next()) is not None:
            if isinstance(decided, Pass):
                self.passed[decided.step.id] = (decided.status, decided.reason)
                course.end(course.passed(decided))
            else:
                self.ran.append(decided.id)
                status = Status.FAILED if decided.id == fails else Status.SUCCEEDED
                course.end(StepRun(step=decided.id, task="t", status=status))
        self.ended: Mapping[str, StepRun] = course.ended


def earlier(*steps: Step, **more: Any) -> Earlier:
    found = {"steps": done(*steps), "ran_in": dict.fromkeys((each.id for each in steps), 0), **more}
    return Earlier(run_id="r0", **found)


def test_the_day_and_the_time_count_where_they_are_read() -> None:
    """The slot of a run that is resumed is the same, and they are not where the zone of the schedule has changed."""
    elsewhere = NOON.astimezone(timezone(timedelta(hours=13)))
    for name, counts in (("TODAY", True), ("RUN_TIME", True), ("RUN_ID", False)):
        text = Scalar(SPAN, "x", "x", lasting=f"log-${{{name}}}")
        reads = step("a", given={"text": text})
        there, here = (fingerprint(reads, "code", Known(), str, slot) for slot in (elsewhere, NOON))
        assert (there != here) is counts, name


def test_what_succeeded_is_not_done_again_and_hands_on_the_same() -> None:
    outcome = Outcome((A, B, C), earlier(A, B))
    assert outcome.ran == ["c"]
    assert outcome.passed["a"] == (Status.SUCCEEDED, "it succeeded in run r0, which this one resumes")
    assert outcome.ended["b"].outputs == {"b": 1}


def test_what_needs_a_step_that_runs_again_runs_again_and_says_why() -> None:
    outcome = Outcome((step("a", given={"x": 2}), B, C), earlier(A, B, C))
    assert outcome.ran == ["a", "b", "c"]
    assert outcome.reuse.again == {
        "a": "its arguments have changed",
        "b": "step 'a', which it needs, ran again",
        "c": "step 'b', which it needs, ran again",
    }


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"task": "other"}, "its task was 'other'"),
        ({"fingerprint": ""}, "what it was made of is not known"),
        ({"fingerprint": f"other-{prints(A, Known()).partition('-')[2]}"}, "the code of its task has changed"),
    ],
)
def test_what_is_not_as_it_was_runs_again(changed: Any, reason: str) -> None:
    before = {"a": replace(done(A)["a"], **changed)}
    outcome = Outcome((A,), Earlier(run_id="r0", steps=before))
    assert outcome.reuse.again == {"a": reason}


def test_without_a_digest_of_the_code_nothing_is_reused() -> None:
    outcome = Outcome((A,), earlier(A), fingerprint=lambda step, known: fingerprint(step, "", known, str, NOON))
    assert outcome.ran == ["a"]


def test_a_step_that_never_succeeded_runs_without_a_word() -> None:
    outcome = Outcome((A, B), earlier())
    assert (outcome.ran, outcome.reuse.again) == (["a", "b"], {})


def test_a_step_that_a_later_run_has_left_behind_runs_again() -> None:
    """Run 1 did both; run 2, which resumed it, did the first one anew, and was killed before the second."""
    outcome = Outcome((A, B), earlier(A, B, ran_in={"a": 1, "b": 0}))
    assert outcome.ran == ["b"]
    assert outcome.reuse.again == {"b": "step 'a', which it needs, has run since"}


def test_a_step_after_one_that_is_skipped_as_it_was_is_not_done_again() -> None:
    assert Outcome((step("a", when=False), B), earlier(B)).ran == []


def test_a_step_after_one_that_is_skipped_now_is_done_again() -> None:
    outcome = Outcome((step("a", when=False), B), earlier(A, B))
    assert outcome.passed == {"a": (Status.SKIPPED, "its `when` is false")}
    assert outcome.reuse.again == {"b": "step 'a', which it needs, is skipped now"}


def test_a_step_after_one_that_failed_and_let_it_go_on_is_done_again() -> None:
    outcome = Outcome((A, B), earlier(B, ran_in={"a": 0, "b": 0}))
    assert outcome.ran == ["a", "b"]


def test_what_is_done_counts_though_another_step_has_failed() -> None:
    outcome = Outcome((A, B, step("c")), earlier(B, C), fails="a")
    assert outcome.passed["c"][0] is Status.SUCCEEDED
    assert outcome.passed["b"] == (Status.SKIPPED, "step 'a' failed")


def test_references_are_compared_by_what_they_stand_for() -> None:
    reads = step("b", "a", given={"x": output("a", "a")})
    was = done(A, a="old") | done(reads, known=Known(outputs={"a": {"a": "old"}}))
    assert Outcome((A, reads), Earlier(run_id="r0", steps=was)).ran == []
    assert Outcome((A, reads), Earlier(run_id="r0", steps=was | done(A, a="new"))).ran == ["b"]


def test_the_values_of_secrets_and_what_tells_of_one_run_do_not_count() -> None:
    def of(word: str) -> str:
        scalar = Scalar(SPAN, word, word, lasting="${RUN_ID}")
        return prints(step("a", given={"x": scalar, "y": secret(word)}), Known())

    assert of("one") == of("two")


def test_a_fingerprint_that_cannot_be_made_is_none() -> None:
    assert prints(step("a", given={"x": output("b", "gone")}), Known(outputs={"b": {}})) == ""


@pytest.mark.parametrize(
    ("given", "outputs", "again"),
    [
        ({}, 1, False),
        ({"x": Scalar(SPAN, "/w/r0/x", "/w/r0/x", lasting="${WORKSPACE}/x")}, 1, True),
        ({"x": ["echo $TASKER_WORKSPACE"]}, 1, True),
        ({}, {"file": "/w/r0/x"}, True),
        ({}, {"file": "/w/r9/x"}, True),
        ({}, {"file": "/elsewhere/x"}, False),
    ],
)
def test_steps_that_speak_of_a_workspace_run_again_where_that_is_gone(given: Any, outputs: Any, again: bool) -> None:
    """Run r0 had itself resumed run r9, of another host, in whose workspace it went on."""
    a = step("a", given=given)
    before = Earlier(run_id="r0", steps=done(a, a=outputs), workspace=Path("/w/r9"))
    assert Outcome((a,), before).ran == []
    outcome = Outcome((a,), before, lost=WORKSPACE)
    assert outcome.reuse.again == ({"a": "what it left in the workspace of run r0 is gone"} if again else {})


# --from and --only

DIAMOND = (step("a"), step("b", "a"), step("c", "a"), step("d", "b", "c"))


@pytest.mark.parametrize(
    ("chosen", "ran"),
    [
        (Chosen(from_=("b",)), ["b", "d"]),
        (Chosen(only=("b",)), ["b"]),
        (Chosen(from_=("c",), only=("a",)), ["a", "c", "d"]),
    ],
    ids=str,
)
def test_what_is_chosen_runs_and_nothing_else(chosen: Chosen, ran: list[str]) -> None:
    outcome = Outcome(DIAMOND, earlier(*DIAMOND), chosen=chosen)
    assert outcome.ran == ran
    assert set(outcome.passed.values()) == {(Status.SUCCEEDED, f"left out by {chosen}")}
    assert set(outcome.reuse.again.values()) == {f"{chosen} wants it to"}


def test_what_is_left_out_hands_on_what_it_did_whatever_has_changed() -> None:
    reads = step("b", "a", given={"x": output("a", "a")})
    outcome = Outcome((step("a", given={"y": 7}), reads), earlier(A), chosen=Chosen(only=("b",)))
    assert outcome.ran == ["b"]
    assert outcome.ended["a"].outputs == {"a": 1}


def test_what_is_left_out_and_was_never_done_is_skipped() -> None:
    outcome = Outcome((A, B), None, chosen=Chosen(only=("b",)))
    assert (outcome.ran, outcome.passed) == (["b"], {"a": (Status.SKIPPED, "left out by --only b")})


def faults(chosen: Chosen, *steps: Step, earlier: Earlier | None = None) -> list[str]:
    return [
        f"{each.code}: {each.message}; {each.hint}" for each in chosen.faults(Pipeline(name="p", steps=steps), earlier)
    ]


def test_a_step_that_is_not_there_cannot_be_chosen() -> None:
    assert faults(Chosen(from_=("scam",), only=("a",)), step("scan"), A) == [
        "unknown-step: the pipeline 'p' has no step 'scam'; did you mean 'scan'?"
    ]
    assert faults(Chosen(only=("x",)), A) == ["unknown-step: the pipeline 'p' has no step 'x'; it has: a"]


def test_what_nobody_has_handed_on_keeps_a_step_from_being_chosen() -> None:
    reads, may = (
        step("b", "a", given={"x": output("a", "a")}),
        step("c", "a", when=LateArgument(output("a", "go"), bool)),
    )
    chosen = Chosen(only=("b", "c"))
    nobody = "unknown-output: --only b --only c leaves out step 'a', and there is no earlier run whose outputs of it"
    assert faults(chosen, A, reads, may) == [f"{nobody} can be used; run it as well: --from a"] * 2
    assert faults(chosen, A, reads, may, earlier=earlier(A)) == [
        (
            "unknown-output: --only b --only c leaves out step 'a', and there is no output 'a.go': what was handed on"
            " there is a; run it as well: --from a"
        )
    ]
    assert faults(Chosen(from_=("a",)), A, reads, may) == []
