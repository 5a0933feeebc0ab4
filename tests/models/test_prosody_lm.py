"""The prosody LM against logits and losses of the reference, in both modes; its folder; its conversion.

The continuous mode has no recording here: it is held against `plain_forward`, which spells the reference
out from the checkpoint's own tensors and is itself held against the discrete recording.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from speechprompt.errors import SpeechPromptError
from speechprompt.making.convert import prosody_lm as conversion
from speechprompt.models import prosody_lm, unit_lm
from speechprompt.models.load import load_lm
from speechprompt.models.prosody_lm import ProsodyConfig, stream_losses, streams, targets
from speechprompt.units import Units
from tests.tiny import make_lm

FOLDER = Path(__file__).parents[1] / "fixtures" / "pgslm"
TOLERANCE = {"atol": 2e-5, "rtol": 0.0}
OURS = conversion.token_order(104).argsort()  # fairseq's index -> our token id


@pytest.fixture(scope="module")
def io():
    return load_file(FOLDER / "discrete.safetensors")


@pytest.fixture(scope="module")
def original():
    return torch.load(FOLDER / "discrete.pt", weights_only=True)


@pytest.fixture(scope="module")
def edges(io, tmp_path_factory):
    path = tmp_path_factory.mktemp("edges") / "bins.th"
    torch.save(io["f0_edges"], path)
    return path


@pytest.fixture(scope="module")
def folder(edges, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pgslm") / "unit_lm"
    conversion.convert(FOLDER / "discrete.pt", folder, edges)
    return folder


@pytest.fixture
def lm(folder):
    return prosody_lm.load(folder)


@pytest.fixture(scope="module")
def continuous(original):
    """The recorded checkpoint with continuous streams in place of the discrete ones, seeded."""
    state = copy.deepcopy(original)
    generator = torch.Generator().manual_seed(1)
    d = state["model"]["decoder.embed_tokens.weight"].shape[1]
    for i in range(2):
        name = f"decoder.embed_other_list.{i}"
        state["model"][f"{name}.weight"] = torch.randn(d, 1, generator=generator) * 0.3
        state["model"][f"{name}.bias"] = torch.randn(d, generator=generator)
    state["model"]["decoder.project_out_dim.weight"] = torch.randn(106, d, generator=generator)
    state["cfg"]["task"] |= {"discrete_duration": False, "discrete_f0": False}
    return state


def convert(state, tmp_path, edges=None):
    torch.save(state, tmp_path / "checkpoint.pt")
    conversion.convert(tmp_path / "checkpoint.pt", tmp_path / "made" / "unit_lm", edges)
    return prosody_lm.load(tmp_path / "made" / "unit_lm")


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


def assert_same(found, expected, lengths):
    """Equal at real steps; the units' logits are brought back to fairseq's order."""
    for ours, theirs in zip((found[0][..., OURS], *found[1:]), expected, strict=True):
        for row, length in enumerate(lengths.tolist()):
            torch.testing.assert_close(ours[row, :length], theirs[row, :length], **TOLERANCE)


def recorded(io, prefix):
    return [io[f"{prefix}.{name}"] for name in ("token", "duration", "f0")]


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


def make(**settings):
    torch.manual_seed(0)
    return prosody_lm.make(20, 16, 2, 2, 32, ProsodyConfig(**settings)).requires_grad_(False).eval()


@pytest.mark.parametrize("mode", ["discrete", "continuous"])
def test_round_trip(mode, tmp_path) -> None:
    sizes = {"n_durations": 1, "n_f0": 1}
    settings = {"f0_edges": np.linspace(-1, 1, 31)} if mode == "discrete" else sizes
    lm = make(mode=mode, ignore_f0_input=True, **settings)
    prosody_lm.save(lm, tmp_path / "lm")
    assert {t.dtype for t in load_file(tmp_path / "lm" / "model.safetensors").values()} == {torch.float16}
    found = prosody_lm.load(tmp_path / "lm")
    assert found.prosody.settings() == lm.prosody.settings() and found.first_position == 0
    assert found.dtype == torch.float32 and not found.training
    assert not any(parameter.requires_grad for parameter in found.parameters())
    tokens = torch.tensor([[3, 9, 10, 0]])
    numbers = torch.tensor([[0, 0, 3, 4]])
    for a, b in zip(*(m.forward_streams(tokens, numbers, numbers) for m in (lm, found)), strict=True):
        torch.testing.assert_close(a, b, atol=5e-3, rtol=0)
    prosody_lm.save(lm, tmp_path / "exact", torch.float32)
    exact = prosody_lm.load(tmp_path / "exact").forward_streams(tokens, numbers, numbers)
    torch.testing.assert_close(exact[0], lm.forward_streams(tokens, numbers, numbers)[0], atol=1e-6, rtol=0)


def test_folders_are_told_apart(tmp_path, folder) -> None:
    unit_lm.save(make_lm(), tmp_path / "plain")
    assert isinstance(load_lm(folder), prosody_lm.ProsodyLM)
    assert not isinstance(load_lm(tmp_path / "plain"), prosody_lm.ProsodyLM)
    with pytest.raises(SpeechPromptError, match="model_type"):
        prosody_lm.load(tmp_path / "plain")
    with pytest.raises(SpeechPromptError, match="model_type"):
        unit_lm.load(folder)


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ({"tie_word_embeddings": True}, "tie_word_embeddings"),
        ({"d_model": 4.0}, "d_model"),
        ({"first_position": 10_000}, "first_position"),
        ({"first_position": "100"}, "first_position"),
        ({"prosody": None}, "prosody"),
        ({"prosody": {"mode": "discrete"}}, "lacks the entry 'prosody.f0_edges'"),
        ({"prosody.mode": "both"}, "mode must be 'discrete' or 'continuous'"),
        ({"prosody.shifts": [0, 0]}, r"shifted by \[0, 0\]; only \[1, 1\]"),
        ({"prosody.shifts": 1}, "shifts"),
        ({"prosody.n_f0": 1 << 40}, "n_f0"),
        ({"prosody.mode": "continuous"}, "n_durations must be 1"),
        ({"prosody.f0_edges": [0.0, 1.0]}, "as many as the F0 bins less one"),
        ({"prosody.f0_edges": [float(-i) for i in range(31)]}, "rise"),
        ({"prosody.f0_edges": [1e999] * 31}, "config.json"),
        ({"prosody.f0_edges": ["a"] * 31}, "f0_edges must be a list of numbers"),
        ({"prosody.ignore_f0_input": 1}, "ignore_f0_input must be a valid boolean"),
    ],
)
def test_folders_that_are_not_sound_are_refused(folder, tmp_path, change, fact) -> None:
    settings = json.loads((folder / "config.json").read_text())
    for name, value in change.items():
        place, _, inner = name.partition(".")
        if inner:
            settings[place][inner] = value
        else:
            settings[place] = value
    (tmp_path / "config.json").write_text(json.dumps(settings))
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(SpeechPromptError, match=fact):
        prosody_lm.load(tmp_path)


def test_wrong_tensors_are_named(folder, tmp_path) -> None:
    weights = load_file(folder / "model.safetensors")
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())

    def refuse(changed, message):
        save_file(changed, tmp_path / "model.safetensors")
        with pytest.raises(SpeechPromptError, match=message):
            prosody_lm.load(tmp_path)

    refuse({k: v for k, v in weights.items() if k != "f0_head.weight"}, "lacks the tensor 'f0_head.weight'")
    refuse(weights | {"embed_f0.bias": torch.zeros(32)}, "unexpected tensor 'embed_f0.bias'")
    refuse(
        weights | {"embed_durations.weight": torch.zeros(24, 32)}, r"shape \[24, 32\], expected \[25, 32\]"
    )
    refuse(weights | {"f0_head.weight": torch.full((36, 32), torch.nan)}, "not finite")


def test_rows_of_the_vocabulary(lm, original) -> None:
    """unit u -> u + 4, <s> -> 3, <pad> -> 1, </s> -> 2, <unk> -> 0."""
    theirs, ours = original["model"]["decoder.embed_tokens.weight"], lm.model.embed_tokens.weight
    for row, index in {4: 0, 103: 99, 3: 100, 1: 101, 2: 102, 0: 103}.items():
        torch.testing.assert_close(ours[row], theirs[index], atol=0, rtol=0)


@pytest.mark.parametrize("stored", ["tensor", "array", "list"])
def test_edges_are_read_however_they_were_saved(io, stored, tmp_path) -> None:
    values = io["f0_edges"]
    torch.save(
        {"tensor": values, "array": values.numpy(), "list": values.tolist()}[stored], tmp_path / "e.th"
    )
    np.testing.assert_allclose(conversion.read_edges(tmp_path / "e.th"), values, atol=1e-7)


def test_edges_as_pgslm_saves_them_are_those_of_the_checkpoints_bins(original, io, tmp_path) -> None:
    right = io["f0_edges"].double().numpy()
    torch.save({16: right[:15], 32: right}, tmp_path / "both.th")
    made = convert(original, tmp_path, tmp_path / "both.th")
    np.testing.assert_allclose(made.prosody.f0_edges, right, atol=1e-7)
    torch.save({16: right[:15], 8: right[:7]}, tmp_path / "other.th")
    with pytest.raises(SpeechPromptError, match=r"other\.th does not hold .* by the number of bins"):
        conversion.read_edges(tmp_path / "other.th", 32)


@pytest.mark.parametrize("content", [{"a": 1}, {}, torch.zeros(2, 3), "edges", [[1.0], [2.0, 3.0]]])
def test_edges_that_are_none_are_refused(content, tmp_path) -> None:
    torch.save(content, tmp_path / "e.th")
    with pytest.raises(SpeechPromptError, match=r"e\.th"):
        conversion.read_edges(tmp_path / "e.th")


def drop(name):
    return lambda s: s["model"].pop(name)


def put(**values):
    """Change settings of the task or, where it has them too, of the model."""

    def change(state):
        for name, value in values.items():
            for section in ("task", "model"):
                if name in state["cfg"][section]:
                    state["cfg"][section][name] = value

    return change


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        (drop("decoder.project_out_dim.weight"), "no prosody LM"),
        (drop("decoder.layers.1.fc2.bias"), "lacks the tensor 'decoder.layers.1.fc2.bias'"),
        (drop("decoder.embed_other_list.0.weight"), "duration embeddings"),
        (drop("decoder.embed_other_list.1.weight"), "n_f0"),
        (lambda s: s["model"].update(extra=torch.zeros(2)), "tensor 'extra'"),
        (lambda s: s["cfg"].update(task=None), "nothing about its streams"),
        (put(discrete_f0=False), "mixes"),
        (put(discrete_f0=None), "does not say whether"),
        (put(discrete_f0=False, discrete_duration=False), "decoder.embed_other_list.0.bias"),
        (put(max_token_duration=30), "max_token_duration = 30"),
        (put(max_token_duration="20"), "max_token_duration"),
        (put(stream_shifts="0,1"), r"shifted by \[0, 1\]"),
        (put(stream_shifts=None), "stream_shifts"),
        (put(normalize_f0_std=True), "normalize_f0_std"),
        (put(interpolate_f0=False), "interpolate_f0"),
        (put(activation_fn="gelu"), "gelu"),
        (put(decoder_normalize_before=False), "decoder_normalize_before"),
        (put(decoder_layers=3), "layers.2"),
        (put(decoder_embed_dim=64, decoder_input_dim=64, decoder_output_dim=64), "shape"),
    ],
)
def test_checkpoints_that_do_not_fit_are_refused_and_nothing_is_written(
    original, tmp_path, change, fact
) -> None:
    state = copy.deepcopy(original)
    change(state)
    with pytest.raises(SpeechPromptError, match=fact):
        convert(state, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_edges_must_fit_the_checkpoint(original, continuous, edges, tmp_path) -> None:
    with pytest.raises(SpeechPromptError, match="leave --edges out"):
        convert(continuous, tmp_path, edges)
    torch.save(torch.linspace(-1, 1, 30), tmp_path / "short.th")
    with pytest.raises(SpeechPromptError, match="as many as the F0 bins less one"):
        convert(original, tmp_path, tmp_path / "short.th")
    assert not (tmp_path / "made").exists()


def test_ignored_inputs_and_old_settings_are_read(original, tmp_path, io) -> None:
    state = copy.deepcopy(original)
    put(ignore_duration_input=True, ignore_f0_input=True)(state)
    args = {**state["cfg"]["model"], **state["cfg"]["task"]}
    lm = convert({**state, "cfg": None, "args": argparse.Namespace(**args)}, tmp_path)  # before fairseq 1.0
    assert lm.prosody.ignore_prosody_input and lm.prosody.f0_edges is None
    outputs = lm.forward_streams(OURS[io["in.src_tokens"]], io["in.dur_src"], io["in.f0_src"])
    assert_same(outputs, recorded(io, "out_prosody_input_ignored"), io["in.src_lengths"])


def test_command(edges, tmp_path, capsys) -> None:
    parser = argparse.ArgumentParser()
    conversion.add_arguments(parser)
    out = tmp_path / "unit_lm"
    conversion.run(parser.parse_args([str(FOLDER / "discrete.pt"), str(out), "--dtype", "float16"]))
    assert "100 units, discrete durations and F0" in (sentence := capsys.readouterr().out)
    assert "cannot hear recordings" in sentence
    conversion.run(parser.parse_args([str(FOLDER / "discrete.pt"), str(out), "--edges", str(edges)]))
    assert "cannot hear" not in capsys.readouterr().out
    assert prosody_lm.load(out).prosody.f0_edges.shape == (31,)
