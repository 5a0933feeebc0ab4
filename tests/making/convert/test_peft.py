"""Prompts as PEFT's adapters and back: the same logits in ours, in a PeftModel, and after the return."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from speechprompt import Prompt, SpeechPromptError
from speechprompt.backbone import Backbone
from speechprompt.cli import main
from speechprompt.decoding.forward import forward_prompted, to_batch
from speechprompt.decoding.prefix import Prefix
from speechprompt.making.convert.peft import load_adapter, save_adapter, to_adapter
from speechprompt.models.lm_config import sha256
from speechprompt.storage.folders import read_json, write_json
from speechprompt.tuning.config import TuneConfig
from speechprompt.tuning.trainable import TrainablePrompt
from speechprompt.units import SEPARATOR
from tests import tiny

UTTERANCES = [[1, 5, 3, 7, 2], [9, 4, 9, 1, 0]]


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    return Backbone(tiny.make_backbone(tmp_path_factory.mktemp("peft"), encoder=False))


def make(backbone: Backbone, deep: bool, **facts: object) -> Prompt:
    lm = sha256(backbone.folder / "unit_lm")
    return tiny.make_prompt(deep=deep, sha256=lm, lm=backbone.lm, length=3, **facts)  # type: ignore[arg-type]


@torch.inference_mode()
def logits(backbone: Backbone, prompt: Prompt) -> Tensor:
    lm = backbone.lm
    return forward_prompted(lm, to_batch(lm, UTTERANCES), Prefix.of(lm, [prompt] * 2))[:, 0]


@pytest.mark.parametrize("deep", [True, False])
def test_there_and_back_changes_nothing(backbone: Backbone, deep: bool, tmp_path: Path) -> None:
    prompt = make(backbone, deep, positions="after_prompt")
    save_adapter(prompt, backbone, tmp_path / "adapter")
    back = load_adapter(tmp_path / "adapter", backbone, Prompt.load(tmp_path / "adapter"))
    assert (logits(backbone, back) - logits(backbone, prompt)).abs().max() == 0.0
    back.save(tmp_path / "back", dtype=torch.float32)
    again = Prompt.load(tmp_path / "back")
    assert again.projected is deep and torch.equal(logits(backbone, again), logits(backbone, prompt))
    assert torch.equal(to_adapter(again, backbone)[1], to_adapter(prompt, backbone)[1])


@pytest.mark.parametrize("deep", [True, False])
def test_a_peft_model_says_the_same(backbone: Backbone, deep: bool, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft", reason="peft is the optional extra [peft]")
    prompt = make(backbone, deep, positions="after_prompt")
    save_adapter(prompt, backbone, tmp_path / "adapter")
    lm = backbone.lm
    batch = to_batch(lm, UTTERANCES)
    embedded = lm.model.embed_tokens(batch.tokens)
    separator = (prompt.separator * lm.embed_scale)[None, None]
    embedded = torch.where((batch.tokens == SEPARATOR)[..., None], separator, embedded)
    model = peft.PeftModel.from_pretrained(lm, tmp_path / "adapter")
    with torch.inference_mode():
        found = model(inputs_embeds=embedded, attention_mask=torch.ones_like(batch.tokens)).logits[:, -1]
    assert (found - logits(backbone, prompt)).abs().max() < 1e-5
    row = replace(prompt, positions="row")
    assert (
        found - logits(backbone, row)
    ).abs().max() > 0.01  # what counting from the row would have made of it


def test_an_adapter_tuned_elsewhere(backbone: Backbone, tmp_path: Path) -> None:
    prompt = make(backbone, True, positions="after_prompt")
    save_adapter(prompt, backbone, tmp_path / "adapter")
    prompt.save(tmp_path / "like")
    for name in ("prompt_config.json", "prompt.safetensors"):
        (tmp_path / "adapter" / name).unlink()
    arguments = ["convert", "peft", str(tmp_path / "adapter"), str(tmp_path / "words"), "--backbone"]
    assert main([*arguments, str(backbone.folder)]) == 2
    assert main([*arguments, str(backbone.folder), "--like", str(tmp_path / "like")]) == 0
    assert backbone.load_prompt(tmp_path / "words").task == "words"


def test_what_cannot_go_is_one_sentence(backbone: Backbone, tmp_path: Path) -> None:
    with pytest.raises(SpeechPromptError, match="tune it with --positions after_prompt"):
        save_adapter(make(backbone, True), backbone, tmp_path / "adapter")
    assert not (tmp_path / "adapter").exists()
    prompt = make(backbone, True, positions="after_prompt")
    save_adapter(prompt, backbone, tmp_path / "adapter")
    config = read_json(tmp_path / "adapter", "adapter_config.json", "x")
    for change, message in (
        ({"peft_type": "LORA"}, "this is LORA"),
        ({"prefix_projection": True}, "with projection"),
        ({"peft_type": "PROMPT_TUNING"}, "has the shape"),
    ):
        write_json(tmp_path / "adapter" / "adapter_config.json", config | change)
        with pytest.raises(SpeechPromptError, match=message):
            load_adapter(tmp_path / "adapter", backbone, prompt)
    (tmp_path / "adapter" / "adapter_model.safetensors").rename(tmp_path / "adapter" / "adapter_model.bin")
    with pytest.raises(SpeechPromptError, match="adapter_model.safetensors is missing"):
        write_json(tmp_path / "adapter" / "adapter_config.json", config)
        load_adapter(tmp_path / "adapter", backbone, prompt)


@pytest.mark.parametrize("input_prompts", [False, True])
def test_what_is_tuned_is_what_answers(backbone: Backbone, input_prompts: bool) -> None:
    """The tuning's forward pass and the answering one agree where positions come after the prompt, projected or not."""
    config = TuneConfig(
        prompt_length=3, positions="after_prompt", projected=True, input_prompts=input_prompts
    )
    prompt = make(backbone, not input_prompts)
    trained = TrainablePrompt(backbone.lm, config, None, prompt.form).eval()
    tensors = {name: value for name, value in trained.tensors().items() if value is not None}
    same = replace(prompt, positions="after_prompt", projected=not input_prompts, **tensors)
    with torch.inference_mode():
        found = trained(backbone.lm, UTTERANCES, [[0], [1]])[:, 0]
    assert (found - logits(backbone, same)).abs().max() < 1e-5


def test_rows_of_both_countings_share_a_batch(backbone: Backbone) -> None:
    prompts = [make(backbone, deep, positions=at) for deep in (True, False) for at in ("row", "after_prompt")]
    lm = backbone.lm
    with torch.inference_mode():
        together = forward_prompted(lm, to_batch(lm, [UTTERANCES[0]] * 4), Prefix.of(lm, prompts))[:, 0]
    alone = torch.stack([logits(backbone, prompt)[0] for prompt in prompts])
    assert (together - alone).abs().max() < 1e-4
