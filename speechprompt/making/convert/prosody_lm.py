"""Turn a fairseq pGSLM (transformer_ulm: units, durations and F0) into a prosody LM folder of ours.

The command `convert prosody-lm` says how and why.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from speechprompt.errors import SpeechPromptError
from speechprompt.making.convert import checkpoint as checkpoints
from speechprompt.making.convert.unit_lm import (
    DROPPED,
    EMBEDDING,
    OUTPUT,
    SIZES,
    check_out,
    check_settings,
    check_size,
)
from speechprompt.models import prosody_lm
from speechprompt.models.prosody_lm import MAX_POSITIONS, ProsodyConfig, ProsodyLM
from speechprompt.models.streams import N_SPECIALS
from speechprompt.units import UNIT_OFFSET

WHAT = "Prosody LM"
PROJECTION = "decoder.project_out_dim.weight"
STREAMS = {"embed_durations": "decoder.embed_other_list.0", "embed_f0": "decoder.embed_other_list.1"}
HEADS = ("lm_head.weight", "duration_head.weight", "f0_head.weight")  # in the order of PROJECTION's rows
# How F0 must have been prepared to be what prosody.py makes of a recording.
F0_SETTINGS = {"log_f0": True, "normalize_f0_mean": True, "normalize_f0_std": False, "interpolate_f0": True}
MAX_EDGES_BYTES = 1 << 20


def token_order(n_symbols: int) -> Tensor:
    """int64 [K + 4]: fairseq's index of each of our token ids.

    pGSLM counts units from 0, then <s>, <pad>, </s>, <unk>. Row 0, the separator's slot, takes <unk>.
    """
    n_units = n_symbols - UNIT_OFFSET
    start, pad, end, unknown = range(n_units, n_symbols)
    return torch.tensor([unknown, pad, end, start, *range(n_units)])


def to_config(checkpoint: Mapping[str, Any], label: str, edges: np.ndarray | None) -> ProsodyConfig:
    """The streams' settings, from the task's part of the checkpoint's settings and the tables' sizes."""
    cfg = checkpoint["cfg"] if isinstance(checkpoint["cfg"], dict) else {}
    task = cfg.get("task") or checkpoint["args"]
    if not isinstance(task, dict):
        raise SpeechPromptError(f"{label} says nothing about its streams: cfg['task'] and args are empty.")
    modes = task.get("discrete_duration"), task.get("discrete_f0")
    if any(type(mode) is not bool for mode in modes):
        raise SpeechPromptError(f"{label} does not say whether its durations and F0 are discrete.")
    if modes[0] != modes[1]:
        raise SpeechPromptError(f"{label} mixes discrete and continuous streams; both must be of one kind.")
    for name, value in F0_SETTINGS.items():
        if task.get(name, value) is not value:
            raise SpeechPromptError(f"{label} has {name} = {task[name]}, but our F0 needs {value}.")
    shifts = str(task.get("stream_shifts"))
    if not re.fullmatch(r"\d{1,3},\d{1,3}", shifts):
        raise SpeechPromptError(f"{label} has no stream_shifts such as '1,1'.")
    sizes = {"n_durations": 1, "n_f0": 1}
    if modes[0]:
        tables = [checkpoint["model"].get(f"{name}.weight", torch.zeros(0)) for name in STREAMS.values()]
        sizes = {name: (*table.shape, 0)[0] for name, table in zip(sizes, tables, strict=True)}
        if task.get("max_token_duration") != sizes["n_durations"] - 5:
            raise SpeechPromptError(
                f"{label} has max_token_duration = {task.get('max_token_duration')}, unlike its "
                f"{sizes['n_durations']} duration embeddings."
            )
    elif edges is not None:
        raise SpeechPromptError(f"{label} has continuous streams, which have no bins: leave --edges out.")
    return ProsodyConfig(
        mode="discrete" if modes[0] else "continuous",
        shifts=tuple(map(int, shifts.split(","))),  # type: ignore[arg-type]  # two, by the pattern
        f0_edges=edges,
        ignore_duration_input=task.get("ignore_duration_input") is True,
        ignore_f0_input=task.get("ignore_f0_input") is True,
        **sizes,
    )


def to_prosody_lm(checkpoint: dict[str, Any], label: str, edges: np.ndarray | None = None) -> ProsodyLM:
    """A loaded checkpoint -> a prosody LM in the checkpoint's dtype, without its position table.

    Every tensor of the checkpoint is accounted for: used, known to be empty of meaning, or an error.
    """
    weights = {name: t for name, t in checkpoint["model"].items() if not DROPPED.fullmatch(name)}
    if EMBEDDING not in weights or PROJECTION not in weights:
        raise SpeechPromptError(
            f"{label} is no prosody LM: it lacks the split output {PROJECTION!r}; "
            "a plain unit LM goes through `convert unit-lm`."
        )
    settings = checkpoints.model_settings(checkpoint, label)
    for name in SIZES.values():
        if type(settings.get(name)) is not int:
            raise SpeechPromptError(f"{label} does not say its {name}.")
    # The tied output layer is not used here, whether it is tied or not.
    check_settings({**settings, "share_decoder_input_output_embed": True}, label)
    prosody = to_config(checkpoint, label, edges)
    n_symbols = (*weights[EMBEDDING].shape, 0)[0]
    sizes = {ours: settings[theirs] for ours, theirs in SIZES.items()}
    n_units = n_symbols - UNIT_OFFSET
    # Their table of sinusoids starts behind <pad>, the K + 1st symbol; ours starts at row 2.
    with torch.device("meta"):  # costs neither memory nor the random initial weights
        lm = prosody_lm.make(
            n_units, prosody=prosody, first_position=n_units, max_positions=MAX_POSITIONS + n_units, **sizes
        )
    d = lm.config.d_model
    ours = prosody_lm.expected_shapes(lm)
    expected = {original(name): shape for name, shape in ours.items() if name not in HEADS}
    expected[PROJECTION] = (sum(ours[name][0] for name in HEADS), d)
    if OUTPUT in weights:
        expected[OUTPUT] = (n_symbols, d)
    checkpoints.check_tensors(weights, expected, label)

    state = {name: weights[original(name)] for name in ours if name not in HEADS}
    heads = weights[PROJECTION].split([ours[name][0] for name in HEADS])
    state |= dict(zip(HEADS, heads, strict=True))
    order = token_order(n_symbols)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        state[name] = state[name][order]
    lm.load_state_dict(state, assign=True)
    return lm


def original(name: str) -> str:
    for ours, theirs in STREAMS.items():
        if name.startswith(f"{ours}."):
            return theirs + name.removeprefix(ours)
    return "decoder." + name.removeprefix("model.")


def n_bins_of(checkpoint: Mapping[str, Any]) -> int | None:
    """The bins of F0 by the size of their table; None in continuous streams."""
    table = checkpoint["model"].get(f"{STREAMS['embed_f0']}.weight")
    return None if table is None or table.ndim != 2 or table.shape[1] == 1 else len(table) - N_SPECIALS


def read_edges(path: Path, n_bins: int | None = None) -> np.ndarray:
    """A file that torch.save made of a tensor, array or list of numbers -> float32 [n], nothing run.

    pGSLM's own files hold a dict of arrays by the number of bins that they cut: the one of n_bins is taken, and where
    it holds but one, that.
    """
    label = f"F0 edges: {path.name}"
    if not path.is_file() or path.stat().st_size > MAX_EDGES_BYTES:
        raise SpeechPromptError(f"{label} is not there, or too large to hold edges.")
    multiarray = np.zeros(0).__reduce__()[0]
    names = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
    allowed: list[Any] = [np.ndarray, np.dtype, type(np.dtype("f4")), type(np.dtype("f8"))]
    allowed += [(multiarray, name) for name in names]
    try:
        with torch.serialization.safe_globals(allowed):
            loaded = torch.load(path, map_location="cpu", weights_only=True)
        if isinstance(loaded, dict):
            loaded = next(iter(loaded.values())) if len(loaded) == 1 else loaded[n_bins]
        edges = np.asarray(loaded, dtype=np.float32)
    except Exception as error:  # a hostile file can make the unpickler raise anything
        raise SpeechPromptError(
            f"{label} does not hold one tensor, array or list of numbers, nor arrays by the number of bins."
        ) from error
    if edges.ndim != 1:
        raise SpeechPromptError(
            f"{label} holds an array of the shape {list(edges.shape)}, not one row of edges."
        )
    return edges


def convert(
    checkpoint: Path, out: Path, edges: Path | None = None, dtype: torch.dtype = torch.float32
) -> ProsodyLM:
    """Checkpoint (and edges) -> prosody LM folder `out`; SpeechPromptError before anything is written.

    float32 keeps every value; float16 halves the folder. Use prosody_lm.load to run what was written.
    """
    checkpoint, out = Path(checkpoint), Path(out)
    label = f"{WHAT}: {checkpoint.name}"
    check_out(out)
    loaded = checkpoints.load(checkpoint, WHAT)
    values = None if edges is None else read_edges(Path(edges), n_bins_of(loaded))
    lm = to_prosody_lm(loaded, label, values)
    check_size(lm, dtype, label)
    prosody_lm.save(lm, out, dtype)
    return lm
