"""Thousands of plans that nobody would think of, each carried out, broken off and resumed as the contract says."""

from __future__ import annotations

import pytest
from support.budget import budget
from support.plans import plan
from support.trying import try_out

_PLANS = 8000
_SHARES = 8
"""For several processes to try them at the same time."""


@pytest.mark.parametrize("share", range(_SHARES))
def test_runs_keep_the_contract_whatever_happens(share: int) -> None:
    for seed in range(share, budget(_PLANS, share=8), _SHARES):
        made = plan(seed)
        try:
            try_out(made)
        except AssertionError as error:
            pytest.fail(f"plan {seed}: {error}\n{made}")
