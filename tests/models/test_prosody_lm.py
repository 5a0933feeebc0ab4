"""The prosody LM against logits and losses of the reference, in both modes."""

from __future__ import annotations

import copy
import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from speechprompt.errors import SpeechPromptError
from speechprompt.models.prosody_lm import stream_losses, streams, targets
from speechprompt.units import Units
from tests.prosody_reference import FOLDER, OURS, TOLERANCE, assert_same, convert, recorded


def plain_forward(weights, tokens, durations, f0, n_heads=4):
    """The reference's forward pass on fairseq's own indices, from the names of its checkpoint."""
    w = {name.removeprefix("decoder."): tensor for name, tensor in weights.items()}
    length, d = tokens.shape[1], w["embed_tokens.weight"].shape[1]

    def linear(x, name):
        return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    def norm(x, name):
        return F.layer_norm(x, (d,), w[f"{name}.weight"], w[f"{name}.bias"])

    def stream(i, x):
        name = f"embed_other_list.{i}"
        return linear(x[..., None], name) if f"{name}.bias" in w else w[f"{name}.weight"][x]

    rates = torch.exp(torch.arange(d // 2) * -(math.log(10_000) / (d // 2 - 1)))
    angles = torch.arange(102, 102 + length)[:, None] * rates
    x = w["embed_tokens.weight"][tokens] * math.sqrt(d) + stream(0, durations) + stream(1, f0)
    x = x + torch.cat([angles.sin(), angles.cos()], 1)
    later = torch.ones(length, length, dtype=torch.bool).triu(1)
    for layer in range(2):
        at = f"layers.{layer}"
        y = norm(x, f"{at}.self_attn_layer_norm")
        q, k, v = (
            linear(y, f"{at}.self_attn.{part}_proj").view(len(x), length, n_heads, -1).transpose(1, 2)
            for part in "qkv"
        )
        scores = (q @ k.transpose(-1, -2) / math.sqrt(d // n_heads)).masked_fill(later, -torch.inf)
        y = (scores.softmax(-1) @ v).transpose(1, 2).reshape(x.shape)
        x = x + linear(y, f"{at}.self_attn.out_proj")
        x = x + linear(linear(norm(x, f"{at}.final_layer_norm"), f"{at}.fc1").relu(), f"{at}.fc2")
    out = norm(x, "layer_norm") @ w["project_out_dim.weight"].T
    return out.split([104, 1, 1] if out.shape[-1] == 106 else [104, 25, 36], -1)


def units_of(io, row: int) -> Units:
    ids, lengths = io[f"raw.{row}.code"][:-1].numpy(), io[f"raw.{row}.dur"][:-1].numpy()
    return Units(ids, np.cumsum(lengths) - lengths, lengths, io[f"raw.{row}.norm_logf0"][:-1].numpy())


def test_discrete_logits_equal_the_reference(lm, io) -> None:
    inputs = (OURS[io["in.src_tokens"]], io["in.dur_src"], io["in.f0_src"])
    assert_same(lm.forward_streams(*inputs), recorded(io, "out"), io["in.src_lengths"])
    assert not lm.prosody.ignore_prosody_input
    lm.prosody = dataclasses.replace(lm.prosody, ignore_duration_input=True, ignore_f0_input=True)
    assert lm.prosody.ignore_prosody_input
    expected = recorded(io, "out_prosody_input_ignored")
    assert_same(lm.forward_streams(*inputs), expected, io["in.src_lengths"])


def test_losses_equal_the_reference(lm, io) -> None:
    outputs = lm.forward_streams(OURS[io["in.src_tokens"]], io["in.dur_src"], io["in.f0_src"])
    wanted = (OURS[io["target"]], io["dur_target"], io["f0_target"])
    counted = tuple(io[name] == 0 for name in ("mask", "dur_mask", "f0_mask"))
    losses = stream_losses(outputs, wanted, counted)
    expected = json.loads((FOLDER / "discrete.json").read_text())["losses"]
    for loss, name in zip(losses, ("token_loss", "dur_loss", "f0_loss"), strict=True):
        assert loss.item() == pytest.approx(expected[name], abs=1e-4)
    assert losses[0] + 0.5 * losses[1] + 0.5 * losses[2] == pytest.approx(expected["loss"], abs=1e-4)


@pytest.mark.parametrize("row", range(3))
def test_streams_and_targets_equal_the_reference_batch(lm, io, row) -> None:
    length = int(io["in.src_lengths"][row])
    for found, name in zip(streams(units_of(io, row), lm.prosody), ("dur_src", "f0_src"), strict=True):
        assert found.dtype == np.int64
        assert found.tolist() == io[f"in.{name}"][row, :length].tolist()
    for found, name in zip(targets(units_of(io, row), lm.prosody), ("dur", "f0"), strict=True):
        assert found.tolist() == io[f"{name}_target"][row, :length].tolist()


def test_the_spelled_out_forward_is_the_reference(original, io) -> None:
    found = plain_forward(original["model"], io["in.src_tokens"], io["in.dur_src"], io["in.f0_src"])
    for ours, theirs in zip(found, recorded(io, "out"), strict=True):
        torch.testing.assert_close(ours[0], theirs[0], **TOLERANCE)


def test_continuous_mode(continuous, io, tmp_path) -> None:
    lm = convert(continuous, tmp_path)
    assert (lm.prosody.mode, lm.prosody.n_durations, lm.prosody.n_f0) == ("continuous", 1, 1)
    units = units_of(io, 0)
    durations, f0 = streams(units, lm.prosody)
    assert durations.dtype == f0.dtype == np.float32
    np.testing.assert_array_equal(durations, [0, 0, *units.lengths])  # 21 frames stay 21
    np.testing.assert_array_equal(f0, np.r_[[-5, 0], units.log_f0].astype(np.float32))
    tokens = io["in.src_tokens"][:1]
    d, f = torch.from_numpy(durations)[None], torch.from_numpy(f0)[None]
    outputs, lengths = lm.forward_streams(OURS[tokens], d, f), io["in.src_lengths"][:1]
    assert_same(outputs, plain_forward(continuous["model"], tokens, d, f), lengths)
    # Whole durations may come as integers too.
    assert_same(lm.forward_streams(OURS[tokens], d.long(), f), outputs_in_their_order(outputs), lengths)

    wanted = [torch.from_numpy(x)[None] for x in targets(units, lm.prosody)]
    counted = torch.ones(1, 19, dtype=torch.bool)
    counted[:, 0] = False
    losses = stream_losses(outputs, (OURS[io["target"][:1]], *wanted), (~counted, counted, counted))
    for loss, output, target in zip(losses[1:], outputs[1:], wanted, strict=True):
        torch.testing.assert_close(loss, (output[0, 1:, 0] - target[0, 1:]).abs().sum())

    lm.prosody = dataclasses.replace(lm.prosody, ignore_duration_input=True, ignore_f0_input=True)
    zeros = torch.zeros(1, 19)  # zero still leaves the bias of the projections
    expected = plain_forward(continuous["model"], tokens, zeros, zeros)
    assert_same(lm.forward_streams(OURS[tokens], d, f), expected, lengths)


def outputs_in_their_order(outputs):
    return (outputs[0][..., OURS], *outputs[1:])


def test_contract_of_the_decoder(lm, io) -> None:
    """What decoding relies on: inputs_embeds, position_ids from first_position on, lm_head."""
    assert (lm.first_position, lm.start_token, lm.config.vocab_size) == (100, 3, 104)
    assert lm.lm_head.weight is not lm.model.embed_tokens.weight
    tokens, durations, f0 = (io[f"in.{name}"][1:2, :10] for name in ("src_tokens", "dur_src", "f0_src"))
    embedded = lm.model.embed_tokens(OURS[tokens]) + lm.embed_prosody(durations, f0)
    positions = torch.arange(10)[None] + lm.first_position
    hidden = lm.model(inputs_embeds=embedded, position_ids=positions).last_hidden_state
    torch.testing.assert_close(lm.lm_head(hidden)[0][:, OURS], io["out.token"][1, :10], **TOLERANCE)
    assert not lm.model.embed_positions(torch.tensor([[-1]])).any()  # input prompts have no position
    last = torch.tensor([[lm.first_position + 3100]])  # a minute of speech, every frame another unit
    assert lm.model.embed_positions(last).abs().sum() > 0


def test_copies_and_low_precision(lm, io) -> None:
    inputs = (OURS[io["in.src_tokens"]], io["in.dur_src"], io["in.f0_src"])
    fast = copy.deepcopy(lm).bfloat16()
    assert fast.dtype == torch.bfloat16 and lm.dtype == torch.float32
    assert (fast.first_position, fast.prosody.mode) == (100, "discrete")
    for found, exact in zip(fast.forward_streams(*inputs), lm.forward_streams(*inputs), strict=True):
        assert found.dtype == torch.bfloat16
        assert (found.float() - exact).abs().max() < 0.2


def test_units_without_f0_are_refused_unless_f0_is_ignored(lm) -> None:
    units = Units.from_frames([1, 1, 5])
    with pytest.raises(SpeechPromptError, match="give it a recording"):
        streams(units, lm.prosody)
    deaf = dataclasses.replace(lm.prosody, ignore_f0_input=True, f0_edges=None)
    assert streams(units, deaf)[0].tolist() == [0, 0, 2, 1]
    heard = dataclasses.replace(units, log_f0=np.zeros(2, np.float32))
    with pytest.raises(SpeechPromptError, match="no f0_edges"):
        streams(heard, dataclasses.replace(lm.prosody, f0_edges=None))
