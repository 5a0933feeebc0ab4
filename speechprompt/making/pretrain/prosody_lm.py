"""Train a prosody LM: next unit, its duration and its F0, from transcripts of all three (pGSLM).

The command `pretrain prosody-lm` says how and why.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from speechprompt.errors import SpeechPromptError
from speechprompt.making.pretrain import prosody_transcripts as transcripts
from speechprompt.making.pretrain.config import LMTraining
from speechprompt.making.pretrain.corpus import read_corpus
from speechprompt.making.pretrain.unit_lm import MAX_TOKENS, asked_for, pad, train_epochs
from speechprompt.models import lm_config, prosody_lm, unit_lm
from speechprompt.models.encoder import UnitEncoder
from speechprompt.models.pitch import fit_edges
from speechprompt.models.prosody_lm import ProsodyConfig, ProsodyLM
from speechprompt.models.streams import streams, targets
from speechprompt.models.unit_lm import UnitLM
from speechprompt.tuning.runs import batches_by_length
from speechprompt.units import EOS, PAD, UNIT_OFFSET, Units, to_tokens

WEIGHTS = (1.0, 0.5, 0.5)  # of the losses of units, durations and F0
NAMES = ("unit", "duration", "f0")
PROSODY_STD = 0.1  # of new duration and F0 embeddings, beside unit embeddings of about 1


def batch_of(utterances: Sequence[Units], prosody: ProsodyConfig) -> list[Tensor]:
    """Six int64 [B, T], padded on the right: tokens, durations and F0 that are read, then those wanted.

    Step t reads the unit t and the prosody before it, and is to say the unit after it and its prosody.
    """
    columns: list[list[list[int]]] = [[] for _ in range(6)]
    for units in utterances:
        tokens = [lm_config.PROSODY_START, *to_tokens(units.ids), EOS]
        read, wanted = streams(units, prosody), targets(units, prosody)
        row = [tokens, *(s.tolist() for s in read), [*tokens[1:], PAD], *(s.tolist() for s in wanted)]
        for column, values in zip(columns, row, strict=True):
            column.append(values)
    return [pad(column) for column in columns]


def losses_of(lm: ProsodyLM, batch: list[Tensor]) -> tuple[tuple[Tensor, Tensor, Tensor], int]:
    """Summed losses of the three streams, and the number of steps they are taken over."""
    tokens, durations, f0, next_tokens, wanted_durations, wanted_f0 = batch
    # Causal attention and padding on the right: real positions never see a pad.
    with torch.autocast(tokens.device.type, torch.bfloat16):
        outputs = lm.forward_streams(tokens, durations, f0)
    real = tokens != PAD
    spoken = real.clone()
    spoken[:, 0] = False  # the start symbol has no prosody
    counted = (next_tokens != PAD, spoken, spoken)
    losses = prosody_lm.stream_losses(outputs, (next_tokens, wanted_durations, wanted_f0), counted)
    return losses, int(next_tokens.ne(PAD).sum())


@torch.inference_mode()
def measure(lm: ProsodyLM, utterances: Sequence[Units]) -> dict[str, float]:
    """Mean loss per step of each stream, natural log, and their weighted sum."""
    lm.eval()
    sums, steps = [0.0, 0.0, 0.0], 0
    for group in batches_by_length(list(map(len, utterances)), 8000, None):
        batch = [t.to(lm.device) for t in batch_of([utterances[i] for i in group], lm.prosody)]
        losses, n = losses_of(lm, batch)
        sums, steps = [a + b.item() for a, b in zip(sums, losses, strict=True)], steps + n
    lm.train()
    means = [total / steps for total in sums]
    return {"loss": float(np.dot(WEIGHTS, means)), **dict(zip(NAMES, means, strict=True))}


def from_unit_lm(source: UnitLM, prosody: ProsodyConfig, dropout: float, seed: int) -> ProsodyLM:
    """A prosody LM that starts as the plain unit LM: same decoder and units, prosody of hardly any weight."""
    c = source.config
    n_units = c.vocab_size - UNIT_OFFSET
    sizes = (n_units, c.d_model, c.num_layers, c.attention_heads, c.ffn_dim)
    torch.manual_seed(seed)
    lm = prosody_lm.make(*sizes, prosody, dropout=dropout)
    for layer in lm.model.layers:
        layer.self_attn.dropout = 0.0  # costs much on a CPU and brings little
    lm.model.load_state_dict(source.model.state_dict())
    units = source.model.embed_tokens.weight.data.clone()
    units[lm_config.PROSODY_START] = units[EOS]  # what a plain unit LM starts with
    lm.model.embed_tokens.weight.data = units
    lm.lm_head.weight.data = units.clone()
    for table in (lm.embed_durations, lm.embed_f0):
        nn.init.normal_(table.weight, std=PROSODY_STD)  # type: ignore[arg-type]  # embeddings, as discrete
    return lm.requires_grad_(True).train()


def make_transcripts(
    data: Path, encoder_folder: Path, out: Path, copies: int = 1, seed: int = 0, threads: int = 2
) -> None:
    """Step one: a folder of packed speech -> the file of transcripts, with the units of an encoder."""
    torch.set_num_threads(threads)
    encoder = UnitEncoder.load(encoder_folder)
    clips = read_corpus(data, workers=threads)
    workers = threads if threads > 1 else 0
    n_units = transcripts.write(transcripts.transcribe(encoder, clips, copies, seed, workers), out)
    print(f"{n_units:,} units with duration and F0 in {out.name}", flush=True)


def pretrain(file: Path, out: Path, n_units: int, config: LMTraining, init_from: Path | None = None) -> None:
    """Step two: a file of transcripts -> all epochs that are left, the best one in `out`.

    init_from: plain unit_lm folder to start from, whose sizes and units it takes. SpeechPromptError for transcripts of
    no use.
    """
    torch.set_num_threads(config.threads)
    train, valid = (transcripts.read(file, split, MAX_TOKENS) for split in ("train", "valid"))
    if not train or not valid:
        raise SpeechPromptError("The transcripts need a train and a valid split.")
    source = unit_lm.load(init_from) if init_from else asked_for(config, n_units)
    n_units = source.config.vocab_size - UNIT_OFFSET
    if max(int(units.ids.max()) for units in train + valid) >= n_units:
        raise SpeechPromptError(f"The transcripts hold units beyond the {n_units} of the unit LM.")
    log_f0 = np.concatenate([units.log_f0 for units in train])  # type: ignore[misc]  # read() gives it to all
    prosody = ProsodyConfig(f0_edges=fit_edges(log_f0[log_f0 != 0]))
    lm = from_unit_lm(source, prosody, config.dropout, config.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    lm.to(torch.device(device))  # type: ignore[arg-type]  # transformers' stub hides Module.to
    started = {"started": str(init_from and init_from.name)}
    fit(lm, train, valid, out, config, started)


def fit(
    lm: ProsodyLM,
    train: list[Units],
    valid: list[Units],
    out: Path,
    config: LMTraining,
    settings: dict[str, Any],
) -> None:
    """All epochs that are left; the best one is kept in `out`."""

    def loss_of(group: Sequence[int]) -> Tensor:
        batch = [t.to(lm.device) for t in batch_of([train[i] for i in group], lm.prosody)]
        losses, steps = losses_of(lm, batch)
        return torch.stack([w * part for w, part in zip(WEIGHTS, losses, strict=True)]).sum() / steps

    def judge() -> tuple[float, dict[str, float]]:
        found = measure(lm, valid)
        figures = {f"valid_{name}": round(value, 4) for name, value in found.items()}
        return found["loss"], figures | {"valid_perplexity": round(math.exp(found["unit"]), 4)}

    def save() -> None:
        prosody_lm.save(lm, out)

    lengths = [len(units) + 2 for units in train]
    train_epochs(lm, "prosody_lm", lengths, loss_of, judge, save, config, settings)
