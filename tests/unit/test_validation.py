"""What a valid document comes to, and the checks that need more than a file: bounds, circles, the author's own code."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from annotated_types import Ge
from hypothesis import given
from hypothesis import strategies as st
from support.documents import NEW_LINE, document

from tasker import Task
from tasker.discovery import Catalogue
from tasker.document import RUN_VARIABLES
from tasker.faults import Fault
from tasker.pipeline import Catchup, LateArgument, OnFailure, Overlap, Phase, Pipeline, Resume, Retry, Schedule
from tasker.project import Project
from tasker.registry import registry
from tasker.settings import Settings
from tasker.validation import RESERVED_KEYS, validate
from tasker.validation.circles import strongly_connected
from tasker.validation.findings import MOST_FAULTS
from tasker.validation.schedules import SCHEDULE_KEYS
from tasker.validation.steps import MOST_STEPS, RETRY_KEYS, STEP_KEYS

NOW = datetime(2026, 11, 22, tzinfo=UTC)


class Found(TypedDict):
    file: Path
    ok: bool
    parts: list[str]


@pytest.fixture(autouse=True)
def _tasks() -> None:
    class Say(Task):
        def run(self, text: str = "", times: Annotated[int, Ge(1)] = 1, **rest: int) -> None: ...

    class Scan(Task):
        def run(self, path: Path = Path()) -> Found: ...  # type: ignore[empty-body]

    class Named(Task):
        def run(self, name: str, timeout: int) -> None: ...


def judged(text: str, **given_: Any) -> tuple[Pipeline | None, list[Fault]]:
    catalogue = Catalogue(registry)
    catalogue._installed_loaded = True
    return validate(document(text.replace(NEW_LINE, "\n"), **given_), stem="nightly", catalogue=catalogue, now=NOW)


def valid(text: str, **given_: Any) -> Pipeline:
    pipeline, faults = judged(text, **given_)
    assert pipeline is not None, faults
    return pipeline


def found(text: str, **given_: Any) -> list[str]:
    """The faults as `line:column code`."""
    pipeline, faults = judged(text, **given_)
    assert (pipeline is None) == bool(faults)
    return [f"{fault.place.line}:{fault.place.column} {fault.code}" for fault in faults]


def ids(text: str) -> list[str]:
    return [step.id for step in valid(text).steps]


def needs(text: str) -> dict[str, tuple[str, ...]]:
    return {step.id: step.needs for step in valid(text).steps}


class TestIds:
    def test_a_step_is_called_like_its_task_and_numbered_when_it_comes_again(self) -> None:
        assert ids("tasks = [{ name = say }, { name = say }, { name = scan }, { name = say }]") == [
            "say",
            "say_2",
            "scan",
            "say_3",
        ]

    def test_numbers_leave_out_the_ids_that_authors_gave(self) -> None:
        text = "tasks = [{ name = say }, { name = say }, { id = say_2, name = say }, { id = say, name = say }]"
        assert ids(text) == ["say_3", "say_4", "say_2", "say"]

    def test_a_task_whose_name_ends_in_a_number_takes_no_id_of_another(self) -> None:
        class Numbered(Task):
            task_name = "say_2"

            def run(self) -> None: ...

        assert ids("tasks = [{ name = say }, { name = say }, { name = say_2 }, { name = say }]") == [
            "say",
            "say_2",
            "say_2_2",
            "say_3",
        ]

    def test_a_name_of_other_letters_becomes_an_id_that_a_file_can_have(self) -> None:
        class Odd(Task):
            task_name = "9 größe/x"

            def run(self) -> None: ...

        assert ids('tasks = [{ name = "9 größe/x" }]') == ["_9_gr__e_x"]


class TestNeeds:
    def test_without_a_word_a_step_needs_the_one_before(self) -> None:
        text = "tasks = [{ id = a, name = say }, { id = b, name = say }, { id = c, name = say, needs = [] }]"
        assert needs(text) == {"a": (), "b": ("a",), "c": ()}

    def test_one_may_stand_without_brackets_and_twice_is_once(self) -> None:
        text = "tasks = [{ id = a, name = say }, { name = say, needs = a }, { id = c, name = say, needs = [a, a] }]"
        assert needs(text) == {"a": (), "say": ("a",), "c": ("a",)}

    @given(st.lists(st.lists(st.integers(0, 7), max_size=4), min_size=1, max_size=8))
    def test_groups_are_circles_just_where_there_are_some(self, edges: list[list[int]]) -> None:
        graph = {str(node): [str(each % len(edges)) for each in to] for node, to in enumerate(edges)}
        groups = list(strongly_connected(graph))
        assert sorted(node for group in groups for node in group) == sorted(graph)
        for group in groups:
            assert all(set(group) == {other for other in graph if both_ways(graph, node, other)} for node in group)
        circles = [group for group in groups if len(group) > 1 or group[0] in graph[group[0]]]
        assert bool(circles) == has_circle(graph)
        seen: set[str] = set()
        for group in groups:
            assert all(set(graph[node]) <= seen | set(group) for node in group)
            seen |= set(group)


def both_ways(graph: Mapping[str, list[str]], one: str, other: str) -> bool:
    return one == other or (other in reached(graph, one) and one in reached(graph, other))


def reached(graph: Mapping[str, list[str]], start: str) -> set[str]:
    waiting, seen = [start], set()
    while waiting:
        for node in graph[waiting.pop()]:
            if node not in seen:
                seen.add(node)
                waiting.append(node)
    return seen


def has_circle(graph: Mapping[str, list[str]]) -> bool:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError:
        return True
    return any(node in to for node, to in graph.items())


class TestDefaults:
    def test_they_merge_under_every_step(self) -> None:
        text = """
        defaults { timeout = 5m, retries { delay = 10s, backoff = 2 }, on_failure = continue, args { times = 3 } }
        tasks = [
          { name = say, retries = 2 }
          { name = say, args { text = x, times = 1 }, timeout = 1m, retries { delay = 0 } }
        ]
        """
        first, second = valid(text).steps
        assert first.retry == Retry(attempts=3, delay=timedelta(seconds=10), backoff=2)
        assert (first.timeout, first.arguments) == (timedelta(minutes=5), {"times": 3})
        assert (second.timeout, second.arguments) == (timedelta(minutes=1), {"times": 1, "text": "x"})
        assert second.retry == Retry(delay=timedelta(), backoff=2)
        assert first.on_failure is second.on_failure is OnFailure.CONTINUE

    def test_a_fault_in_them_is_told_once(self) -> None:
        assert found("defaults { timeout = soon }\ntasks = [{ name = say }, { name = say }]") == ["1:22 bad-value"]

    def test_a_variable_of_the_environment_may_count_the_retries(self) -> None:
        pipeline = valid("tasks = [{ name = say, retries = ${N} }]", environment={"N": "3"})
        assert pipeline.steps[0].retry.attempts == 4


class TestOutputs:
    def test_when_may_read_one(self) -> None:
        pipeline = valid("tasks = [{ name = scan }, { name = say, when = ${outputs.scan.ok} }]")
        assert isinstance(pipeline.steps[1].when, LateArgument)
        assert valid("tasks = [{ name = say, when = no }]").steps[0].when is False

    def test_all_of_a_steps_outputs_are_an_object(self) -> None:
        assert found("tasks = [{ name = scan }, { name = say, args { text = ${outputs.scan} } }]") == [
            "1:55 bad-argument"
        ]

    def test_they_may_be_read_over_several_steps(self) -> None:
        text = "tasks = [{ name = scan }, { name = say }, { name = say, args { text = ${outputs.scan.file} } }]"
        assert isinstance(valid(text).steps[2].arguments["text"], LateArgument)

    def test_steps_in_and_after_a_circle_are_told_of_the_circle_alone(self) -> None:
        text = (
            "tasks = [{ id = a, name = scan, needs = [b] }"
            ", { id = b, name = say, needs = [a], args { text = ${outputs.a.file} } }"
            ", { id = c, name = say, args { text = ${outputs.a.file} } }]"
        )
        assert found(text) == ["1:42 cyclic-needs"]


class TestHooks:
    def test_they_are_steps_of_their_own_lists(self) -> None:
        pipeline = valid("""
            defaults { timeout = 5m }
            tasks = [{ name = say }]
            on_failure = [{ name = say }, { id = mail, name = say, retries = 2, needs = [] }]
            on_success = []
            finally = [{ name = say, when = false }, { name = say }]
        """)
        told = {phase: [(step.id, step.needs) for step in steps] for phase, steps in pipeline.phases.items()}
        assert told == {
            Phase.TASKS: [("say", ())],
            Phase.ON_FAILURE: [("say_2", ()), ("mail", ())],
            Phase.ON_SUCCESS: [],
            Phase.FINALLY: [("say_3", ()), ("say_4", ("say_3",))],
        }
        assert {step.timeout for steps in pipeline.hooks.values() for step in steps} == {timedelta(minutes=5)}

    def test_they_read_what_the_run_has_come_to_and_what_steps_handed_on(self) -> None:
        pipeline = valid("""
            words = ${run.failed_step}" failed: "${run.error}
            tasks = [{ name = scan }]
            on_failure = [{ name = say, args { text = ${words} }, when = ${?outputs.scan.ok} }]
            on_success = [{ name = scan, args { path = ${outputs.scan.file} } }]
            finally = [{ name = say, args { text = ${run.status} } }]
        """)
        (hook,) = pipeline.on_failure
        assert isinstance(hook.arguments["text"], LateArgument)
        assert hook.arguments["text"].spared

    @pytest.mark.parametrize(
        ("hooks", "code"),
        [
            ("finally = [{ name = say, args { text = ${outputs.scan.file} } }]", "unknown-output"),
            ("finally = [{ name = say, args { text = ${?outputs.scan.fill} } }]", "unknown-output"),
            ("on_success = [{ name = say, args { text = ${outputs.scan.fill} } }]", "unknown-output"),
            (
                "finally = [{ name = scan, id = a }, { name = say, needs = [], when = ${?outputs.a.ok} }]",
                "unknown-output",
            ),
            ("finally = [{ name = say, args { times = ${?outputs.scan.parts} } }]", "bad-argument"),
            ("finally = [{ name = say, needs = [scan] }]", "unknown-need"),
            ("finally = [{ name = say, needs = [b] }, { id = b, name = say, needs = [say] }]", "cyclic-needs"),
            ("finally = [{ name = say, timeout = ${run.duration} }]", "bad-value"),
        ],
    )
    def test_what_they_cannot_have_is_a_fault(self, hooks: str, code: str) -> None:
        text = f"tasks = [{{ name = scan }}]\n{hooks}"
        assert [fault.split()[1] for fault in found(text)] == [code]

    def test_the_steps_of_a_file_are_counted_together(self) -> None:
        half = ", ".join(["{ name = say, needs = [] }"] * (MOST_STEPS // 2))
        assert found(f"tasks = [{half}]\nfinally = [{half}, {{ name = say }}]") == ["2:11 too-large"]


class TestSecrets:
    def test_one_may_be_an_argument(self) -> None:
        pipeline = valid("tasks = [{ name = say, args { text = Bearer ${secret.x} } }]", secrets={"x": "abc"})
        assert pipeline.steps[0].arguments["text"] == "Bearer abc"
        assert pipeline.secrets == {"abc"}

    @pytest.mark.parametrize("key", ["name", "owner", "timeout", "max_parallel"])
    def test_one_decides_on_no_plan(self, key: str) -> None:
        assert found(f"{key} = ${{secret.x}}\ntasks = [{{ name = say }}]", secrets={"x": "3s"}) == [
            f"1:{len(key) + 4} bad-value"
        ]


class TestSchedules:
    @pytest.mark.parametrize("text", ['"@daily"', '["@daily"]', '{ cron = "@daily" }', '{ cron = ["@daily"] }'])
    def test_they_have_short_forms(self, text: str) -> None:
        assert valid(f"schedule = {text}\ntasks = [{{ name = say }}]").schedule == Schedule(cron=("@daily",))

    def test_the_part_of_the_expression_that_is_wrong_is_told(self) -> None:
        assert found('schedule = "15 2 * * *x"\ntasks = [{ name = say }]') == ["1:22 bad-cron"]

    def test_it_has_at_most_twenty_expressions(self) -> None:
        crons = [f'"{minute} * * * *"' for minute in range(21)]
        assert valid(f"schedule = [{', '.join(crons[1:])}]\ntasks = [{{ name = say }}]").schedule is not None
        assert found(f"schedule = [{', '.join(crons)}]\ntasks = [{{ name = say }}]") == ["1:12 too-large"]


class TestTheAuthorsOwnCode:
    def test_parameters_called_like_keys_of_a_step_are_not_given_by_these(self) -> None:
        assert found("tasks = [{ name = named, timeout = 5m }]") == ["1:19 missing-argument", "1:19 missing-argument"]

    def test_requires_that_is_no_mapping_is_the_tasks_fault(self) -> None:
        class Listing(Task):
            requires = ["sqlglot"]  # type: ignore[assignment] # noqa: RUF012

            def run(self) -> None: ...

        assert found("tasks = [{ name = listing }]") == ["1:19 broken-task"]

    def test_a_package_whose_parts_cannot_be_looked_for_is_not_there(self) -> None:
        class Looking(Task):
            requires = {"json.nothing": "x", ".": "y", "gone.part": "z"}  # noqa: RUF012

            def run(self) -> None: ...

        assert found("tasks = [{ name = looking }]") == ["1:19 missing-extra"] * 3


class TestBounds:
    def test_faults_over_a_thousand_end_the_search(self) -> None:
        _, faults = judged(f"tasks = [{', '.join('{ nam = say }' for _ in range(2 * MOST_FAULTS))}]")
        assert len(faults) == MOST_FAULTS + 1
        assert faults[-1].code == "too-large"

    def test_defaults_may_not_multiply_without_bound(self) -> None:
        keys = ", ".join(f"k{number} = 1" for number in range(200))
        text = f"defaults {{ args {{ {keys} }} }}\ntasks = [{', '.join(['{ name = say }'] * MOST_STEPS)}]"
        assert found(text) == ["1:10 too-large"]

    def test_ten_thousand_steps_take_no_longer_each_than_ten(self) -> None:
        text = "\n".join("{ name = say, args { text = x, times = 2 } }" for _ in range(MOST_STEPS))
        read = document(f"tasks = [\n{text}\n]")
        catalogue = Catalogue(registry)
        start = time.process_time()
        pipeline, faults = validate(read, stem="nightly", catalogue=catalogue, now=NOW)
        assert not faults
        assert pipeline is not None
        assert time.process_time() - start < 5


class TestWhatIsNotKnown:
    """One value that cannot be made hides no fault of the others, and makes none of its own."""

    def test_the_faults_of_the_rest_are_told_with_it(self) -> None:
        text = "schedule = @dayly⏎tasks = [{ name = sey }, { name = scan, args { path = ${gone}, pth = 1 } }]"
        assert sorted(found(text, partial=True)) == [
            "1:12 bad-cron",
            "2:19 unknown-task",
            "2:55 unresolved-substitution",
            "2:64 unknown-argument",
        ]

    @pytest.mark.parametrize(
        "text",
        [
            "tasks = ${gone}",
            "tasks = [${gone}, { name = say, needs = [scan] }]",
            "tasks = [{ name = ${gone} }]",
            "tasks = [{ name = named, args = ${gone} }]",
            "tasks = [{ name = named, args { name = ${gone}, timeout = ${gone} } }]",
            "tasks = [{ name = say, when = ${gone}, retries = ${gone}, timeout = ${gone}, needs = ${gone} }]",
            "tasks = [{ name = say, args { text = a${gone}b } }]",
            "defaults = ${gone}⏎params = ${gone}⏎schedule = ${gone}⏎max_parallel = ${gone}⏎tasks = [{ name = say }]",
            "schedule { cron = [${gone}], timezone = ${gone} }⏎name = ${gone}⏎tasks = [{ name = say }]",
        ],
    )
    def test_nothing_else_is_said_of_it(self, text: str) -> None:
        assert {fault.split()[1] for fault in found(text, partial=True)} == {"unresolved-substitution"}


class TestQuotedSubstitutions:
    def warned(self, args: str, before: str = "") -> list[str]:
        pipeline, faults = judged(f"{before}⏎tasks = [{{ name = say, args {{ {args} }} }}]")
        assert pipeline is not None
        return [f"{fault.severity} {fault.code} {fault.message}" for fault in faults]

    def test_one_that_names_what_is_known_is_warned_of_and_stops_nothing(self) -> None:
        assert self.warned('text = "a_${TODAY}.gz"') == [
            "warning quoted-substitution ${TODAY} within quotes is text, and no substitution"
        ]
        assert self.warned('text = "${?base}/in"', before="base = /data")
        assert self.warned('text = "${outputs.a.file}"')

    @pytest.mark.parametrize(
        "args",
        [
            'text = "${NOBODY_KNOWS}"',
            'text = """${TODAY}"""',
            'text = "a_"${x}".gz"',
            'text = "costs $5 {TODAY}"',
        ],
    )
    def test_what_may_be_meant_as_text_is_left_alone(self, args: str) -> None:
        assert self.warned(args, before="x = 1") == []

    def test_a_shell_has_variables_of_its_own_and_no_others(self, tmp_path: Path) -> None:
        (tmp_path / "sh.conf").write_text(
            """params { n = 1 }
            tasks = [{ name = shell_script, args { shell = true
              command = "echo ${TODAY} ${TODAY-never} ${params.n} ${?CWD} ${outputs.a.b}"
              environment { DAY = "${TODAY}" }
            } }]"""
        )
        faults = Project(Settings()).load(tmp_path / "sh.conf").faults
        assert [(fault.place.line, fault.message.split()[0]) for fault in faults] == [
            (3, "${params.n}"),
            (3, "${?CWD}"),
            (3, "${outputs.a.b}"),
            (4, "${TODAY}"),
        ]


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        ("times = often", "expected: times: int (at least 1)"),
        ("more = often", "expected: more: int"),
        ("times = ${outputs.scan.parts}", "expected: times: int (at least 1)"),
    ],
)
def test_a_bad_argument_is_told_what_it_is_to_be_and_not_what_the_others_are(args: str, hint: str) -> None:
    _, (fault,) = judged(f"tasks = [{{ name = scan }}, {{ name = say, args {{ {args} }} }}]")
    assert (fault.code, fault.hint) == ("bad-argument", hint)


class TestStepsSideBySide:
    @pytest.mark.parametrize("first", ["{ name = say, id = a }", "{ name = ${job} }"])
    def test_two_that_are_merged_for_want_of_a_comma_are_warned_of(self, first: str) -> None:
        pipeline, (fault,) = judged(f"job = say⏎tasks = [⏎{first} {{ name = scan }}]")
        assert pipeline is not None
        assert (fault.code, fault.severity, fault.place.line) == ("merged-steps", "warning", 3)
        assert fault.place.column == len(first) + 2

    @pytest.mark.parametrize(
        "text",
        [
            "tasks = [{ name = say } { id = a }]",
            "base { name = say }⏎tasks = [${base} { name = scan }]",
            "tasks = [{ name = say }, { name = scan }]⏎other = [{ name = x } { name = y }]",
        ],
    )
    def test_what_is_merged_on_purpose_is_left_alone(self, text: str) -> None:
        assert judged(text)[1] == []


class TestStepKeysAtTheTop:
    @pytest.mark.parametrize("key", ["retries = 3", "needs = []", "args { text = x }", "when = false"])
    def test_a_key_that_only_a_step_has_is_a_fault(self, key: str) -> None:
        assert found(f"{key}⏎tasks = [{{ name = say }}]") == ["1:1 misspelt-key"]

    def test_it_may_be_a_variable_of_the_authors(self) -> None:
        assert valid("retries = 3⏎tasks = [{ name = say, retries = ${retries} }]").steps[0].retry.attempts == 4


def test_outputs_are_not_judged_where_two_steps_have_one_id() -> None:
    reading = "args { text = ${outputs.a.file} }"
    text = f"tasks = [{{ name = scan, id = a }}, {{ name = say, id = b }}, {{ name = say, id = b, {reading} }}]"
    assert found(text) == ["1:78 duplicate-id"]


def test_what_authors_name_their_variables_is_no_concern_of_ours() -> None:
    assert valid("space = /x\non_error = y\nsource = z\nstage = 1\ntasks = [{ name = say }]").name == "nightly"


def test_a_pipeline_has_what_its_file_says() -> None:
    text = "description = d⏎owner = o⏎timeout = 2h⏎max_parallel = 2⏎resume = never⏎params { a = 1, b { c = [x] } }⏎"
    pipeline = valid(text + "tasks = [{ name = say }]")
    assert (pipeline.name, pipeline.description, pipeline.owner) == ("nightly", "d", "o")
    assert (pipeline.timeout, pipeline.max_parallel) == (timedelta(hours=2), 2)
    assert pipeline.resume is Resume.NEVER
    assert pipeline.params == {"a": 1, "b": {"c": ["x"]}}


class TestTheReference:
    """docs/reference/pipeline-file.md is what authors go by."""

    REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "pipeline-file.md"

    @pytest.mark.parametrize(
        "key",
        [*RESERVED_KEYS, *STEP_KEYS, *RETRY_KEYS, *SCHEDULE_KEYS, *RUN_VARIABLES, *map(str, [*Overlap, *Catchup])],
    )
    def test_it_names_every_key_and_variable(self, key: str) -> None:
        assert f"`{key}`" in self.REFERENCE.read_text()

    def test_its_example_is_valid(self, tmp_path: Path) -> None:
        (example,) = re.findall(r"```hocon\n(.*?)```", self.REFERENCE.read_text(), re.DOTALL)
        (tmp_path / "_defaults.conf").write_text("# none")
        (tmp_path / "crm.conf").write_text(example)
        assert Project(Settings(environment={})).load(tmp_path / "crm.conf").faults == ()
