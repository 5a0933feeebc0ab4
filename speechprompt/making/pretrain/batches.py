"""What one step of the encoder's training sees: clips drawn by set, placed, disturbed and masked.

Step n gives the same batch whatever happened before, so a stopped run resumes where it was.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.data import Dataset

from speechprompt.audio import augment
from speechprompt.making.pretrain.corpus import OPEN_SETS, Clip, by_set, noises_of
from speechprompt.models.encoder_config import EncoderConfig
from speechprompt.models.log_mel import LogMel
from speechprompt.units import FRAME_SAMPLES

WORD_FRAMES = 64  # most batches: 1.28 s, one word each
LONG_FRAMES = 224  # some batches: 4.5 s of running speech
WORD_BATCH, LONG_BATCH, LONG_SHARE = 48, 14, 0.2
MASK_SPAN = 7  # frames


class Batches(Dataset):
    """Step number -> one augmented batch, a function of (seed, step) alone."""

    def __init__(self, clips: list[Clip], seed: int) -> None:
        self.seed = seed
        self.sets = by_set(clips, "train")
        self.names = [name for name in OPEN_SETS if name in self.sets]
        shares = np.array([OPEN_SETS[name] for name in self.names])
        self.shares = shares / shares.sum()
        self.phones = sorted({p for c in clips for p in (c.phones or "").split()})
        self.index = {phone: i for i, phone in enumerate(self.phones)}
        limit = LONG_FRAMES * FRAME_SAMPLES
        self.long = [
            c
            for c in self.sets.get("read_english", []) + self.sets.get("synthetic_speech", [])
            if c.phones and len(c.samples) < limit * 1.1
        ] or [c for group in self.sets.values() for c in group]
        self.noises = noises_of(clips)
        self.log_mel = LogMel(EncoderConfig().n_mels)
        self.warped = [LogMel.filter_bank(EncoderConfig().n_mels, w) for w in np.arange(0.86, 1.15, 0.04)]

    def __getitem__(self, step: int) -> dict:
        rng = np.random.default_rng([self.seed, step])
        long = rng.random() < LONG_SHARE
        frames, size = (LONG_FRAMES, LONG_BATCH) if long else (WORD_FRAMES, WORD_BATCH)
        clean, noisy, phones, hubert = [], [], [], []
        for _ in range(size):
            if long:
                clip = self.long[rng.integers(len(self.long))]
            else:
                group = self.sets[self.names[rng.choice(len(self.names), p=self.shares)]]
                clip = group[rng.integers(len(group))]
            waveform = clip.waveform
            if rng.random() < 0.6:
                waveform = augment.change_speed(waveform, rng.uniform(0.88, 1.14))
            piece, whole = place(waveform, frames * FRAME_SAMPLES, rng, clip.dataset == "words20")
            clean.append(piece)
            noisy.append(augment.simulate(piece, rng, self.noises, clean[:-1]))
            spoken = clip.phones.split() if whole and clip.phones is not None else None
            phones.append(None if spoken is None else [self.index[p] for p in spoken])
            hubert.append(clip.hubert_units if whole else None)
        bands = self.warped[rng.integers(len(self.warped))]
        mel = self.log_mel(torch.from_numpy(np.stack(noisy)), bands)
        for row in mel:  # SpecAugment over bands; the masked prediction covers time
            if rng.random() < 0.5:
                width = rng.integers(1, 14)
                low = rng.integers(80 - width)
                row[:, low : low + width] = 0
        mask = np.zeros((size, frames), dtype=bool)
        for row in range(size):
            share = 0.45 if phones[row] is None else 0.3
            for start in rng.choice(frames - MASK_SPAN, int(frames * share / MASK_SPAN + 0.5), replace=False):
                mask[row, start : start + MASK_SPAN] = True
        return {
            "mel": mel,
            "clean_mel": self.log_mel(torch.from_numpy(np.stack(clean))),
            "target_mel": self.log_mel(
                torch.from_numpy(np.stack(clean)), bands
            ),  # the same vocal tract as mel
            "mask": torch.from_numpy(mask),
            "phones": phones,
            "hubert": hubert,
        }


def place(
    waveform: np.ndarray, size: int, rng: np.random.Generator, centred: bool
) -> tuple[np.ndarray, bool]:
    """Cut or pad to `size` samples; True when all that is said is still there.

    Padding is hiss as faint as the clip's own background. `centred` clips are one word in a long
    pause: they are cut around their loudest part.
    """
    n = len(waveform)
    if n <= size:
        level = float(np.percentile(np.abs(waveform[::7]), 5)) + 1e-6
        piece = rng.uniform(-level, level, size).astype(np.float32)
        start = int(rng.integers(size - n + 1))
        piece[start : start + n] = waveform
        return piece, True
    if centred:
        energy = np.convolve(waveform[::16] ** 2, np.ones(400), "same")
        start = int(energy.argmax()) * 16 - size // 2 + int(rng.integers(-1600, 1600))
        start = min(max(0, start), n - size)
        return waveform[start : start + size], True
    start = int(rng.integers(n - size + 1))
    return waveform[start : start + size], False
