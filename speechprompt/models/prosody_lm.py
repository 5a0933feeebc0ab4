"""The prosody-aware unit LM: units, their durations and their melody in, all three out (pGSLM).

Kharitonov et al. 2022 add an embedding of each run's duration and F0 to the unit's and split the output
into three heads; the decoder between is the unit LM's. Prosody is delayed by one step, so that step t
reads unit t with the prosody of unit t - 1. Its folder is a unit LM's, with `prosody` in config.json.
Knows no prompts and no audio.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import XGLMConfig

from speechprompt.errors import SpeechPromptError
from speechprompt.models import unit_lm
from speechprompt.models.lm_config import (
    LM_JSON,
    MAX_BYTES,
    PROSODY,
    PROSODY_START,
    WEIGHTS_NAME,
    ProsodyLMConfig,
    read_config,
    sizes_of,
)
from speechprompt.models.pitch import at_absolute_pitch
from speechprompt.models.streams import WHAT, ProsodyConfig, streams, targets
from speechprompt.models.unit_lm import UnitLM
from speechprompt.storage.folders import replaced_folder, write_json
from speechprompt.storage.schema import read
from speechprompt.storage.tensors import TensorFile, write_tensors
from speechprompt.units import UNIT_OFFSET, Units, Utterance

__all__ = [
    "ProsodyConfig",
    "ProsodyLM",
    "load",
    "make",
    "save",
    "stream_losses",
    "streams",
    "targets",
]

MAX_POSITIONS = 4096  # 60 s of speech are at most 3000 units
DTYPES = {torch.float16: "float16", torch.float32: "float32"}  # that weights are stored in


class ProsodyLM(UnitLM):
    """The unit LM with two more inputs and outputs; `lm_head` gives the logits of the unit stream.

    The vocabulary is the unit LM's, but that 3 is the start symbol `<s>` and that embedding and output
    layer are not tied. Position i of a row is position i + first_position of the table.
    """

    start_token = PROSODY_START

    def __init__(self, config: XGLMConfig, prosody: ProsodyConfig, first_position: int = 0) -> None:
        super().__init__(config)
        if not 0 <= first_position <= config.max_position_embeddings - 16:
            raise SpeechPromptError(f"{WHAT}: first_position lies outside the table of positions.")
        self.prosody, self.first_position = prosody, first_position
        d = config.d_model
        self.embed_durations: nn.Module
        self.embed_f0: nn.Module
        if prosody.discrete:
            self.embed_durations = nn.Embedding(prosody.n_durations, d)
            self.embed_f0 = nn.Embedding(prosody.n_f0, d)
        else:
            self.embed_durations, self.embed_f0 = nn.Linear(1, d), nn.Linear(1, d)
        self.duration_head = nn.Linear(d, prosody.n_durations, bias=False)
        self.f0_head = nn.Linear(d, prosody.n_f0, bias=False)

    def beside(self, utterances: Sequence[Utterance], width: int, absolute: Sequence[bool]) -> Tensor:
        """Embeddings of the utterances' prosody, [B, width, d]; labels and padding have none.

        absolute: which rows are given their melody at absolute pitch. SpeechPromptError for units without F0.
        """
        kind = torch.int64 if self.prosody.discrete else torch.float32
        durations = torch.zeros(len(utterances), width, dtype=kind)
        f0 = torch.full((len(utterances), width), self.prosody.pad_f0, dtype=kind)
        for i, (utterance, as_it_is) in enumerate(zip(utterances, absolute, strict=True)):
            units = utterance if isinstance(utterance, Units) else Units.from_frames(utterance)
            values = streams(at_absolute_pitch(units) if as_it_is else units, self.prosody)
            durations[i, : len(values[0])], f0[i, : len(values[1])] = map(torch.from_numpy, values)
        return self.embed_prosody(durations.to(self.device), f0.to(self.device))

    def beside_label(self) -> Tensor:
        """The embedding [d] of no duration and no melody."""
        nothing = torch.zeros(1, 1, dtype=torch.int64, device=self.device)
        return self.embed_prosody(nothing, torch.full_like(nothing, int(self.prosody.pad_f0)))[0, 0]

    def embed_prosody(self, durations: Tensor, f0: Tensor) -> Tensor:
        """What is added to the scaled unit embedding: [B, T] each, as `streams` gives them -> [B, T, d]."""
        if self.prosody.ignore_duration_input:
            durations = torch.zeros_like(durations)
        if self.prosody.ignore_f0_input:
            f0 = torch.zeros_like(f0)
        if not self.prosody.discrete:
            durations, f0 = durations[..., None].to(self.dtype), f0[..., None].to(self.dtype)
        return self.embed_durations(durations) + self.embed_f0(f0)

    def forward_streams(self, tokens: Tensor, durations: Tensor, f0: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Next-step outputs [B, T, V], [B, T, n_durations], [B, T, n_f0]; the last two are means when continuous.

        tokens int64 [B, T]; durations and f0 [B, T] as `streams` gives them. Padding goes on the right,
        where no real step sees it.
        """
        positions = torch.arange(tokens.shape[1], device=tokens.device)[None] + self.first_position
        hidden = self.model(
            inputs_embeds=self.model.embed_tokens(tokens) + self.embed_prosody(durations, f0),
            position_ids=positions.expand(len(tokens), -1),
            use_cache=False,
        ).last_hidden_state
        return self.lm_head(hidden), self.duration_head(hidden), self.f0_head(hidden)


