"""Dozens of plans that nobody would think of, with real processes, real kills and a real history."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.budget import budget

_PLANS = 96


def test_a_run_that_is_killed_is_resumed_as_the_contract_says() -> None:
    words = [sys.executable, "-m", "support.resuming", "--count", str(budget(_PLANS, share=6))]
    ended = subprocess.run(words, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
