"""Streams to listen to: words in a row in a room's noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from speechprompt.audio import load as audio
from speechprompt.live.event import Event
from speechprompt.live.listener import Listener

EXAMPLES = Path(__file__).parents[1] / "examples"
RATE = audio.SAMPLE_RATE


def room(seconds: float, level: float = -55.0, seed: int = 0) -> np.ndarray:
    """float32: noise as in a quiet room, falling by 3 dB an octave, at `level` dBFS."""
    n = round(seconds * RATE)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(n))
    spectrum /= np.sqrt(np.maximum(np.fft.rfftfreq(n, 1 / RATE), 50))
    noise = np.fft.irfft(spectrum, n)
    return (noise / np.sqrt((noise**2).mean()) * 10 ** (level / 20)).astype(np.float32)


def sounding(clip: np.ndarray) -> tuple[float, float]:
    """Seconds from which and to which a clip is within 30 dB of its loudest 10 ms, rumble left out."""
    spectrum = np.fft.rfft(clip)
    spectrum[np.fft.rfftfreq(len(clip), 1 / RATE) < 150] = 0
    frames = np.fft.irfft(spectrum, len(clip))[: len(clip) // 160 * 160].reshape(-1, 160)
    level = 10 * np.log10((frames**2).mean(1) + 1e-12)
    loud = np.flatnonzero(level > level.max() - 30)
    return loud[0] / 100, (loud[-1] + 1) / 100


def in_a_row(names: list[str], pause: float = 0.3, level: float = -55.0) -> tuple[np.ndarray, list[tuple]]:
    """Clips with pauses in a room's noise; and where each sounds, in seconds."""
    parts, spans, at = [np.zeros(RATE // 2, np.float32)], [], 0.5
    for name in names:
        clip = audio.load(EXAMPLES / f"{name}.flac")
        first, last = sounding(clip)
        parts += [clip, np.zeros(int(pause * RATE), np.float32)]
        spans.append((at + first, at + last))
        at += (len(parts[-2]) + len(parts[-1])) / RATE
    sound = np.concatenate([*parts, np.zeros(RATE // 2, np.float32)])
    return sound + room(len(sound) / RATE, level)[: len(sound)], spans


def play(
    listener: Listener, sound: np.ndarray, rate: int = RATE, chunk: float = 0.1, **how: Any
) -> list[Event]:
    step = max(1, int(chunk * rate))
    events = []
    for at in range(0, len(sound), step):
        events += listener.feed(rate, sound[at : at + step], **how)
    return events


def facts(events: list[Event]) -> list[tuple]:
    return [
        (e.kind, round(e.start, 2), round(e.end, 2), round(e.decided, 2), e.label, e.final) for e in events
    ]
