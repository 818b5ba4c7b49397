from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasker.faults import CODES, Fault, Place, Severity
from tasker.reports import report

ARCHVE = Fault(
    "unknown-task",
    Place("conf.d/crm.conf", 14, 12, 6, "    name = archve"),
    "no task is named 'archve'",
    "did you mean 'archive'?",
)


def text(*faults: Fault) -> list[str]:
    return list(report(faults))


def at(excerpt: str, marked: str, hint: str = "") -> Fault:
    """A fault at the place of `marked` in a line."""
    return Fault("syntax", Place("a.conf", 1, excerpt.index(marked) + 1, len(marked), excerpt), "no", hint)


def test_a_fault_is_shown_with_its_line_and_what_mends_it() -> None:
    assert text(ARCHVE) == [
        "conf.d/crm.conf:14:12: unknown-task: no task is named 'archve'",
        "   14 |     name = archve",
        "      |            ^^^^^^  did you mean 'archive'?",
    ]


def test_a_warning_says_that_it_is_one() -> None:
    fault = Fault("misspelt-key", Place("a.conf", 2, 1, 7, "shedule"), "no key", severity=Severity.WARNING)
    assert text(fault)[0] == "a.conf:2:1: warning: misspelt-key: no key"


@pytest.mark.parametrize(
    ("excerpt", "marked", "line", "carets"),
    [
        ("a = b", "b", "a = b", "    ^"),
        ("\ta = b", "b", "    a = b", "        ^"),
        ("a =\tb", "\t", "a =    b", "   ^^^^"),
        ("名前 = 東京 x", "東京", "名前 = 東京 x", "       ^^^^"),
        ("e\u0301 = b", "b", "e\u0301 = b", "    ^"),
        ("a\x1b[31m = b", "b", "a\\x1b[31m = b", "            ^"),
        ("a\u202e = b", "b", "a\\u202e = b", "          ^"),
        ("a\u00a0= b", "\u00a0", "a\\xa0= b", " ^^^^"),
    ],
)
def test_carets_stand_below_what_they_mean(excerpt: str, marked: str, line: str, carets: str) -> None:
    _, shown, marks = text(at(excerpt, marked))
    assert shown == f"    1 | {line}"
    assert marks == f"      | {carets}"


def test_carets_end_where_the_excerpt_does() -> None:
    fault = Fault("syntax", Place("a.conf", 1, 3, 99, "abcde"), "no")
    assert text(fault)[-1] == "      |   ^^^"


def test_the_end_of_a_line_can_be_pointed_at() -> None:
    fault = Fault("syntax", Place("a.conf", 1, 4, 1, "a ="), "no")
    assert text(fault)[-1] == "      |    ^"


@pytest.mark.parametrize("place", [Place("a.conf"), Place("a.conf", 1, 500, 3, "x" * 200)])
def test_where_the_line_is_not_known_only_the_hint_is_shown(place: Place) -> None:
    assert text(Fault("too-large", place, "too long", "cut it")) == [f"{place}: too-large: too long", "      | cut it"]
    assert text(Fault("too-large", place, "too long")) == [f"{place}: too-large: too long"]


def test_long_line_numbers_keep_the_gutter_straight() -> None:
    _, line, marks = text(Fault("syntax", Place("a.conf", 1234567, 1, 1, "x"), "no"))
    assert line.index("|") == marks.index("|")


def test_a_place_on_a_command_line_has_no_line_and_no_column() -> None:
    fault = Fault("unknown-parameter", Place("--set x", line=0), "no", "one of: y")
    assert text(fault) == ["--set x: unknown-parameter: no", "      | one of: y"]
    assert list(report([fault], "github")) == ["::error file=--set x,title=unknown-parameter::no%0Aone of: y"]
    (result,) = sarif(fault)["runs"][0]["results"]
    assert "region" not in result["locations"][0]["physicalLocation"]


def test_faults_come_by_place_and_each_once() -> None:
    faults = [Fault("syntax", Place(file, line), "no") for file, line in [("b", 1), ("a", 10), ("a", 9), ("a", 10)]]
    assert [line.split(" ")[0] for line in text(*faults)] == ["a:9:1:", "a:10:1:", "b:1:1:"]


