"""Sound that comes in chunks: resampled as at once, and its levels against a floor that adapts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchaudio

from speechprompt.audio.resampling import Resampler
from speechprompt.audio.voice_activity import HOP, WINDOW, VoiceDetector, band_levels
from tests.streams import RATE, in_a_row, room


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 192_000])
def test_resampling_in_chunks_gives_what_resampling_at_once_gives(rate: int) -> None:
    sound = np.random.default_rng(rate).normal(0, 0.1, int(0.5 * rate) + 7).astype(np.float32)
    at_once = torchaudio.functional.resample(torch.from_numpy(sound), rate, RATE).numpy()
    for sizes in ([len(sound)], [1, 2, 3, 500, 4095], [997]):
        resampler, parts, at = Resampler(rate), [], 0
        while at < len(sound):
            size = sizes[len(parts) % len(sizes)]
            parts.append(resampler.feed(sound[at : at + size]))
            at += size
        parts.append(resampler.finish())
        together = np.concatenate(parts)
        assert len(together) == len(at_once)
        np.testing.assert_allclose(together, at_once, atol=1e-6)


def test_resampling_neither_drifts_nor_grows() -> None:
    resampler, n = Resampler(44_100), 0
    block = np.zeros(4_409, np.float32)
    for _ in range(600):
        n += len(resampler.feed(block))
        assert len(resampler._input) < 200
    n += len(resampler.finish())
    assert n == -(-600 * 4_409 * 160 // 441)


def test_levels_are_those_of_the_bands() -> None:
    t = np.arange(RATE) / RATE
    for hertz, loud, soft in ((500, 0, 1), (4000, 1, 0)):
        levels = band_levels((0.5 * np.sin(2 * np.pi * hertz * t)).astype(np.float32))
        assert len(levels) == (RATE - WINDOW) // HOP + 1
        assert levels[:, loud] == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.5)
        assert levels[:, soft].max() < -60
    assert band_levels((0.5 * np.sin(2 * np.pi * 50 * t)).astype(np.float32)).max() < -45  # mains hum


def test_a_detector_that_was_shaken_by_a_noise_hears_words_again() -> None:
    sound, spans = in_a_row(["yes", "right"], 0.6, -40)
    detector = VoiceDetector()
    before = len(room(6, -60)) // HOP
    changes = list(detector.feed(np.r_[room(6, -60), room(4, -40), sound]))
    begins = [at - before - 400 for at, change in enumerate(changes) if change == "begin"]
    late = [at / 100 for at in begins if at > 0]
    assert late == pytest.approx([first for first, _ in spans], abs=0.15)
