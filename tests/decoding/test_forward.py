"""The prompted forward pass: its batches, verbalizers and gradients, and that steps with a cache equal it."""

from __future__ import annotations

import pytest
import torch
from tiny import LAYERS, N_UNITS, WIDTH, make_lm, make_prompt

from speechprompt.decoding.forward import (
    forward_prompted,
    forward_step,
    label_logits,
    project_prompts,
    to_batch,
)
from speechprompt.models.layers import Cache
from speechprompt.units import UNIT_OFFSET

UTTERANCES = [[3, 1, 4], [15, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9], [0], [19, 18], [2, 7, 1, 8, 2, 8]]


@pytest.fixture(scope="module")
def lm():
    return make_lm()


def test_to_batch_is_eos_units_separator_padding():
    tokens, lengths = to_batch([[0, 19], [5]])
    assert tokens.tolist() == [[2, 4, 23, 0], [2, 9, 0, 1]]
    assert lengths.tolist() == [4, 3]
    tokens, lengths = to_batch([[0, 19], [5]], answers=[[7], [8, 9]])
    assert tokens.tolist() == [[2, 4, 23, 0, 7], [2, 9, 0, 8, 9]]
    assert lengths.tolist() == [4, 3]


def test_fixed_verbalizer_reads_its_units():
    logits = torch.arange(24.0)
    assert label_logits(logits, units=torch.tensor([7, 0])).tolist() == [11.0, 4.0]
    assert label_logits(logits, units=torch.tensor([7, 0]), end=True).tolist() == [11.0, 4.0, 2.0]
    weight = torch.eye(24)[:7]  # labels 0, 1, 2 read the symbols 4, 5, 6
    assert label_logits(logits, weight, end=True).tolist() == [4.0, 5.0, 6.0, 2.0]


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


@pytest.mark.parametrize("deep", [True, False])
def test_steps_with_a_cache_equal_one_pass_without(lm, deep):
    prompt = make_prompt(deep=deep)
    said = [[5, 9, 23], [4, 4, 11], [8, 22, 7], [6, 10, 12], [20, 4, 5]]
    keys = values = None
    if deep:
        keys, values = (t[:, None] for t in project_prompts(lm, prompt.key_prompts, prompt.value_prompts))
    tokens, lengths = to_batch(UTTERANCES, answers=said)
    at = lengths[:, None] - 1 + torch.arange(4)
    whole = forward_prompted(
        lm, tokens, lengths, keys, values, prompt.separator, inputs=prompt.input_prompts, positions=at
    )
    tokens, lengths = to_batch(UTTERANCES)
    cache = Cache(lm)
    cache.begin(len(tokens), tokens.shape[1] + prompt.length)
    first = forward_prompted(
        lm, tokens, lengths, keys, values, prompt.separator, inputs=prompt.input_prompts, cache=cache
    )
    torch.testing.assert_close(first[:, 0], whole[:, 0], atol=1e-5, rtol=1e-5)
    spoken = torch.arange(tokens.shape[1]) < lengths[:, None]
    present = torch.cat([torch.ones(5, prompt.length, dtype=torch.bool), spoken], 1)
    for step in range(3):
        fed = lm.model.embed_tokens(torch.tensor([row[step] for row in said]))
        logits = forward_step(lm, cache, fed, lengths + step, present)
        torch.testing.assert_close(logits, whole[:, step + 1], atol=1e-5, rtol=1e-5)
        present = torch.cat([present, torch.ones(5, 1, dtype=torch.bool)], 1)
