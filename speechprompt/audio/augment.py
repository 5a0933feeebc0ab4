"""Rooms, microphones and lines that the training clips never saw, simulated with numpy.

Every function takes and returns float32 [T] at 16 kHz; randomness comes from the generator given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speechprompt.audio.load import SAMPLE_RATE
from speechprompt.audio.pauses import EDGE, speech_span

PAUSE_SECONDS = (0.1, 1.5)
PAUSE_SNR_DB = (20.0, 60.0)
CONTROLLED_SECONDS = (0.8, 2.5)
CONTROLLED_SNR_DB = (5.0, 30.0)
CLOSE_SECONDS = 0.06


@dataclass(frozen=True)
class Simulation:
    """Which recordings a set of clips is heard in; the same ones again for the same seed.

    Copy 0 of a clip is the clip, every other `another_recording` of it, of which the share `pauses` begins
    and ends with pauses of its own. controlled: no clip is heard as it is; all copies are `controlled`
    ones, of which the share `close` is cut closely.
    """

    seed: int = 0
    pauses: float = 0.0
    controlled: bool = False
    close: float = 0.0

    def recording(self, waveform: np.ndarray, clip: int, copy: int) -> np.ndarray:
        """Copy number `copy` of clip number `clip`, which is the waveform [T]: float32 [about T]."""
        rng = np.random.default_rng([self.seed, copy, clip])
        if self.controlled:
            return controlled(waveform, rng, self.close)
        return another_recording(waveform, rng, pauses=self.pauses) if copy else waveform


PLAIN = Simulation()  # the clips as they are; copies without pauses


def change_speed(waveform: np.ndarray, factor: float) -> np.ndarray:
    """Play faster (factor > 1) or slower, pitch and length together: [T] -> [T / factor]."""
    at = np.arange(int(len(waveform) / factor)) * factor
    return np.interp(at, np.arange(len(waveform)), waveform).astype(np.float32)


def tilt(frequency: np.ndarray, rng: np.random.Generator, spread: float) -> np.ndarray:
    """Decibels at each frequency [F] in Hz: a smooth line through levels drawn with this standard deviation."""
    knots = np.array([50, 200, 800, 2000, 4000, 8000])
    return np.interp(np.log(frequency + 20), np.log(knots), rng.normal(0, spread, len(knots)))


def colour(waveform: np.ndarray, rng: np.random.Generator, reverb: bool, telephone: bool) -> np.ndarray:
    """One pass through the frequency domain: a microphone's tilt, a room, a narrow-band line."""
    n = len(waveform)
    n_fft = 1 << (n + 8000).bit_length()
    spectrum = np.fft.rfft(waveform, n_fft)
    frequency = np.fft.rfftfreq(n_fft, 1 / SAMPLE_RATE)
    decibels = tilt(frequency, rng, 4)
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
    waveform: np.ndarray, rng: np.random.Generator, noises: Sequence[np.ndarray] = (), pauses: float = 0.0
) -> np.ndarray:
    """The same words said faster or slower, then heard as `simulate` does: [T] -> about [T].

    pauses: share of recordings that begin and end with pauses of a length of their own, see `between_pauses`.
    """
    waveform = change_speed(waveform, rng.uniform(0.9, 1.12))
    if pauses and rng.random() < pauses:
        waveform = between_pauses(waveform, rng)
    return simulate(waveform, rng, noises)