def stream_losses(
    outputs: tuple[Tensor, Tensor, Tensor],
    wanted: tuple[Tensor, Tensor, Tensor],
    counted: tuple[Tensor, Tensor, Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss of units, durations and F0, each summed over the counted steps (bool [B, T]).

    Negative log-likelihood (natural log) of symbols, absolute error of numbers. outputs as
    forward_streams gives them, wanted [B, T] each.
    """
    losses = []
    for output, target, mask in zip(outputs, wanted, counted, strict=True):
        if output.shape[-1] == 1:
            losses.append((output[..., 0].float() - target)[mask].abs().sum())
        else:
            losses.append(F.cross_entropy(output[mask].float(), target[mask], reduction="sum"))
    return losses[0], losses[1], losses[2]


def make(
    n_units: int,
    d_model: int,
    n_layers: int,
    n_heads: int,
    ffn_dim: int,
    prosody: ProsodyConfig,
    first_position: int = 0,
    max_positions: int = MAX_POSITIONS,
    dropout: float = 0.0,
) -> ProsodyLM:
    """A random prosody LM over n_units units; dropout serves pretraining only."""
    config = unit_lm.make_config(n_units, d_model, n_layers, n_heads, ffn_dim, max_positions, dropout)
    config.tie_word_embeddings, config.bos_token_id = False, PROSODY_START
    config.decoder_start_token_id = PROSODY_START
    return ProsodyLM(config, prosody, first_position)


def expected_shapes(lm: ProsodyLM) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every stored tensor."""
    return {name: tuple(value.shape) for name, value in lm.state_dict().items()}


def read_prosody(given: dict[str, Any]) -> ProsodyConfig:
    """The entry `prosody` of config.json, checked."""
    what = f"{WHAT}: {LM_JSON}"
    if missing := sorted(ProsodyConfig().settings().keys() - given.keys()):
        raise SpeechPromptError(f"{what}: it lacks the entry 'prosody.{missing[0]}'.")
    return read(ProsodyConfig, given, what)


def load(folder: Path, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> ProsodyLM:
    """Read a prosody LM, frozen and in eval mode; SpeechPromptError names what does not fit."""
    settings = read_config(folder)
    if not isinstance(settings, ProsodyLMConfig):
        raise SpeechPromptError(f"{WHAT}: config.json must have the model_type {PROSODY!r}.")
    prosody = read_prosody(settings.prosody)
    with torch.device("meta"):  # costs neither memory nor the random initial weights
        lm = make(
            settings.vocab_size - UNIT_OFFSET,
            settings.d_model,
            settings.num_layers,
            settings.attention_heads,
            settings.ffn_dim,
            prosody,
            settings.first_position,
            settings.max_position_embeddings,
        )
    file = TensorFile(folder, WEIGHTS_NAME, WHAT, MAX_BYTES)
    file.expect(expected_shapes(lm), {})
    lm.load_state_dict(file.read(dtype, device), assign=True)
    unit_lm.fill_positions(lm, device, dtype)
    return lm.requires_grad_(False).eval()


def save(lm: ProsodyLM, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write config.json and model.safetensors so that an interrupted save leaves the old model."""
    given = {"model_type": PROSODY, "activation_function": "relu", **sizes_of(lm.config)}
    given |= {"first_position": lm.first_position, "prosody": lm.prosody.settings()}
    settings = {"architectures": ["ProsodyLM"], **asdict(read(ProsodyLMConfig, given, WHAT))}
    settings |= {"decoder_start_token_id": PROSODY_START, "dtype": DTYPES[dtype]}
    weights = {name: value.to(dtype) for name, value in lm.state_dict().items()}
    with replaced_folder(folder) as aside:
        write_json(aside / LM_JSON, settings)
        write_tensors(aside / WEIGHTS_NAME, weights, WHAT)
