"""Turn a prompt into an adapter of PEFT that transformers runs, and an adapter back into a prompt.

The command `convert peft` says how and why.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from speechprompt.backbone import Backbone
from speechprompt.decoding.prefix import past
from speechprompt.errors import SpeechPromptError
from speechprompt.prompts.card import prompt_card
from speechprompt.prompts.prompt import MAX_BYTES, Prompt
from speechprompt.prompts.tensors import MAX_LENGTH
from speechprompt.storage.folders import read_json, replaced_folder, write_json
from speechprompt.storage.tensors import TensorFile, write_tensors

ADAPTER_JSON, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
EMBEDDINGS = "prompt_embeddings"  # the one tensor of both kinds
DEEP, INPUT = "PREFIX_TUNING", "PROMPT_TUNING"


@torch.inference_mode()
def to_adapter(prompt: Prompt, backbone: Backbone) -> tuple[dict[str, Any], Tensor]:
    """PEFT's configuration and the tensor [P, 2 · L · width], or [P, d]; SpeechPromptError where no adapter can be."""
    backbone.check_fits(prompt)
    if prompt.positions != "after_prompt":
        raise SpeechPromptError(
            f"Prompt {prompt.task} counts positions from the row, PEFT from the prompt, so its answers would change: "
            "tune it with --positions after_prompt."
        )
    lm = backbone.lm
    config: dict[str, Any] = {
        "peft_type": DEEP if prompt.deep else INPUT,
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": backbone.name,
        "revision": None,
        "inference_mode": True,
        "num_virtual_tokens": prompt.length,
        "token_dim": lm.past_width if prompt.deep else len(prompt.separator),
        "num_attention_heads": lm.past_heads,
        "num_layers": lm.config.num_layers,
        "num_transformer_submodules": 1,
    }
    if prompt.input_prompts is not None:
        return config, prompt.input_prompts
    assert prompt.key_prompts is not None and prompt.value_prompts is not None
    prompts = (prompt.key_prompts.to(lm.device), prompt.value_prompts.to(lm.device))
    keys, values = (made[:, 0].transpose(1, 2).flatten(2) for made in past(lm, *prompts, prompt.projected))
    both = torch.stack([keys, values], 1).flatten(
        0, 1
    )  # [2 · L, P, width], each layer's keys before its values
    return config | {"prefix_projection": False}, both.transpose(0, 1).flatten(1).float().cpu().contiguous()


def save_adapter(prompt: Prompt, backbone: Backbone, folder: Path) -> None:
    """Write PEFT's folder, with the prompt's own files beside."""
    config, embeddings = to_adapter(prompt, backbone)
    with replaced_folder(folder) as aside:
        prompt.save(aside / "prompt", prompt_card(prompt), torch.float32)
        for path in (aside / "prompt").iterdir():
            path.rename(aside / path.name)
        (aside / "prompt").rmdir()
        write_json(aside / ADAPTER_JSON, config)
        write_tensors(aside / ADAPTER_WEIGHTS, {EMBEDDINGS: embeddings}, f"Adapter {prompt.task}")


def load_adapter(folder: Path, backbone: Backbone, like: Prompt) -> Prompt:
    """The adapter in a folder as a prompt with all else from `like`; SpeechPromptError names what does not fit."""
    what = f"Adapter {folder.name}"
    config, lm = read_json(folder, ADAPTER_JSON, what), backbone.lm_config
    kind = config.get("peft_type")
    if kind not in (DEEP, INPUT) or config.get("prefix_projection"):
        raise SpeechPromptError(
            f"{what}: only PEFT's PREFIX_TUNING without projection and PROMPT_TUNING are prompts; this is "
            f"{str(kind)[:40]}{' with projection' if kind == DEEP else ''}."
        )
    file = TensorFile(folder, ADAPTER_WEIGHTS, what, MAX_BYTES)
    length = file.shapes.get(EMBEDDINGS, (0,))[0]
    width = 2 * lm.num_layers * backbone.lm.past_width if kind == DEEP else lm.d_model
    file.expect({EMBEDDINGS: (min(max(length, 1), MAX_LENGTH), width)}, {})
    embeddings = file.read(torch.float32)[EMBEDDINGS]
    new: dict[str, Any] = {
        "key_prompts": None,
        "value_prompts": None,
        "input_prompts": None,
        "projected": False,
    }
    if kind == DEEP:
        both = embeddings.view(length, lm.num_layers, 2, -1).permute(2, 1, 0, 3).contiguous()
        new |= {"key_prompts": both[0], "value_prompts": both[1], "projected": True}
    else:
        new["input_prompts"] = embeddings
    prompt = replace(like, positions="after_prompt", **new)
    backbone.check_fits(prompt)
    return prompt
