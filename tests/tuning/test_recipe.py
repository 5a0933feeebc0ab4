"""The recipe from labelled data to a measured prompt, for each way to answer."""

from __future__ import annotations

import io
import random
import statistics
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from speechprompt.audio import augment
from speechprompt.backbone import Backbone
from speechprompt.data.dataset import Example
from speechprompt.errors import SpeechPromptError
from speechprompt.evaluation.evaluate import evaluate, to_units, waveform_of
from speechprompt.prompts.card import prompt_card
from speechprompt.prompts.prompt import Prompt
from speechprompt.tasks.answer_form import AnswerForm
from speechprompt.tasks.catalogue import TASKS, Task
from speechprompt.tuning import labelled
from speechprompt.tuning.config import TuneConfig
from speechprompt.tuning.loop import tune
from speechprompt.tuning.recipe import form_of, labels_in_order, tune_task
from tests.tiny import N_UNITS, make_backbone, make_prompt, make_waveform

QUICK = TuneConfig(prompt_length=3, steps=60, tokens_per_batch=256, check_every=30)
SLOTS = Task(
    "lamps", "Lamps", "Home", "random", "CC0-1.0", 
    form=AnswerForm(("on", "off", "none", "none", "lamp"), "slots", {"do": 3, "what": 2}),
)  # fmt: skip
SPELLED = Task(
    "letters", "Letters", "Text", "random", "CC0-1.0", {"text": "text"},
    form=AnswerForm(kind="sequence", max_steps=8, beams=2, joiner=""),
)  # fmt: skip


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    return Backbone(make_backbone(tmp_path_factory.mktemp("root")))


def examples(n: int, seed: int, answers: list[tuple[str, ...]]) -> list[Example]:
    """Utterances that end in the unit which tells their answer."""
    rng = random.Random(seed)
    made = []
    for i in range(n):
        answer = rng.randrange(len(answers))
        units = [rng.randrange(len(answers), N_UNITS) for _ in range(5)]
        made.append(Example(str(i), "train", answers[answer], None, [*units, answer]))
    return made


@pytest.mark.parametrize(
    ("task", "answers"),
    [
        (SLOTS, [("on", "none"), ("off", "lamp"), ("on", "lamp")]),
        (SPELLED, [tuple("ab"), tuple("b a"), ()]),
        (Task("colours", "Colours", "Other", "random", "CC0-1.0"), [("red",), ("blue",)]),
    ],
)
def test_a_tuned_task_is_measured_and_answers_from_its_folder(
    backbone: Backbone, tmp_path: Path, task: Task, answers: list[tuple[str, ...]]
) -> None:
    train, valid = examples(120, 1, answers), examples(40, 2, answers)
    prompt = tune_task(backbone, task, train, valid, replace(QUICK, steps=30, check_every=15))
    assert (
        prompt.form.kind == task.form.kind
        and prompt.metrics["split"] == "valid"
        and prompt.metrics["n"] == 40
    )
    assert prompt.metrics["accuracy"] > 0.3
    assert prompt.calibration is not None and ("slope" in prompt.calibration) == (
        task.form.kind == "sequence"
    )
    prompt.save(tmp_path / task.name)
    stored = backbone.load_prompt(tmp_path / task.name)
    figures = evaluate(backbone, stored, valid)
    assert figures["accuracy"] == pytest.approx(prompt.metrics["accuracy"], abs=0.05)
    assert stored.label_rule == task.label_rule and stored.form.slots == task.form.slots


COLOURS = Task("colours", "Colours", "Other", "random", "CC0-1.0")


