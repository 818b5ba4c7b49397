"""What authors of pipelines write, and what it means: the table is `document_values/values.txt`.

A line is a document and its tree as JSON; `⏎` stands for a new line, and a line that begins with `# ` is a heading.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.documents import NEW_LINE, tree

TABLE = Path(__file__).parent / "document_values" / "values.txt"
ARROW = "   =>   "
CASES = [line.split(ARROW) for line in TABLE.read_text(encoding="utf-8").split("\n") if ARROW in line]
ENVIRONMENT = {"HOME": "/home/ada", "PORT": "8080"}


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text for text, _ in CASES])
def test_a_document_means(text: str, expected: str) -> None:
    found = tree(text.replace(NEW_LINE, "\n"), environment=ENVIRONMENT)
    assert json.dumps(found, ensure_ascii=False) == expected


def test_the_table_is_long_enough_to_lean_on() -> None:
    assert len(CASES) >= 150
