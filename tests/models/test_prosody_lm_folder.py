"""The folder of a prosody LM: what is written is read, what is not sound is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from speechprompt.errors import SpeechPromptError
from speechprompt.models import prosody_lm, unit_lm
from speechprompt.models.load import load_lm
from speechprompt.models.prosody_lm import ProsodyConfig
from tests.tiny import make_lm


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
