"""Where a faulty document is wrong, to the column, and by which code."""

from __future__ import annotations

import pytest
from support.documents import NEW_LINE, faults, places

CASES = [
    ("a = http://x", "1:9: syntax"),
    ("a = nginx:1.25", "1:10: syntax"),
    ("a = 1⏎b =⏎c = 2", "2:3: syntax"),
    ("a =", "1:3: syntax"),
    ("a", "1:2: syntax"),
    ("a = [1, 2", "1:5: syntax"),
    ("tasks = [⏎  { name = x⏎  { name = y }⏎]", "3:3: syntax"),
    ("tasks = [⏎  { name = x }⏎  { name = y ]⏎", "3:14: syntax"),
    ("a { b = 1", "1:3: syntax"),
    ("a = 1 }", "1:7: syntax"),
    ("{ a = 1 }⏎b = 2", "2:1: syntax"),
    ("[1, 2]", "1:1: syntax"),
    ('a = "open⏎b = 1', "1:5: syntax"),
    ('a = """open⏎b = 1', "1:5: syntax"),
    (r'a = "\d+"', "1:6: syntax"),
    (r'a = "x\ud83d"', "1:7: syntax"),
    (r"a = C:\x", "1:6: syntax"),
    ("a = $HOME", "1:5: syntax"),
    ("a = ${b", "1:8: syntax"),
    ("a = ${}", "1:7: syntax"),
    ("a..b = 1", "1:3: syntax"),
    (".a = 1", "1:1: syntax"),
    ("a.b. = 1", "1:6: syntax"),
    ("a, b = 1", "1:2: syntax"),
    ("a = [1,,2]", "1:8: syntax"),
    ("a = 1,,b = 2", "1:7: syntax"),
    ("a = x b = 2", "1:9: syntax"),
    ("include = 1", "1:1: syntax"),
    ("include x.conf", "1:1: syntax"),
    ("\ta = \t]", "1:7: syntax"),
    ("a = 1\0", "1:6: syntax"),
    ("a = ${b}", "1:5: unresolved-substitution"),
    ("a = x${b.c}y⏎b { d = 1 }", "1:6: unresolved-substitution"),
    ("a = [1, ${b}]", "1:9: unresolved-substitution"),
    ("a = ${a}", "1:5: unresolved-substitution"),
    ("a = ${secret.TOKEN}", "1:5: unresolved-substitution"),
    ("a = ${outputs}", "1:5: unresolved-substitution"),
    ("a = ${b}⏎b = ${a}", "2:5: substitution-cycle"),
    ("a { b = ${c} }⏎c { d = ${a} }", "2:9: substitution-cycle"),
    ("a = [1] x", "1:9: mixed-concatenation"),
    ("a = { b = 1 } [2]", "1:15: mixed-concatenation"),
    ("b = [1]⏎a = x ${b}", "2:7: mixed-concatenation"),
    ("a = 1⏎a += 2", "2:1: mixed-concatenation"),
    ("a = [1] ${outputs.scan.x}", "1:9: mixed-concatenation"),
    ("outputs { a = 1 }", "1:1: bad-value"),
    ("secret = x", "1:1: bad-value"),
    ('include "gone"', "1:9: include-missing"),
    ('a { include required(file("gone.conf")) }', "1:27: include-missing"),
    ('include "../x.conf"', "1:9: include-refused"),
    ('include "a/../../x.conf"', "1:9: include-refused"),
    ('include "/etc/passwd"', "1:9: include-refused"),
    ('include ".hidden.conf"', "1:9: include-refused"),
    ('include "a/.b/x.conf"', "1:9: include-refused"),
    ('include "http://x/y.conf"', "1:9: include-refused"),
    ('include url("http://x/y.conf")', "1:1: include-refused"),
    ('include classpath("x.conf")', "1:1: include-refused"),
    ('include package("x:y")', "1:1: include-refused"),
    ('include "main.conf"', "1:9: include-cycle"),
    ("a = " + "[" * 65, "1:69: too-deep"),
]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text for text, _ in CASES])
def test_a_fault_is_told_where_it_is(text: str, expected: str) -> None:
    assert places(text.replace(NEW_LINE, "\n")) == [expected]


