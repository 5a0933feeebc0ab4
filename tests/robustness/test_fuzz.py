"""The fuzz targets for a few seconds; `FUZZ=10000 pytest tests/robustness/test_fuzz.py` goes on for longer."""

from __future__ import annotations

import os

import pytest

from tests.robustness.fuzz import TARGETS, fuzz

EXAMPLES = int(os.environ.get("FUZZ", "100"))


@pytest.mark.parametrize("target", TARGETS)
def test_only_our_own_errors_escape(target: str) -> None:
    fuzz(target, EXAMPLES)
