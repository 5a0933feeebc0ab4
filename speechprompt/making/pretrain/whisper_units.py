"""Fit units on a layer of Whisper's encoder, and write the unit transcripts of all speech whose licence allows any use.

The command `pretrain whisper-units` says how and why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from speechprompt.audio.pauses import without_pauses
from speechprompt.errors import SpeechPromptError
from speechprompt.making.pretrain.corpus import OPEN_SETS, Clip, read_files
from speechprompt.making.pretrain.kmeans import kmeans
from speechprompt.models.whisper import WhisperUnits

# Beside OPEN_SETS, which `pretrain encoder` draws from: CC BY, CC BY-SA, CC0, MIT, Apache, public domain, ODbL.
MORE_SETS = (
    "speech_commands_words",
    "accents_english",
    "coswara_voices",
    "wakewords_english",
    "wakewords_more",
    "languages_prompts",
    "malayalam_sentences",
    "infant_cries",
)
SOUNDS = ("sound_events", "infant_cries")  # transcribed, but k-means is for speech
FIT_FRAMES = 120_000  # frames that k-means sees: 40 minutes of speech
MOST_OF_ONE_SET = 0.15  # share of those frames
MOST_OF_ONE = 100  # frames of a speaker, when speakers are set against each other


def read_open_speech(folder: Path, workers: int) -> list[Clip]:
    """Train and valid clips of every admitted set in the folder, without long pauses at their ends."""
    paths = [path for name in (*OPEN_SETS, *MORE_SETS) if (path := folder / f"{name}.parquet").is_file()]
    if not paths:
        raise SpeechPromptError(f"{folder.name} holds none of the sets, such as speech_commands.parquet.")
    clips = []
    for clip in read_files(paths, workers=workers):
        start, end = without_pauses(clip.waveform)
        clips.append(replace(clip, samples=clip.samples[start:end]))
    return clips


def speech_frames(
    encoder: WhisperUnits, clips: Sequence[Clip], seed: int, every: int = 1
) -> tuple[Tensor, list[tuple[str, str]]]:
    """Features [FIT_FRAMES or fewer, n_features] of train clips in random order, no set more than its share.

    And of each frame its set and speaker. every: one frame of so many is taken.
    """
    spoken = [clip for clip in clips if clip.split == "train" and clip.dataset not in SOUNDS]
    most, taken = MOST_OF_ONE_SET * FIT_FRAMES, Counter[str]()
    frames: list[Tensor] = []
    speakers: list[tuple[str, str]] = []
    with tqdm(total=FIT_FRAMES, desc="features", unit="frame", mininterval=5) as progress:
        for i in np.random.default_rng(seed).permutation(len(spoken)):
            if taken[spoken[i].dataset] < most and taken.total() < FIT_FRAMES:
                frames.append(encoder.features([spoken[i].waveform])[0][every // 2 :: every])
                speakers += [(spoken[i].dataset, spoken[i].speaker)] * len(frames[-1])
                taken[spoken[i].dataset] += len(frames[-1])
                progress.update(len(frames[-1]))
    return torch.cat(frames), speakers


def half_whitened(points: Tensor, n_features: int) -> tuple[Tensor, Tensor]:
    """Mean [dim] and map [dim, n_features] of points [N, dim]: standardised, rotated, half whitened."""
    mean, deviation = points.mean(0), points.std(0) + 1e-5
    variances, axes = torch.linalg.eigh(torch.cov(((points - mean) / deviation).T.double()))
    variances, axes = variances.flip(0)[:n_features], axes.flip(1)[:, :n_features]
    return mean, (axes / variances.clamp(min=1e-8).pow(0.25)).float() / deviation[:, None]


def speaker_axes(
    points: Tensor, speakers: Sequence[tuple[str, str]], n_features: int
) -> tuple[Tensor, Tensor]:
    """Mean [dim] and map [dim, n_features] of points [N, dim]: Fisher's discriminant of who speaks.

    speakers: set and name of each point's; those without a name are left out. Between speakers, none counts for
    more than MOST_OF_ONE points. An axis is scaled by the root of the share of its variance that lies between them.
    """
    named = [i for i, (_, name) in enumerate(speakers) if name]
    numbers = {speaker: n for n, speaker in enumerate(dict.fromkeys(speakers[i] for i in named))}
    if len(numbers) <= n_features:
        raise SpeechPromptError(
            f"The data names {len(numbers)} speakers; {n_features} axes need more of them than that."
        )
    who = torch.tensor([numbers[speakers[i]] for i in named])
    known = points[named].double()
    mean, deviation = known.mean(0), known.std(0) + 1e-5
    known = (known - mean) / deviation
    counts = torch.bincount(who).double()
    centres = torch.zeros(len(numbers), known.shape[1], dtype=torch.float64).index_add_(0, who, known)
    centres /= counts[:, None]
    weights = counts.clamp(max=MOST_OF_ONE)
    between = (centres * weights[:, None]).T @ centres / weights.sum()
    within = (known.T @ known - (centres * counts[:, None]).T @ centres) / len(known)
    within += 1e-3 * within.trace() / len(within) * torch.eye(len(within), dtype=torch.float64)
    unwind = torch.linalg.inv(torch.linalg.cholesky(within))
    ratios, axes = torch.linalg.eigh(unwind @ between @ unwind.T)
    ratios, axes = ratios.flip(0)[:n_features].clamp(min=0), (unwind.T @ axes).flip(1)[:, :n_features]
    return mean.float(), (axes * (ratios / (1 + ratios)).sqrt() / deviation[:, None]).float()


def fit(
    encoder: WhisperUnits, points: Tensor, seed: int, speakers: Sequence[tuple[str, str]] | None = None
) -> float:
    """Set the linear map and the centroids from hidden states [N, dim]; return the share of variance explained.

    speakers: of each point, where the axes are to be theirs.
    """
    n = encoder.sizes.n_features
    mean, projection = half_whitened(points, n) if speakers is None else speaker_axes(points, speakers, n)
    mapped = (points - mean) @ projection
    encoder.mean.copy_(mean)
    encoder.projection.copy_(projection)
    encoder.centroids.copy_(kmeans(mapped, encoder.n_units, seed))
    missed = (mapped - encoder.centroids[encoder.assign(mapped)]).square().sum()
    return 1 - float(missed / mapped.square().sum())
