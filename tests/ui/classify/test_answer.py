"""What the Try tab shows of an answer, with nothing from outside that becomes markup."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from speechprompt.decoding.answer import Answer, Likely, Step
from speechprompt.decoding.contributions import contributions
from speechprompt.ui import html as figures
from speechprompt.ui.classify import answer as answers
from speechprompt.ui.classify.about import about
from speechprompt.ui.classify.way import way
from speechprompt.ui.comparison import Row
from speechprompt.ui.controls import panel
from speechprompt.units import Units
from tests import tiny
from tests.ui.page_parts import HOSTILE, Elements


def test_nothing_from_outside_becomes_markup() -> None:
    prompt = tiny.make_prompt("t", (HOSTILE, "b"), title=HOSTILE, group=HOSTILE)
    step = Step(HOSTILE, HOSTILE, 0.7, {HOSTILE: 0.7, "b": 0.3}, 3, 0.5)
    answer = Answer(
        "t", HOSTILE, HOSTILE, 0.7, [step], {HOSTILE: HOSTILE}, Units.from_frames([1, 2]),
        np.zeros((1, 20), np.float32), "learned", {"encode_s": 0.01, "lm_s": 0.2},
    )  # fmt: skip
    slots = tiny.make_prompt("s", (HOSTILE, "b"), kind="slots", slots={HOSTILE: 2})
    sequence = tiny.make_prompt("q", (f"{HOSTILE}={HOSTILE}", "b"), kind="sequence", max_steps=4)
    example = {"index": "0", "spoken": HOSTILE, "about": HOSTILE, "name": HOSTILE}
    for html in (
        answers.result(answer, prompt, np.zeros(640, np.float32), [HOSTILE]),
        answers.result(answer, slots, np.zeros(640, np.float32), [HOSTILE]),
        answers.result(answer, sequence, np.zeros(640, np.float32), [HOSTILE]),
        panel("", HOSTILE).props["summary"],
        figures.alert(HOSTILE),
        figures.note(HOSTILE),
        figures.say(prompt, [example]),
        figures.options({HOSTILE: [(HOSTILE, HOSTILE, HOSTILE)]}),
        figures.examples([example]),
    ):
        page = Elements(html)
        assert "script" not in {tag for tag, _ in page.tags}
        assert HOSTILE in page.text


@pytest.mark.parametrize("verbalizer", ["fixed", "learned"])
def test_the_way_ends_in_the_label_and_shows_the_units_that_led_there(verbalizer: str) -> None:
    prompt = tiny.make_prompt("t", ("red", "green", "blue"), verbalizer=verbalizer)
    unit = 7 if verbalizer == "learned" else int(prompt.verbalizer_units[1])  # type: ignore[index]
    odds = np.full((1, 20), 0.02, np.float32)
    odds[0, [unit, 11, 15]] = 0.4, 0.16, 0.14
    likeliest = tuple(Likely(u, float(odds[0, u]), prompt.unit_label(u)) for u in (unit, 11, 15))
    parts = contributions(prompt, np.log(np.pad(odds[0], (4, 0), constant_values=0.01)), 1, 0, 3)
    step = Step("green", "", 0.7, {"green": 0.7, "red": 0.2, "blue": 0.1}, unit, 0.4, parts, likeliest)
    answer = Answer(
        "t", "T", "green", 0.7, [step], {}, Units.from_frames([1]),
        odds, verbalizer, {"encode_s": 0.01, "lm_s": 0.2},
    )  # fmt: skip
    text = Elements(way(answer, prompt, 0, ["green"])).text.replace("\u00a0", " ")
    assert f"{unit} 40 %11 16 %15 14 %" in text and "17 others" in text
    assert text.endswith("→ green") and "red" not in text.replace("numbered", "") and "blue" not in text
    assert "1 numbered sound" in text


def test_about_a_task_says_what_it_is_bad_at_and_warns_where_it_judges_people() -> None:
    row = {"n": 3, "recall": 0.5, "precision": None}
    measured = {"split": "test", "n": 3, "accuracy": 1.0, "interval95": [0.4, 1.0]}
    metrics = measured | {
        "confusions": [[HOSTILE, "green", 2]],
        "per_class": {"red": row},
        "confusion": [[0, 0, 1], [0, 1, 2]],
    }
    prompt = tiny.make_prompt(
        "colours", ("red", "green"), metrics=metrics, about="Say a colour.", limits="Not blue."
    )
    html = about(prompt)
    page = Elements(html)
    for part in ("Say a colour.", "Not blue.", f"{HOSTILE} taken for green (2)", "50", "–"):
        assert part in page.text
    assert "svg" in {tag for tag, _ in page.tags} and "script" not in {tag for tag, _ in page.tags}
    assert "Caveat" not in page.text and "Caveat" in about(replace(prompt, task="gender"))


def test_slots_and_sequences_show_every_step() -> None:
    steps = [
        Step("size=large", "size", 0.9, {"size=large": 0.9, "": 0.1}, 4, 0.3),
        Step("drink=mocha", "drink", 0.8, {"drink=mocha": 0.8, "": 0.2}, 5, 0.2),
        Step(None, "", 0.7, {"": 0.7, "size=large": 0.3}, None, 0.0),
    ]
    answer = Answer(
        "t", "T", "size: large, drink: mocha", 0.5, steps, {"size": "large", "drink": "mocha"},
        Units.from_frames([1]), np.full((3, 20), 0.05, np.float32), "learned", {"encode_s": 0.01, "lm_s": 0.2},
    )  # fmt: skip
    sequence = tiny.make_prompt("q", ("size=large", "drink=mocha"), kind="sequence", max_steps=4)
    html = answers.result(answer, sequence, np.zeros(640, np.float32), [])
    text = Elements(html).text.replace("\u00a0", " ")
    for part in ("size: large90 %", "drink: mocha80 %", "end70 %", "4 30 %", "5 20 %"):
        assert part in text
    slots = tiny.make_prompt("s", ("on", "off", "lamp", "heat"), kind="slots", slots={"doThis": 2, "what": 2})
    steps = [
        Step("on", "doThis", 0.9, {"on": 0.9, "off": 0.1}, 4, 0.3),
        Step("none", "what", 0.6, {"none": 0.6, "lamp": 0.4}, 5, 0.2),
    ]
    answer = replace(
        answer,
        steps=steps,
        slots={"doThis": "on", "what": "none"},
        unit_probabilities=answer.unit_probabilities[:2],
    )
    text = Elements(answers.scores(answer, slots)).text.replace("\u00a0", " ")
    assert "do this: on90 %what: none60 %" in text
    assert answers.shown_label(answer) == "on"  # a slot that holds nothing is not said


def test_a_word_that_was_found_is_no_other_word_of_its_group() -> None:
    def row(task: str, label: str, score: float, group: str) -> Row:
        metrics = {"split": "test", "n": 90, "accuracy": 0.9, "interval95": [0.8, 0.95]}
        prompt = tiny.make_prompt(task, (label, "other"), group=group, metrics=metrics)
        step = Step(label, "", score, {label: score}, 4, 0.3)
        answer = Answer(
            task, task, label, score, [step], {}, Units.from_frames([1]),
            np.full((1, 20), 0.05, np.float32), "learned", {"encode_s": 0.01, "lm_s": 0.2},
        )  # fmt: skip
        return Row(None, prompt, answer)  # type: ignore[arg-type]

    word, digit = row("keywords", "yes", 0.95, "Words"), row("digits", "6", 0.92, "Words")
    language = row("language", "English", 0.8, "Voices")
    assert word.answer is not None and digit.answer is not None
    below = answers.also([digit, language], word.answer, word.prompt)
    assert "English" in below and "digits" not in below
    above = answers.also([word, language], digit.answer, digit.prompt)  # the likelier of the two is told
    assert "English" in above and "keywords" in above


def test_long_tasks_are_folded() -> None:
    many = figures.score_bars({f"label {i}": (40 - i) / 820 for i in range(40)})
    assert many.count("<li>") == 40 and "37 more labels" in many
    assert "more labels" not in figures.score_bars({"a": 0.6, "b": 0.4})
