"""Rooms, microphones and lines that the training clips never saw, simulated with numpy.

Every function takes and returns float32 [T] at 16 kHz; randomness comes from the generator given.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from speechprompt.audio import SAMPLE_RATE


def change_speed(waveform: np.ndarray, factor: float) -> np.ndarray:
    """Play faster (factor > 1) or slower, pitch and length together: [T] -> [T / factor]."""
    at = np.arange(int(len(waveform) / factor)) * factor
    return np.interp(at, np.arange(len(waveform)), waveform).astype(np.float32)


def colour(waveform: np.ndarray, rng: np.random.Generator, reverb: bool, telephone: bool) -> np.ndarray:
    """One pass through the frequency domain: a microphone's tilt, a room, a narrow-band line."""
    n = len(waveform)
    n_fft = 1 << (n + 8000).bit_length()
    spectrum = np.fft.rfft(waveform, n_fft)
    frequency = np.fft.rfftfreq(n_fft, 1 / SAMPLE_RATE)
    knots = np.array([50, 200, 800, 2000, 4000, 8000])
    decibels = np.interp(np.log(frequency + 20), np.log(knots), rng.normal(0, 4, len(knots)))
    spectrum *= 10 ** (decibels / 20)
    if reverb:
        decay = rng.uniform(0.1, 0.5)  # s until the tail has fallen by 60 dB
        tail = rng.standard_normal(int(decay * SAMPLE_RATE)).astype(np.float32)
        tail *= 10 ** (-3 * np.arange(len(tail)) / len(tail))
        tail *= 10 ** (-rng.uniform(0, 12) / 20) / np.sqrt((tail**2).sum())
        tail[0] += 1.0
        spectrum *= np.fft.rfft(tail, n_fft)
    if telephone:
        low, high = rng.uniform(50, 350), rng.uniform(3000, 4200)
        spectrum *= 1 / (1 + (low / (frequency + 1)) ** 6) / (1 + (frequency / high) ** 24)
    return np.fft.irfft(spectrum, n_fft)[:n].astype(np.float32)


def add_noise(waveform: np.ndarray, noise: np.ndarray, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """Mix in a random stretch of `noise` (repeated when too short) at the given ratio of powers."""
    noise = np.tile(noise, len(waveform) // len(noise) + 2)
    start = rng.integers(len(noise) - len(waveform))
    noise = noise[start : start + len(waveform)]
    level = np.sqrt((waveform**2).mean()) + 1e-5
    return waveform + noise * (level / (np.sqrt((noise**2).mean()) + 1e-5) * 10 ** (-snr_db / 20))


def simulate(
    waveform: np.ndarray,
    rng: np.random.Generator,
    noises: Sequence[np.ndarray] = (),
    voices: Sequence[np.ndarray] = (),
) -> np.ndarray:
    """The same clip as another room, microphone or line might have delivered it; same length."""
    if rng.random() < 0.5:
        waveform = colour(waveform, rng, reverb=rng.random() < 0.4, telephone=rng.random() < 0.3)
    draw = rng.random()
    if draw < 0.35 and len(noises):
        waveform = add_noise(waveform, noises[int(rng.integers(len(noises)))], rng.uniform(2, 30), rng)
    elif draw < 0.45:
        hiss = rng.standard_normal(len(waveform)).astype(np.float32)
        waveform = add_noise(waveform, hiss, rng.uniform(8, 35), rng)
    elif draw < 0.52 and len(voices):
        waveform = add_noise(waveform, voices[int(rng.integers(len(voices)))], rng.uniform(6, 20), rng)
    waveform = waveform * np.float32(10 ** (rng.uniform(-20, 6) / 20))
    return np.clip(waveform, -1, 1)


def another_recording(
    waveform: np.ndarray, rng: np.random.Generator, noises: Sequence[np.ndarray] = ()
) -> np.ndarray:
    """The same words said faster or slower, then heard as `simulate` does: [T] -> about [T]."""
    return simulate(change_speed(waveform, rng.uniform(0.9, 1.12)), rng, noises)
