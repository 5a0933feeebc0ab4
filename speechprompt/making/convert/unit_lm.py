"""Turn a fairseq unit language model, such as the papers' GSLM, into a unit LM folder of ours.

The command `convert unit-lm` says how and why.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from speechprompt.errors import SpeechPromptError
from speechprompt.making.convert import checkpoint as checkpoints
from speechprompt.models import lm_config, unit_lm
from speechprompt.models.unit_lm import UnitLM
from speechprompt.units import UNIT_OFFSET

MAX_DICT_BYTES = 4 << 20
MAX_UNITS = 65_000
DTYPES = {"float32": torch.float32, "float16": torch.float16}

# Our name of a size -> fairseq's.
SIZES = {
    "d_model": "decoder_embed_dim",
    "n_layers": "decoder_layers",
    "n_heads": "decoder_attention_heads",
    "ffn_dim": "decoder_ffn_embed_dim",
}
# Settings of fairseq that must be off, or absent, for an XGLM to compute the same.
OFF = (
    "no_decoder_final_norm",
    "no_scale_embedding",
    "no_token_positional_embeddings",
    "decoder_learned_pos",
    "layernorm_embedding",
    "adaptive_input",
    "adaptive_softmax_cutoff",
    "character_embeddings",
    "base_layers",
    "scale_fc",
    "scale_attn",
    "scale_heads",
    "scale_resids",
    "decoder_layers_to_keep",
    "decoder_xformers_att_config",
)
ON = ("decoder_normalize_before", "share_decoder_input_output_embed")
# Buffers without meaning of their own: a version number, and the sinusoids that XGLM computes itself.
DROPPED = re.compile(r"decoder\.(version|embed_positions\.(_float_tensor|weights))")
OUTPUT = "decoder.output_projection.weight"
EMBEDDING = "decoder.embed_tokens.weight"


def read_dict(path: Path) -> list[int | None]:
    """The symbols of a fairseq dict.txt in order: unit numbers, None for a `madeupword` that pads it.

    Raises SpeechPromptError unless the units are 0 to K - 1, each once.
    """
    path = Path(path)
    if not path.is_file() or path.stat().st_size > MAX_DICT_BYTES:
        raise SpeechPromptError(f"{path.name} is not there, or is no dict.txt of fairseq.")
    try:
        lines = path.read_bytes().decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise SpeechPromptError(f"{path.name} is not text: give the dict.txt of the unit LM.") from error
    symbols: list[int | None] = []
    for number, line in enumerate(lines, 1):
        parts = re.fullmatch(r"(0|[1-9]\d{0,5}|madeupword\d{1,6}) \d{1,18}", line.strip())
        if parts is None:
            raise SpeechPromptError(
                f"{path.name}: line {number} is not 'unit count' with a whole number as unit: {line[:40]!r}."
            )
        symbols.append(int(parts[1]) if parts[1].isdigit() else None)
    units = [symbol for symbol in symbols if symbol is not None]
    if len(set(units)) != len(units):
        twice = next(unit for unit in units if units.count(unit) > 1)
        raise SpeechPromptError(f"{path.name} names the unit {twice} twice.")
    if not 2 <= len(units) <= MAX_UNITS:
        raise SpeechPromptError(f"{path.name} must name 2 to {MAX_UNITS} units, it names {len(units)}.")
    if gaps := set(range(len(units))) - set(units):
        raise SpeechPromptError(
            f"{path.name} names {len(units)} units, but not unit {min(gaps)}: they must be 0 to {len(units) - 1}."
        )
    return symbols


def token_order(symbols: list[int | None]) -> Tensor:
    """int64 [K + 4]: fairseq's index of each of our token ids, the four specials first in both."""
    rows = {unit: row + UNIT_OFFSET for row, unit in enumerate(symbols) if unit is not None}
    return torch.tensor([*range(UNIT_OFFSET), *(rows[unit] for unit in range(len(rows)))])


def check_settings(settings: Mapping[str, Any], label: str) -> None:
    """Raise SpeechPromptError, naming the setting, where an XGLM would compute something else."""
    if (activation := settings.get("activation_fn")) != "relu":
        raise SpeechPromptError(
            f"{label} has activation_fn = {str(activation)[:40]!r}, but only 'relu' can be kept."
        )
    wrong = [(name, "on") for name in ON if settings.get(name) is not True]
    wrong += [(name, "off") for name in OFF if settings.get(name)]  # fairseq's default is off
    if wrong:
        name, wanted = wrong[0]
        raise SpeechPromptError(
            f"{label} has {name} = {str(settings.get(name))[:40]}, "
            f"which our unit LM cannot compute: it must be {wanted}."
        )
    for name in ("decoder_input_dim", "decoder_output_dim"):
        if settings.get(name, settings["decoder_embed_dim"]) != settings["decoder_embed_dim"]:
            raise SpeechPromptError(f"{label} has {name} = {settings[name]}, unlike decoder_embed_dim.")


