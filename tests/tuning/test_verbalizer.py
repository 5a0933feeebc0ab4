"""Fixed verbalizers: the papers' pairing of labels and units, and the loss that makes the LM generate them."""

from __future__ import annotations

import random
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from speechprompt.decoding.answer import make_answer
from speechprompt.decoding.forward import label_logits, outside_mass
from speechprompt.decoding.generation import PromptedLM
from speechprompt.errors import SpeechPromptError
from speechprompt.prompts.config import Facts
from speechprompt.prompts.prompt import Prompt
from speechprompt.tasks.answer_form import AnswerForm
from speechprompt.tuning.config import TuneConfig
from speechprompt.tuning.loop import Negatives, Progress, tune
from speechprompt.tuning.trainable import Labelled, TrainablePrompt
from speechprompt.tuning.verbalizer import fixed_units, frequent_units, mean_odds, units_of
from speechprompt.units import EOS, UNIT_OFFSET, Units
from tests.tiny import N_UNITS, make_lm, make_prompt

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
    units_heard = [unit for unit, n in units.items() for _ in range(n)]
    answers = [label for label, n in enumerate(labels) for _ in range(n)]
    random.Random(0).shuffle(units_heard)
    assert fixed_units([(units_heard, answers)], len(labels), "frequency", 0).tolist() == published


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


SEVERAL = torch.tensor([[7, 1], [2, -1], [5, 9]])


def test_the_probability_of_a_label_is_the_sum_of_its_units_and_the_rest_is_outside() -> None:
    logits = torch.randn(4, N_UNITS + UNIT_OFFSET, generator=torch.Generator().manual_seed(0))
    odds = logits.double().softmax(-1)
    found = label_logits(logits.double(), units=SEVERAL).exp() / logits.double().exp().sum(-1, keepdim=True)
    sums = [odds[:, [UNIT_OFFSET + unit for unit in units]].sum(-1) for units in ([7, 1], [2], [5, 9])]
    torch.testing.assert_close(found, torch.stack(sums, -1))
    outside = outside_mass(logits.double(), SEVERAL).exp()
    torch.testing.assert_close(outside, 1 - torch.stack(sums).sum(0))
    ends = outside_mass(logits.double(), SEVERAL, end=True).exp()
    torch.testing.assert_close(ends, outside - odds[:, EOS])


@pytest.mark.parametrize("feedback", ["trained", "units"])
def test_the_loss_over_the_vocabulary_sums_the_units_of_a_label(feedback: str) -> None:
    lm, answers = make_lm(), [(0, 2), (1,)]
    config = TuneConfig(loss="vocabulary", verbalizer="expected", prompt_length=3, feedback=feedback)  # type: ignore[arg-type]
    prompt = TrainablePrompt(lm, config, SEVERAL, SEQUENCE)
    logits = prompt(lm, [[1, 2, 3], [4, 4]], answers)
    odds = logits.softmax(-1)

    def sums(row: int, step: int, *units: int) -> torch.Tensor:
        return odds[row, step, [UNIT_OFFSET + unit for unit in units]].sum()

    due = [sums(0, 0, 7, 1), sums(0, 1, 5, 9), odds[0, 2, EOS], sums(1, 0, 2), odds[1, 1, EOS]]
    torch.testing.assert_close(prompt.loss(logits, answers), -torch.stack(due).log().mean())


def test_the_expected_units_are_those_that_recordings_of_a_label_bring_about() -> None:
    lm, train = make_lm(), utterances(120, 1)
    config = TuneConfig(verbalizer="expected", units_per_label=3, prompt_length=4)
    units = units_of(lm, train, FORM, config)
    assert units is not None and units.shape == (3, 3) and len(units.unique()) == 9
    assert torch.equal(units, units_of(lm, train, FORM, config))  # type: ignore[arg-type]
    odds = mean_odds(lm, train, FORM, config)
    ratio = odds / odds.mean(0)
    for label, own in enumerate(units.tolist()):
        assert all(ratio[label, unit] > 1 for unit in own)
    label, unit = divmod(int(ratio.argmax()), N_UNITS)
    assert units[label, 0] == unit
    many = units_of(lm, train, FORM, replace(config, units_per_label=64))
    assert many is not None and many.shape == (3, 3)  # at most half of the vocabulary


@pytest.mark.parametrize(("how", "each"), [("frequency", 2), ("random", 2)])
def test_the_papers_verbalizers_can_have_several_units(how: str, each: int) -> None:
    data: list[Labelled] = [([3, 3, 3, 3, 1, 1, 1, 2, 2, 4], (1, 1, 0))]
    units = fixed_units(data, 2, how, 0, each)
    assert sorted(units.flatten().tolist()) == [1, 2, 3, 4]
    if how == "frequency":
        assert units.tolist() == [[1, 4], [3, 2]]


