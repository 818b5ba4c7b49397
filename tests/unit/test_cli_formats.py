"""Data as HOCON, JSON, YAML and properties: what is written reads back as the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml  # a second opinion, and no dependency of ours
from hypothesis import example, given
from hypothesis import strategies as st
from support.documents import document
from support.values import SPAN, number, output, secret

from tasker.cli.formats import written
from tasker.document import plain
from tasker.document.surroundings import LATE_ROOTS
from tasker.document.values import Late, OutputReference, Scalar

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
WORDS = st.sampled_from(
    (
        *("", " ", "a b", "no", "Yes", "null", "~", "1e5", "1.10", "007", "0x1f", "10s", "2026-11-22", "a: b", "- a"),
        *('"""', '"', "\\", "'", "${a}", "a=b", "include", "a.b", "[", "{}", "\x1b[2J", "\x9b", "\u202e", "\ue000"),
        *("\n", "a\n  b\n", "\t", "\r\n", "\u2028", "\x85", "\ufeff", "!tag", "&a", "*a", "<<", "=", "|", ">", "%"),
        *("#a", "@", "😀", "\U000e0001", "a #b", "a:", "-", "?"),
    )
)
TEXTS = WORDS | st.text(CHARACTERS, max_size=12)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
DATA = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12
)
TREES = st.dictionaries(TEXTS.filter(lambda key: key not in LATE_ROOTS), DATA, min_size=1, max_size=4)


@given(TREES)
@example({'"': {'"a"': {"a.b": [[], {}, [[]], [{}]]}}})
@example({"a": {}, "b": [], "include": {"include": "x"}})
def test_hocon_reads_back_as_the_same_tree(data: dict[str, Any]) -> None:
    assert plain(document(written(data, "hocon")).root) == data


@given(TREES)
def test_json_reads_back_as_the_same(data: dict[str, Any]) -> None:
    assert json.loads(written(data, "json")) == data
    assert "\n" not in written(data, "json", indent=None)


@given(TREES)
def test_yaml_reads_back_as_the_same(data: dict[str, Any]) -> None:
    assert yaml.safe_load(written(data, "yaml")) == data


@given(TREES, st.sampled_from(["hocon", "json", "yaml", "properties"]))
def test_nothing_that_is_written_is_unseen(data: dict[str, Any], form: str) -> None:
    text = written(data, form)
    assert all(each.isprintable() or each == "\n" for each in text)


def test_properties_hold_what_java_reads() -> None:
    data: dict[str, Any] = {
        "a": {"b c": ["x", " y=\\\n"], "é": True, '"q"': 1},
        "none": None,
        "empty": [{}],
        "text": "",
    }
    assert written(data, "properties").splitlines() == [
        "a.b\\u0020c.0 = x",
        "a.b\\u0020c.1 = \\ y=\\\\\\n",
        "a.\\u00e9 = true",
        "a.\\u0022q\\u0022 = 1",
        "text = ",
    ]


@pytest.mark.parametrize("spelling", ["1.10", "1e22", "-0.0"])
def test_a_number_keeps_its_spelling_in_hocon_and_its_value_elsewhere(spelling: str) -> None:
    data = {"a": number(spelling)}
    assert written(data, "hocon") == f"a = {spelling}"
    assert json.loads(written(data, "json")) == {"a": float(spelling)}
    assert yaml.safe_load(written(data, "yaml")) == {"a": float(spelling)}


def test_what_waits_for_outputs_stands_as_it_is_written() -> None:
    parts = (Scalar(SPAN, "to ", "to "), secret("s3cr3t"), OutputReference(SPAN, "a-b", ("c.d", "e"), optional=True))
    data = {"a": output("scan", "file"), "b": Late(SPAN, parts)}
    assert written(data, "hocon") == 'a = ${outputs.scan.file}\nb = "to ***"${?outputs.a-b."c.d".e}'
    assert json.loads(written(data, "json")) == {"a": "${outputs.scan.file}", "b": 'to ***${?outputs.a-b."c.d".e}'}
    assert yaml.safe_load(written(data, "yaml")) == json.loads(written(data, "json"))


@given(st.lists(TEXTS.filter(bool), min_size=1, max_size=3), TEXTS)
def test_a_reference_reads_back_as_the_same_whatever_its_keys(keys: list[str], text: str) -> None:
    reference = OutputReference(SPAN, "scan", tuple(keys))
    late = Late(SPAN, (Scalar(SPAN, text, text), reference) if text else (reference,))
    read = document(written({"a": late}, "hocon")).root.fields["a"]
    assert isinstance(read, Late)
    assert [part.text if isinstance(part, Scalar) else part.path for part in read.parts] == [
        part.text if isinstance(part, Scalar) else part.path for part in late.parts
    ]
