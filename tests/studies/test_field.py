"""What is counted of strangers' recordings, and what of it a prompt keeps and shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tiny import make_prompt

from speechprompt.errors import SpeechPromptError
from speechprompt.prompts.card import prompt_card
from speechprompt.prompts.installed import in_list
from speechprompt.prompts.prompt import Prompt
from speechprompt.ui import html
from studies.measures import field
from studies.measures.field import Heard

STRANGERS = {
    "n": 20,
    "right": 0.75,
    "interval95": [0.53, 0.89],
    "right_flagged": 0.1,
    "wrong_flagged": None,
    "sources": 4,
    "outside": 5,
    "outside_admitted": 0.6,
}


def heard(label: str, answer: str, flagged: bool = False, task: str = "language_id", **more: object) -> Heard:
    return Heard(task, "a/b", label, answer, flagged, **{"within": True, **more})  # type: ignore[arg-type]


def test_what_is_none_of_the_labels_is_right_when_the_answer_admits_it() -> None:
    assert heard("Polish", "Polish", flagged=True).right and not heard("Polish", "other", flagged=True).right
    for answer, flagged, right in (("other", False, True), ("Polish", True, True), ("Polish", False, False)):
        assert heard("Czech", answer, flagged, within=False).right == right
    assert heard("music", "noise", task="voice_activity", within=False).right
    assert not heard("music", "noise", task="sound_events", within=False).right
    assert heard("house", "unknown", task="keyword_spotting", within=False).right


def test_the_figures_are_of_whole_recordings_and_by_source_and_length() -> None:
    answers = [
        heard("Polish", "Polish"),
        heard("Polish", "Polish", flagged=True),
        heard("Polish", "German"),
        replace(heard("Polish", "Polish"), source="c/d"),
        heard("Czech", "German", within=False),
        heard("Polish", "German", seconds=0.4),
    ]
    found = field.summary(answers)
    assert found["within"]["n"] == 4 and found["within"]["right"] == 0.75
    assert found["within"]["right_flagged"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["within"]["wrong_flagged"] == 0.0 and found["outside"]["right"] == 0.0
    assert found["by_source"]["c/d"]["n"] == 1 and found["by_seconds"]["0.4"]["right"] == 0.0
    kept = field.strangers_of(answers)
    assert (kept["n"], kept["sources"], kept["outside"], kept["outside_admitted"]) == (4, 2, 1, 0.0)


def test_other_tasks_are_asked_about_the_same_recordings() -> None:
    rows = [{"task": "gender", "label": "female"}, {"task": "words20", "label": "voice"}]
    assert field.rows_for("voice", rows) == [(rows[0], "woman")]
    assert field.rows_for("age_group", rows) == [(rows[0], "adult")]
    assert field.rows_for("words20", rows) == [(rows[1], "voice")]
    assert field.rows_for("coffee_orders", rows) == []
    waveform = np.arange(32_000, dtype=np.float32)
    assert field.middle(waveform, 0.5)[0] == 12_000 and len(field.middle(waveform, 0.5)) == 8_000


def test_a_task_is_asked_of_all_backbones_or_of_the_first_that_has_it() -> None:
    there = [["words", "voice"], ["voice", "sounds"]]
    assert field.tasks_of(there, [], first=False) == there
    assert field.tasks_of(there, [], first=True) == [["words", "voice"], ["sounds"]]
    assert field.tasks_of(there, ["voice", "sounds"], first=True) == [["voice"], ["sounds"]]


def test_the_last_line_is_of_all_that_is_whole_and_within() -> None:
    answers = [
        heard("Polish", "Polish"),
        heard("yes", "yes", flagged=True, task="keyword_spotting"),
        heard("Polish", "German", flagged=True),
        heard("Czech", "German", flagged=True, within=False),
        heard("Polish", "German", seconds=0.4),
    ]
    cells = dict(zip(field.HEAD, field.line_of_all(answers), strict=True))
    assert (cells["task"], cells["strangers"]) == ("all", "66.7 % of 3")
    assert (cells["right flagged"], cells["wrong flagged"]) == ("50.0 %", "100.0 %")


def prompt_with(**facts: object) -> Prompt:
    metrics = {"split": "test", "n": 400, "accuracy": 0.9, "interval95": [0.86, 0.93]}
    metrics |= {"unweighted_recall": 0.9}
    return make_prompt(**{"metrics": metrics, "strangers": STRANGERS, **facts})


def test_a_prompt_keeps_what_strangers_heard_and_says_so_in_its_card(tmp_path) -> None:
    prompt = prompt_with()
    prompt.save(tmp_path / "colours", prompt_card(prompt))
    assert Prompt.load(tmp_path / "colours").strangers == STRANGERS
    card = (tmp_path / "colours" / "README.md").read_text()
    assert "**75.0 %** of 20" in card and "4 sources" in card and "60.0 %" in card
    with pytest.raises(SpeechPromptError, match="strangers"):
        prompt_with(strangers={**STRANGERS, "right": 1.5})


def test_the_lower_figure_is_shown_where_they_are_far_apart() -> None:
    assert html.measured(prompt_with()) == "75\N{NO-BREAK SPACE}% of 20"
    assert "strangers" in html.track_record(prompt_with())
    near = prompt_with(strangers={**STRANGERS, "right": 0.85})
    assert html.measured(near).endswith("of 400") and "Right 90 times in 100" in html.task_hint(near)
    few = prompt_with(strangers={**STRANGERS, "n": 3, "right": 0.0})
    assert html.measured(few).endswith("of 400") and not few.experimental


def test_what_strangers_find_poor_is_experimental_and_stands_last() -> None:
    good, poor = prompt_with(title="Z"), prompt_with(title="A", strangers={**STRANGERS, "right": 0.6})
    assert (good.experimental, poor.experimental) == (False, True)
    assert (good.heading, poor.heading) == (good.group, "Experimental")
    assert sorted([poor, good], key=in_list) == [good, poor]
    metrics = {
        "split": "test",
        "n": 400,
        "accuracy": 0.66,
        "interval95": [0.6, 0.7],
        "unweighted_recall": 0.5,
    }
    assert prompt_with(strangers=None, metrics=metrics).experimental  # chance is a third
