"""Whether anybody can have spoken in a recording: one judgement for all tasks, by level alone.

Nobody spoke where nothing was recorded, where the sound stays at one level from beginning to end, as noise
of a room or of the mains does, and where all that stands out is one click. Whoever speaks begins, pauses or ends;
a vowel that is held throughout has a pitch that noise has not, and wavers more than a machine does.
"""

from __future__ import annotations

import numpy as np

from speechprompt.audio.limits import SAMPLE_RATE
from speechprompt.audio.voice_activity import FRAMES_PER_SECOND, band_levels

SILENCE_DBFS = -60.0  # a recording whose peak is lower holds nothing
SHORTEST = SAMPLE_RATE // 2  # samples: in less than this a voice may not have changed yet
CLICK_FRAMES = FRAMES_PER_SECOND // 20  # on either side of the loudest; a spoken sound is longer than both
CLICK_DB = 10.0  # that it is louder than all the rest
SMOOTH_FRAMES = FRAMES_PER_SECOND // 10  # noise varies by chance, and over 0.1 s hardly
QUIETEST = 1e-10  # power below the peak's that is nothing
# Between the loudest 0.1 s of a band and its 10th percentile. Of spoken clips, held vowels come nearest to
# that of machines with 1.5 dB, and others to that of noise with 5 dB.
STEADY_TONE_DB, STEADY_NOISE_DB = 0.5, 2.5
PITCHED = 0.5  # autocorrelation of noise is lower, of a held vowel 0.9 and more
PITCH_WINDOW, PITCH_LAGS = 1280, (32, 200)  # samples: 80 ms; periods of 80 to 500 Hz
PITCH_BAND = (150.0, 2500.0)  # Hz


def peak_dbfs(waveform: np.ndarray) -> float:
    """Peak level of float32 [T] around its mean, in dB relative to full scale; -inf for a constant."""
    if not len(waveform):
        return -np.inf
    mean = waveform.mean(dtype=np.float64)
    peak = max(float(waveform.max()) - mean, mean - float(waveform.min()))
    return 20 * float(np.log10(peak)) if peak > 1e-12 else -np.inf


def is_silent(waveform: np.ndarray) -> bool:
    """Whether nothing was recorded in float32 [T]: its peak is below SILENCE_DBFS, a constant aside."""
    return peak_dbfs(waveform) < SILENCE_DBFS


def has_no_speech(waveform: np.ndarray) -> bool:
    """Whether float32 [T] at 16 kHz holds nothing, steady noise or tones, or one click; its level does not matter."""
    if is_silent(waveform):
        return True
    if len(waveform) < SHORTEST:
        return False
    centred = waveform - waveform.mean(dtype=np.float64)
    centred = (centred / np.abs(centred).max()).astype(np.float32)
    low, high = spread(10 ** (band_levels(centred) / 10))
    if max(low, high) > STEADY_NOISE_DB:
        return False
    return low < STEADY_TONE_DB or pitch(centred) < PITCHED


def spread(power: np.ndarray) -> tuple[float, float]:
    """Power of two bands, [F, 2] -> by how many dB the loudest 0.1 s of each is above its 10th percentile.

    One click is left out.
    """
    total = power.sum(1)
    loudest = int(total.argmax())
    rest = np.ones(len(total), bool)
    rest[max(0, loudest - CLICK_FRAMES) : loudest + CLICK_FRAMES + 1] = False
    if total[loudest] > total[rest].max() * 10 ** (CLICK_DB / 10):
        power = power[rest]
    sums = np.cumsum(np.vstack([np.zeros((1, 2)), power]), 0)
    smooth = (sums[SMOOTH_FRAMES:] - sums[:-SMOOTH_FRAMES]) / SMOOTH_FRAMES
    levels = 10 * np.log10(np.maximum(smooth, QUIETEST))
    low, high = levels.max(0) - np.percentile(levels, 10, axis=0)
    return float(low), float(high)


def pitch(waveform: np.ndarray) -> float:
    """How periodic float32 [T] is at the pitches of voices, 0 to 1: the median of what 80 ms at a time are."""
    window = np.hanning(PITCH_WINDOW)
    frames = np.lib.stride_tricks.sliding_window_view(waveform, PITCH_WINDOW)[:: PITCH_WINDOW // 2]
    size = 1 << (2 * PITCH_WINDOW - 1).bit_length()
    frequencies = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    in_band = (frequencies >= PITCH_BAND[0]) & (frequencies < PITCH_BAND[1])
    spectra = np.abs(np.fft.rfft(frames * window, size)) ** 2 * in_band
    first, last = PITCH_LAGS
    found = np.fft.irfft(spectra)[:, :last]
    of_window = np.fft.irfft(np.abs(np.fft.rfft(window, size)) ** 2)[:last]
    found = found / (found[:, :1] + 1e-20) / (of_window / of_window[0])
    return float(np.median(found[:, first:].max(1)))
