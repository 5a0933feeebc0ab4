"""The unit LM and its prompts against logits, losses and gradients of the reference implementation."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from speechprompt.decoding.forward import Batch, forward_prompted, label_logits
from speechprompt.decoding.generation import PromptedLM
from speechprompt.decoding.prefix import Prefix, past
from speechprompt.models import lm_config, unit_lm
from speechprompt.prompts.prompt import Prompt
from speechprompt.tasks.answer_form import AnswerForm
from speechprompt.tuning.config import TuneConfig
from speechprompt.tuning.trainable import TrainablePrompt
from speechprompt.units import EOS, SEPARATOR, UNIT_OFFSET

FOLDER = Path(__file__).parents[1] / "fixtures" / "reference"
VARIANTS = ["deep5_linear", "deep5_freq", "input5_linear", "input5_freq"]
LOGITS = {"atol": 2e-5, "rtol": 0.0}


@pytest.fixture(scope="module")
def lm():
    return unit_lm.load(FOLDER / "unit_lm")


def reference_prompt(variant: str, io: dict[str, Tensor]) -> Prompt:
    learned = "verbalizer.weight" in io
    return Prompt(
        task=variant,
        title=variant,
        form=AnswerForm(tuple(f"class {i}" for i in range(6))),
        backbone="reference",
        unit_lm_sha256=lm_config.sha256(FOLDER / "unit_lm"),
        separator=io["separator"],
        key_prompts=io.get("key_prompts"),
        value_prompts=io.get("value_prompts"),
        input_prompts=io.get("input_prompts"),
        verbalizer_weight=io.get("verbalizer.weight"),
        verbalizer_units=None if learned else torch.tensor([4, 9, 1, 50, 7, 99]),
    )


def queries(io: dict[str, Tensor]) -> list[list[int]]:
    """The units between </s> and the separator of each query."""
    rows = zip(io["query.tokens"].tolist(), io["query.lengths"].tolist(), strict=True)
    return [[token - UNIT_OFFSET for token in row[1 : length - 1]] for row, length in rows]


def expected_probabilities(prompt: Prompt, logits: Tensor) -> Tensor:
    """What the reference's logits (classes or vocabulary) make of the labels, specials left out."""
    own = (
        logits[UNIT_OFFSET:]
        if prompt.verbalizer == "learned"
        else label_logits(logits, units=prompt.verbalizer_units)
    )
    return own.softmax(-1)


def test_base_lm_gives_the_reference_logits(lm):
    io = load_file(FOLDER / "base_lm.safetensors")
    logits = lm(input_ids=io["tokens"]).logits
    for row, length in enumerate(io["lengths"].tolist()):
        torch.testing.assert_close(logits[row, :length], io["logits"][row, :length], **LOGITS)


def test_position_table_is_the_reference_table(lm):
    table = load_file(FOLDER / "base_lm.safetensors")["positions"]
    torch.testing.assert_close(lm.model.embed_positions.weights[: len(table)], table, atol=1e-5, rtol=0)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("alone", [True, False], ids=["single", "batch"])
def test_answers_equal_the_reference(lm, variant, alone):
    io = load_file(FOLDER / f"{variant}.safetensors")
    prompt = reference_prompt(variant, io)
    prompted, utterances = PromptedLM(lm, [prompt]), queries(io)
    if alone:
        answers = [prompted.answer([ids])[0][0] for ids in utterances]
    else:
        answers = [row[0] for row in prompted.answer(utterances)]
    for answer, expected in zip(answers, io["query.logits"], strict=True):
        logits = torch.from_numpy(answer.vocabulary_logits[0])
        if prompt.verbalizer_weight is not None:  # the reference records the verbalizer's output
            logits = prompt.verbalizer_weight @ logits
        torch.testing.assert_close(logits, expected, **LOGITS)
        probabilities = torch.from_numpy(answer.probabilities[0])
        torch.testing.assert_close(probabilities, expected_probabilities(prompt, expected), atol=1e-5, rtol=0)


