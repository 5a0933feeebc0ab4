"""Fit the units: k-means on one layer of the trained encoder, or those that it learnt with its units in the

The command `pretrain centroids` says how and why.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from speechprompt.errors import SpeechPromptError
from speechprompt.making.pretrain.kmeans import kmeans
from speechprompt.making.pretrain.transcripts import BATCH_CLIPS
from speechprompt.models.encoder import UnitEncoder
from speechprompt.models.encoder_config import EncoderConfig
from speechprompt.tuning.checkpoint import read_checkpoint

FIT_FRAMES = 250_000  # frames that k-means sees: 83 minutes of speech drawn from all sets


def cut(checkpoint: Path, n_layers: int, n_units: int) -> tuple[UnitEncoder, bool]:
    """The averaged encoder of a training checkpoint, its first `n_layers` blocks.

    Returns it with True when it has the centroids it was trained with (`pretrain quantised`), which then
    say n_layers and n_units themselves; with False when they are yet to be fitted.
    """
    if not checkpoint.is_file():
        raise SpeechPromptError(f"There is no {checkpoint.name}: run `speechprompt pretrain encoder` first.")
    state = read_checkpoint(checkpoint)
    config, learnt = state["config"], "centroids" in state["average"]
    if learnt:
        n_layers, n_units = (state["settings"][name] for name in ("layer", "units"))
    if not 1 <= n_layers <= config["n_layers"]:
        raise SpeechPromptError(f"--layer must be 1 to {config['n_layers']}.")
    encoder = UnitEncoder(EncoderConfig(**{**config, "n_layers": n_layers}), n_units)
    prefix = "encoder."
    weights = {k[len(prefix) :]: v for k, v in state["average"].items() if k.startswith(prefix)}
    kept = encoder.network.state_dict()
    encoder.network.load_state_dict({name: weights[name] for name in kept})
    if learnt:
        for name in ("mean", "std", "centroids"):
            getattr(encoder, name).copy_(state["average"][name])
    return encoder.requires_grad_(False).eval(), learnt


def fit(encoder: UnitEncoder, waveforms: list[np.ndarray], seed: int) -> float:
    """Set the encoder's centroids from these waveforms; return the share of variance they explain."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(waveforms))
    frames: list[torch.Tensor] = []
    total = 0
    with tqdm(total=FIT_FRAMES, desc="features", unit="frame") as progress:
        for at in range(0, len(order), BATCH_CLIPS):
            found = encoder.features([waveforms[i] for i in order[at : at + BATCH_CLIPS]])
            frames += found
            total += sum(map(len, found))
            progress.update(sum(map(len, found)))
            if total >= FIT_FRAMES:
                break
    points = torch.cat(frames)
    encoder.mean.copy_(points.mean(0))
    encoder.std.copy_(points.std(0) + 1e-5)
    points = (points - encoder.mean) / encoder.std
    encoder.centroids.copy_(kmeans(points, encoder.n_units, seed))
    return 1 - float((points - encoder.centroids[encoder.assign(points)]).square().mean())
