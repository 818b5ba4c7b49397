"""Text that means harm ends as a document or in a fault, within 5 seconds and 500 MB, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

CASES = {
    "a thousand levels of objects": ("a={" * 1000 + "}" * 1000, "too-deep"),
    "a hundred thousand levels of arrays": ("a=" + "[" * 100_000, "too-deep"),
    "a path of a hundred thousand keys": (".".join(["a"] * 100_000) + "=1", "too-deep"),
    "five megabytes": ("a = 1\n" * 900_000, "too-large"),
    "an array of references that grows by ten": (
        "a0=[1,2]\n" + "".join(f"a{i + 1}=[" + ",".join([f"${{a{i}}}"] * 10) + "]\n" for i in range(12)),
        "too-large",
    ),
    "an array that doubles": ("a0=[1]\n" + "".join(f"a{i + 1}=${{a{i}}}${{a{i}}}\n" for i in range(40)), "too-large"),
    "a string that doubles": ("a0=x\n" + "".join(f"a{i + 1}=${{a{i}}}${{a{i}}}\n" for i in range(40)), "too-large"),
    "an object that doubles": (
        "a0={x=1}\n" + "".join(f"a{i + 1}={{l=${{a{i}}},r=${{a{i}}}}}\n" for i in range(40)),
        "too-large",
    ),
    "a large object merged with itself again and again": (
        "a={" + ",".join(f"k{i}=1" for i in range(20_000)) + "}\n" + "b=${a}{}\nb=${b}${a}\n" * 10_000,
        "too-",
    ),
    "a chain of twenty thousand substitutions": (
        "".join(f"a{i}=${{a{i + 1}}}\n" for i in range(20_000)) + "a20000=1",
        "too-deep",
    ),
    "a chain of substitutions through arrays": (
        "".join(f"a{i}=" + "[" * 60 + f"${{a{i + 1}}}" + "]" * 60 + "\n" for i in range(1000)) + "a1000=1",
        "too-deep",
    ),
    "objects that nest by substitution": ("".join(f"a{i}={{x=${{a{i + 1}}}}}\n" for i in range(9000)), "too-deep"),
    "a value that looks back twenty thousand times": ("a=x\n" + "a=${a}y\n" * 20_000, "too-deep"),
    "an object that looks back to itself from within": ("a{b{c{d{e=${?a}}}}}\n" * 5_000 + "a=${a}", "too-"),
    "two keys that need each other": ("a=${b}\nb=${a}\n", "substitution-cycle"),
    "27 bytes that hang pyhocon": ("a { b = ${?a} }\na = ${?a}\n", "well"),
    "an object that holds itself": ("a={b=${c}}\nc={d=${a}}", "substitution-cycle"),
    "thirty thousand unresolved substitutions": ("".join(f"a{i}=${{b{i}}}\n" for i in range(30_000)), "unresolved"),
    "ten thousand added objects": ("a=[]\n" + "a+={b=${?c}}\n" * 10_000, "well"),
    "a hundred thousand numbers": ("a=[" + "1," * 100_000 + "]", "well"),
    "a number of a hundred thousand digits": ("a=" + "9" * 100_000, "well"),
    "a NUL": ("a = 1\0", "syntax"),
    "bytes that are no UTF-8": (b"a = \xff\xfe".decode(errors="surrogateescape"), "encoding"),
    "a million quotes": ('"' * 1_000_001, "syntax"),
    "a string of backslashes that never ends": ('a="' + '\\\\"' * 300_000, "syntax"),
    "a million spaces before nothing": (" " * 1_000_000 + "=", "syntax"),
    "half a million words as a key": ("a " * 500_000, "syntax"),
    "an include that fans out": ('include "b"\n' * 1000, "too-large"),
    "an include that fans out level by level": ('include "f0"\n' * 9, "too-large"),
    "a chain of includes": ('include "g0"', "too-deep"),
    "an include of itself": ('include "main.conf"', "include-cycle"),
    "an include of a page": ('include url("http://127.0.0.1/x")', "include-refused"),
}
FILES = {
    "b.conf": "".join(f"k{i}=${{?x}}\n" for i in range(1000)),
    **{f"f{i}.conf": f'include "f{i + 1}"\n' * 9 for i in range(12)},
    "f12.conf": "x=${?y}",
    **{f"g{i}.conf": f'include "g{i + 1}"' for i in range(90)},
}


@pytest.fixture(scope="module")
def reader() -> Iterator[subprocess.Popen[str]]:
    """A program that reads each document within bounds."""
    command = [sys.executable, "-m", "support.bounded"]
    with subprocess.Popen(command, cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        yield started


@pytest.mark.parametrize("name", CASES)
def test_hostile_text_ends_in_time(reader: subprocess.Popen[str], name: str) -> None:
    text, expected = CASES[name]
    assert reader.stdin
    assert reader.stdout
    reader.stdin.write(json.dumps([text, FILES]) + "\n")
    reader.stdin.flush()
    assert expected in reader.stdout.readline()