def to_unit_lm(checkpoint: dict[str, Any], symbols: list[int | None], label: str) -> UnitLM:
    """A loaded checkpoint and the symbols of its dictionary -> a unit LM in the checkpoint's dtype.

    Every tensor of the checkpoint is accounted for: used, known to be empty of meaning, or an error.
    """
    weights = {name: t for name, t in checkpoint["model"].items() if not DROPPED.fullmatch(name)}
    if EMBEDDING not in weights:
        raise SpeechPromptError(
            f"{label} lacks {EMBEDDING!r}, so it is no language model; prompts go through `convert prompt`."
        )
    if any(name.startswith(("decoder.embed_other_list", "decoder.project_out_dim")) for name in weights):
        raise SpeechPromptError(f"{label} is a prosody LM (pGSLM) with several streams, not a plain unit LM.")
    settings = checkpoints.model_settings(checkpoint, label)
    for name in SIZES.values():
        if type(settings.get(name)) is not int:
            raise SpeechPromptError(f"{label} does not say its {name}.")
    check_settings(settings, label)
    positions = settings.get("max_target_positions") or settings.get("tokens_per_sample") or 1024
    order = token_order(symbols)
    sizes = {ours: settings[theirs] for ours, theirs in SIZES.items()}
    config = unit_lm.make_config(len(order) - UNIT_OFFSET, max_positions=positions, **sizes)

    expected = {_original(name): shape for name, shape in unit_lm.expected_shapes(config).items()}
    n_symbols = len(symbols) + UNIT_OFFSET
    if weights[EMBEDDING].ndim and len(weights[EMBEDDING]) != n_symbols:
        raise SpeechPromptError(
            f"{label} has {len(weights[EMBEDDING])} symbols, but the dictionary has {n_symbols}, "
            "the four specials included: give the dict.txt that belongs to the checkpoint."
        )
    expected[EMBEDDING] = (n_symbols, config.d_model)
    if OUTPUT in weights:  # older checkpoints leave the tied layer out
        expected[OUTPUT] = expected[EMBEDDING]
    checkpoints.check_tensors(weights, expected, label)
    if OUTPUT in weights and not torch.equal(weights[OUTPUT], weights[EMBEDDING]):
        raise SpeechPromptError(f"{label}: {OUTPUT} differs from {EMBEDDING}, but ours must be tied.")

    state = {name: weights[_original(name)] for name in unit_lm.expected_shapes(config)}
    state["model.embed_tokens.weight"] = weights[EMBEDDING][order]
    with torch.device("meta"):  # costs neither memory nor the random initial weights
        lm = UnitLM(config)
    lm.load_state_dict({**state, "lm_head.weight": state["model.embed_tokens.weight"]}, assign=True)
    return lm


def _original(name: str) -> str:
    return "decoder." + name.removeprefix("model.")


def convert(checkpoint: Path, dictionary: Path, out: Path, dtype: torch.dtype = torch.float32) -> UnitLM:
    """Checkpoint and dict.txt -> unit LM folder `out`; SpeechPromptError before anything is written.

    float32 keeps every value of float16 and float32 checkpoints; float16 halves the folder. The model
    that is returned has its weights, but no position table: use unit_lm.load to run it.
    """
    label = f"Unit LM: {Path(checkpoint).name}"
    check_out(out)
    symbols = read_dict(dictionary)
    lm = to_unit_lm(checkpoints.load(checkpoint, "Unit LM"), symbols, label)
    check_size(lm, dtype, label)
    unit_lm.save(lm, out, dtype)
    return lm


def check_out(out: Path) -> None:
    """Raise SpeechPromptError where a folder cannot be written because a file stands there."""
    if out.exists() and not out.is_dir():
        raise SpeechPromptError(f"{out.name} is a file: name a folder to write into.")


def check_size(lm: UnitLM, dtype: torch.dtype, label: str) -> None:
    """Raise SpeechPromptError where the LM would be larger than the folder of a unit LM may be."""
    n_bytes = sum(parameter.numel() for parameter in lm.parameters()) * dtype.itemsize
    if n_bytes > lm_config.MAX_BYTES:
        raise SpeechPromptError(
            f"{label} would take {n_bytes} bytes as {dtype}, more than a unit LM may have."
        )
