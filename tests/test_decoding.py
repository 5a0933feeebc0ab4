"""Prompted decoding: a batch answers as single rows do, masks hide what they should, specials never win."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import LAYERS, N_UNITS, WIDTH, make_lm, make_prompt

from speechprompt import decoding
from speechprompt.decoding import PromptedLM, forward_prompted, label_logits, project_prompts, to_batch
from speechprompt.units import UNIT_OFFSET

UTTERANCES = [[3, 1, 4], [15, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9], [0], [19, 18], [2, 7, 1, 8, 2, 8]]


@pytest.fixture(scope="module")
def lm():
    return make_lm()


@pytest.fixture(scope="module")
def prompts():
    """Every kind: deep and input, both verbalizers, three lengths."""
    return [
        make_prompt("a", length=1, seed=1),
        make_prompt("b", labels=("x", "y"), length=5, verbalizer="fixed", seed=2),
        make_prompt("c", length=2, deep=False, seed=3),
        make_prompt("d", labels=tuple("pqrstu"), length=4, deep=False, verbalizer="fixed", seed=4),
    ]


def assert_same(one, other):
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
    np.testing.assert_allclose(one.vocabulary_logits, other.vocabulary_logits, atol=1e-4)


def test_to_batch_is_eos_units_separator_padding():
    tokens, lengths = to_batch([[0, 19], [5]])
    assert tokens.tolist() == [[2, 4, 23, 0], [2, 9, 0, 1]]
    assert lengths.tolist() == [4, 3]


def test_one_batch_answers_as_single_rows(lm, prompts):
    together = PromptedLM(lm, prompts).answer(UTTERANCES, [0, 1, 2, 3])
    for ids, per_prompt in zip(UTTERANCES, together, strict=True):
        for prompt, answer in zip(prompts, per_prompt, strict=True):
            assert_same(answer, PromptedLM(lm, [prompt]).answer([ids], [0])[0][0])


def test_answers_come_in_the_order_asked(lm, prompts):
    prompted = PromptedLM(lm, prompts)
    straight, turned = prompted.answer(UTTERANCES, [0, 1, 3]), prompted.answer(UTTERANCES[::-1], [3, 1, 0])
    for row, other in zip(straight, turned[::-1], strict=True):
        for answer, same in zip(row, other[::-1], strict=True):
            assert_same(answer, same)


def test_small_chunks_give_the_same_answers(lm, prompts, monkeypatch):
    prompted = PromptedLM(lm, prompts)
    whole = prompted.answer(UTTERANCES, [0, 1, 2, 3])
    sizes = []
    forward = decoding.forward_prompted
    monkeypatch.setattr(decoding, "MAX_TOKENS", 40)
    monkeypatch.setattr(
        decoding, "forward_prompted", lambda *args: sizes.append(args[1].numel()) or forward(*args)
    )
    chunked = prompted.answer(UTTERANCES, [0, 1, 2, 3])
    assert len(sizes) > 5
    assert max(sizes) <= 40
    for row, other in zip(whole, chunked, strict=True):
        for answer, same in zip(row, other, strict=True):
            assert_same(answer, same)


def test_long_rows_are_chunked_by_attention_too(lm, prompts, monkeypatch):
    monkeypatch.setattr(decoding, "MAX_WEIGHTS", 1)
    prompted = PromptedLM(lm, prompts)
    chunks = list(prompted._chunks([(0, 0), (0, 1), (0, 2)], [50]))
    assert chunks == [[(0, 0)], [(0, 1)], [(0, 2)]]


def test_more_units_than_the_position_table_holds():
    lm = make_lm()
    long = [i % N_UNITS for i in range(3000)]  # 60 s of units that all differ from their neighbours
    prompted = PromptedLM(lm, [make_prompt()])
    answer = prompted.answer([long], [0])[0][0]
    assert np.isfinite(answer.vocabulary_logits).all()
    assert answer.probabilities.sum() == pytest.approx(1)
    separator = prompted.prompts[0].separator.clone().requires_grad_()
    forward_prompted(lm, *to_batch([[1]]), None, None, separator).sum().backward()  # training still works
    assert separator.grad is not None


def test_probabilities_cover_the_labels_only(lm):
    prompt = make_prompt(labels=("yes", "no"))
    prompt.verbalizer_weight[:UNIT_OFFSET] += 1e3  # the specials' outputs would win any argmax
    (answer,) = PromptedLM(lm, [prompt]).answer([[1, 2, 3]], [0])[0]
    assert answer.probabilities.shape == (2,)
    assert answer.probabilities.sum() == pytest.approx(1)
    assert answer.vocabulary_logits.shape == (N_UNITS + UNIT_OFFSET,)


def test_fixed_verbalizer_reads_its_units():
    logits = torch.arange(24.0)
    assert label_logits(logits, units=torch.tensor([7, 0])).tolist() == [11.0, 4.0]


def test_prompt_and_separator_matter_and_can_be_trained(lm):
    prompt = make_prompt()
    names = ("key_prompts", "value_prompts", "separator")
    trained = {name: getattr(prompt, name).clone().requires_grad_() for name in names}
    tokens, lengths = to_batch(UTTERANCES)
    keys, values = project_prompts(lm, trained["key_prompts"], trained["value_prompts"])
    assert keys.shape == (LAYERS, 2, 3, WIDTH // 2)
    logits = forward_prompted(lm, tokens, lengths, keys, values, trained["separator"])
    assert logits.shape == (len(UTTERANCES), 1, N_UNITS + UNIT_OFFSET)
    logits.square().sum().backward()
    for name, tensor in trained.items():
        assert tensor.grad.abs().amax() > 0, name
    assert all(parameter.grad is None for parameter in lm.parameters())


def test_bfloat16_lm_takes_float32_prompts():
    lm = make_lm().to(torch.bfloat16)
    prompt = make_prompt()
    tokens, lengths = to_batch(UTTERANCES)
    keys, values = project_prompts(lm, prompt.key_prompts, prompt.value_prompts)
    logits = forward_prompted(lm, tokens, lengths, keys, values, prompt.separator)
    exact = forward_prompted(
        make_lm(),
        tokens,
        lengths,
        *project_prompts(make_lm(), prompt.key_prompts, prompt.value_prompts),
        prompt.separator,
    )
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, exact, atol=0.3, rtol=0.1)


def test_no_utterances_give_no_answers(lm, prompts):
    assert PromptedLM(lm, prompts).answer([], [0]) == []
