"""The unit LM's folder: what it holds survives a round trip, what does not belong is refused by name."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import time

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import N_UNITS, make_lm
from transformers import XGLMForCausalLM

from speechprompt.errors import SpeechPromptError
from speechprompt.models import lm_config, unit_lm

TOKENS = torch.tensor([[2, 4, 9, 23, 5, 6, 0], [2, 7, 7, 8, 21, 22, 0]])


@pytest.fixture
def folder(tmp_path):
    unit_lm.save(make_lm(), tmp_path / "lm")
    return tmp_path / "lm"


def edit_config(folder, **changes):
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | changes))


def edit_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


def test_round_trip_computes_the_same(folder):
    half = make_lm()
    for parameter in half.parameters():
        parameter.data = parameter.data.half().float()  # what fp16 storage keeps
    lm = unit_lm.load(folder)
    torch.testing.assert_close(lm(TOKENS).logits, half(TOKENS).logits, atol=1e-5, rtol=0)
    assert lm.dtype == torch.float32
    assert not lm.training
    assert not any(parameter.requires_grad for parameter in lm.parameters())
    assert lm.lm_head.weight is lm.model.embed_tokens.weight


def test_transformers_reads_the_folder_too(folder):
    theirs = XGLMForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
    torch.testing.assert_close(unit_lm.load(folder)(TOKENS).logits, theirs(TOKENS).logits, atol=1e-6, rtol=0)


def test_output_layer_is_not_stored_twice(folder):
    weights = load_file(folder / "model.safetensors")
    assert "lm_head.weight" not in weights
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}


def test_sha256_is_that_of_the_weights_file(folder):
    assert lm_config.sha256(folder) == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def test_saving_again_replaces_the_model_and_keeps_other_files(folder):
    before = lm_config.sha256(folder)
    (folder / "README.md").write_text("card")
    unit_lm.save(make_lm(seed=1), folder)
    assert lm_config.sha256(folder) != before
    assert (folder / "README.md").read_text() == "card"
    assert [path.name for path in folder.parent.iterdir()] == ["lm"]  # nothing is left aside


def test_a_save_that_fails_leaves_the_old_model(folder):
    before = lm_config.sha256(folder)
    broken = make_lm(seed=1)
    broken.model.layers[0].fc1.weight.data[0, 0] = 1e6  # more than fp16 holds
    with pytest.raises(SpeechPromptError, match="fc1.weight holds values that are not finite"):
        unit_lm.save(broken, folder)
    assert lm_config.sha256(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["lm"]


def test_missing_files_are_named(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(SpeechPromptError, match="model.safetensors is missing"):
        unit_lm.load(folder)
    (folder / "config.json").unlink()
    with pytest.raises(SpeechPromptError, match="config.json is missing"):
        unit_lm.load(folder)


class Payload:
    def __reduce__(self):
        return os.mkdir, ("pickle_was_run",)


def test_a_pickle_is_refused_and_never_run(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (folder / "model.safetensors").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(SpeechPromptError, match="not a safetensors file"):
        unit_lm.load(folder)
    assert not (tmp_path / "pickle_was_run").exists()


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"activation_function": "gelu"}, "activation_function"),
        ({"model_type": "gpt2"}, "units.json is missing"),
        ({"scale_embedding": False}, "scale_embedding"),
        ({"pad_token_id": 0}, "pad_token_id"),
        ({"num_layers": 10_000_000}, "num_layers"),
        ({"vocab_size": 1 << 40}, "vocab_size"),
        ({"d_model": "256"}, "d_model"),
        ({"d_model": True}, "d_model"),
        ({"attention_heads": 5}, "attention_heads"),
        ({"max_position_embeddings": 1 << 30}, "max_position_embeddings"),
    ],
)
def test_configs_of_other_models_or_absurd_sizes_are_refused(folder, changes, fact):
    edit_config(folder, **changes)
    with pytest.raises(SpeechPromptError, match=fact):
        unit_lm.load(folder)


@pytest.mark.parametrize(
    "text", ["", "[1]", '{"d_model": NaN}', "[" * 100_000, '{"a": "' + "x" * 300_000 + '"}']
)
def test_config_that_is_no_json_object(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(SpeechPromptError, match="config.json"):
        unit_lm.load(folder)


def test_an_absurd_claim_is_refused_without_allocating(folder):
    edit_config(folder, d_model=4096, num_layers=64, ffn_dim=16_384, vocab_size=65_536)
    start = time.perf_counter()
    with pytest.raises(SpeechPromptError, match="lacks the tensor"):
        unit_lm.load(folder)
    assert time.perf_counter() - start < 1


def test_wrong_tensors_are_named(folder):
    def check(change, message):
        unit_lm.save(make_lm(), folder)
        edit_weights(folder, change)
        with pytest.raises(SpeechPromptError, match=message):
            unit_lm.load(folder)

    name = "model.layers.1.fc2.bias"
    check(lambda w: w.pop(name), "lacks the tensor 'model.layers.1.fc2.bias'")
    check(lambda w: w.update(extra=torch.zeros(1)), "unexpected tensor 'extra'")
    check(lambda w: w.update({name: torch.zeros(15)}), r"fc2.bias has the shape \[15\], expected \[16\]")
    check(lambda w: w.update({name: torch.zeros(16, dtype=torch.int64)}), "fc2.bias has the dtype I64")
    check(lambda w: w[name].fill_(float("nan")), "fc2.bias holds values that are not finite")


def test_a_truncated_file_is_refused(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SpeechPromptError, match="damaged"):
        unit_lm.load(folder)


def test_errors_hold_no_path(folder, tmp_path):
    (folder / "model.safetensors").unlink()
    with pytest.raises(SpeechPromptError) as caught:
        unit_lm.load(folder)
    assert str(tmp_path) not in str(caught.value)


def test_make_config_counts_the_specials():
    assert unit_lm.make_config(N_UNITS, 16, 2, 2, 32).vocab_size == N_UNITS + 4
    with pytest.raises(SpeechPromptError, match="attention_heads"):
        unit_lm.make_config(N_UNITS, 16, 2, 3, 32)
