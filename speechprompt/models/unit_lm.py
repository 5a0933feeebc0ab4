"""The unit LM: a frozen decoder-only language model over the units of one encoder (GSLM; SpeechPrompt 2.1).

It is `transformers.XGLMForCausalLM` in config and weights, onto which fairseq's GSLM maps
exactly. Its folder holds config.json and model.safetensors. Knows no prompts and no audio.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import XGLMConfig, XGLMForCausalLM

from speechprompt.errors import SpeechPromptError
from speechprompt.models.lm_config import LM_JSON, MAX_BYTES, WEIGHTS_NAME, LMConfig, read_config, sizes_of
from speechprompt.storage.folders import replaced_folder, write_json
from speechprompt.storage.schema import read
from speechprompt.storage.tensors import TensorFile, write_tensors
from speechprompt.units import EOS, PAD, UNIT_OFFSET, Utterance


class UnitLM(XGLMForCausalLM):
    """XGLM as transformers has it, with what answering needs to know: where rows begin, what is added to them.

    start_token: the symbol that every row begins with. first_position: place of the first symbol in the table
    of positions.
    """

    start_token = EOS
    first_position = 0
    projects = True  # whether a layer makes keys and values of a prompt by one linear map of the LM's width

    @property
    def past_heads(self) -> int:
        """Heads of the keys and values that are kept."""
        return int(self.config.attention_heads)

    @property
    def head_width(self) -> int:
        """Numbers in one head's key."""
        return int(self.config.d_model) // self.past_heads

    @property
    def past_width(self) -> int:
        """Numbers in one key of all heads."""
        return self.past_heads * self.head_width

    @property
    def embed_scale(self) -> float:
        """Factor on every token embedding, and on a separator (sqrt of d)."""
        return math.sqrt(self.config.d_model)

    def beside(self, utterances: Sequence[Utterance], width: int, absolute: Sequence[bool]) -> Tensor | None:
        """What is added to the embeddings of a batch, [B, width, d]: nothing, but in a prosody LM."""
        return None

    def beside_label(self) -> Tensor | None:
        """What is added to the embedding of a label that follows the separator, [d]: as `beside`."""
        return None


def make_config(
    n_units: int,
    d_model: int,
    n_layers: int,
    n_heads: int,
    ffn_dim: int,
    max_positions: int = 2048,
    dropout: float = 0.0,
) -> XGLMConfig:
    """Config of a unit LM over n_units units (and the four specials); dropout serves pretraining only."""
    sizes = {
        "vocab_size": n_units + UNIT_OFFSET,
        "d_model": d_model,
        "num_layers": n_layers,
        "attention_heads": n_heads,
        "ffn_dim": ffn_dim,
        "max_position_embeddings": max_positions,
    }
    settings = settings_of(sizes, "Unit LM")
    del settings["model_type"]
    dropouts: dict[str, Any] = {"dropout": dropout, "attention_dropout": dropout, "layerdrop": 0.0}
    return XGLMConfig(**settings, **dropouts, decoder_start_token_id=EOS)


def settings_of(sizes: dict[str, int], what: str) -> dict[str, Any]:
    """All that LMConfig holds, for a unit LM of these sizes; SpeechPromptError when they are beyond bounds."""
    given = {"model_type": "xglm", "activation_function": "relu", **sizes}
    return asdict(read(LMConfig, given, what))


def expected_shapes(config: XGLMConfig) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every stored tensor; the output layer is tied to the embedding and not stored."""
    d, ffn = config.d_model, config.ffn_dim
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (config.vocab_size, d)}
    norms = ["model.layer_norm"]
    for i in range(config.num_layers):
        layer = f"model.layers.{i}"
        norms += [f"{layer}.self_attn_layer_norm", f"{layer}.final_layer_norm"]
        linears = {f"self_attn.{part}_proj": (d, d) for part in ("q", "k", "v", "out")}
        for name, shape in {**linears, "fc1": (ffn, d), "fc2": (d, ffn)}.items():
            shapes[f"{layer}.{name}.weight"] = shape
            shapes[f"{layer}.{name}.bias"] = shape[:1]
    for name in norms:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (d,)
    return shapes


def load(folder: Path, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> UnitLM:
    """Read a plain unit LM, frozen and in eval mode; SpeechPromptError names what does not fit."""
    settings = read_config(folder)
    if not isinstance(settings, LMConfig):
        raise SpeechPromptError("Unit LM: config.json must have the model_type 'xglm'.")
    config = make_config(
        settings.vocab_size - UNIT_OFFSET,
        settings.d_model,
        settings.num_layers,
        settings.attention_heads,
        settings.ffn_dim,
        settings.max_position_embeddings,
    )
    file = TensorFile(folder, WEIGHTS_NAME, "Unit LM", MAX_BYTES)
    file.expect(expected_shapes(config), {})
    weights = file.read(dtype, device)
    with torch.device("meta"):  # costs neither memory nor the random initial weights
        lm = UnitLM(config)
    lm.load_state_dict({**weights, "lm_head.weight": weights["model.embed_tokens.weight"]}, assign=True)
    lm.lm_head.weight = lm.model.embed_tokens.weight
    fill_positions(lm, device, dtype)
    return lm.requires_grad_(False).eval()


def fill_positions(lm: UnitLM, device: str | torch.device, dtype: torch.dtype) -> None:
    """Compute the table of positions, which is not stored, so that the meta device left it empty."""
    positions = lm.model.embed_positions
    table = positions.get_embedding(positions.num_positions + positions.offset, lm.config.d_model, PAD)
    positions.weights = nn.Buffer(table.to(device=device, dtype=dtype), persistent=False)


def save(lm: UnitLM, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write config.json and model.safetensors so that an interrupted save leaves the old model."""
    settings = {"architectures": ["XGLMForCausalLM"], **settings_of(sizes_of(lm.config), "Unit LM")}
    stored = str(dtype).removeprefix("torch.")
    settings |= {"decoder_start_token_id": EOS, "dtype": stored, "layerdrop": 0.0, "use_cache": True}
    settings |= {"dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0}
    state = lm.state_dict()
    weights = {name: state[name].to(dtype) for name in expected_shapes(lm.config)}
    with replaced_folder(folder) as aside:
        write_json(aside / LM_JSON, settings)
        write_tensors(aside / WEIGHTS_NAME, weights, "Unit LM")
