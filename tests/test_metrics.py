"""Figures checked against values worked out by hand or published."""

from __future__ import annotations

import pytest

from speechprompt.metrics import measure, wilson_interval


def test_wilson_interval() -> None:
    # 81 of 263 (Newcombe 1998, table I): 0.2553 to 0.3662; 0 of 20: 0 to 0.1611.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_measure() -> None:
    truth = ["yes", "yes", "yes", "no", "no", "up"]
    answers = ["yes", "yes", "no", "no", "yes", "no"]
    figures = measure(truth, answers, ["no", "up", "yes", "down"])
    assert figures["n"] == 6 and figures["accuracy"] == 0.5
    assert figures["per_class"]["yes"] == {"n": 3, "recall": 0.6667, "precision": 0.6667}
    assert figures["per_class"]["up"] == {"n": 1, "recall": 0.0, "precision": None}
    assert figures["per_class"]["down"] == {"n": 0, "recall": None, "precision": None}
    assert figures["unweighted_recall"] == pytest.approx((2 / 3 + 0.5 + 0) / 3, abs=1e-4)
    assert sorted(figures["confusions"]) == [("no", "yes", 1), ("up", "no", 1), ("yes", "no", 1)]
    assert figures["interval95"][0] < 0.5 < figures["interval95"][1]
