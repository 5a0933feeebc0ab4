"""Fixed verbalizers: the papers' pairing of labels and units, and the loss that makes the LM generate them."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

from speechprompt.answer_form import AnswerForm
from speechprompt.errors import SpeechPromptError
from speechprompt.tuning.config import TuneConfig
from speechprompt.tuning.loop import tune
from speechprompt.tuning.trainable import Labelled, TrainablePrompt, fixed_units, frequent_units
from speechprompt.units import EOS, UNIT_OFFSET
from tests.tiny import N_UNITS, make_lm

# Of the train files that the first paper's code came with: how often each label and each frequent unit occurs,
# and the units that its published verbalizers have for the labels 0, 1, ...
KEYWORDS = (
    [4153, 4277, 4210, 4382, 4264, 4289, 4163, 4325, 4281, 4212, 4241, 4297],
    {57: 114704, 40: 93384, 63: 56023, 71: 48065, 56: 45724, 93: 44139, 22: 39380, 12: 39122, 87: 38529, 10: 36532,
     99: 36058, 53: 31130, 2: 28143},
    [53, 93, 10, 57, 22, 71, 99, 40, 56, 87, 12, 63],
)  # fmt: skip
INTENTS = (
    [2479, 3822, 3090, 5953, 5697, 2091, 994, 1326, 4794, 4395, 7255, 792, 551, 466, 538, 449, 345, 349, 342, 536,
     14150, 2608, 2412, 3962],
    {63: 72072, 22: 56539, 57: 36731, 12: 36384, 40: 32485, 56: 31400, 74: 30631, 4: 30202, 72: 29784, 71: 24128,
     20: 24123, 27: 24008, 83: 23334, 87: 22755, 80: 22187, 93: 21863, 44: 20049, 2: 19630, 16: 19049, 84: 18777,
     31: 18529, 18: 18151, 24: 17976, 53: 17705, 65: 16409},
    [20, 4, 72, 57, 12, 83, 80, 87, 40, 56, 22, 93, 44, 84, 2, 31, 24, 18, 53, 16, 63, 71, 27, 74],
)  # fmt: skip


@pytest.mark.parametrize(("labels", "units", "published"), [KEYWORDS, INTENTS], ids=["keywords", "intents"])
def test_labels_have_the_units_that_the_papers_published(
    labels: list[int], units: dict[int, int], published: list[int]
) -> None:
    said = [unit for unit, n in units.items() for _ in range(n)]
    answers = [label for label, n in enumerate(labels) for _ in range(n)]
    random.Random(0).shuffle(said)
    assert fixed_units([(said, answers)], len(labels), "frequency", 0).tolist() == published


def test_of_equals_the_first_comes_first_and_a_label_that_never_occurs_last() -> None:
    data: list[Labelled] = [([3, 3, 1, 1, 2], (2,)), ([4], (0,))]
    assert fixed_units(data, 4, "frequency", seed=0).tolist() == [1, 2, 3, 4]
    drawn = {tuple(fixed_units(data, 2, "random", seed).tolist()) for seed in range(20)}
    assert len(drawn) > 2 and all(set(units) <= {1, 2, 3, 4} and len(set(units)) == 2 for units in drawn)
    with pytest.raises(SpeechPromptError, match="needs 5 different units and the data holds 4"):
        frequent_units(data, 5)


FORM = AnswerForm(tuple("abc"))
SEQUENCE = replace(FORM, kind="sequence", max_steps=4)


def test_the_loss_over_the_vocabulary_is_that_of_the_units_and_the_end_among_all_symbols() -> None:
    lm, units = make_lm(), torch.tensor([7, 2, 5])
    utterances, answers = [[1, 2, 3], [4, 4]], [(0, 2), (1,)]
    config = TuneConfig(loss="vocabulary", verbalizer="frequency", prompt_length=3)
    prompt = TrainablePrompt(lm, config, units, SEQUENCE)
    logits = prompt(lm, utterances, answers)
    odds = logits.log_softmax(-1)
    due = [
        (0, 0, 7 + UNIT_OFFSET),
        (0, 1, 5 + UNIT_OFFSET),
        (0, 2, EOS),
        (1, 0, 2 + UNIT_OFFSET),
        (1, 1, EOS),
    ]
    expected = -torch.stack([odds[place] for place in due]).mean()
    torch.testing.assert_close(prompt.loss(logits, answers), expected)
    one = TrainablePrompt(lm, config, units, FORM)  # of one label there is no end
    logits = one(lm, utterances, [(0,), (1,)])
    expected = -(logits.log_softmax(-1)[[0, 1], 0, units[:2] + UNIT_OFFSET]).mean()
    torch.testing.assert_close(one.loss(logits, [(0,), (1,)]), expected)


def utterances(n: int, seed: int) -> list[Labelled]:
    """Label c is an utterance that ends in unit c."""
    rng = random.Random(seed)
    labels = [rng.randrange(3) for _ in range(n)]
    return [
        ([*(rng.randrange(N_UNITS) for _ in range(rng.randint(3, 8))), label], (label,)) for label in labels
    ]


def test_with_the_loss_over_the_vocabulary_the_lm_generates_a_labels_unit() -> None:
    lm, valid = make_lm(), utterances(90, 2)
    decided = {}
    for loss in ("labels", "vocabulary"):
        config = TuneConfig(
            prompt_length=4,
            steps=150,
            check_every=150,
            tokens_per_batch=512,
            verbalizer="frequency",
            loss=loss,
        )
        tensors, _ = tune(lm, utterances(300, 1), valid, FORM, config, report=lambda progress: None)
        units = tensors["verbalizer_units"]
        prompt = TrainablePrompt(lm, config, units, FORM)
        prompt.load_state_dict(tensors)
        with torch.inference_mode():
            logits = prompt.eval()(lm, [ids for ids, _ in valid], [labels for _, labels in valid])[:, 0]
        likeliest = logits[:, UNIT_OFFSET:].argmax(-1)
        decided[loss] = torch.isin(likeliest, units).float().mean().item()
    assert decided["vocabulary"] > 0.95 and decided["labels"] < 0.8
