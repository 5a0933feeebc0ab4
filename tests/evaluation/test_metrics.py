"""Figures checked against values worked out by hand or published."""

from __future__ import annotations

import pytest

from speechprompt.evaluation.metrics import equal_error_rate, measure, wilson_interval
from tests.tiny import make_prompt


def test_wilson_interval() -> None:
    # 81 of 263 (Newcombe 1998, table I): 0.2553 to 0.3662; 0 of 20: 0 to 0.1611.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_measure() -> None:
    prompt = make_prompt(labels=("no", "up", "yes", "down"))
    truth = [(label,) for label in ("yes", "yes", "yes", "no", "no", "up")]
    answers = [(label,) for label in ("yes", "yes", "no", "no", "yes", "no")]
    figures = measure(prompt, truth, answers)
    assert figures["n"] == 6 and figures["accuracy"] == 0.5
    assert figures["per_class"]["yes"] == {"n": 3, "recall": 0.6667, "precision": 0.6667}
    assert figures["per_class"]["up"] == {"n": 1, "recall": 0.0, "precision": None}
    assert figures["per_class"]["down"] == {"n": 0, "recall": None, "precision": None}
    assert figures["unweighted_recall"] == pytest.approx((2 / 3 + 0.5 + 0) / 3, abs=1e-4)
    assert sorted(figures["confusions"]) == [("no", "yes", 1), ("up", "no", 1), ("yes", "no", 1)]
    assert figures["interval95"][0] < 0.5 < figures["interval95"][1]


def test_slots_count_when_all_are_right() -> None:
    prompt = make_prompt(labels=("on", "off", "none", "lamp"), kind="slots", slots={"do": 2, "what": 2})
    truth = [("on", "lamp"), ("on", "none"), ("off", "lamp"), ("off", "none")]
    answers = [("on", "lamp"), ("off", "none"), ("off", "none"), ("off", "none")]
    figures = measure(prompt, truth, answers)
    assert figures["accuracy"] == 0.5 and figures["slot_accuracy"] == {"do": 0.75, "what": 0.75}
    assert figures["per_class"]["do: on"] == {"n": 2, "recall": 0.5, "precision": 1.0}
    assert ("on, none", "off, none", 1) in figures["confusions"]


def test_slots_of_a_sequence_have_an_f1() -> None:
    labels = ("size=large", "milk=a bit of", "milk=cream", "drink=mocha", "drink=latte")
    prompt = make_prompt(labels=labels, kind="sequence", max_steps=6)
    truth = [labels[:4], ("size=large", "drink=latte")]
    answers = [("size=large", "milk=cream", "drink=mocha"), ("size=large", "drink=latte")]
    figures = measure(prompt, truth, answers)
    # True slots: 3 + 2, answered 3 + 2, right 2 (the milk lacks its amount) + 2.
    assert figures["slot_f1"] == 0.8 and figures["accuracy"] == 0.5
    assert figures["per_class"]["milk"] == {"n": 1, "recall": 0.0, "precision": 0.0}
    assert figures["confusions"][0][:2] == (
        "size: large, milk: a bit of cream, drink: mocha",
        "size: large, milk: cream, drink: mocha",
    )


def test_spelling_has_error_rates() -> None:
    prompt = make_prompt(labels=tuple("abc "), kind="sequence", max_steps=9, joiner="")
    truth, answers = [tuple("ab ca"), tuple("c")], [tuple("ab a"), tuple("c")]
    figures = measure(prompt, truth, answers)
    assert figures["character_error_rate"] == pytest.approx(1 / 6, abs=1e-4)
    assert figures["word_error_rate"] == pytest.approx(1 / 3, abs=1e-4) and figures["accuracy"] == 0.5


def test_a_task_has_the_figure_that_the_papers_report() -> None:
    truth, answers = [(label,) for label in "1100010"], [(label,) for label in "1010011"]
    sarcasm = measure(make_prompt("sarcasm_mustard", ("0", "1")), truth, answers)
    assert sarcasm["f1"] == pytest.approx(2 * 2 / (3 + 4), abs=1e-4) and "equal_error_rate" not in sarcasm
    spoofs = make_prompt("spoofed_speech", ("bonafide", "spoof"))
    truth, answers = [("bonafide",)] * 4 + [("spoof",)] * 4, [("spoof",)] * 8
    scores = [0.1, 0.2, 0.3, 0.7, 0.4, 0.8, 0.9, 0.95]
    assert measure(spoofs, truth, answers, scores)["equal_error_rate"] == 0.25
    assert "f1" not in measure(make_prompt(), [("red",)], [("red",)])


def test_equal_error_rate() -> None:
    assert equal_error_rate([False, False, True, True], [0.1, 0.2, 0.8, 0.9]) == 0.0
    assert equal_error_rate([True, True, False, False], [0.1, 0.2, 0.8, 0.9]) == 1.0
    assert equal_error_rate([True, False] * 50, [0.5] * 100) == 0.5  # one score for all says nothing
    # Two negatives, three positives: at 0.5 a third is missed and half is accepted, at 0.6 two thirds and none.
    assert equal_error_rate([False, True, False, True, True], [0.1, 0.3, 0.5, 0.55, 0.9]) == pytest.approx(
        1 / 3, abs=1e-4
    )
    assert equal_error_rate([True], [0.3]) == 0.0


def test_spelled_slots_have_a_character_error_rate() -> None:
    labels = (*"abc ", "<who", "who>", "<what", "what>")
    prompt = make_prompt(labels=labels, kind="sequence", max_steps=20, joiner="")
    truth = [("a", " ", "<who", "b", " ", "c", "who>"), ("<what", "a", "b", "what>")]
    answers = [("a", "<who", "b", "who>"), ("<what", "a", "b", "what>", "<who", "c")]
    figures = measure(prompt, truth, answers)
    assert figures["slot_f1"] == 0.5 and figures["slot_character_error_rate"] == pytest.approx(
        2 / 5, abs=1e-4
    )
    assert ("who: b c", "who: b", 1) in figures["confusions"]
