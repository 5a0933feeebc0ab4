"""The prompted forward pass: its batches, verbalizers and gradients, and that steps with a cache equal it."""

from __future__ import annotations

import pytest
import torch
from tiny import LAYERS, N_UNITS, WIDTH, make_lm, make_prompt

from speechprompt.decoding.forward import forward_prompted, forward_step, label_logits, to_batch
from speechprompt.decoding.prefix import Prefix, past
from speechprompt.models.layers import Cache
from speechprompt.units import UNIT_OFFSET

UTTERANCES = [[3, 1, 4], [15, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9], [0], [19, 18], [2, 7, 1, 8, 2, 8]]


@pytest.fixture(scope="module")
def lm():
    return make_lm()


def test_to_batch_is_eos_units_separator_padding(lm):
    batch = to_batch(lm, [[0, 19], [5]])
    assert batch.tokens.tolist() == [[2, 4, 23, 0], [2, 9, 0, 1]]
    assert batch.lengths.tolist() == [4, 3] and batch.beside is None
    batch = to_batch(lm, [[0, 19], [5]], answers=[[7], [8, 9]])
    assert batch.tokens.tolist() == [[2, 4, 23, 0, 7], [2, 9, 0, 8, 9]]
    assert batch.lengths.tolist() == [4, 3]


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
    keys, values = past(lm, trained["key_prompts"], trained["value_prompts"], False)
    assert keys.shape == (LAYERS, 1, 2, 3, WIDTH // 2)
    prefix = Prefix(trained["separator"][None], keys, values)
    logits = forward_prompted(lm, to_batch(lm, UTTERANCES), prefix)
    assert logits.shape == (len(UTTERANCES), 1, N_UNITS + UNIT_OFFSET)
    logits.square().sum().backward()
    for name, tensor in trained.items():
        assert tensor.grad.abs().amax() > 0, name
    assert all(parameter.grad is None for parameter in lm.parameters())


def test_bfloat16_lm_takes_float32_prompts():
    lm = make_lm().to(torch.bfloat16)
    prompt = make_prompt()
    logits, exact = (
        forward_prompted(model, to_batch(model, UTTERANCES), Prefix.of(model, [prompt]))
        for model in (lm, make_lm())
    )
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, exact, atol=0.3, rtol=0.1)


@pytest.mark.parametrize("deep", [True, False])
def test_steps_with_a_cache_equal_one_pass_without(lm, deep):
    prompt = make_prompt(deep=deep)
    answers = [[5, 9, 23], [4, 4, 11], [8, 22, 7], [6, 10, 12], [20, 4, 5]]
    prefix = Prefix.of(lm, [prompt]).cut()
    batch = to_batch(lm, UTTERANCES, answers=answers)
    at = batch.lengths[:, None] - 1 + torch.arange(4)
    whole = forward_prompted(lm, batch, prefix, at)
    batch = to_batch(lm, UTTERANCES)
    cache = Cache(lm)
    cache.begin(len(batch.tokens), batch.tokens.shape[1] + prompt.length)
    first = forward_prompted(lm, batch, prefix, cache=cache)
    torch.testing.assert_close(first[:, 0], whole[:, 0], atol=1e-5, rtol=1e-5)
    rows = list(range(len(answers)))
    for step in range(3):
        if step == 2:  # rows may end, or change their places
            rows = [3, 0]
            batch, whole, answers = (
                to_batch(lm, [UTTERANCES[i] for i in rows]),
                whole[rows],
                [answers[i] for i in rows],
            )
        fed = lm.model.embed_tokens(torch.tensor([row[step] for row in answers]))
        logits = forward_step(lm, cache, rows, fed, batch.lengths + step)
        torch.testing.assert_close(logits, whole[:, step + 1], atol=1e-5, rtol=1e-5)


def test_rows_of_a_prefix_are_cut_to_what_they_need(lm):
    prompts = [
        make_prompt(length=5),
        make_prompt(length=2, seed=1),
        make_prompt(length=3, deep=False, seed=2),
    ]
    whole = Prefix.of(lm, prompts)
    assert (whole.n_keys, whole.n_inputs) == (5, 3)
    one = whole.rows([1, 1]).cut()  # one for both rows, without padding
    assert (one.n_keys, one.n_inputs, len(one.separator)) == (2, 0, 1)
    assert one.mask(2) is None and one.inputs is None
    mixed = whole.rows([2, 1]).cut()
    assert (mixed.n_keys, mixed.n_inputs) == (2, 3)
    assert mixed.mask(2).tolist() == [[False] * 2 + [True] * 3, [True] * 2 + [False] * 3]
    alone = [forward_prompted(lm, to_batch(lm, [UTTERANCES[0]]), Prefix.of(lm, [prompts[i]])) for i in (2, 1)]
    both = forward_prompted(lm, to_batch(lm, [UTTERANCES[0]] * 2), mixed)
    torch.testing.assert_close(both, torch.cat(alone), atol=1e-5, rtol=1e-5)
