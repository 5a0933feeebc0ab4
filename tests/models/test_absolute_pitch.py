"""A prompt that hears each voice at the pitch it has: on a tiny prosody LM, beside one that hears its own mean."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import N_UNITS, make_backbone, make_prompt, make_prosody_lm

from speechprompt.backbone import Backbone
from speechprompt.decoding.generation import PromptedLM
from speechprompt.errors import SpeechPromptError
from speechprompt.models import pitch as prosody
from speechprompt.models.prosody_lm import ProsodyLM
from speechprompt.prompts.prompt import PROMPT_JSON, Prompt
from speechprompt.storage.folders import read_json, write_json
from speechprompt.tasks.answer_form import AnswerForm
from speechprompt.tasks.catalogue import Task
from speechprompt.tuning.config import TuneConfig
from speechprompt.tuning.loop import tune
from speechprompt.tuning.order import with_noise
from speechprompt.tuning.recipe import tune_task
from speechprompt.tuning.trainable import TrainablePrompt
from speechprompt.units import Units

LABELS = ("low", "middle", "high")


@pytest.fixture(scope="module")
def lm() -> ProsodyLM:
    return make_prosody_lm()


def utterance(hz: float, seed: int = 0) -> Units:
    """A dozen runs about this pitch, one of them unvoiced."""
    rng = np.random.default_rng(seed)
    units = Units.from_frames(np.repeat(rng.permutation(N_UNITS)[:12], 3))
    f0 = (hz * rng.uniform(0.95, 1.05, 12)).astype(np.float32)
    f0[5] = 0
    return replace(units, f0=f0, log_f0=prosody.normalise(f0, float(np.log(hz))))


def test_the_pitch_is_set_against_one_for_all() -> None:
    deep, high = (prosody.at_absolute_pitch(utterance(hz)) for hz in (85.0, 340.0))
    np.testing.assert_allclose(high.log_f0 - deep.log_f0, np.log(4), atol=1e-5)
    np.testing.assert_allclose(deep.log_f0[:3], np.log(utterance(85.0).f0[:3] / prosody.COMMON_HZ), atol=1e-6)
    np.testing.assert_allclose(
        utterance(85.0).log_f0, utterance(340.0).log_f0, atol=1e-5
    )  # else they are the same
    again = prosody.at_absolute_pitch(deep)
    np.testing.assert_array_equal(again.log_f0, deep.log_f0)


def test_units_without_hertz_are_refused(lm) -> None:
    absolute = make_prompt(labels=LABELS, lm=lm, absolute_pitch=True)
    with pytest.raises(SpeechPromptError, match="hears how high a voice is"):
        PromptedLM(lm, [absolute]).answer([replace(utterance(100.0), f0=None)])


def test_each_prompt_of_a_batch_hears_in_its_own_way(lm) -> None:
    prompts = [make_prompt(labels=LABELS, lm=lm, absolute_pitch=flag) for flag in (False, True)]
    deep, high = utterance(85.0), utterance(340.0)
    (own_deep, absolute_deep), (own_high, absolute_high) = PromptedLM(lm, prompts).answer([deep, high])
    np.testing.assert_allclose(own_deep.probabilities, own_high.probabilities, atol=1e-4)
    assert np.abs(absolute_deep.probabilities - absolute_high.probabilities).max() > 1e-3
    for units, found in ((deep, absolute_deep), (high, absolute_high)):
        (expected,) = PromptedLM(lm, prompts[:1]).answer([prosody.at_absolute_pitch(units)])[0]
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)


def test_what_is_tuned_is_what_answers(lm) -> None:
    config = TuneConfig(prompt_length=3, absolute_pitch=True, verbalizer="learned")
    trained = TrainablePrompt(lm, config, None, AnswerForm(LABELS))
    utterances = [utterance(120.0, 1), utterance(220.0, 2)]
    with torch.no_grad():
        logits = trained.answer_logits(trained(lm, utterances, [[0], [1]]))[:, 0]
    prompt = Prompt(
        **trained.tensors(),
        task="voices",
        title="Voices",
        form=AnswerForm(LABELS),
        backbone="tiny",
        unit_lm_sha256="0" * 64,
        absolute_pitch=True,
    )
    for row, (answer,) in zip(logits, PromptedLM(lm, [prompt]).answer(utterances), strict=True):
        np.testing.assert_allclose(answer.probabilities[0], row.softmax(-1), atol=1e-4)


def test_pitch_can_be_learnt_only_when_it_is_absolute(lm) -> None:
    def data(n: int, seed: int) -> list:
        rng = np.random.default_rng(seed)
        return [(utterance((90.0, 300.0)[i % 2], int(rng.integers(1 << 30))), (i % 2,)) for i in range(n)]

    reached = {}
    for absolute in (False, True):
        config = TuneConfig(
            prompt_length=4, steps=60, lr=0.05, unit_noise=0.1, absolute_pitch=absolute, check_every=30
        )
        _, reached[absolute] = tune(lm, data(64, 1), data(40, 2), AnswerForm(("low", "high")), config)
    assert reached[True] > 0.95 and reached[False] < 0.75


def test_noise_keeps_the_pitch_of_what_is_kept() -> None:
    units = utterance(100.0)
    noisy = with_noise(units, 0.8, N_UNITS, random.Random(1))
    assert isinstance(noisy, Units) and len(noisy) < len(units)
    assert units.f0 is not None and noisy.f0 is not None and len(noisy.f0) == len(noisy)
    assert set(noisy.f0.tolist()) <= set(units.f0.tolist())


def test_a_prompt_remembers_how_it_hears(tmp_path: Path) -> None:
    make_prompt(absolute_pitch=True).save(tmp_path / "colours")
    assert Prompt.load(tmp_path / "colours").absolute_pitch
    config = read_json(tmp_path / "colours", PROMPT_JSON, "Prompt")
    assert config["absolute_pitch"] is True
    for bad in ("yes", 1, None):
        write_json(tmp_path / "colours" / PROMPT_JSON, {**config, "absolute_pitch": bad})
        with pytest.raises(SpeechPromptError, match="absolute_pitch must be a valid boolean"):
            Prompt.load(tmp_path / "colours")
    make_prompt().save(tmp_path / "plain")
    assert not Prompt.load(tmp_path / "plain").absolute_pitch


def test_a_backbone_that_hears_no_pitch_says_so(tmp_path: Path) -> None:
    backbone = Backbone(make_backbone(tmp_path))
    task = Task("colours", "Colours", "Other", "random", "CC0-1.0")
    with pytest.raises(SpeechPromptError, match="tiny hears no pitch that could be absolute"):
        tune_task(backbone, task, [], [], TuneConfig(absolute_pitch=True))
