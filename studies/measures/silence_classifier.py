"""A plain classifier of short sounds, by their units and mean log-mel spectrum."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torchaudio
from torch import Tensor
from torch.nn import functional as F

from speechprompt.audio.load import SAMPLE_RATE
from speechprompt.backbone import Backbone
from speechprompt.units import unit_ids

BANDS = 40  # of the spectrum, from 60 Hz to 7.6 kHz, evenly in mel
# Not the encoder's front end, which takes the level away.
MELS = torchaudio.transforms.MelSpectrogram(
    SAMPLE_RATE,
    n_fft=512,
    hop_length=SAMPLE_RATE // 100,
    f_min=60.0,
    f_max=7600.0,
    n_mels=BANDS,
    center=False,
)


def features(backbone: Backbone, stretches: Sequence[np.ndarray]) -> Tensor:
    """float32 [N, units + 2 · BANDS]: share of each unit; mean and spread over time of the log-mel spectrum."""
    n_units = backbone.n_units
    rows = []
    for units, stretch in zip(backbone.encoder.batch(list(stretches)), stretches, strict=True):
        ids = np.bincount(np.asarray(unit_ids(units), dtype=np.int64), minlength=n_units)
        spectrum = log_mel(stretch)
        rows.append(np.concatenate([ids / max(1, ids.sum()), spectrum.mean(0), spectrum.std(0)]))
    return torch.tensor(np.array(rows), dtype=torch.float32)


def log_mel(waveform: np.ndarray) -> np.ndarray:
    """float32 [T] -> [F, BANDS]: natural log of the energy of each band, every 10 ms."""
    return torch.log(MELS(torch.from_numpy(waveform)) + 1e-9).T.numpy()


def fit(x: Tensor, y: Tensor, n_labels: int, decay: float = 0.01) -> Callable[[Tensor], Tensor]:
    """Multinomial logistic regression of standardised features, every label of equal weight; gives the labels."""
    mean, std = x.mean(0), x.std(0) + 1e-3
    weight = torch.zeros(n_labels, x.shape[1] + 1, requires_grad=True)
    share = 1 / torch.bincount(y, minlength=n_labels).clamp(min=1).float()
    optimizer = torch.optim.LBFGS([weight], max_iter=200, line_search_fn="strong_wolfe")

    def scores(z: Tensor) -> Tensor:
        return F.linear((z - mean) / std, weight[:, 1:], weight[:, 0])

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(scores(x), y, weight=share) + decay * (weight[:, 1:] ** 2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return lambda z: scores(z).argmax(1)


def balanced_accuracy(truth: Tensor, found: Tensor, n_labels: int) -> tuple[float, float]:
    """Mean of the labels' recalls, and half the width of its 95 % interval (clips taken as independent)."""
    recalls, variance = [], 0.0
    for label in range(n_labels):
        of_label = found[truth == label] == label
        recalls.append(of_label.float().mean().item())
        # Two successes and two failures more, so that a recall of 0 or 1 does not count as certain.
        p = (of_label.sum().item() + 2) / (len(of_label) + 4)
        variance += p * (1 - p) / (len(of_label) + 4)
    return sum(recalls) / n_labels, 1.96 * math.sqrt(variance) / n_labels