def test_of_several_seeds_the_best_on_valid_is_kept(backbone: Backbone, tmp_path: Path) -> None:
    answers = [("red",), ("green",), ("blue",)]
    train, valid = examples(60, 1, answers), examples(40, 2, answers)
    config = replace(QUICK, steps=20, check_every=10, seed=3)
    accuracies: dict[int, float] = {}

    def report(seed: int, prompt: Prompt) -> None:
        accuracies[seed] = prompt.metrics["accuracy"]

    best = tune_task(backbone, COLOURS, train, valid, config, 3, tmp_path / "run", report=report)
    assert list(accuracies) == [3, 4, 5] and len(set(accuracies.values())) > 1
    assert best.metrics["accuracy"] == max(accuracies.values()) and best.calibration["n"] == 40
    found = best.metrics["tuning"]
    assert found["seeds"] == 3 and found["mean"] == pytest.approx(
        statistics.mean(accuracies.values()), abs=1e-4
    )
    assert found["deviation"] == pytest.approx(statistics.stdev(accuracies.values()), abs=1e-4)
    message = (
        f"3 seeds: {100 * found['mean']:.1f} ± {100 * found['deviation']:.1f} % on valid, the best is kept."
    )
    assert message in prompt_card(best)

    kept = max(accuracies, key=lambda seed: accuracies[seed])
    alone = tune_task(backbone, COLOURS, train, valid, replace(config, seed=kept))
    assert torch.equal(alone.separator, best.separator) and "tuning" not in alone.metrics
    # A run that stopped after some of the seeds goes on from there, and a finished one is only read.
    runs = {path.name: (path / "tune.pt").stat().st_mtime_ns for path in (tmp_path / "run").iterdir()}
    assert set(runs) == {"seed-3", "seed-4", "seed-5"}
    (tmp_path / "run" / "seed-5" / "tune.pt").unlink()
    again = tune_task(backbone, COLOURS, train, valid, config, 3, tmp_path / "run")
    assert torch.equal(again.separator, best.separator) and again.metrics == best.metrics
    assert all(
        (tmp_path / "run" / f"seed-{n}" / "tune.pt").stat().st_mtime_ns == runs[f"seed-{n}"] for n in (3, 4)
    )


def test_a_tuning_begins_with_the_vectors_of_another_prompt(backbone: Backbone) -> None:
    answers = [("red",), ("green",), ("blue",)]
    train, valid = examples(120, 1, answers), examples(40, 2, answers)
    learned = tune_task(backbone, COLOURS, train, valid, QUICK)
    fixed = replace(QUICK, steps=2, lr=1e-6, verbalizer="expected", loss="vocabulary", seed=9)
    prompt = tune_task(backbone, COLOURS, train, valid, fixed, start=learned)
    afresh = tune_task(backbone, COLOURS, train, valid, fixed)
    assert torch.allclose(prompt.key_prompts, learned.key_prompts, atol=1e-3)
    assert not torch.allclose(afresh.key_prompts, learned.key_prompts, atol=0.1)
    # The units are those that this LM expects behind the vectors that it began with.
    assert prompt.verbalizer_units.tolist() != afresh.verbalizer_units.tolist()
    # Two steps that hardly move: what the learned prompt could tell apart, its expected units tell apart too.
    assert prompt.metrics["accuracy"] > afresh.metrics["accuracy"]
    with pytest.raises(SpeechPromptError, match="give --prompt-length and --input-prompts to fit it"):
        tune_task(
            backbone,
            COLOURS,
            train,
            valid,
            replace(fixed, prompt_length=QUICK.prompt_length + 1),
            start=learned,
        )


def test_recordings_become_units_once_for_all_seeds(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = []
    listen = backbone.listen
    monkeypatch.setattr(backbone, "listen", lambda clips: heard.extend(clips) or listen(clips))
    made = [
        Example(str(i), "train", (("red",), ("blue",))[i % 2], wave(0.3 + 0.5 * (i % 2), i), None)
        for i in range(8)
    ]
    tune_task(backbone, COLOURS, made[:6], made[6:], replace(QUICK, steps=2, check_every=1, augment=1), 3)
    assert len(heard) == 6 * 2 + 2


def wave(seconds: float, seed: int) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, make_waveform(seconds, seed), 16_000, format="WAV")
    return out.getvalue()


@pytest.mark.parametrize("seeds", [0, 101])
def test_the_number_of_seeds_is_bounded(backbone: Backbone, seeds: int) -> None:
    with pytest.raises(SpeechPromptError, match="seeds must be between 1 and 100"):
        tune_task(backbone, COLOURS, [], [], QUICK, seeds)


