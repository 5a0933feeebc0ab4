"""A batch shared out among processes has the gradients that it has in one."""

from __future__ import annotations

import os
import random
import signal
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from speechprompt.errors import SpeechPromptError
from speechprompt.gradients import Gradients
from speechprompt.trainable import Goal, Labelled, TrainablePrompt, TuneConfig, fixed_units
from speechprompt.tuning import tune
from speechprompt.units import Units
from tests.tiny import N_UNITS, make_lm, make_prosody_lm

CONFIG = TuneConfig(prompt_length=3)


def utterances(n: int, goal: Goal, most: int = 1) -> list[Labelled]:
    """Random units and answers: one label, or one of every slot, or of a sequence up to `most`."""
    rng = random.Random(n)
    made = []
    for _ in range(n):
        spans = goal.spans * (rng.randint(1, most) if goal.sequence else 1)
        labels = tuple(rng.randrange(first, end) for first, end in spans)
        made.append(([rng.randrange(N_UNITS) for _ in range(rng.randint(1, 9))], labels))
    return made


def gradients(lm, prompt: TrainablePrompt, examples: list[Labelled], processes: int):
    prompt.zero_grad()
    batch, answers = [ids for ids, _ in examples], [labels for _, labels in examples]
    with Gradients(lm, prompt, processes) as shared:
        loss = shared.backward(batch, answers, seed=1)
    return loss, {name: p.grad.clone() for name, p in prompt.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    "goal, change",
    [
        (Goal(5, sequence=True), {"label_smoothing": 0.1}),  # shares that say unequally much
        (Goal(5, slots=(2, 3)), {}),
        (Goal(3), {"loss": "reference", "verbalizer": "frequency", "deep": False}),
    ],
)
def test_shares_add_up(goal: Goal, change: dict[str, Any]) -> None:
    examples = utterances(7, goal, most=4)
    config = replace(CONFIG, **change)
    units = None if config.verbalizer == "learned" else fixed_units(examples, 3, "frequency", 0)
    prompt = TrainablePrompt(make_lm(), config, units, goal)
    loss, alone = gradients(make_lm(), prompt, examples, 1)
    shared_loss, shared = gradients(make_lm(), prompt, examples, 3)
    assert shared_loss == pytest.approx(loss, rel=1e-5)
    for name, gradient in shared.items():
        expected = alone.get(name, torch.zeros_like(gradient))
        torch.testing.assert_close(gradient, expected, atol=1e-6, rtol=1e-4)


def test_more_processes_than_rows_and_units_with_melody() -> None:
    lm = make_prosody_lm()
    heard = replace(Units.from_frames([4, 4, 7, 1]), log_f0=np.array([0.1, -0.2, 0.3], np.float32))
    prompt = TrainablePrompt(lm, CONFIG, None, Goal(2))
    examples: list[Labelled] = [(heard, (1,))]
    loss, alone = gradients(lm, prompt, examples, 1)
    shared_loss, shared = gradients(lm, prompt, examples, 2)
    assert shared_loss == pytest.approx(loss, rel=1e-5)
    torch.testing.assert_close(shared["separator"], alone["separator"], atol=1e-6, rtol=1e-4)


def test_tuning_with_processes_is_tuning() -> None:
    train, valid = utterances(60, Goal(3)), utterances(20, Goal(3))
    config = replace(CONFIG, steps=6, check_every=3, unit_noise=0.1)
    alone, _ = tune(make_lm(), train, valid, Goal(3), config)
    shared, _ = tune(make_lm(), train, valid, Goal(3), config, processes=2)
    for name, value in alone.items():
        torch.testing.assert_close(
            shared[name], value, atol=0.02, rtol=0.02
        )  # LM in bfloat16, where it is fast
    with pytest.raises(ValueError, match="processes must be 1"):
        tune(make_lm(), train, valid, Goal(3), config, keep="last", lm_lr=1e-3, processes=2)


def test_a_process_that_is_killed_is_told_of() -> None:
    prompt = TrainablePrompt(make_lm(), CONFIG, None, Goal(3))
    examples = utterances(6, Goal(3))
    batch, answers = [ids for ids, _ in examples], [labels for _, labels in examples]
    with Gradients(make_lm(), prompt, 2) as shared:
        shared.backward(batch, answers, seed=1)
        assert shared._pool is not None
        os.kill(next(iter(shared._pool._processes)), signal.SIGKILL)
        with pytest.raises(SpeechPromptError, match="fewer --processes"):
            for _ in range(20):  # until the pool has noticed
                shared.backward(batch, answers, seed=1)


def test_what_may_be_asked_for() -> None:
    prompt = TrainablePrompt(make_lm(), CONFIG, None, Goal(3))
    for processes in (0, 65):
        with pytest.raises(SpeechPromptError, match="between 1 and 64"):
            Gradients(make_lm(), prompt, processes)
