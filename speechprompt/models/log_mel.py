"""What the unit encoder of `mini` sees of a waveform: log-mel frames of 10 ms, level-normalised."""

from __future__ import annotations

import warnings

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional as F

from speechprompt.audio.load import SAMPLE_RATE
from speechprompt.units import FRAME_SAMPLES

MEL_HOP = 160  # samples between log-mel frames: 10 ms


class LogMel(nn.Module):
    """Waveform float32 [B, T] -> log-mel frames [B, 2·(T // 320), n_mels], level-normalised.

    Each frame is divided by the mean power of the 3 s around it, so that loudness and distance drop
    out while a frame still hears only its surroundings. Power below `SILENCE_POWER` counts as none.
    """

    LEVEL_FRAMES = 301  # 3 s of mel frames
    SILENCE_POWER = 1e-7  # of a mel band; a full-scale sine has about 1e-1 in its band
    FLOOR = 3e-4  # relative to the level: 35 dB of dynamic range below it
    bands: Tensor

    def __init__(self, n_mels: int) -> None:
        super().__init__()
        self.spectrum = torchaudio.transforms.Spectrogram(n_fft=512, win_length=400, hop_length=MEL_HOP)
        self.register_buffer("bands", self.filter_bank(n_mels), persistent=False)

    @staticmethod
    def filter_bank(n_mels: int, warp: float = 1.0) -> Tensor:
        """Mel filters [257, n_mels]; warp shifts all formants by that factor (vocal-tract length)."""
        with warnings.catch_warnings():  # a warp may push the top filters past half the rate: they stay empty
            warnings.simplefilter("ignore", UserWarning)
            return torchaudio.functional.melscale_fbanks(
                257, 30.0, 7600.0, n_mels, round(SAMPLE_RATE * warp), norm="slaney", mel_scale="slaney"
            )

    def forward(self, waveform: Tensor, bands: Tensor | None = None) -> Tensor:
        power = self.spectrum(waveform).transpose(1, 2) / 400.0
        mel = power[:, : waveform.shape[1] // FRAME_SAMPLES * 2] @ (self.bands if bands is None else bands)
        energy = mel.mean(-1)[:, None]
        level = F.avg_pool1d(energy, self.LEVEL_FRAMES, 1, self.LEVEL_FRAMES // 2, count_include_pad=False)[
            :, 0, :, None
        ]
        return (torch.log(mel / (level + self.SILENCE_POWER) + self.FLOOR) + 2.0) / 3.0