def test_deep_and_input_prompts_share_one_batch(lm):
    ios = [load_file(FOLDER / f"{variant}.safetensors") for variant in VARIANTS]
    prompts = [reference_prompt(v, io) for v, io in zip(VARIANTS, ios, strict=True)]
    answers = PromptedLM(lm, prompts).answer(queries(ios[0]))
    for row, per_prompt in enumerate(answers):
        for answer, io, prompt in zip(per_prompt, ios, prompts, strict=True):
            expected = expected_probabilities(prompt, io["query.logits"][row])
            torch.testing.assert_close(torch.from_numpy(answer.probabilities[0]), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_training_loss_and_gradients_equal_the_reference(lm, variant):
    io = load_file(FOLDER / f"{variant}.safetensors")
    names = [name.removeprefix("grad.") for name in io if name.startswith("grad.")]
    trained = {name: io[name].clone().requires_grad_() for name in names}
    prefix = Prefix(trained["separator"][None])
    if "key_prompts" in trained:
        keys, values = past(lm, trained["key_prompts"], trained["value_prompts"], False)
        prefix = replace(prefix, keys=keys, values=values)
    else:
        prefix = replace(prefix, inputs=trained["input_prompts"][None])
    batch = Batch(io["train.src_tokens"], io["train.src_lengths"])
    positions = torch.arange(batch.tokens.shape[1]).expand(len(batch.tokens), -1)
    logits = forward_prompted(lm, batch, prefix, positions)
    if "verbalizer.weight" in trained:
        logits = logits @ trained["verbalizer.weight"].T
    real = int(io["train.src_lengths"][0])
    torch.testing.assert_close(logits[0, :real], io["train.logits"][0, :real], **LOGITS)
    counted = io["train.loss_mask"].bool()
    loss = F.cross_entropy(logits[counted], io["train.target"][counted], reduction="sum")
    torch.testing.assert_close(loss, io["train.loss_sum"][0], atol=1e-4, rtol=0)
    loss.backward()
    for name, tensor in trained.items():
        torch.testing.assert_close(tensor.grad, io[f"grad.{name}"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_tuning_with_the_reference_loss_equals_the_reference(lm, variant):
    """What `tune --loss reference` computes: separator, labels and </s>, from units and label ids."""
    io = load_file(FOLDER / f"{variant}.safetensors")
    learned, deep = "verbalizer.weight" in io, "key_prompts" in io
    config = TuneConfig(prompt_length=5, input_prompts=not deep, loss="reference", feedback="units")
    units = None if learned else torch.arange(100)
    labels = tuple(map(str, range(6 if learned else 100)))
    prompt = TrainablePrompt(lm, config, units, AnswerForm(labels, "sequence"))
    stored = {
        name.removeprefix("grad."): io[name.removeprefix("grad.")] for name in io if name.startswith("grad.")
    }
    names = {"verbalizer.weight": "verbalizer_weight"}
    with torch.no_grad():
        for name, value in stored.items():
            getattr(prompt, names.get(name, name)).copy_(value)
    utterances, answers = [], []
    for row, length in zip(io["train.src_tokens"].tolist(), io["train.src_lengths"].tolist(), strict=True):
        at = row.index(SEPARATOR)
        utterances.append([token - UNIT_OFFSET for token in row[1:at]])
        answers.append([token - UNIT_OFFSET for token in row[at + 1 : length]])
    counted = int(io["train.loss_mask"].sum())
    assert counted == sum(len(labels) + 2 for labels in answers)
    loss = counted * prompt.loss(prompt(lm, utterances, answers), answers)
    torch.testing.assert_close(loss, io["train.loss_sum"][0], atol=1e-4, rtol=0)
    loss.backward()
    for name in stored:
        gradient = getattr(prompt, names.get(name, name)).grad
        torch.testing.assert_close(gradient, io[f"grad.{name}"], atol=1e-5, rtol=1e-5)


def as_sequence(variant: str, io: dict[str, Tensor], max_steps: int) -> Prompt:
    """The recorded prompt as a task that answers with classes, or with any of the 100 units."""
    prompt = reference_prompt(variant, io)
    form = replace(prompt.form, kind="sequence", max_steps=max_steps)
    if prompt.verbalizer == "learned":
        return replace(prompt, form=form)
    form = replace(form, labels=tuple(map(str, range(100))))
    return replace(prompt, form=form, verbalizer_units=torch.arange(100))


@pytest.mark.parametrize("variant", VARIANTS)
def test_greedy_steps_with_a_cache_equal_the_reference_without(lm, variant):
    io = load_file(FOLDER / f"{variant}.safetensors")
    recorded = [io[f"greedy.step_logits.{row}"] for row in range(4)]
    prompt = as_sequence(variant, io, max(map(len, recorded)))
    answers = PromptedLM(lm, [prompt]).answer(queries(io))
    for (answer,), expected in zip(answers, recorded, strict=True):
        logits = torch.from_numpy(answer.vocabulary_logits)
        if prompt.verbalizer_weight is not None:
            logits = logits @ prompt.verbalizer_weight.T
        torch.testing.assert_close(logits, expected[: len(logits)], **LOGITS)
        units = expected.argmax(-1) - UNIT_OFFSET
        assert answer.labels == units[: len(answer.labels)].tolist()
        assert len(answer.labels) == len(units) or units[len(answer.labels)] == EOS - UNIT_OFFSET


@pytest.mark.parametrize("variant", VARIANTS)
def test_sampled_answers_equal_the_reference(lm, variant):
    io = load_file(FOLDER / f"{variant}.safetensors")
    rows = json.loads((FOLDER / "sampled.json").read_text())[variant]
    steps = max(len(row["answered"]) for row in rows)
    prompt = as_sequence(variant, io, steps + 1)
    answers = PromptedLM(lm, [prompt]).answer([row["units"] for row in rows])
    compared = 0
    for (answer,), row in zip(answers, rows, strict=True):
        expected = row["answered"]
        special = expected.index(SEPARATOR - UNIT_OFFSET) if -UNIT_OFFSET in expected else None
        assert answer.labels[: special or len(expected)] == expected[:special]
        # Its length cap counts the units too, so a long answer may have been cut there.
        assert special or len(answer.labels) == len(expected) or len(expected) + len(row["units"]) == 39
        compared += len(expected[:special])
    assert compared >= 12