def between_pauses(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A clip as somebody records it who presses a button before and after: with PAUSE_SECONDS more at each end.

    A corpus cuts its clips all alike, closely or not, and a prompt that knows no others is at a loss with
    these. A fifth of them lose the silence that they had instead.
    """
    if rng.random() < 0.2:
        start, end = speech_span(waveform)
        return waveform[start:end]
    before, after = (float(np.exp(rng.uniform(*np.log(PAUSE_SECONDS)))) for _ in range(2))
    return with_pauses(waveform, before, after, rng.uniform(*PAUSE_SNR_DB), rng)


def with_pauses(
    waveform: np.ndarray, before: float, after: float, snr_db: float, rng: np.random.Generator
) -> np.ndarray:
    """A clip with so many seconds more at its ends, and steady noise throughout, snr_db below the speech."""
    start, end = speech_span(waveform)
    level = np.sqrt((waveform[start:end] ** 2).mean()) * 10 ** (-snr_db / 20)
    waveform = np.pad(waveform, (int(SAMPLE_RATE * before), int(SAMPLE_RATE * after)))
    return waveform + coloured_noise(len(waveform), rng) * np.float32(level)


def coloured_noise(n: int, rng: np.random.Generator) -> np.ndarray:
    """Steady noise [n] of a spectrum drawn at random: white to brown, with bumps."""
    n_fft = 1 << (n - 1).bit_length()
    frequency = np.fft.rfftfreq(n_fft, 1 / SAMPLE_RATE)
    decibels = tilt(frequency, rng, 5)
    decibels -= 10 * rng.uniform(0, 2) * np.log10(frequency / 1000 + 0.05)
    spectrum = np.fft.rfft(rng.standard_normal(n_fft)) * 10 ** (decibels / 20)
    noise = np.fft.irfft(spectrum, n_fft)[:n]
    return (noise / (np.sqrt((noise**2).mean()) + 1e-9)).astype(np.float32)


def controlled(waveform: np.ndarray, rng: np.random.Generator, close: float = 0.0) -> np.ndarray:
    """A clip of which only what is said tells where it comes from: [T] -> [0.8 s to 2.5 s], drawn by rng.

    close: share of clips that lose the silence around the speech again, all but up to CLOSE_SECONDS, as
    some corpora cut theirs and as the stretches of a long recording come; these may be as short as a word.
    """
    waveform, start, end = placed(waveform, rng)
    sound = disguised(waveform, start, end, rng)
    if close and rng.random() < close:
        margin = int(SAMPLE_RATE * rng.uniform(0, CLOSE_SECONDS))
        sound = sound[max(0, start - margin) : end + margin]
    return sound


def placed(waveform: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, int, int]:
    """A window of the speech in a clip, somewhere in digital silence of 0.8 s to 2.5 s, and its start and end.

    The silence around the speech goes, and with it the room that it was recorded in; neither the length
    nor the position of what comes back says anything.
    """
    start, end = speech_span(waveform)
    speech = change_speed(waveform[start:end], rng.uniform(0.9, 1.12))
    n = int(SAMPLE_RATE * np.exp(rng.uniform(*np.log(CONTROLLED_SECONDS))))
    longest = int(n * rng.uniform(0.5, 0.9))  # sentences too have silence around them
    at = int(rng.integers(max(1, len(speech) - longest + 1)))
    speech = speech[at : at + longest].copy()
    fade = np.linspace(0, 1, min(EDGE, len(speech)), dtype=np.float32)
    speech[: len(fade)] *= fade
    speech[len(speech) - len(fade) :] *= fade[::-1]
    at = int(rng.integers(n - len(speech) + 1))
    return np.pad(speech, (at, n - at - len(speech))), at, at + len(speech)


def disguised(waveform: np.ndarray, start: int, end: int, rng: np.random.Generator) -> np.ndarray:
    """Other spectrum, room, band, noise and level for a clip [T] with speech from start to end; same length.

    Half of the clips lose what is above a telephone's band. Steady noise covers what is left of the old
    one, CONTROLLED_SNR_DB below the speech alone: there is more padding around a word than a sentence.
    """
    sound = waveform / (np.sqrt((waveform[start:end] ** 2).mean()) + 1e-5)
    sound = colour(sound, rng, reverb=rng.random() < 0.4, telephone=rng.random() < 0.5)
    noise = coloured_noise(len(sound), rng)
    speech_level = max(1e-3, np.sqrt((sound[start:end] ** 2).mean()))
    sound = sound + noise * np.float32(speech_level * 10 ** (-rng.uniform(*CONTROLLED_SNR_DB) / 20))
    loudness = 10 ** (rng.uniform(-35, -12) / 20) / (np.sqrt((sound**2).mean()) + 1e-9)
    return np.clip(sound * np.float32(loudness), -1, 1)
