from __future__ import annotations

import json
import shlex
from base64 import b64encode, urlsafe_b64encode
from secrets import token_urlsafe
from time import process_time
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tasker.masking import Masker
from tasker.running.lines import LONGEST_LINE, Lines
from tasker.secrets_folder import SecretsFolder

if TYPE_CHECKING:
    from pathlib import Path

WORDS = st.text("abc", min_size=1, max_size=4)
FAR = LONGEST_LINE - 10_000
"""Characters of a long line that are nowhere near the place where it is cut."""
AHEAD = 100_000
"""Characters beyond that place: more than are waited for before a line without end is cut."""


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
        line = "y" * before + secret + "y" * AHEAD
        for printed in (line, f"{line}\n"):
            lines = Lines(masker.cut)
            parts = [*lines.feed(printed.encode()), *lines.end()]
            assert len(parts) == 2
            # Of the first part, only the end is of interest, and of a length that is quickly looked through.
            assert parts[0].startswith("y" * FAR)
            assert "".join(map(masker.mask, (parts[0][FAR:], parts[1]))) == line[FAR:].replace(secret, "***")


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


SECRETS = st.binary(min_size=4, max_size=200).map(lambda data: data.decode(errors="surrogateescape"))


@given(secret=SECRETS, before=st.binary(max_size=80), after=st.binary(max_size=80), url_safe=st.booleans())
def test_a_secret_is_masked_in_base64_whatever_stands_beside_it(
    secret: str, before: bytes, after: bytes, url_safe: bool
) -> None:
    data = _bytes(secret.strip())
    assume(len(data) >= 4)
    encode = urlsafe_b64encode if url_safe else b64encode
    text = encode(before + data + after).decode()
    for written in (text, text.rstrip("=")):
        masked = Masker([secret]).mask(f"Basic {written} was sent").removeprefix("Basic ").removesuffix(" was sent")
        left, *_, right = masked.split("***")
        # What is left was made without a bit of the secret.
        assert len(left) * 6 <= len(before) * 8
        assert len(right.rstrip("=")) * 6 <= len(after) * 8 + 5


@pytest.mark.parametrize("secret", ["a", "ab", "é", "?>"])
def test_a_tiny_secret_is_masked_in_base64_that_is_made_of_it_alone(secret: str) -> None:
    for data in (secret.encode(), f"{secret}\n".encode()):
        assert Masker([secret]).mask(f"= {b64encode(data).decode()};") == "= ***;"


@pytest.mark.parametrize("width", [64, 76])
@pytest.mark.parametrize("lines", [30, 16_000])
def test_base64_of_a_secret_of_many_lines_is_masked_also_where_it_is_wrapped(width: int, lines: int) -> None:
    secret = "\n".join(token_urlsafe(47) for _ in range(lines))
    text = b64encode(f"user:{secret}\n".encode()).decode()
    masker = Masker([secret])
    wrapped = [text[at : at + width] for at in range(0, min(len(text), 20_000) - width, width)]
    assert {masker.mask(line) for line in wrapped[1:]} == {"***"}
    assert wrapped[0].startswith(masker.mask(wrapped[0]).removesuffix("***"))
    left, _, right = masker.mask(text).partition("***")
    assert (left, len(right.rstrip("=")) < 2) == (text[:6], True)


def test_a_line_of_a_secret_is_masked_in_base64() -> None:
    masker = Masker(["-----BEGIN\nMIIEvgIBADANBgkqhkiG9w0\n-----END"])
    assert masker.mask(b64encode(b"MIIEvgIBADANBgkqhkiG9w0").decode()) == "***"


def test_what_only_looks_like_base64_of_a_secret_is_left() -> None:
    text = "0f9619ff-8b86-d011-b42d-00c04fc964ff /var/lib/tasker/workspaces/crm/20261122T000000-abcdef"
    assert Masker(["hunter2-hunter2", "four"]).mask(text) == text


def test_secrets_that_overlap_leave_nothing_of_either() -> None:
    assert Masker(["abcd", "cdef"]).mask("xabcdefx") == "x***x"


@given(st.lists(WORDS, min_size=30, unique=True), st.text("abcd"))
def test_many_secrets_are_found_as_few_are(secrets: list[str], text: str) -> None:
    masked = Masker(secrets).mask(text)
    assert not any(secret in part for part in masked.split("***") for secret in secrets)


def test_base64_of_a_secret_is_masked_where_a_line_is_cut_into_parts() -> None:
    secret = "hunter2-and-a-half-and-more"
    masker = Masker([secret])
    encoded = b64encode(secret.encode()).decode()
    for before in range(LONGEST_LINE - len(encoded) - 1, LONGEST_LINE + 2):
        lines = Lines(masker.cut)
        printed = f"{'.' * before}{encoded}{'.' * AHEAD}\n"
        first, second = lines.feed(printed.encode())
        assert first.startswith("." * FAR)
        assert masker.mask(first[FAR:]) + masker.mask(second) == printed[FAR:-1].replace(encoded, "***")


@pytest.mark.parametrize("lines", [1, 2_000, 100_000])
def test_a_secret_as_large_as_may_be_costs_little_to_look_for(lines: int) -> None:
    width = 2**20 // lines - 1
    letters = token_urlsafe(2**20)
    secret = "\n".join(letters[n * width : (n + 1) * width] for n in range(lines))
    began = process_time()
    masker = Masker([secret])
    made = process_time()
    for number in range(200):
        masker.mask(f"an ordinary line number {number} of some length, with a path=/data/crm/orders.csv and rows=12345")
    ended = process_time()
    assert made - began < 4.0
    assert (ended - made) / 200 < 0.002