def test_every_unresolved_substitution_is_told_at_once() -> None:
    assert places("a = ${x}\nb { c = ${y} }\nd = [${z}, ${x}]") == [
        "1:5: unresolved-substitution",
        "2:9: unresolved-substitution",
        "3:6: unresolved-substitution",
        "3:12: unresolved-substitution",
    ]


def test_what_is_made_of_a_broken_value_is_no_fault_of_its_own() -> None:
    assert places("a = ${x}\nb = ${a}/y\nc = [${b}]\nd { e = ${a} }") == ["1:5: unresolved-substitution"]


def test_the_faults_of_several_included_files_come_together() -> None:
    files: dict[str, str | bytes] = {"one.conf": "a = ]", "two.conf": "x = 1\nb = }", "three.conf": b"c = \xff"}
    text = 'include "one.conf"\ninclude "two.conf"\ninclude "three.conf"\ninclude "gone"'
    assert places(text, files) == [
        "4:9: include-missing",
        "one.conf:1:5: syntax",
        "three.conf:1:5: encoding",
        "two.conf:2:5: syntax",
    ]


def test_a_file_with_faults_that_is_included_twice_is_told_once() -> None:
    assert places('include "one"\na { include "one" }', {"one.conf": "a = ]"}) == ["one.conf:1:5: syntax"]


def test_an_include_that_is_empty_for_a_moment_removes_nothing() -> None:
    files: dict[str, str | bytes] = {"saved.conf": " \n\t\n", "none.conf": "# none"}
    text = 'include "saved"\na { include "none" }\nb { include "saved" }'
    assert places(text, files) == ["1:9: include-empty", "3:13: include-empty"]


def test_a_byte_that_is_no_utf_8_is_found_by_line_and_character() -> None:
    assert places("a = 1\nb = é".encode() + b"\xe9") == ["2:6: encoding"]


def test_utf_16_is_guessed() -> None:
    (fault,) = faults("a = 1".encode("utf-16"))
    assert (fault.code, "UTF-16" in fault.hint) == ("encoding", True)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("inputs = x\na = ${input}", "did you mean 'inputs'?"),
        ("a { path = x }\nb = ${a.pth}", "did you mean 'a.path'?"),
        ("a = ${TODAYS}", "did you mean 'TODAY'?"),
        ("a = ${zzzzzz}", "define it, or write ${?zzzzzz} where it may be absent"),
        ("a = http://x", "put a value with this character in double quotes; or a new line is missing before this key"),
        ("a = $HOME", "a substitution is written ${NAME}; in double quotes $ is an ordinary character"),
        ('a = "x', 'a string of several lines stands in """three quotes"""'),
    ],
)
def test_a_fault_says_what_mends_it(text: str, hint: str) -> None:
    assert faults(text)[-1].hint == hint


def test_a_cycle_of_includes_is_told_with_the_way_round() -> None:
    (fault,) = faults('include "a"', {"a.conf": 'include "b"', "b.conf": 'x = 1\ninclude "a"'})
    assert str(fault) == "b.conf:2:9: include-cycle: the file includes itself: a.conf -> b.conf -> a.conf"


def test_a_missing_include_is_told_with_the_way_to_it() -> None:
    (fault,) = faults('include "a"', {"a.conf": 'include "b"'})
    assert (str(fault.place), fault.hint) == ("a.conf:1:9", "it is included by main.conf -> a.conf")


def test_a_missing_secret_is_named_and_its_reader_placed() -> None:
    (fault,) = faults("a = x${secret.TOKEN}")
    assert str(fault) == "main.conf:1:6: unresolved-substitution: there is no secret named 'TOKEN'"
