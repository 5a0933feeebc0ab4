"""What may be chosen of a pretraining: the options of the commands of `pretrain`, as the trainings take them.

Imports no torch, so that the help of the command line is there at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class LMTraining:
    """Sizes of an LM and its training; run: the folder of checkpoint and log. The decoder is `dim` wide."""

    run: Path
    epochs: int
    lr: float
    tokens_per_batch: int = 2560
    dropout: float = 0.1
    dim: int = 256
    layers: int = 6
    heads: int = 4
    seed: int = 0
    threads: int = 2


@dataclass(frozen=True)
class EncoderTraining:
    """What every training of the encoder takes; workers: processes that prepare batches, 0 for none."""

    run: Path
    steps: int
    lr: float
    seed: int
    threads: int
    workers: int


@dataclass(frozen=True)
class MaskedTraining(EncoderTraining):
    """Masked prediction in two rounds; second_round: share of the steps before the second begins."""

    dim: int
    layers: int
    second_round: float


@dataclass(frozen=True)
class QuantisedTraining(EncoderTraining):
    """Training on with the units in the loop: an encoder, the blocks below the units, and how many units."""

    checkpoint: Path
    layer: int
    units: int
