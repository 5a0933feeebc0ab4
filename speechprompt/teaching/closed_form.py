"""A learned verbalizer in closed form: ridge regression from the LM's logits to the labels.

With few utterances this finds in milliseconds what gradient steps would look for, and says exactly how
well it does on each utterance when that one is left out. Knows no audio and no files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from speechprompt.units import UNIT_OFFSET

PENALTIES = np.geomspace(0.1, 1e4, 11)
SHARPNESS = (
    2.0,
    3.0,
    4.0,
    6.0,
    8.0,
    12.0,
    16.0,
    24.0,
)  # scores of 0 and 1 become logits when multiplied by it


@dataclass(frozen=True, eq=False)
class Fit:
    """verbalizer_weight float32 [C + 4, V]; held_out float64 [G, C]: logits of each group when left out,
    cross_entropy: their mean in nats (what chose the penalty and the sharpness)."""

    verbalizer_weight: np.ndarray
    held_out: np.ndarray
    cross_entropy: float


def fit_verbalizer(logits: np.ndarray, labels: Sequence[int], groups: Sequence[int], n_labels: int) -> Fit:
    """Vocabulary logits [N, V] of utterances, their labels and groups -> a verbalizer.

    groups number from 0 what is left out together, such as a recording and its simulated copies; a
    group is judged by the first of its rows. Labels count alike however many utterances each has.
    """
    truth, group = np.asarray(labels), np.asarray(groups)
    members = [np.flatnonzero(group == g) for g in range(group.max() + 1)]
    first = np.array([rows[0] for rows in members])
    weight = np.sqrt(len(truth) / (n_labels * np.bincount(truth, minlength=n_labels)[truth]))[:, None]
    spread = logits.std(axis=0).mean()
    features = logits.astype(np.float64) / max(float(spread), 1e-6) * weight
    targets = (np.eye(n_labels)[truth] - 1 / n_labels) * weight
    values, vectors = np.linalg.eigh(features @ features.T)
    values = values.clip(min=0)
    judged = weight[first].ravel() / weight[first].sum()
    best: tuple[float, float, float, np.ndarray] | None = None
    for penalty in PENALTIES:
        hat = (vectors * (values / (values + penalty))) @ vectors.T
        left_out = targets[first].copy()
        residual = targets - hat @ targets
        for g, rows in enumerate(members):  # exact: what the fit without these rows would say of them
            change = np.linalg.solve(np.eye(len(rows)) - hat[np.ix_(rows, rows)], residual[rows])
            left_out[g] -= change[0]
        left_out /= weight[first]
        for sharpness in SHARPNESS:
            scaled = torch.from_numpy(sharpness * left_out)
            loss = float(
                judged @ cross_entropy(scaled, torch.from_numpy(truth[first]), reduction="none").numpy()
            )
            if best is None or loss < best[0]:
                best = (loss, float(penalty), sharpness, sharpness * left_out)
    assert best is not None
    loss, penalty, sharpness, held_out = best
    solved = vectors @ ((vectors.T @ targets) / (values + penalty)[:, None])
    fitted = sharpness / max(float(spread), 1e-6) * (features.T @ solved).T
    zeros = np.zeros((UNIT_OFFSET, logits.shape[1]))
    return Fit(np.concatenate([zeros, fitted]).astype(np.float32), held_out, loss)
