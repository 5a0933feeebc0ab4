"""The unit LM: a frozen decoder-only language model over the units of one encoder (GSLM; SpeechPrompt 2.1).

It is `transformers.XGLMForCausalLM` in class, config and weights, onto which fairseq's GSLM maps
exactly. Its folder holds config.json and model.safetensors. Knows no prompts and no audio.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from speechprompt.errors import SpeechPromptError
from speechprompt.storage.folders import (
    TensorFile,
    file_inside,
    read_json,
    replaced_folder,
    sha256_file,
    write_json,
    write_tensors,
)
from speechprompt.units import EOS, PAD, SEPARATOR, UNIT_OFFSET

if TYPE_CHECKING:  # it takes seconds to import, and a page of tasks needs no model yet
    from transformers import XGLMConfig, XGLMForCausalLM

LM_JSON = "config.json"
WEIGHTS_NAME = "model.safetensors"
PROSODY_TYPE = "xglm-prosody"  # model_type of prosody_lm's
MAX_BYTES = 2 << 30  # GSLM's 151 M parameters take 0.6 GB in fp32

# Sizes a config may ask for, so that a hostile one cannot ask for all memory.
SIZES = {
    "vocab_size": (UNIT_OFFSET + 2, 65_536),
    "d_model": (4, 4096),
    "num_layers": (1, 64),
    "attention_heads": (1, 64),
    "ffn_dim": (1, 16_384),
    "max_position_embeddings": (16, 8192),
}
# What makes an XGLM compute what fairseq's GSLM does; any other value gives a different model.
FIXED = {
    "model_type": "xglm",
    "activation_function": "relu",
    "scale_embedding": True,
    "tie_word_embeddings": True,
    "add_cross_attention": False,
    "bos_token_id": SEPARATOR,
    "pad_token_id": PAD,
    "eos_token_id": EOS,
}


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
    sizes: dict[str, Any] = {
        "vocab_size": n_units + UNIT_OFFSET,
        "d_model": d_model,
        "num_layers": n_layers,
        "attention_heads": n_heads,
        "ffn_dim": ffn_dim,
        "max_position_embeddings": max_positions,
    }
    check_sizes(sizes)
    from transformers import XGLMConfig

    fixed: dict[str, Any] = {key: value for key, value in FIXED.items() if key != "model_type"}
    dropouts: dict[str, Any] = {"dropout": dropout, "attention_dropout": dropout, "layerdrop": 0.0}
    return XGLMConfig(**sizes, **fixed, **dropouts, decoder_start_token_id=EOS)


def check_sizes(settings: dict[str, Any]) -> None:
    """Raise SpeechPromptError unless every size is a whole number within SIZES and the heads divide d_model."""
    for name, (low, high) in SIZES.items():
        value = settings.get(name)
        if type(value) is not int or not low <= value <= high:
            raise SpeechPromptError(f"Unit LM: {name} must be a whole number from {low} to {high}.")
    if settings["d_model"] % settings["attention_heads"] or settings["d_model"] % 2:
        raise SpeechPromptError("Unit LM: d_model must be even and divide by attention_heads.")


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


def is_prosody(folder: Path) -> bool:
    """Whether the folder says it holds a prosody LM, rather than a plain unit LM."""
    return read_json(folder, LM_JSON, "Unit LM").get("model_type") == PROSODY_TYPE


def read_config(folder: Path) -> dict[str, Any]:
    """The settings in config.json, checked: an XGLM that computes what GSLM does, of bearable sizes."""
    settings = read_json(folder, LM_JSON, "Unit LM")
    for name, value in FIXED.items():
        # XGLM's own defaults are these values too, but for the two names that are asked for.
        given = settings.get(name, None if name in ("model_type", "activation_function") else value)
        if given != value:
            raise SpeechPromptError(f"Unit LM: config.json must have {name} = {value!r}.")
    check_sizes(settings)
    return settings


def load(
    folder: Path, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> XGLMForCausalLM:
    """Read a unit LM, frozen and in eval mode; SpeechPromptError names what does not fit."""
    settings = read_config(folder)
    config = make_config(
        settings["vocab_size"] - UNIT_OFFSET,
        settings["d_model"],
        settings["num_layers"],
        settings["attention_heads"],
        settings["ffn_dim"],
        settings["max_position_embeddings"],
    )
    file = TensorFile(folder, WEIGHTS_NAME, "Unit LM", MAX_BYTES)
    file.expect(expected_shapes(config), {})
    weights = file.read(dtype, device)
    from transformers import XGLMForCausalLM

    with torch.device("meta"):  # costs neither memory nor the random initial weights
        lm = XGLMForCausalLM(config)
    lm.load_state_dict({**weights, "lm_head.weight": weights["model.embed_tokens.weight"]}, assign=True)
    lm.lm_head.weight = lm.model.embed_tokens.weight
    fill_positions(lm, device, dtype)
    return lm.requires_grad_(False).eval()


def fill_positions(lm: XGLMForCausalLM, device: str | torch.device, dtype: torch.dtype) -> None:
    """Compute the table of positions, which is not stored, so that the meta device left it empty."""
    positions = lm.model.embed_positions
    table = positions.get_embedding(positions.num_positions + positions.offset, lm.config.d_model, PAD)
    positions.weights = nn.Buffer(table.to(device=device, dtype=dtype), persistent=False)


def save(lm: XGLMForCausalLM, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write config.json and model.safetensors so that an interrupted save leaves the old model."""
    settings: dict[str, Any] = {"architectures": ["XGLMForCausalLM"], **FIXED}
    settings |= {name: int(getattr(lm.config, name)) for name in SIZES}
    stored = str(dtype).removeprefix("torch.")
    settings |= {"decoder_start_token_id": EOS, "dtype": stored, "layerdrop": 0.0, "use_cache": True}
    settings |= {"dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0}
    state = lm.state_dict()
    weights = {name: state[name].to(dtype) for name in expected_shapes(lm.config)}
    with replaced_folder(folder) as aside:
        write_json(aside / LM_JSON, settings)
        write_tensors(aside / WEIGHTS_NAME, weights, "Unit LM")


def sha256(folder: Path) -> str:
    """Hex sha256 of model.safetensors: the identity that prompts are tied to."""
    return sha256_file(file_inside(folder, WEIGHTS_NAME, "Unit LM", MAX_BYTES))


def embed_scale(lm: XGLMForCausalLM) -> float:
    """Factor on every token embedding, and on a separator (sqrt of d)."""
    return math.sqrt(lm.config.d_model)


def start_token(lm: XGLMForCausalLM) -> int:
    """The symbol that every row begins with: `</s>`, but `<s>` in a prosody LM."""
    return getattr(lm, "start_token", EOS)


def first_position(lm: XGLMForCausalLM) -> int:
    """Place of the first symbol in the table of positions: 0, but for prosody LMs of fairseq."""
    return getattr(lm, "first_position", 0)
