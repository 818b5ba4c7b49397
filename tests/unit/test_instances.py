"""`for_each`: one document for each entry, what is wrong with which, and what changes the revision of which."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.documents import NAME, MemoryFolder, tree

from tasker.document import Document, Entries, Limits, Peek, Template, plain
from tasker.errors import InvalidFileError
from tasker.faults import Fault
from tasker.validation.instances import check_entries, of_instances

LOG = "log = ${RUN_ID}"


class Asked:
    """Variables of an instance, as a project gives them, and how often each was asked for."""

    def __init__(self, key: str, environment: Mapping[str, str]) -> None:
        self.known = {"RUN_ID": f"run-of-{key}", "HOME": "/root", **environment}
        self.key = key

    def __call__(self, name: str, peek: Peek) -> str | None:
        return f"{peek('name')}/{self.key}" if name == "PIPELINE" else self.known.get(name)


def resolved(
    text: str,
    files: Mapping[str, str] | None = None,
    *,
    secrets: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    only: str | None = None,
    order: int = 1,
) -> tuple[dict[str, Document], Entries]:
    """The documents of all entries, or of one, by their keys; raises `InvalidFileError`."""
    template = Template(
        NAME,
        folder=MemoryFolder({NAME: text, **(files or {})}),
        secrets=(secrets or {}).get,
        of_a_run={"RUN_ID"},
        limits=limits or Limits(),
    )
    entries = template.entries(Asked("", environment or {}))
    assert entries is not None
    check_entries(entries)
    keys = list(entries.keys)[::order] if only is None else [only]
    return {key: template.document(Asked(key, environment or {}), key) for key in keys}, entries


def documents(text: str, files: Mapping[str, str] | None = None, **given: Any) -> dict[str, Document]:
    return resolved(text, files, **given)[0]


def found(text: str, files: Mapping[str, str] | None = None, **given: Any) -> tuple[Fault, ...]:
    """What is wrong with all instances together."""
    try:
        made, entries = resolved(text, files, **given)
    except InvalidFileError as error:
        return tuple(error.faults)
    return of_instances({key: each.faults for key, each in made.items()}, entries)


def trees(text: str, files: Mapping[str, str] | None = None, **given: Any) -> dict[str, Any]:
    return {key: plain(each.root) for key, each in documents(text, files, **given).items()}


def faults(text: str, files: Mapping[str, str] | None = None, **given: Any) -> list[str]:
    """The same, with places as `line:column`."""
    return [f"{fault}".removeprefix(f"{NAME}:") for fault in found(text, files, **given)]


# What the entries come to


def test_each_entry_makes_a_document_with_its_fields_as_item() -> None:
    assert trees(
        "for_each { a { sql = /a, n = 1 }, b { sql = /b, n = 2 } }\nx = ${item.sql}/${item.key}\ny = ${item.n}"
    ) == {
        "a": {"x": "/a/a", "y": 1},
        "b": {"x": "/b/b", "y": 2},
    }


def test_a_list_of_strings_makes_a_document_for_each_which_has_only_its_key() -> None:
    assert trees('for_each = [a, "b.c", 2024]\nx = ${item.key}\ny = ${?item.sql}') == {
        "a": {"x": "a"},
        "b.c": {"x": "b.c"},
        "2024": {"x": "2024"},
    }


def test_item_merges_as_everything_in_hocon_does() -> None:
    text = """
    for_each { a { args { x = 1, deep { y = 2 } }, list = [p] }, b { args = {}, list = [] } }
    args = { x = 0 } ${item.args} { more = 1, deep { z = 3 } }
    list = ${item.list} [q]
    added = [o]
    added += ${item.key}
    whole = ${item}
    """
    assert trees(text) == {
        "a": {
            "args": {"x": 1, "more": 1, "deep": {"y": 2, "z": 3}},
            "list": ["p", "q"],
            "added": ["o", "a"],
            "whole": {"args": {"x": 1, "deep": {"y": 2}}, "list": ["p"], "key": "a"},
        },
        "b": {
            "args": {"x": 0, "more": 1, "deep": {"z": 3}},
            "list": ["q"],
            "added": ["o", "b"],
            "whole": {"args": {}, "list": [], "key": "b"},
        },
    }


def test_an_include_adds_changes_and_removes_entries() -> None:
    text = 'for_each { a { n = 1 }, b { n = 2 }, "c.d" { n = 3 } }\nfor_each { include "apps/all" }\nx = ${item.n}'
    files = {"apps/all.conf": 'a { n = 7 }\nb = null\ninclude "new"', "apps/new.conf": "e = { n = 5 }"}
    assert trees(text, files) == {"a": {"x": 7}, "c.d": {"x": 3}, "e": {"x": 5}}


def test_an_entry_that_was_removed_may_come_again() -> None:
    assert trees("for_each { a { n = 1, m = 2 } }\nfor_each.a = null\nfor_each.a { n = 3 }\nx = ${item}") == {
        "a": {"x": {"n": 3, "key": "a"}}
    }


def test_a_list_may_be_dropped_on_purpose() -> None:
    assert [*trees("for_each = [a, b]\nfor_each = null\nfor_each.c {}")] == ["c"]


def test_entries_may_be_added_to_a_list() -> None:
    assert list(trees("for_each = [a]\nfor_each += b\nx = 1")) == ["a", "b"]


def test_an_entry_may_be_made_of_another_one_and_read_its_own_key() -> None:
    text = """
    _app { path = /data/${item.key}, log = ${PIPELINE}.log }
    name = crm
    for_each { a = ${_app}, b = ${for_each.a} { n = 1 }, c { n = ${for_each.b.n} } }
    x = ${item}
    """
    assert {key: each["x"] for key, each in trees(text).items()} == {
        "a": {"path": "/data/a", "log": "crm/a.log", "key": "a"},
        "b": {"path": "/data/b", "log": "crm/b.log", "n": 1, "key": "b"},
        "c": {"n": 1, "key": "c"},
    }


def test_variables_are_those_of_the_run_of_each_instance() -> None:
    text = f"name = crm\nfor_each {{ a {{ {LOG} }}, b {{ {LOG} }} }}\nx = ${{item.log}}\ny = ${{RUN_ID}} ${{PIPELINE}}"
    assert trees(text) == {
        key: {"name": "crm", "x": f"run-of-{key}", "y": f"run-of-{key} crm/{key}"} for key in ("a", "b")
    }


def test_an_entry_may_hold_a_secret_and_outputs() -> None:
    text = "for_each { a { s = ${secret.S}, o = ${outputs.scan.file} } }\nx = pw ${item.s}\ny = to ${item.o}"
    (made,) = documents(text, secrets={"S": "hush"}).values()
    assert plain(made.root, masked=True) == {"x": "pw ***", "y": "to ${outputs.scan.file}"}
    assert dict(made.secrets) == {"S": "hush"}


def test_each_document_knows_the_secrets_of_all_entries() -> None:
    """A script that instances share may print the secrets of all of them."""
    text = "for_each { a { s = ${secret.A} }, b { s = ${secret.B} }, c = null, c = ${?secret.C} }\nx = ${item.s}"
    secrets = {"A": "one", "B": "two", "D": "three"}
    assert [dict(made.secrets) for made in documents(text, secrets=secrets).values()] == [{"A": "one", "B": "two"}] * 2


def test_without_for_each_item_is_a_name_like_any_other() -> None:
    assert tree("item { x = 1 }\ny = ${item.x}") == {"item": {"x": 1}, "y": 1}


# The same as written out by hand

_KEYS = ("a", "b", "c")
_SCALARS = st.sampled_from(["1", "true", '"x y"', "word", "null", "${HOME}", "${RUN_ID}", "${base.n}", "[]", "{}"])


@st.composite
def entry(draw: st.DrawFn) -> str:
    fields = draw(st.dictionaries(st.sampled_from(["n", "m", "list", "obj"]), _SCALARS, max_size=3))
    if "list" in fields:
        fields["list"] = draw(st.sampled_from(["[1, 2]", "[${HOME}]", "[]", "${base.list}", "[{ n = ${base.n} }]"]))
    if "obj" in fields:
        fields["obj"] = draw(st.sampled_from(["{ p = 1 }", "${base}", "{ p { q = ${RUN_ID} } }", "{}"]))
    return "{ " + ", ".join(f"{key} = {value}" for key, value in fields.items()) + " }"


_NODES = st.sampled_from(
    [
        "x = ${?item.n}",
        "y = ${item.key}/${?item.m}-${RUN_ID}",
        "l = [0] ${?item.list}",
        "l = ${?item.list} [${item.key}]",
        "l += ${?item.n}",
        "o = { p = 0, z = ${item.key} } ${?item.obj}",
        "o.p = ${?item.m}",
        "o = ${?item.obj} { w = ${?x} }",
        "base.n = ${?item.n}",
        "w = ${item}",
        "t = [{ a = ${item.key}, b = [${?item.obj}, ${base}] }, { c = ${?l} }]",
        "x = ${?x} again",
        "k = ${?o.p}",
        'e { include "part" }',
        "y = ${?y}",
    ]
)
_PART = {"part.conf": "p = ${item.key}\nq = ${?n}${p}\nn = ${?item.n}"}


def _by_hand(text: str, entry: str, key: str) -> Any:
    """The document with the entry written into it as `item`."""
    variables = Asked(key, {})
    made = Template(
        NAME,
        folder=MemoryFolder({NAME: f"{text}\nitem = {entry} {{ key = {key} }}", **_PART}),
        secrets=lambda _: None,
    )
    assert made.entries(variables) is None
    return _comparable(made.document(variables))


def _comparable(document: Document) -> Any:
    """What it comes to, and what is wrong; of a circle only that there is one: it has no beginning."""
    told = sorted({(fault.code, fault.place.line) for fault in document.faults})
    if any(code == "substitution-cycle" for code, _ in told):
        return "a circle"
    return {key: value for key, value in plain(document.root).items() if key != "item"}, told


@given(st.dictionaries(st.sampled_from(_KEYS), entry(), min_size=1), st.lists(_NODES, min_size=1, max_size=8))
def test_an_instance_is_what_the_document_with_its_entry_written_out_by_hand_is(
    entries: dict[str, str], nodes: list[str]
) -> None:
    body = "\n".join(["base { n = 7, list = [b], p = ${?missing} }", *nodes])
    for_each = "for_each { " + ", ".join(f"{key} {each}" for key, each in entries.items()) + " }"
    expected = {key: _by_hand(body, each, key) for key, each in entries.items()}
    # The order in which instances are resolved, and which of them are, changes nothing.
    ways: list[dict[str, Any]] = [{}, {"order": -1}, *({"only": key} for key in entries)]
    for how in ways:
        found = documents(f"{body}\n{for_each}", _PART, **how)
        for key, document in found.items():
            assert _comparable(document) == expected[key]


# What is wrong


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("for_each = x", "1:1: bad-value: 'for_each' is an object or a list of strings, and not a string"),
        (
            "for_each = ${outputs.a.b}",
            "1:1: bad-value: 'for_each' is an object or a list of strings, and not what only a run finds out",
        ),
        (
            "for_each = [a, b]\nfor_each.c {}",
            "2:1: bad-value: 'for_each' is an object here, and a list at main.conf:1:1, whose entries it would drop",
        ),
        (
            "l = [a]\nfor_each = ${l}\nfor_each { c {} }",
            "3:1: bad-value: 'for_each' is an object here, and a list at main.conf:2:1, whose entries it would drop",
        ),
        (
            "for_each += a\nfor_each.c {}",
            "2:1: bad-value: 'for_each' is an object here, and a list at main.conf:1:1, whose entries it would drop",
        ),
        ("for_each {}", "1:1: missing-key: 'for_each' has no entry, and the file makes no pipeline"),
        ("for_each = []", "1:1: missing-key: 'for_each' has no entry, and the file makes no pipeline"),
        ("for_each { a = null }", "1:1: missing-key: 'for_each' has no entry, and the file makes no pipeline"),
        ("for_each { a = 1 }", "1:12: bad-value: the entry 'a' of 'for_each' is an object, and not a number"),
        (
            "for_each { a { key = b } }",
            "1:16: bad-value: 'key' cannot be a field of an entry: ${item.key} is its key in 'for_each'",
        ),
        ("for_each = [a, b, a]", "1:19: bad-value: 'a' is named twice"),
        (
            "for_each = [a, {}]",
            "1:16: bad-value: 'for_each' is an object or a list of strings, and an object stands in it",
        ),
        ("for_each = [${secret.S}]", "1:13: bad-value: an entry of 'for_each' cannot be named by a secret"),
        (
            "for_each = [a-${RUN_ID}]",
            "1:13: bad-value: an entry of 'for_each' cannot be named by what tells of one run",
        ),
        ('for_each { "a/b" {} }', "1:12: bad-value: an entry of 'for_each' cannot be named like this"),
        (
            "item = 1\nfor_each { a {} }",
            "1:1: bad-value: 'item' cannot be a key of a document with 'for_each': it means the entry",
        ),
        (
            "for_each { a = ${nope} }",
            "1:16: unresolved-substitution: nothing is named 'nope', here or in the environment",
        ),
    ],
)
def test_what_cannot_make_pipelines_is_told_where_it_is(text: str, told: str) -> None:
    assert faults(text, secrets={"S": "hush"}) == [told]


@pytest.mark.parametrize(
    "text", ["for_each { a = ${item.x} }", "for_each = [${?item.key}]", "for_each {a{}}\nname = x${item.key}"]
)
def test_what_must_be_known_before_the_entries_are_cannot_read_them(text: str) -> None:
    (told,) = faults(text)
    assert "is known only when it is known which entries 'for_each' has" in told


def test_a_thousand_entries_are_enough() -> None:
    keys = [f"k{number}" for number in range(1001)]
    assert len(documents(f"for_each = [{', '.join(keys[:1000])}]")) == 1000
    assert faults(f"for_each = [{', '.join(keys)}]") == [
        "1:1: too-large: 'for_each' has at most 1,000 entries, not 1,001"
    ]


def test_a_field_that_an_entry_lacks_is_told_where_it_is_read_with_the_instances_that_lack_it() -> None:
    text = 'for_each { a { sql = 1 }, include "b", c {} }\nx = ${item.sql}\ny = ${item.deep.er}'
    told = found(text, {"b.conf": "# B\nb { sqll = 1 }"})
    assert [(str(fault.place), fault.message, fault.hint) for fault in told] == [
        (
            "main.conf:2:5",
            "the entry of 'for_each' has no 'sql' (instances 'b' and 'c')",
            "did you mean 'item.sqll'? an entry without it is at b.conf:2",
        ),
        (
            "main.conf:3:5",
            "the entry of 'for_each' has no 'deep.er'",
            "it has: sql, key; an entry without it is at main.conf:1",
        ),
    ]


def test_a_fault_of_all_instances_is_told_once_and_that_of_some_names_them() -> None:
    entries = ", ".join(f"k{number} {{ x = {'${nope}' if number % 2 else 1} }}" for number in range(20))
    assert faults(f"for_each {{ {entries} }}\ny = ${{neither}}") == [
        *(
            f"1:{12 + entries.index(f'k{number} ') + len(f'k{number} {{ x = ')}: unresolved-substitution: "
            f"nothing is named 'nope', here or in the environment (instance 'k{number}')"
            for number in range(1, 20, 2)
        ),
        "2:5: unresolved-substitution: nothing is named 'neither', here or in the environment",
    ]


def test_many_instances_of_a_fault_are_counted() -> None:
    entries = ", ".join(f"k{number} {{}}" for number in range(20))
    assert faults(f"for_each {{ ok {{ x = 1 }}, {entries} }}\ny = ${{item.x}}") == [
        "2:5: unresolved-substitution: the entry of 'for_each' has no 'x' (instances 'k0', 'k1', 'k2' and 17 more)"
    ]


def test_item_without_for_each_is_explained() -> None:
    with pytest.raises(InvalidFileError) as raised:
        tree("x = ${item.sql}")
    assert [fault.hint for fault in raised.value.faults] == [
        "${item.…} means an entry of 'for_each', and this file has none"
    ]


# Hostile texts


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("for_each { a = ${for_each.b}, b = ${for_each.a} }", "substitution-cycle"),
        ("for_each = ${for_each}", "unresolved-substitution"),
        ("for_each { a { x = ${item.y}, y = ${item.x} } }", "substitution-cycle"),
        ("for_each { a { x = ${item} } }", "substitution-cycle"),
    ],
)
def test_entries_that_need_themselves_are_told(text: str, code: str) -> None:
    assert code in {told.split(": ")[1] for told in faults(text)}


def _doubling(times: int) -> str:
    return "\n".join([f"x{number} = ${{x{number - 1}}}${{x{number - 1}}}" for number in range(1, times)])


@pytest.mark.parametrize(
    "text",
    [
        # Text, objects and arrays that grow with each level, anew in each instance.
        f"x0 = ${{item.key}}0123456789\n{_doubling(18)}",
        "x0 { a = ${item.key} }\n"
        + "\n".join(f"x{n} {{ l = ${{x{n - 1}}}, r = ${{x{n - 1}}} }}" for n in range(1, 16)),
        "x0 = [${item.key}]\n" + "\n".join(f"x{n} = ${{x{n - 1}}} ${{x{n - 1}}}" for n in range(1, 14)),
        # An object of many keys that each instance merges again.
        "many { " + ", ".join(f"k{n} = {n}" for n in range(3000)) + " }\nx = ${many} { y = ${item.key} } ${item}",
        # Instances that all hold all entries.
        "x = ${for_each} { y = ${item.key} }",
    ],
)
def test_a_for_each_that_expands_without_bound_is_refused(text: str) -> None:
    text += f"\nfor_each {{ {', '.join(f'k{number} {{}}' for number in range(900))} }}"
    told = faults(text, limits=Limits(weight=1 << 20, merges=30_000, instance_merges=100))
    assert all("too-large" in each or "too-deep" in each for each in told)
    assert told


# Revisions


def revisions(text: str, files: Mapping[str, str] | None = None, **given: Any) -> dict[str, str]:
    return {key: each.revision for key, each in documents(text, files, **given).items()}


SHARED = 'name = crm\nfor_each { include "a", include "b" }\nx = ${item.sql} ${RUN_ID}\ny = [${item}]'
APPS = {"a.conf": "a { sql = /a }", "b.conf": "b { sql = /b, s = ${secret.S} }"}


def test_an_edit_of_one_entry_changes_the_revision_of_its_instance_alone() -> None:
    before, after = (
        revisions(SHARED, {**APPS, "b.conf": text}, secrets={"S": "hush"})
        for text in (APPS["b.conf"], "b { sql = /c }")
    )
    assert (before["a"] == after["a"], before["b"] == after["b"]) == (True, False)


def test_an_entry_that_is_added_or_removed_changes_no_other_ones_revision() -> None:
    before, after = (
        revisions(SHARED, {**APPS, "b.conf": text}, secrets={"S": "hush"})
        for text in (APPS["b.conf"], "c { sql = /c }")
    )
    assert before["a"] == after["a"]


def test_an_edit_of_what_all_share_changes_all_revisions() -> None:
    before, after = (revisions(SHARED + more, APPS, secrets={"S": "hush"}) for more in ("", "\nz = 1"))
    assert not set(before.values()) & set(after.values())


def test_neither_secrets_values_nor_what_tells_of_a_run_nor_how_it_is_written_is_a_part_of_a_revision() -> None:
    one = revisions(SHARED, APPS, secrets={"S": "x"})
    two = revisions("# a word\n" + SHARED, APPS, secrets={"S": "y"}, environment={"RUN_ID": "another"})
    assert one == two


def test_another_secret_and_another_variable_make_another_revision() -> None:
    texts = (
        "${secret.S}",
        "${secret.T}",
        '"***"',
        "${HOME}",
        "${RUN_ID}",
        '"${RUN_ID}"',
        "1",
        '"1"',
        "1.0",
        "[1]",
        "{}",
    )
    found = {revisions(f"for_each = [a]\nx = {text}", secrets={"S": "s", "T": "s"})["a"] for text in texts}
    assert len(found) == len(texts)


def test_two_instances_that_come_to_the_same_have_revisions_of_their_own() -> None:
    assert len(set(revisions("for_each = [a, b]\nx = 1").values())) == 2


# Cost


def test_what_does_not_depend_on_the_entry_is_resolved_once() -> None:
    asked: list[str] = []

    def secret(name: str) -> str:
        asked.append(name)
        return json.dumps(name)

    text = "shared = [{ a = ${secret.S} }, ${item.key}]\nother { b = [${HOME}] }\nfor_each { a {}, b {} }"
    template = Template(NAME, folder=MemoryFolder({NAME: text}), secrets=secret)
    template.entries(Asked("", {}))
    one, two = (template.document(Asked(key, {}), key).root for key in ("a", "b"))
    assert one.fields["other"] is two.fields["other"]
    assert one.fields["shared"] is not two.fields["shared"]
    assert asked == ["S"]


def test_resolving_grows_with_the_entries_and_not_with_their_square() -> None:
    entries = "\n".join(f"for_each.k{number} {{ n = ${{base}} }}" for number in range(400))
    made = documents(f"base = 1\n{entries}\nx = ${{item.n}}", limits=Limits(merges=10_000, instance_merges=10))
    assert len(made) == 400
