"""What config.json of a unit LM's folder must say, and the sha256 of its weights, without loading either model.

Knows neither torch nor transformers, so that a list of tasks can be checked before any model is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from speechprompt.errors import SpeechPromptError
from speechprompt.storage.folders import file_inside, read_json, sha256_file
from speechprompt.units import EOS, PAD, SEPARATOR, UNIT_OFFSET

LM_JSON = "config.json"
WEIGHTS_NAME = "model.safetensors"
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
PROSODY_START = (
    3  # the first input symbol `<s>` of a prosody LM, which has its own row: row 0 is the separator's
)
# The output layer of a prosody LM is one for three streams and not the embedding.
PROSODY_FIXED = {
    **FIXED,
    "model_type": "xglm-prosody",
    "tie_word_embeddings": False,
    "bos_token_id": PROSODY_START,
}


def check_sizes(settings: dict[str, Any]) -> None:
    """Raise SpeechPromptError unless every size is a whole number within SIZES and the heads divide d_model."""
    for name, (low, high) in SIZES.items():
        value = settings.get(name)
        if type(value) is not int or not low <= value <= high:
            raise SpeechPromptError(f"Unit LM: {name} must be a whole number from {low} to {high}.")
    if settings["d_model"] % settings["attention_heads"] or settings["d_model"] % 2:
        raise SpeechPromptError("Unit LM: d_model must be even and divide by attention_heads.")


def is_prosody(settings: dict[str, Any]) -> bool:
    """Whether settings as read_config gives them are those of a prosody LM, rather than of a plain unit LM."""
    return settings.get("model_type") == PROSODY_FIXED["model_type"]


def read_config(folder: Path) -> dict[str, Any]:
    """The settings in config.json, checked: a plain or a prosody LM of bearable sizes."""
    settings = read_json(folder, LM_JSON, "Unit LM")
    what, fixed = ("Prosody LM", PROSODY_FIXED) if is_prosody(settings) else ("Unit LM", FIXED)
    for name, value in fixed.items():
        # XGLM's own defaults are these values too, but for the two names that are asked for.
        needed = is_prosody(settings) or name in ("model_type", "activation_function")
        if settings.get(name, None if needed else value) != value:
            raise SpeechPromptError(f"{what}: config.json must have {name} = {value!r}.")
    check_sizes(settings)
    return settings


def sha256(folder: Path) -> str:
    """Hex sha256 of model.safetensors: the identity that prompts are tied to."""
    return sha256_file(file_inside(folder, WEIGHTS_NAME, "Unit LM", MAX_BYTES))
