"""The table of tasks holds together: what it says can be tuned, measured and shown."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch

from speechprompt.prompts.prompt import Prompt
from speechprompt.tasks.catalogue import TASKS, Task, rule_of, task_of
from speechprompt.tasks.labels import check_rule, labels_of
from tests.tiny import NO_SHA256


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_every_task_has_a_rule_that_is_known_and_facts_that_a_prompt_may_have(task: Task, tmp_path) -> None:
    rule = None if callable(task.label_rule) else check_rule(task.label_rule)
    labels = task.form.labels or ("a", "b", "silence")
    prompt = Prompt(
        task=task.name,
        title=task.title,
        form=replace(task.form, labels=labels),
        backbone="tiny",
        unit_lm_sha256=NO_SHA256,
        about=task.about,
        expects=task.expects,
        languages=task.languages,
        limits=task.limits,
        group=task.group,
        label_rule=rule,
        data=task.data,
        licence=task.licence,
        separator=torch.zeros(4),
        input_prompts=torch.zeros(1, 4),
        verbalizer_units=torch.arange(len(labels)),
    )
    prompt.save(tmp_path / task.name)
    stored = Prompt.load(tmp_path / task.name)
    assert rule_of(stored.task, stored.label_rule) == task.label_rule
    assert task.about.endswith(".") and len(task.about) < 120 and "—" not in task.about
    assert task.files and all(re.fullmatch("[a-z0-9_]+", stem) for stem in (*task.files, *task.unit_files))
    assert not task_of(task.name, None).train_files
    files = (*task.files, *task.train_files)
    assert len(set(files)) == len(files) and {*task.stretches} - {""} <= {*files}
    assert {source.partition("/")[0] for source in task.held_out} <= {*files}


ROWS = {
    "word": {"label": "yes", "language": "en"},
    "background": {"label": "silence", "language": "en"},
    "field": {"label": "rain", "language": ""},
    "boy": {"language": "en", "gender": "m", "age": 9},
    "woman": {"label": "anger", "language": "de", "gender": "f"},
    "robot": {"label": "synthetic", "language": "en"},
}


@pytest.mark.parametrize(
    ("task", "labels"),
    [
        ("language_id", ["English", None, None, "English", "German", "English"]),
        ("voice", [None, None, None, "child", "woman", None]),
        ("gender", [None, None, None, "male", "female", None]),
        ("age_group", [None, None, None, "child", None, None]),
        ("voice_activity", ["speech", "silence", "noise", "speech", "speech", "speech"]),
        ("fake_speech", ["real", "real", "real", "real", "real", "synthetic"]),
    ],
)
def test_tasks_that_join_sets_read_their_rows(task: str, labels: list[str | None]) -> None:
    found = [labels_of(row, TASKS[task].label_rule) for row in ROWS.values()]
    assert found == [None if label is None else (label,) for label in labels]


def test_tasks_whose_labels_come_from_sets_of_their_own_are_controlled() -> None:
    assert {name for name, task in TASKS.items() if task.channel == "controlled"} == {"fake_speech"}
    # Of these, no source and no length belongs to a label.
    assert {name for name, task in TASKS.items() if "" in task.stretches} >= {
        "language_id",
        "voice",
        "age_group",
    }


@pytest.mark.parametrize(
    ("task", "row", "label"),
    [
        ("language_id", {"language": "cs"}, "other"),
        ("language_id", {"language": "", "label": "vowel"}, None),
        ("keyword_spotting", {"file": "speech_commands_words", "label": "stop"}, "stop"),
        ("keyword_spotting", {"file": "speech_commands_words", "label": "bird"}, "unknown"),
        ("keyword_spotting", {"file": "read_english", "text": "WE CALL IT BEAR"}, "unknown"),
        ("keyword_spotting", {"file": "read_english", "text": "STOP IT"}, None),
        ("spoken_digits", {"file": "speech_commands", "id": "_unknown_/eight_1a.wav"}, "8"),
        ("spoken_digits", {"file": "speech_commands", "id": "yes/1a.wav"}, None),
        ("arabic_keywords", {"file": "arabic_commands", "label": "4"}, "four"),
        ("arabic_keywords", {"file": "arabic_commands", "label": "add"}, None),
        ("wake_words", {"file": "wakewords_more", "label": "hey computer"}, None),
        ("wake_words", {"file": "librispeech_clips"}, "unknown"),
        ("emotion", {"label": "anger"}, "angry"),
        ("emotion", {"label": "boredom"}, None),
        ("voice", {"gender": "", "gender_guess": "m"}, "man"),
        ("voice", {"gender": "f", "label": "cough"}, None),
        ("age_group", {"file": "coswara_voices", "age": 30}, "adult"),
    ],
)
def test_sets_that_were_made_for_something_else_get_the_labels_of_a_task(
    task: str, row: dict[str, object], label: str | None
) -> None:
    assert labels_of(row, TASKS[task].label_rule) == (None if label is None else (label,))


def test_what_is_none_of_the_labels_is_left_out_for_a_prompt_that_has_no_label_for_it() -> None:
    czech, polish = {"language": "cs"}, {"language": "pl"}
    six = [label for label in TASKS["language_id"].form.labels if label != "other"]
    for labels, found in ((six, None), ((*six, "other"), ("other",))):
        rule = rule_of("language_id", None, labels)
        assert labels_of(czech, rule) == found
        assert labels_of(polish, rule) == ("Polish",)