def test_slots_from_columns_have_the_labels_of_each() -> None:
    """As `tune --slot-columns` asks for them: how many labels a slot has, the data says."""
    task = Task(
        "lamps", "Lamps", "Home", "random", "CC0-1.0", {"slots": ["do", "what"]},
        form=AnswerForm(kind="slots", slots={"do": 1, "what": 1}),
    )  # fmt: skip
    data = [
        Example(str(i), "train", labels, None, [i])
        for i, labels in enumerate([("on", "lamp"), ("off", "none"), ("on", "heat"), ("none", "lamp")])
    ]
    form = form_of(task, data)
    assert form.slots == {"do": 3, "what": 3}
    assert form.labels == ("none", "off", "on", "heat", "lamp", "none")


@pytest.mark.parametrize(
    ("tuning", "message"),
    [
        ([], "metrics.tuning must be a valid dictionary"),
        ({"seeds": 3, "mean": 0.5}, "lacks the entry 'metrics.tuning.deviation'"),
        ({"seeds": 1, "mean": 0.5, "deviation": 0.1}, "tuning.seeds must be greater than or equal to 2"),
        ({"seeds": "3", "mean": 0.5, "deviation": 0.1}, "tuning.seeds must be a valid integer"),
        ({"seeds": 3, "mean": 50, "deviation": 0.1}, "tuning.mean must be less than or equal to 1"),
        ({"seeds": 3, "mean": 0.5, "deviation": "0.1"}, "tuning.deviation must be a valid number"),
    ],
)
def test_the_spread_of_seeds_is_checked(tuning: object, message: str) -> None:
    with pytest.raises(SpeechPromptError, match=message):
        make_prompt(metrics={"tuning": tuning})


def test_labels_come_in_the_order_that_people_expect() -> None:
    order = TASKS["coffee_orders"]
    data = [Example("a", "train", ("milkAmount=cream", "size=small", "size=large"), None, [1])]
    assert labels_in_order(order, data) == ["size=large", "size=small", "milkAmount=cream"]
    assert labels_in_order(SPELLED, [Example("a", "train", tuple("b a'"), None, [1])]) == ["a", "b", "'", " "]
    assert labels_in_order(SLOTS, data) == ["on", "off", "none", "none", "lamp"]


def test_data_that_does_not_fit_is_named_before_anything_is_tuned(backbone: Backbone) -> None:
    train = examples(20, 1, [("on", "none"), ("off", "lamp")])
    strange = [Example("s", "valid", ("on", "sofa"), None, [1])]
    with pytest.raises(SpeechPromptError, match="label 'sofa', which the train split lacks"):
        tune_task(backbone, SLOTS, train, strange, QUICK)
    long = [Example("s", "train", tuple("abababababa"), None, [1])]
    with pytest.raises(SpeechPromptError, match="11 labels, the task 8"):
        tune_task(backbone, SPELLED, [*long, *examples(9, 1, [tuple("ab")])], long, QUICK)
    short = [Example("s", "train", ("on",), None, [1])]
    with pytest.raises(SpeechPromptError, match="1 labels, the task 2"):
        tune_task(backbone, SLOTS, [*train, *short], train, QUICK)


def test_an_evaluation_names_answers_of_another_kind(backbone: Backbone) -> None:
    prompt = tune_task(
        backbone,
        SLOTS,
        examples(30, 1, [("on", "none"), ("off", "lamp")]),
        examples(9, 2, [("on", "none")]),
        replace(QUICK, steps=2, check_every=1),
    )
    with pytest.raises(SpeechPromptError, match="answers with 2 labels"):
        evaluate(backbone, prompt, [Example("a", "test", ("on",), None, [1])])


def test_a_rule_gives_labels_in_its_own_order() -> None:
    task = TASKS["language_id"]
    data = [Example(name, "train", (name,), None, [1]) for name in ("Polish", "Arabic", "English")]
    assert labels_in_order(task, data) == ["English", "Arabic", "Polish"]


