"""fairseq's own HuBERT file becomes the encoder that the Hub's becomes; nothing of it is run."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import HubertConfig, HubertForCTC, HubertModel

from speechprompt.errors import SpeechPromptError
from speechprompt.making.convert.hubert import from_fairseq, from_hub_folder
from tests.making.convert.fairseq_hubert import fairseq_state
from tests.tiny import make_waveform

SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_hidden_layers": 8}
SIZES |= {"conv_dim": (24,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}


@pytest.fixture(scope="module")
def original() -> HubertModel:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = HubertModel(HubertConfig(**SIZES)).eval()
        for parameter in model.parameters():  # norms and biases too are off their initial values
            parameter.data += 0.05 * torch.randn_like(parameter)
    return model


@pytest.fixture
def state(original: HubertModel) -> dict[str, Any]:
    return fairseq_state(original.state_dict(), original.config.to_dict())


def saved(state: dict[str, Any], tmp_path: Path, **options: Any) -> Path:
    torch.save(state, tmp_path / "hubert_base_ls960.pt", **options)
    return tmp_path / "hubert_base_ls960.pt"


@pytest.mark.parametrize("zipped", [True, False])
def test_it_computes_what_transformers_does(
    original: HubertModel, state: dict[str, Any], tmp_path: Path, zipped: bool
) -> None:
    clip = make_waveform(2.0)
    with torch.inference_mode():
        expected = original(torch.from_numpy(clip)[None], output_hidden_states=True).hidden_states[6][0]
    made = from_fairseq(saved(state, tmp_path, _use_new_zipfile_serialization=zipped), expected[:20])
    assert torch.equal(made.features([clip])[0], expected)
    assert len(made.network.encoder.layers) == 6
    made.save(tmp_path / "encoder")
    assert {path.name for path in (tmp_path / "encoder").iterdir()} == {"encoder.json", "model.safetensors"}


def test_classes_of_fairseq_are_not_needed(
    state: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the published file, whose task has a dictionary and whose mode is an enum."""
    names = {"fairseq.data.dictionary": "Dictionary", "fairseq.dataclass.constants": "ChoiceEnum"}
    for place in ("fairseq", "fairseq.data", "fairseq.dataclass", *names):
        monkeypatch.setitem(sys.modules, place, types.ModuleType(place))
    made = {}
    for place, name in names.items():
        made[name] = type(name, (str,) if name == "ChoiceEnum" else (), {"__module__": place})
        setattr(sys.modules[place], name, made[name])
    dictionary = made["Dictionary"]()
    dictionary.symbols, dictionary.indices = ["<s>", "0"], {"<s>": 0}
    state["task_state"] = {"dictionaries": [dictionary]}
    path = saved(state, tmp_path)
    for place in ("fairseq", *names):
        monkeypatch.delitem(sys.modules, place)
    assert from_fairseq(path, torch.randn(20, 32)).n_units == 20


def test_hostile_pickles_run_nothing(state: dict[str, Any], tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Callable[[str], Any], tuple[str]]:
            return os.mkdir, (str(tmp_path / "evil"),)

    for place in ("extra_state", "model", "cfg"):
        with pytest.raises(SpeechPromptError, match=r"holds 'posix.mkdir'.*nothing of it was run"):
            from_fairseq(saved({**state, place: Evil()}, tmp_path), torch.randn(20, 32))
    assert not (tmp_path / "evil").exists()


def change(place: str, **values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda state: state["cfg"][place].update(values)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (change("model", extractor_mode="layer_norm"), "has extractor_mode = layer_norm"),
        (change("model", layer_norm_first=True), "has layer_norm_first = True"),
        (change("model", activation_fn="relu"), "has activation_fn = relu"),
        (change("model", layer_type="conformer"), "has layer_type = conformer"),
        (change("model", conv_feature_layers="[(24,10,5)] * 7"), "conv_feature_layers"),
        (change("model", conv_feature_layers="__import__('os')"), "conv_feature_layers"),
        (change("model", encoder_layers=5), "encoder_layers from 6 to 48"),
        (change("model", encoder_layers=7), "unexpected tensor 'encoder.layers.7"),
        (change("model", encoder_embed_dim="32"), "dim must be a valid integer"),
        (change("model", encoder_ffn_embed_dim=65), "has the shape"),
        (change("task", normalize=True), "takes normalised waveforms"),
        (lambda s: s["model"].pop("encoder.layers.2.fc1.bias"), "lacks the tensor 'encoder.layers.2"),
        (lambda s: s["model"].update({"w2v_encoder.proj.weight": torch.zeros(2)}), "unexpected tensor 'w2v"),
        (
            lambda s: s["model"].update({"encoder.layers.0.attention.k_proj.bias": torch.zeros(32)}),
            "twice, under two names",
        ),
        (lambda s: s.update(cfg=None), "says nothing about its model"),
        (lambda s: s.pop("model"), "is not a checkpoint that fairseq's trainer wrote"),
    ],
)
def test_other_models_are_refused_by_fact(
    spoil: Callable[[dict[str, Any]], Any], message: str, state: dict[str, Any], tmp_path: Path
) -> None:
    spoil(state)
    with pytest.raises(SpeechPromptError, match=message):
        from_fairseq(saved(state, tmp_path), torch.randn(20, 32))


def test_half_a_file_gets_its_sentence(state: dict[str, Any], tmp_path: Path) -> None:
    path = saved(state, tmp_path)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(SpeechPromptError, match="damaged or cut short: copy or download it again"):
        from_fairseq(path, torch.randn(20, 32))
    path.write_bytes(b"<html>")
    with pytest.raises(SpeechPromptError, match="is no PyTorch checkpoint"):
        from_fairseq(path, torch.randn(20, 32))


@pytest.mark.parametrize("pickled", [True, False])
def test_the_prefix_of_other_exports_is_taken_off_and_a_head_refused(
    original: HubertModel, tmp_path: Path, pickled: bool
) -> None:
    with_head = HubertForCTC(original.config)
    with_head.hubert.load_state_dict(original.state_dict())
    weights = {name: t for name, t in with_head.state_dict().items() if name.startswith("hubert.")}
    original.config.save_pretrained(tmp_path)

    def save(tensors: dict[str, torch.Tensor]) -> Path:
        if pickled:
            torch.save(tensors, tmp_path / "pytorch_model.bin")
        else:
            from safetensors.torch import save_file

            save_file({n: t.contiguous() for n, t in tensors.items()}, tmp_path / "model.safetensors")
        return tmp_path

    made = from_hub_folder(save(weights), torch.randn(20, 32))
    assert torch.equal(made.network.encoder.layer_norm.weight, original.encoder.layer_norm.weight)
    with pytest.raises(SpeechPromptError, match="unexpected tensor 'lm_head"):
        from_hub_folder(save(dict(with_head.state_dict())), torch.randn(20, 32))