def of_none(n: int, seed: int) -> list[list[int]]:
    """Utterances that end in a unit of no label."""
    rng = random.Random(seed)
    return [
        [*(rng.randrange(N_UNITS) for _ in range(rng.randint(3, 8))), rng.randrange(3, N_UNITS)]
        for _ in range(n)
    ]


def test_negatives_raise_the_mass_outside_the_labels_and_leave_it_where_a_label_is_due() -> None:
    lm, train, valid = make_lm(), utterances(300, 1), utterances(90, 2)
    config = TuneConfig(
        prompt_length=20,
        steps=400,
        check_every=400,
        tokens_per_batch=512,
        verbalizer="expected",
        units_per_label=2,
        loss="vocabulary",
        negatives_share=0.3,
    )
    negatives, found = of_none(200, 3), {}
    for taught in (negatives, []):
        seen: list[Progress] = []
        tensors, accuracy = tune(
            lm, train, valid, FORM, config, report=seen.append, negatives=Negatives(taught, of_none(90, 4))
        )
        assert seen[-1].outside is not None and seen[-1].valid_accuracy == accuracy
        prompt = Prompt(**{**facts_of(make_prompt(labels=FORM.labels)), **tensors})
        raw = PromptedLM(lm, [prompt]).answer([ids for ids, _ in valid])
        belongs = torch.tensor(
            [
                outside_mass(torch.from_numpy(row.vocabulary_logits), tensors["verbalizer_units"]).exp()
                for (row,) in raw
            ]
        )
        found[bool(taught)] = (seen[-1].outside, float(belongs.median()))
    assert found[True][0] > found[False][0] + 0.2
    assert found[True][0] > found[True][1] + 0.15  # an untrained LM tells them apart no better


def test_negatives_need_units_and_a_loss_that_leave_something_outside() -> None:
    for config in (TuneConfig(loss="vocabulary"), TuneConfig(verbalizer="frequency")):
        with pytest.raises(SpeechPromptError, match="choose a fixed --verbalizer and --loss vocabulary"):
            tune(make_lm(), utterances(9, 1), utterances(9, 2), FORM, config, negatives=Negatives([[1, 2]]))


def facts_of(prompt: Prompt) -> dict[str, Any]:
    return {one.name: getattr(prompt, one.name) for one in fields(Facts)}


@pytest.mark.parametrize("kind", ["label", "slots", "sequence"])
def test_a_prompt_with_several_units_a_label_is_kept_and_answers(kind: str, tmp_path: Path) -> None:
    form: dict[str, Any] = {"kind": kind}
    if kind != "label":
        form |= {"max_steps": 3} if kind == "sequence" else {"slots": {"x": 1, "y": 2}}
    prompt = replace(make_prompt(verbalizer="fixed", labels=FORM.labels, **form), verbalizer_units=SEVERAL)
    prompt.save(tmp_path / "colours", dtype=torch.float32)
    loaded = Prompt.load(tmp_path / "colours")
    assert torch.equal(loaded.verbalizer_units, SEVERAL) and loaded.label_units == [[7, 1], [2], [5, 9]]  # type: ignore[arg-type]
    assert [loaded.unit_label(unit) for unit in (7, 1, 2, 5, 9, 0, -1)] == [
        "a",
        "a",
        "b",
        "c",
        "c",
        None,
        None,
    ]
    ((raw,),) = PromptedLM(make_lm(), [loaded]).answer([[1, 2, 3]])
    x = torch.from_numpy(raw.vocabulary_logits[0]).double()
    sums = label_logits(x, units=SEVERAL, end=kind == "sequence")
    sums = sums[:1] if kind == "slots" else sums
    own = torch.from_numpy(raw.probabilities[0])[: len(sums)].double()
    torch.testing.assert_close(own, sums.softmax(-1), atol=1e-5, rtol=1e-4)
    answer = make_answer(loaded, raw, Units.from_frames([1, 2, 3]), {})
    for step in answer.steps:
        parts = step.contributions
        assert parts is not None
        assert parts.margin == pytest.approx(parts.units.sum() + parts.specials + parts.level)
    if kind == "label":
        assert parts.margin == pytest.approx(float(sums.max() - sums.mean()))


def test_a_prompt_with_a_unit_twice_is_refused() -> None:
    for units in ([[7, 1], [1, -1], [5, 9]], [[7, 1], [-1, 2], [5, 9]], [[7, 1], [2, -2], [5, 9]]):
        with pytest.raises(SpeechPromptError, match="verbalizer.units must be"):
            replace(make_prompt(verbalizer="fixed"), verbalizer_units=torch.tensor(units))
