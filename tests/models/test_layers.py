"""The decoder layers against transformers' own, in any number of blocks, and the packed products."""

from __future__ import annotations

import copy

import pytest
import torch
from tiny import N_UNITS, make_encoder, make_lm, make_prompt, make_waveform
from torch import nn

from speechprompt.decoding.forward import forward_prompted, to_batch
from speechprompt.decoding.prefix import Prefix
from speechprompt.models import layers, packing
from speechprompt.models.packing import PackedLinear, packed
from speechprompt.models.unit_lm import UnitLM
from speechprompt.units import SEPARATOR

UTTERANCES = [[i * 7 % N_UNITS for i in range(n)] for n in (40, 3, 17)]


def unprompted(lm: UnitLM) -> Prefix:
    return Prefix(lm.model.embed_tokens.weight[SEPARATOR][None])


@pytest.mark.parametrize("block", [1, 5, 64])
def test_blocks_of_queries_equal_transformers(block, monkeypatch):
    monkeypatch.setattr(layers, "BLOCK_CPU", block)
    lm = make_lm()
    batch = to_batch(lm, UTTERANCES)
    places = torch.arange(batch.tokens.shape[1]).expand(len(UTTERANCES), -1)
    found = forward_prompted(lm, batch, unprompted(lm), places)
    expected = lm(input_ids=batch.tokens).logits
    for row, other, n in zip(found, expected, batch.lengths.tolist(), strict=True):
        torch.testing.assert_close(row[:n], other[:n], atol=2e-5, rtol=1e-5)


def test_a_place_that_may_look_nowhere_stays_finite():
    """Rows with shorter input prompts begin with places that see nothing at all."""
    for dtype in (torch.float32, torch.bfloat16):
        lm = make_lm().to(dtype)
        mask = torch.tensor([[False, False, True]] * 3)
        inputs = torch.randn(3, 3, lm.config.d_model, generator=torch.Generator().manual_seed(0))
        batch = to_batch(lm, UTTERANCES)
        one, other = (
            forward_prompted(lm, batch, Prefix(inputs[0, :1], inputs=x, input_mask=mask))
            for x in (inputs, inputs * torch.tensor([1e3, -1e3, 1.0])[None, :, None])
        )
        assert torch.isfinite(one).all()
        torch.testing.assert_close(one, other)


def test_no_work_goes_into_padding():
    lm = make_lm()
    batch = to_batch(lm, UTTERANCES)
    rows = []
    lm.model.layers[0].fc1.register_forward_hook(lambda layer, given, out: rows.append(len(given[0])))
    forward_prompted(lm, batch, unprompted(lm))
    assert rows == [int(batch.lengths.sum())]


def test_packed_layers_give_the_same_logits():
    lm = make_lm()
    twin = packed(lm)
    if not packing.can_pack():
        assert twin is lm
        pytest.skip("nothing to pack on this processor")
    assert isinstance(twin.model.layers[0].fc1, PackedLinear)
    assert type(lm.model.layers[0].fc1) is nn.Linear  # the original stays as it is
    assert twin.model.layers[0].fc1.weight is lm.model.layers[0].fc1.weight
    prompt = make_prompt()
    with torch.no_grad():
        for n in (1, 2, 5):  # few rows, filled up to one multiple, to several
            own = [
                forward_prompted(model, to_batch(model, (UTTERANCES * 2)[:n]), Prefix.of(model, [prompt]))
                for model in (lm, twin)
            ]
            torch.testing.assert_close(own[0], own[1], atol=2e-5, rtol=1e-5)


def test_what_is_trained_or_not_float32_is_not_packed():
    assert packed(make_lm().bfloat16()).model.layers[0].fc1.__class__ is nn.Linear
    trained = make_lm().requires_grad_(True)
    assert packed(trained) is trained


def test_a_packed_encoder_is_saved_and_hears_as_before(tmp_path):
    encoder = make_encoder()
    encoder.save(tmp_path / "encoder")
    loaded = type(encoder).load(tmp_path / "encoder")
    assert loaded.state_dict().keys() == encoder.state_dict().keys()
    waveform = make_waveform(2.0)
    plain = copy.deepcopy(encoder)
    plain.load_state_dict(loaded.state_dict())
    for one, other in zip(loaded.features([waveform]), plain.features([waveform]), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_the_memory_of_an_answer_grows_with_length_not_its_square():
    """The biggest tensor that attention makes is of one block, whatever the length."""
    sizes = []
    attend = layers.attend

    def watched(queries, keys, values, mask):
        sizes.append(queries.shape[2] * mask.shape[-1])
        return attend(queries, keys, values, mask)

    lm = make_lm()
    layers.attend, before = watched, layers.attend
    try:
        with torch.no_grad():
            forward_prompted(lm, to_batch(lm, [[0, 1] * 500]), unprompted(lm))
    finally:
        layers.attend = before
    assert max(sizes) <= layers.BLOCK_CPU * 1002
