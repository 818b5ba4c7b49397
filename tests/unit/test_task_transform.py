"""The task `transform`: what a query may do, and that no value changes on the way without being asked to."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tasks import TASKS, make

Transform = Callable[..., dict[str, Any]]
EXACT = 2**53 - 1


@pytest.fixture
def transform(tmp_path: Path) -> Transform:
    """Transform a text; answers the outputs, with the text that was written under `text`."""

    def transformed(text: str | bytes, query: str, *, to: str = "out.jsonl", **arguments: Any) -> dict[str, Any]:
        source = tmp_path / arguments.pop("name", "in.jsonl")
        source.write_bytes(text if isinstance(text, bytes) else text.encode())
        outputs = make("transform", tmp_path).run(source, tmp_path / to, query, **arguments)
        return {**outputs, "text": (tmp_path / to).read_text(encoding="utf-8")}

    return transformed


def test_each_line_goes_through_the_query(transform: Transform) -> None:
    found = transform('{"a": 1, "b": 2}\n\n{"a": 3}\n{"b": 4}', "select(.a) | .a += 1")
    assert found["text"] == '{"a": 2, "b": 2}\n{"a": 4}\n'
    assert (found["read"], found["written"]) == (3, 2)


def test_a_document_goes_through_as_a_whole(transform: Transform) -> None:
    found = transform('{"a": [1, 2]}', ".a |= map(. * 10)", name="in.json", to="out.json")
    assert json.loads(found["text"]) == {"a": [10, 20]}


def test_a_document_can_become_lines_and_lines_a_document(transform: Transform) -> None:
    assert transform("[1, 2]", ".[]", name="in.json")["text"] == "1\n2\n"
    assert transform("1\n2\n", "add", slurp=True, to="out.json")["text"] == "3\n"


def test_a_file_may_be_changed_in_place(transform: Transform) -> None:
    assert transform("1\n2\n", ". + 1", to="in.jsonl")["text"] == "2\n3\n"


def test_the_same_answer_is_not_written_again(transform: Transform, tmp_path: Path) -> None:
    transform('{"b": 1, "a": "é"}\n', ".")
    first = (tmp_path / "out.jsonl").stat()
    transform('{"b": 1, "a": "é"}\n', ".")
    assert (tmp_path / "out.jsonl").stat().st_ino == first.st_ino


@pytest.mark.parametrize("number", [EXACT, -EXACT, 0, 0.1, 1.5, 5e-324])
def test_numbers_that_jq_can_hold_stay_as_they_are(transform: Transform, number: float) -> None:
    assert json.loads(transform(json.dumps(number), ".")["text"]) == number


@pytest.mark.parametrize("number", ["9007199254740992", "-9007199254740993", "123456789012345678901234567890"])
def test_an_integer_that_jq_would_change_is_refused_with_its_line(transform: Transform, number: str) -> None:
    with pytest.raises(ValueError, match=rf"in\.jsonl:2: jq would change the integer {number}"):
        transform(f'1\n{{"id": {number}}}\n', "del(.id)?")


@pytest.mark.parametrize(
    "number",
    [
        "0.12345678901234567890123",
        "-1234567890.123456789",
        "1e-400",
        "5e-325",
        "1e-99999999999999999999999",
    ],
)
def test_a_fraction_that_jq_would_change_is_refused_with_its_line(transform: Transform, number: str) -> None:
    with pytest.raises(ValueError, match=rf"in\.jsonl:2: .*the number {number}"):
        transform(f'1\n{{"x": {number}}}\n', "del(.x)?")


@pytest.mark.parametrize("number", ["0.10", "1.50e2", "-0.0", "1E-7", "0.30000000000000004", "123456789012.50", "0e9"])
def test_a_fraction_may_be_written_in_another_way_than_it_is_answered(transform: Transform, number: str) -> None:
    assert json.loads(transform(number, ".")["text"]) == json.loads(number)


@given(st.floats(-1e15, 1e15))
def test_every_fraction_that_is_accepted_is_answered_as_the_same(
    tmp_path_factory: pytest.TempPathFactory, number: float
) -> None:
    folder = tmp_path_factory.mktemp("fractions")
    (folder / "in.jsonl").write_text(json.dumps(number))
    make("transform", folder).run(folder / "in.jsonl", folder / "out.jsonl", ".")
    assert json.loads((folder / "out.jsonl").read_text()) == number


@pytest.mark.parametrize(
    ("record", "query"), [("9007199254740991", ". + 1"), ("1", "[{a: 9007199254740993}]"), ("1e300", ".")]
)
def test_an_answer_that_jq_cannot_compute_exactly_is_refused(transform: Transform, record: str, query: str) -> None:
    with pytest.raises(ValueError, match=r"in\.jsonl:1: the query answers with a number beyond"):
        transform(record, query)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("nonsense", "it is not JSON: Expecting value"),
        ("1 2", "it is not JSON: Extra data"),
        ("NaN", "NaN is no JSON"),
        ("[1e400]", "the number 1e400 is too large"),
        (b'"\xff"', "it is not UTF-8"),
        (r'"\ud800"', "half of a surrogate pair"),
        ("[" * 100_000, "it is nested too deeply"),
        ("9" * 5000, "it is not JSON: a number is too long"),
        ('"' + "x" * 200_000 + '"', "it is larger than `max_size`"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_record_that_is_not_right_is_refused_with_its_line(
    transform: Transform, tmp_path: Path, record: str | bytes, reason: str
) -> None:
    (tmp_path / "out.jsonl").write_text("as it was")
    with pytest.raises(ValueError, match=rf"in\.jsonl:3: .*{reason}"):
        transform(
            b"1\n2\n" + (record.encode() if isinstance(record, str) else record) + b"\n4\n", ".", max_size=190_000
        )
    assert (tmp_path / "out.jsonl").read_text() == "as it was"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (".a |", "line 1, column 4: syntax error"),
        (".a\n | foo(1)", "line 2, column 4: foo/1 is not defined"),
        ("$days", r"line 1, column 1: \$days is not defined"),
        ('import "x" as x; .', "line 1, column 1: syntax error"),
        ('include "x"; .', "line 1, column 1: syntax error"),
        ('. as $a | "hush', "line 1, column 12: syntax error"),
    ],
)
def test_a_query_that_is_not_right_is_refused_before_anything_is_read(tmp_path: Path, query: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"`query` cannot be read: {message}") as caught:
        make("transform", tmp_path).run(tmp_path / "absent.jsonl", tmp_path / "out.jsonl", query)
    assert "hush" not in str(caught.value)


def test_a_query_does_not_see_the_environment(transform: Transform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "hush")
    assert transform("1", "$ENV.PASSWORD")["text"] == "null\n"
    with pytest.raises(ValueError, match="a query has no env"):
        transform("1", "env.PASSWORD")


@pytest.mark.parametrize("query", ["halt", "halt_error", "halt_error(3)", "input", "inputs", "input_filename"])
def test_a_query_reads_only_its_record_and_does_not_end_early(transform: Transform, query: str) -> None:
    with pytest.raises(ValueError, match=f"a query has no {query.partition('(')[0][:10]}"):
        transform("1\n2\n", query)


@pytest.mark.parametrize(
    ("record", "query"),
    [('"hush"', ".[]"), ('"hush"', "tonumber"), ('["hush) (", {}]', ".[0] * .[1]"), ('{"a": ") hush ("}', ". + 1")],
)
def test_a_query_that_fails_tells_the_line_and_none_of_the_values(
    transform: Transform, record: str, query: str
) -> None:
    with pytest.raises(ValueError, match=r"in\.jsonl:1: the query fails: ") as caught:
        transform(record, query)
    assert "hush" not in str(caught.value)


def test_a_query_may_fail_in_its_own_words(transform: Transform) -> None:
    with pytest.raises(ValueError, match=r"in\.jsonl:1: the query fails: no owner"):
        transform("{}", '.owner // error("no owner")')


def test_a_document_takes_exactly_one_value(transform: Transform) -> None:
    with pytest.raises(ValueError, match="more than one value"):
        transform("[1, 2]", ".[]", name="in.json", to="out.json")
    with pytest.raises(ValueError, match="0 values come of 1 records, and there must be at least 1"):
        transform("1", "empty", name="in.json", to="out.json")


def test_too_few_values_are_a_failure(transform: Transform) -> None:
    with pytest.raises(ValueError, match="1 values come of 2 records, and there must be at least 2"):
        transform("1\n2\n", "select(. == 1)", minimum=2)
    assert transform("1\n2\n", "empty")["text"] == ""


def test_a_large_file_is_a_stream(tmp_path: Path) -> None:
    """A process that may not take more than 300 MB of address space transforms 60 MB of lines."""
    with (tmp_path / "in.jsonl").open("w") as stream:
        stream.writelines(json.dumps({"n": n, "pad": "x" * 20_000}) + "\n" for n in range(3000))
    script = f"""
import sys; sys.path[:0] = {[str(TASKS.parent), str(TASKS.parent / "tests")]!r}
from pathlib import Path
from support.tasks import make
here = Path({str(tmp_path)!r})
print(make("transform", here).run(here / "in.jsonl", here / "out.jsonl", "del(.pad)")["written"])
"""

    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (300 * 1024**2, 300 * 1024**2))

    done = subprocess.run(
        [sys.executable, "-c", script],
        preexec_fn=bound,
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )
    assert (done.stdout, done.stderr) == ("3000\n", "")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-EXACT, EXACT) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
)


@given(st.lists(VALUES, max_size=5), st.booleans())
def test_a_query_that_changes_nothing_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, values: list[Any], ascii_only: bool
) -> None:
    folder = tmp_path_factory.mktemp("values")
    source = folder / "in.jsonl"
    source.write_text("".join(json.dumps(value, ensure_ascii=ascii_only) + "\n" for value in values), encoding="utf-8")
    make("transform", folder).run(source, folder / "out.jsonl", ".")
    lines = (folder / "out.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    assert [json.loads(line) for line in lines] == values