def test_colour_is_for_terminals_that_ask_for_it() -> None:
    coloured = list(report([ARCHVE], colour=True))
    assert "\x1b[31munknown-task\x1b[0m" in coloured[0]
    assert [re.sub(r"\x1b\[\d*m", "", line) for line in coloured] == text(ARCHVE)


def test_nothing_found_is_nothing_said() -> None:
    assert [list(report([], form)) for form in ("text", "json", "github")] == [[], [], []]


def test_json_is_one_object_a_line() -> None:
    (line,) = report([ARCHVE], "json")
    assert json.loads(line) == {
        "code": "unknown-task",
        "severity": "error",
        "file": "conf.d/crm.conf",
        "line": 14,
        "column": 12,
        "length": 6,
        "message": "no task is named 'archve'",
        "hint": "did you mean 'archive'?",
    }


def test_github_gets_a_command_for_each_fault() -> None:
    (command,) = report([ARCHVE], "github")
    properties, _, message = command.removeprefix("::").partition("::")
    assert properties == "error file=conf.d/crm.conf,line=14,col=12,endColumn=18,title=unknown-task"
    assert message == "no task is named 'archve'%0Adid you mean 'archive'?"


def test_github_is_given_nothing_that_it_would_take_for_its_own() -> None:
    fault = Fault("syntax", Place("a,b:c%.conf"), "100%\r\n::set-env::x\x1b", severity=Severity.WARNING)
    assert list(report([fault], "github")) == [
        "::warning file=a%2Cb%3Ac%25.conf,line=1,col=1,endColumn=2,title=syntax::100%25%0D%0A::set-env::x\\x1b"
    ]


def sarif(*faults: Fault) -> Any:
    return json.loads("\n".join(report(faults, "sarif")))


def test_sarif_holds_rules_and_regions() -> None:
    log = sarif(ARCHVE)
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    assert run["tool"]["driver"]["name"] == "tasker"
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(CODES)
    (result,) = run["results"]
    assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == "unknown-task"
    assert result["level"] == "error"
    assert result["message"]["text"] == "no task is named 'archve'; did you mean 'archive'?"
    (location,) = result["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "conf.d/crm.conf"},
        "region": {"startLine": 14, "startColumn": 12, "endColumn": 18},
    }


@pytest.mark.parametrize(
    ("file", "uri"),
    [
        ("conf.d/a b.conf", "conf.d/a%20b.conf"),
        ("/etc/tasker/a.conf", "file:///etc/tasker/a.conf"),
        ("a:b.conf", "a%3Ab.conf"),
        ("名.conf", "%E5%90%8D.conf"),
        ("\udcff.conf", "%FF.conf"),
    ],
)
def test_sarif_names_files_by_uri(file: str, uri: str) -> None:
    (result,) = sarif(Fault("syntax", Place(file), "no"))["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == uri


def test_sarif_of_nothing_is_an_empty_log() -> None:
    assert sarif()["runs"][0]["results"] == []


ANYTHING = st.text(st.characters(), max_size=30)
FAULTS = st.builds(
    Fault,
    st.sampled_from(list(CODES)),
    st.builds(Place, ANYTHING, *[st.integers(1, 300)] * 3, ANYTHING),
    ANYTHING,
    ANYTHING,
    st.sampled_from(Severity),
)


@given(FAULTS)
def test_whatever_is_at_fault_the_report_is_whole_visible_lines(fault: Fault) -> None:
    lines = text(fault)
    assert 1 <= len(lines) <= 3
    assert all(line.isprintable() for line in lines)
    assert f": {fault.code}: " in lines[0]
    (command,) = report([fault], "github")
    assert command.isprintable()
    assert re.fullmatch(r"::(error|warning) file=[^,:]*,line=\d+,col=\d+,endColumn=\d+,title=[a-z-]+::.*", command)
    (line,) = report([fault], "json")
    assert line.isascii()
    assert json.loads(line)["message"] == fault.message
    assert len(sarif(fault)["runs"][0]["results"]) == 1
