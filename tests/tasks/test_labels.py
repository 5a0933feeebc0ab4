"""Labels are read by rules that prompts hold and by functions that tasks have; what does not fit is named."""

from __future__ import annotations

import pytest

from speechprompt.errors import SpeechPromptError
from speechprompt.tasks.labels import (
    below,
    check_rule,
    first_case,
    labels_of,
    named,
    renamed,
    slot_object,
    spelled_keyword,
)

GENDER = first_case([("gender", "f", "female"), ("gender", "m", "male")], None)
SPEECH = first_case([("label", "silence", "silence"), ("language", "", "noise")], "speech")
AGE = below("age", 13, "child", "adult")
ORDER = slot_object("x", ["size", "milk"], ["a lot of"])


def test_rules_of_prompts() -> None:
    row = {"x": "IT'S  No. 5", "action": "on", "object": 7}
    assert labels_of(row, {"column": "x"}) == ("IT'S  No. 5",)
    assert labels_of(row, {"text": "x"}) == tuple("it's no ")
    assert labels_of(row, {"slots": ["action", "object"]}) == ("on", "7")


def test_functions_of_tasks() -> None:
    assert labels_of({"x": [1, 3]}, named("x", ["on", "off", "lamp", "music"])) == ("off", "music")
    row = {"x": '{"milk": "a lot of soy milk", "size": "large"}'}
    assert labels_of(row, ORDER) == ("size=large", "milk=a lot of", "milk=soy milk")
    for clip, word in (
        ("_unknown_/house_1a_nohash_0.wav", "house"),
        ("yes/1a.wav", "yes"),
        ("_silence_/1.wav", ""),
    ):
        assert "".join(labels_of({"id": clip}, spelled_keyword) or ()) == word


@pytest.mark.parametrize(
    ("row", "rule", "message"),
    [
        ({"x": [4]}, named("x", ["a", "b"]), "lists of ids below 2"),
        ({"x": 1}, named("x", ["a", "b"]), "lists of ids"),
        ({}, named("x", ["a", "b"]), "lists of ids"),
        ({"x": "{"}, ORDER, "not a JSON object of the slots size, milk"),
        ({"x": '{"b": 1}'}, ORDER, "not a JSON object of the slots size, milk"),
        ({"x": "[" * 100_000}, ORDER, "not a JSON object of the slots size, milk"),
        ({}, ORDER, "no column 'x' or an empty value"),
        ({}, spelled_keyword, "no column 'id' or an empty value"),
        ({"x": None}, {"text": "x"}, "no column 'x' or an empty value"),
        ({"x": "a"}, {"slots": ["x", "y"]}, "no column 'y' or an empty value"),
    ],
)
def test_rows_that_do_not_fit_are_named(row, rule, message) -> None:
    with pytest.raises(SpeechPromptError, match=message):
        labels_of(row, rule)


@pytest.mark.parametrize(
    ("row", "rule", "label"),
    [
        ({"gender": "f"}, GENDER, "female"),
        ({"gender": "x"}, GENDER, None),
        ({"gender": None}, GENDER, None),
        ({}, GENDER, None),
        ({"label": "silence", "language": ""}, SPEECH, "silence"),  # the first case decides
        ({"label": "rain", "language": ""}, SPEECH, "noise"),
        ({"label": "rain"}, SPEECH, "speech"),  # no language is not an empty one
        ({"age": 7}, first_case([("age", "7", "seven")], None), "seven"),
        ({"age": 12.9}, AGE, "child"),
        ({"age": " 12 "}, AGE, "child"),
        ({"age": "13"}, AGE, "adult"),
        *(
            ({"age": value}, AGE, None)
            for value in (None, "", "old", "nan", "1e999", float("nan"), True, [7])
        ),
        ({}, AGE, None),
    ],
)
def test_functions_that_choose_rows(row, rule, label) -> None:
    assert labels_of(row, rule) == (None if label is None else (label,))


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"column": 3},
        {"column": ""},
        {"column": "x\n"},
        {"column": "x", "text": "y"},
        {"column": "x", "names": []},
        {"slots": "x"},
        {"slots": []},
        {"slots": ["x"] * 17},
        {"slots": ["x", None]},
        {"cases": [["x", "y", "z"]], "otherwise": None},
        {"number": "x", "below": 1, "names": ["a", "b"]},
    ],
)
def test_a_rule_from_a_strange_prompt_is_refused(rule) -> None:
    with pytest.raises(SpeechPromptError, match="A label rule must be"):
        check_rule(rule)


def test_a_value_is_renamed_and_an_empty_one_is_left_out() -> None:
    rule = renamed("label", {"joy": "happy"})
    assert [labels_of({"label": value}, rule) for value in ("joy", "envy", "", " ")] == [
        ("happy",),
        None,
        None,
        None,
    ]
    for row in ({}, {"label": None}):
        with pytest.raises(SpeechPromptError, match="no column 'label'"):
            labels_of(row, rule)
