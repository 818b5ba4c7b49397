"""Where values come from: places, includes, substitutions, variables, secrets, outputs and overrides."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from support.documents import document, faults, places, tree

from tasker.document import Array, Late, Limits, Object, OutputReference, Peek, Scalar, Value, plain


def at(value: Value, *path: str | int) -> Value:
    """The value that keys and indexes lead to."""
    for step in path:
        if isinstance(step, str):
            assert isinstance(value, Object)
            value = value.fields[step]
        else:
            assert isinstance(value, Array)
            value = value.items[step]
    return value


def place(value: Value) -> str:
    return str(value.place)


# Places


def test_a_value_knows_its_line_column_and_length() -> None:
    found = at(document("a = 1\nb { c = hello world }").root, "b", "c").place
    assert (str(found), found.length, found.excerpt) == ("main.conf:2:9", 11, "b { c = hello world }")


def test_columns_count_characters_and_a_tab_is_one() -> None:
    assert place(at(document("\té = ü").root, "é")) == "main.conf:1:6"


def test_a_value_that_a_substitution_gave_is_placed_where_it_was_written() -> None:
    root = document("a {\n  b = 1\n}\nc = ${a}\nd = ${a.b}").root
    assert [place(at(root, "c", "b")), place(at(root, "d"))] == ["main.conf:2:7", "main.conf:2:7"]
    assert isinstance(root, Object)
    assert str(root.key_place("d")) == "main.conf:5:1"


def test_a_value_of_an_included_file_is_placed_in_that_file() -> None:
    root = document('x = 1\nconf { include "part" }', {"part.conf": "\n\ny = 2"}).root
    assert place(at(root, "conf", "y")) == "part.conf:3:5"


def test_of_merged_objects_each_value_keeps_its_place_and_the_key_its_last_one() -> None:
    root = document("a { b = 1, c = 2 }\na { c = 3 }").root
    merged = at(root, "a")
    assert isinstance(merged, Object)
    assert [place(at(merged, "b")), place(at(merged, "c"))] == ["main.conf:1:9", "main.conf:2:9"]
    assert str(merged.key_place("c")) == "main.conf:2:5"


def test_added_elements_are_placed_where_they_were_added() -> None:
    root = document("a = [x]\na += y\na += { n = z }").root
    assert [place(at(root, "a", 0)), place(at(root, "a", 1)), place(at(root, "a", 2, "n"))] == [
        "main.conf:1:6",
        "main.conf:2:6",
        "main.conf:3:12",
    ]


def test_joined_strings_are_placed_from_their_first_part_to_their_last() -> None:
    found = at(document('a = x\nb = pre ${a} "post"').root, "b").place
    assert (str(found), found.length) == ("main.conf:2:5", 15)


def test_a_variables_value_is_placed_at_its_substitution() -> None:
    assert place(at(document("a = [${V}]", environment={"V": "x"}).root, "a", 0)) == "main.conf:1:6"


def test_numbers_keep_their_spelling() -> None:
    found = at(document("a = 1.10\nb = ${a}").root, "b")
    assert isinstance(found, Scalar)
    assert (found.data, found.text) == (1.1, "1.10")


# Includes


@pytest.mark.parametrize(
    "statement", ['include "part"', 'include "part.conf"', 'include file("part")', 'include required( file( "part" ) )']
)
def test_an_include_stands_for_the_fields_of_the_file(statement: str) -> None:
    files = {"part.conf": "b = 2\nc = 3"}
    assert tree(f"a = 1\nb = 1\n{statement}\nc = 4", files) == {"a": 1, "b": 2, "c": 4}


def test_a_file_with_the_very_name_comes_before_those_with_an_ending() -> None:
    assert tree('include "part"', {"part": "a = 1", "part.conf": "a = 2", "part.json": "a = 3"}) == {"a": 1}
    assert tree('include "part"', {"part.json": '{"a": 3}'}) == {"a": 3}


def test_an_include_is_relative_to_the_file_that_it_stands_in() -> None:
    files = {"sub/one.conf": 'include "two"\ninclude "../three"', "sub/two.conf": "a = 2", "three.conf": "b = 3"}
    assert tree('include "sub/one"', files) == {"a": 2, "b": 3}


def test_an_included_file_reads_first_what_stands_beside_its_fields() -> None:
    files = {"part.conf": "x = 1\ny = ${x}\nz = ${top}"}
    expected = {"x": 7, "top": 8, "a": {"x": 2, "y": 2, "z": 8}}
    assert tree('x = 7\ntop = 8\na { include "part" }\na.x = 2', files) == expected


def test_an_include_in_an_element_of_an_array_reads_that_element_first() -> None:
    expected = {"x": 7, "tasks": [{"x": 1, "y": 1}, {"x": 2, "y": 2}]}
    files = {"part.conf": "x = 1\ny = ${x}"}
    assert tree('x = 7\ntasks = [{ include "part" }, { include "part", x = 2 }]', files) == expected


def test_includes_within_includes_read_beneath_both() -> None:
    files = {"one.conf": 'b { include "two" }', "two.conf": "x = 1\ny = ${x}"}
    assert tree('a { include "one" }', files) == {"a": {"b": {"x": 1, "y": 1}}}


def test_the_files_and_their_digests_are_known_afterwards() -> None:
    files = {"part.conf": "a = 1"}
    found = document('include "part"', files).files
    assert found == tuple(
        (name, hashlib.sha256(text.encode()).hexdigest())
        for name, text in {"main.conf": 'include "part"', **files}.items()
    )


# Variables


def test_what_a_document_defines_comes_before_a_variable() -> None:
    assert tree("V = mine\na = ${V}", environment={"V": "theirs"}) == {"V": "mine", "a": "mine"}


def test_a_variable_is_asked_for_by_its_dotted_name_and_once() -> None:
    asked: list[str] = []

    def variables(name: str, _: Peek) -> str | None:
        asked.append(name)
        return "x" if name == "java.home" else None

    found = document("a = ${java.home}\nb = ${java.home}\nc = ${?V}", variables=variables)
    assert plain(found.root) == {"a": "x", "b": "x"}
    assert asked == ["java.home", "V"]
    assert dict(found.variables) == {"java.home": "x", "V": None}


def test_a_variable_may_look_at_the_document() -> None:
    def variables(name: str, peek: Peek) -> str | None:
        return f"today in {peek('schedule.timezone')}" if name == "TODAY" else None

    text = "zone = Sydney\nschedule.timezone = Australia/${zone}\na = ${TODAY}"
    assert tree(text, variables=variables)["a"] == "today in Australia/Sydney"


def test_a_variable_that_looks_at_its_own_reader_sees_nothing() -> None:
    def variables(_: str, peek: Peek) -> str | None:
        return str(peek("name"))

    assert tree("name = ${PIPELINE}", variables=variables) == {"name": "None"}
    assert places("other = ${PIPELINE}\nname = ${other}", variables=variables) == ["2:8: substitution-cycle"]


# Secrets


def test_a_secret_is_masked_wherever_it_goes() -> None:
    text = "a = ${secret.S}\nb = user:x\nc = k ${a} ${secret.S}!\nd { e = [${c}] }".replace("user:x", "x")
    found = document(text, secrets={"S": "hush"})
    assert plain(found.root) == {"a": "hush", "b": "x", "c": "k hush hush!", "d": {"e": ["k hush hush!"]}}
    assert plain(found.root, masked=True) == {"a": "***", "b": "x", "c": "k *** ***!", "d": {"e": ["k *** ***!"]}}
    assert dict(found.secrets) == {"S": "hush"}


def test_a_secret_is_known_that_something_else_stands_in_place_of() -> None:
    text = 'include "more"\na = ${secret.A}\na = 1'
    found = document(text, {"more.conf": "b = ${?secret.B}, b = 2"}, secrets={"A": "one", "B": "two", "C": "three"})
    assert dict(found.secrets) == {"A": "one", "B": "two"}


def test_a_secret_that_may_be_absent_leaves_nothing_behind() -> None:
    assert tree("a = 1\na = ${?secret.S}") == {"a": 1}


def test_a_secret_is_no_part_of_the_revision() -> None:
    one, two = (document("a = ${secret.S}", secrets={"S": value}) for value in ("x", "y"))
    assert one.revision == two.revision


# What tells of one run


def test_what_tells_of_one_run_stands_as_it_is_written_where_what_lasts_is_asked_for() -> None:
    text = "a = ${RUN_ID}\nb = log-${a}-${HOME}\nc = ${b} ${secret.S}\nd = ${secret.S}\ne = [1, ${HOME}]"
    found = document(text, environment={"RUN_ID": "r7", "HOME": "h"}, secrets={"S": "hush"}, of_a_run={"RUN_ID"})
    assert plain(found.root) == {"a": "r7", "b": "log-r7-h", "c": "log-r7-h hush", "d": "hush", "e": [1, "h"]}
    assert plain(found.root, masked=True) == {
        "a": "r7",
        "b": "log-r7-h",
        "c": "log-r7-h ***",
        "d": "***",
        "e": [1, "h"],
    }
    assert plain(found.root, lasting=True) == {
        "a": "${RUN_ID}",
        "b": "log-${RUN_ID}-h",
        "c": "log-${RUN_ID}-h ***",
        "d": "***",
        "e": [1, "h"],
    }


# Outputs


def test_an_output_alone_keeps_its_place_for_a_value_of_any_type() -> None:
    found = at(document("a = ${outputs.scan.files.0}").root, "a")
    assert isinstance(found, Late)
    (reference,) = found.references
    assert isinstance(reference, OutputReference)
    assert (reference.step, reference.keys, reference.optional) == ("scan", ("files", "0"), False)


def test_an_output_among_strings_waits_with_them() -> None:
    root = document("a = ${outputs.scan.file}\nb = x/${a}.${?outputs.scan.end} ${secret.S}", secrets={"S": "hush"}).root
    found = at(root, "b")
    assert isinstance(found, Late)
    assert [str(reference) for reference in found.references] == ["${outputs.scan.file}", "${?outputs.scan.end}"]
    assert plain(found, masked=True) == "x/${outputs.scan.file}.${?outputs.scan.end} ***"


# Overrides


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"params.days": "7"}, {"params": {"days": 7, "all": 1}, "d": 7}),
        ({"params.days": "seven days"}, {"params": {"days": "seven days", "all": 1}, "d": "seven days"}),
        ({"params.days": "http://x"}, {"params": {"days": "http://x", "all": 1}, "d": "http://x"}),
        ({"params.days": ""}, {"params": {"days": "", "all": 1}, "d": ""}),
        ({"params.days": "${params.all}"}, {"params": {"days": 1, "all": 1}, "d": 1}),
        ({"params": "{ days = 2 }"}, {"params": {"days": 2, "all": 1}, "d": 2}),
        ({"params.days": "[a, b]"}, {"params": {"days": ["a", "b"], "all": 1}, "d": ["a", "b"]}),
    ],
)
def test_an_override_is_laid_over_the_document(overrides: dict[str, str], expected: Any) -> None:
    assert tree("params { days = 30, all = 1 }\nd = ${params.days}", overrides=overrides) == expected


def test_a_fault_of_an_override_names_it() -> None:
    text = "a = 1"
    (unresolved,) = faults(text, overrides={"a": "${b}"})
    (bad_path,) = faults(text, overrides={"a..b": "1"})
    assert str(unresolved.place) == "--set a=${b}"
    assert (str(bad_path.place), bad_path.code) == ("--set a..b=1", "syntax")


# What is known afterwards


def test_the_paths_that_substitutions_read_are_known() -> None:
    found = document("a { b = 1 }\nc = ${a.b}\nd = ${?e}\nf = ${outputs.x.y}")
    assert found.reads == {("a", "b"), ("e",)}


def test_the_revision_changes_with_text_includes_overrides_and_variables_and_with_nothing_else() -> None:
    def revision(text: str = 'include "p"\na = ${V}', part: str = "b = 1", value: str = "x", days: str = "1") -> str:
        environment = {"V": value, "UNREAD": part}
        return document(text, {"p.conf": part}, environment=environment, overrides={"days": days}).revision

    others = {
        revision(text='include "p"\na = ${V} '),
        revision(part="b = 2"),
        revision(value="y"),
        revision(days="2"),
    }
    assert revision() == revision()
    assert len(others | {revision()}) == 5


def test_a_document_goes_to_pyhocon_with_its_secrets_masked() -> None:
    text = 'a { "b.c" = 1.5 }\nd = [{ e = ${secret.S} }, null]\nf = ${outputs.x.y}'
    found = document(text, secrets={"S": "hush"}).to_config()
    assert found.as_plain_ordered_dict() == {
        "a": {"b.c": 1.5},
        "d": [{"e": "***"}, None],
        "f": "${outputs.x.y}",
    }


# Long, and still well


def test_many_elements_can_be_added_one_by_one() -> None:
    assert tree("a = []\n" + "a += x\n" * 5000) == {"a": ["x"] * 5000}


def test_a_chain_of_substitutions_that_leads_backwards_may_be_of_any_length() -> None:
    assert tree("a0 = 1\n" + "".join(f"a{i + 1} = ${{a{i}}}\n" for i in range(5000)))["a5000"] == 1


def test_limits_are_told_by_name_of_what_is_over_them() -> None:
    assert places("a = 1234567890", limits=Limits(file_size=10)) == ["1:1: too-large"]
    assert places('include "p"', {"p.conf": "a = 1"}, limits=Limits(files=1)) == ["1:9: too-large"]
    assert places('include "p"', {"p.conf": "a = 1"}, limits=Limits(include_depth=1)) == ["1:9: too-deep"]
    assert places('include "p"', {"p.conf": "a = 1"}, limits=Limits(total_size=12)) == ["p.conf:1:1: too-large"]
