from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasker.lines import LONGEST_LINE, Lines
from tasker.masking import Masker
from tasker.secrets_folder import SecretsFolder

if TYPE_CHECKING:
    from pathlib import Path

WORDS = st.text("abc", min_size=1, max_size=4)


def test_without_secrets_data_stays_as_it_is() -> None:
    data = {"a": [1]}
    assert Masker([]).mask(data) is data


def test_a_secret_is_masked_however_deep_it_lies() -> None:
    mask = Masker(["key"]).mask
    assert mask({"a": ["my key", ("key",), {"key": 1, "b": "keykey"}]}) == {
        "a": ["my ***", ["***"], {"***": 1, "b": "******"}]
    }


def test_of_two_secrets_that_begin_alike_the_longer_one_is_masked() -> None:
    assert Masker(["key", "key-and-more"]).mask("key-and-more") == "***"


def test_a_secret_of_several_lines_is_masked_line_by_line() -> None:
    mask = Masker(["-----BEGIN\r\nbase64==\nx\n"]).mask
    assert (mask("a -----BEGIN"), mask("base64=="), mask("x")) == ("a ***", "***", "x")


def test_space_around_a_secret_is_not_part_of_it() -> None:
    assert Masker([" key\n"]).mask("'key'") == "'***'"


@pytest.mark.parametrize("empty", ["", "\n", "  \n "])
def test_nothing_is_no_secret(empty: str) -> None:
    assert Masker([empty]).mask("a\nb") == "a\nb"


def test_a_number_that_is_a_secret_is_masked() -> None:
    assert Masker(["1234", "true"]).mask([1234, 12345, True, None]) == ["***", 12345, True, None]


@given(st.lists(WORDS, min_size=1), st.text("abcd"))
def test_no_secret_is_left(secrets: list[str], text: str) -> None:
    masked = Masker(secrets).mask(text)
    assert not any(secret in part for part in masked.split("***") for secret in secrets)


def test_a_secret_is_masked_where_a_line_is_cut_into_parts() -> None:
    secret = "hunter2-é-hunter2"
    masker = Masker([secret, "x" * 1000])
    for before in (LONGEST_LINE - len(secret), LONGEST_LINE - 9, LONGEST_LINE - 8, LONGEST_LINE - 1, LONGEST_LINE):
        line = "y" * before + secret + "y" * LONGEST_LINE
        for printed in (line, f"{line}\n"):
            lines = Lines(masker.cut)
            parts = [*lines.feed(printed.encode()), *lines.end()]
            assert "".join(map(masker.mask, parts)) == line.replace(secret, "***")


def test_a_line_that_is_all_secret_is_still_cut() -> None:
    assert Masker(["abc"]).cut(bytearray(b"abcabc"), 2) == 3


@pytest.mark.parametrize(
    "secret", ["it's", 'say "it"', "both ' and \"", "back\\slash\\'s", "käse/brot+2 =%", "tab\tbell\a", "两"]
)
def test_a_secret_is_masked_as_programs_escape_it(secret: str) -> None:
    written = [
        repr(secret),
        repr(f"'\"{secret}"),
        ascii(secret),
        repr(secret.encode()),
        repr({"key": secret}),
        json.dumps([secret]),
        json.dumps(secret, ensure_ascii=False),
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        shlex.quote(secret),
        "'" + secret.replace("'", r"'\''") + "'",
    ]
    without = [repr(""), repr("'\""), "''", "b''", "{'key': ''}", '[""]', '""', "", "", "", "''", "''"]
    masked = [Masker([secret]).mask(each) for each in written]
    assert [each.replace("***", "").replace('"', "'").replace("\\'", "'") for each in masked] == [
        each.replace('"', "'").replace("\\'", "'") for each in without
    ]


def test_a_secret_that_is_no_text_is_masked_as_the_log_writes_it(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xffcaf\xe9-key\n")
    secret = SecretsFolder(tmp_path)("key")
    assert secret is not None
    masker = Masker([secret])
    assert [*map(masker.mask, Lines(masker.cut).feed(b"a \xffcaf\xe9-key b\n"))] == ["a *** b"]
    for written in (
        secret,
        repr(secret),
        secret.encode(errors="backslashreplace").decode(),
        repr(b"a" + _bytes(secret)),
    ):
        assert "caf" not in masker.mask(written)


def _bytes(secret: str) -> bytes:
    return secret.encode(errors="surrogateescape")


def test_a_number_of_digits_has_no_other_form() -> None:
    assert Masker(["12"]).mask(["1", "%12", "\\x12"]) == ["1", "%***", "\\x***"]