def test_at_most_so_many_of_a_label_are_learnt(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    learnt = []

    def spy(lm, train, *rest, **others):
        learnt.extend(labels for _, labels in train)
        return tune(lm, train, *rest, **others)

    monkeypatch.setattr("speechprompt.tuning.recipe.tune", spy)
    colours = Task("colours", "Colours", "Other", "random", "CC0-1.0")
    answers = [("red",), ("red",), ("red",), ("blue",)]
    config = replace(QUICK, per_label=7, balance=True, steps=4, check_every=2)
    prompt = tune_task(backbone, colours, examples(120, 1, answers), examples(20, 2, answers), config)
    assert Counter(learnt) == {(0,): 7, (1,): 7}
    assert prompt.metrics["n"] == 20  # valid is measured whole


def test_a_controlled_task_hears_no_clip_as_it_is(backbone: Backbone) -> None:
    """Train clips come as controlled ones alone, valid clips as they are."""
    file = io.BytesIO()
    soundfile.write(file, make_waveform(1.0), 16_000, format="FLAC")
    clip = Example("a", "train", ("red",), file.getvalue(), None)
    (clean,) = to_units(backbone, [clip])
    heard = to_units(backbone, [clip], 2, augment.Simulation(3, controlled=True).recording)
    waveform = waveform_of(clip)
    for copy, units in enumerate(heard):
        made = augment.controlled(waveform, np.random.default_rng([3, copy, 0]))
        assert units.ids.tolist() == backbone.listen([made])[0].ids.tolist() != clean.ids.tolist()
    assert len(heard) == 3 and len({tuple(units.ids) for units in heard}) == 3
    normal = to_units(backbone, [clip], 1, augment.Simulation(3).recording)
    assert normal[0].ids.tolist() == clean.ids.tolist()


def test_pauses_are_those_of_the_copies_alone(backbone: Backbone) -> None:
    file = io.BytesIO()
    soundfile.write(file, make_waveform(1.0), 16_000, format="FLAC")
    clip = Example("a", "train", ("red",), file.getvalue(), None)
    waveform = waveform_of(clip)
    for share in (0.0, 1.0):
        clean, *copies = to_units(backbone, [clip], 4, augment.Simulation(3, share).recording)
        assert clean.ids.tolist() == backbone.listen([waveform])[0].ids.tolist()
        for number, units in enumerate(copies, 1):
            rng = np.random.default_rng([3, number, 0])
            made = augment.another_recording(waveform, rng, pauses=share)
            assert units.ids.tolist() == backbone.listen([made])[0].ids.tolist()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_tuning_makes_the_share_of_pauses_that_was_asked_for_but_around_nothing(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    asked = []
    known = labelled.to_units

    def spy(backbone: Backbone, examples: list[Example], *rest: Any) -> list[Any]:
        asked.append(rest)
        return known(backbone, examples, *rest)

    monkeypatch.setattr(labelled, "to_units", spy)
    data = examples(12, 1, [("red",), ("silence",)])
    colours = Task(
        "colours", "Colours", "Other", "random", "CC0-1.0", form=AnswerForm(silence_label="silence")
    )
    tune_task(backbone, colours, data, data, replace(QUICK, steps=1, augment=2, seed=5, pauses=share))
    (copies, of_train), (no_copies, of_valid) = asked
    assert (copies, no_copies) == (2, 0)
    waveform = make_waveform(1.0)
    assert np.array_equal(of_valid(waveform, 0, 0), waveform)
    for clip, example in enumerate(data):
        shares = {"red": share, "silence": 0.0}
        due = augment.Simulation(5, shares[example.labels[0]]).recording(waveform, clip, 1)
        assert np.array_equal(of_train(waveform, clip, 1), due)


def test_figures_of_known_units_are_those_of_the_recordings(backbone: Backbone) -> None:
    data = examples(30, 1, [("red",), ("blue",)])
    prompt = tune_task(
        backbone,
        Task("colours", "Colours", "Other", "random", "CC0-1.0"),
        data,
        data,
        replace(QUICK, steps=5),
    )
    assert evaluate(backbone, prompt, data, to_units(backbone, data)) == evaluate(backbone, prompt, data)


def test_one_label_alone_is_no_task(backbone: Backbone) -> None:
    train = examples(6, 1, [("on",)])
    with pytest.raises(SpeechPromptError, match="only the label 'on': a task needs at least two"):
        tune_task(backbone, Task("t", "T", "Home", "d", "CC0-1.0"), train, train, QUICK)
