"""One judgement for all tasks of whether anybody can have spoken, at any level."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from speechprompt.audio import load as audio
from speechprompt.audio.silence import has_no_speech, is_silent, peak_dbfs
from speechprompt.tasks import catalogue
from tests.tiny import make_prompt

RATE = 16_000
T = np.arange(2 * RATE) / RATE
EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.flac"))


def noise(colour: float, seed: int = 0) -> np.ndarray:
    """Steady noise [T] whose power falls with this power of the frequency: 0 white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(len(T)))
    shaped = np.fft.irfft(spectrum / np.maximum(np.arange(len(spectrum)), 100) ** (colour / 2))
    return 0.05 * shaped / shaped.std()


def click(at: int) -> np.ndarray:
    ring = np.exp(-np.arange(len(T)) / 80) * np.sin(2 * np.pi * 1800 * T)
    return np.roll(0.8 * ring, at) * (np.arange(len(T)) >= at)


NOBODY = {
    "digital silence": 0 * T,
    "a constant": 0.05 + 0 * T,
    "a negative constant": -0.5 + 0 * T,
    "hum of the mains": 0.03 * np.sin(2 * np.pi * 50 * T) + 0.01 * np.sin(2 * np.pi * 150 * T),
    "hum at 60 Hz": 0.1 * np.sin(2 * np.pi * 60 * T) + 0.02 * np.sin(2 * np.pi * 180 * T),
    "a tone": 0.5 * np.sin(2 * np.pi * 440 * T),
    "a square wave": 0.5 * np.sign(np.sin(2 * np.pi * 100 * T)),
    "hum with a constant": 0.1 + 0.03 * np.sin(2 * np.pi * 50 * T),
    "white noise": noise(0),
    "pink noise": noise(1),
    "brown noise": noise(2),
    "a click in silence": click(9_000),
    "a click in noise": 0.02 * noise(0) + click(20_000),
    "a click at the end": 0.02 * noise(1) + click(len(T) - 200),
    "one sample": np.eye(1, len(T), 8_000)[0],
}


@pytest.mark.parametrize("gain_db", [0, -20, -30])
@pytest.mark.parametrize("name", NOBODY)
def test_nobody_speaks_in(name: str, gain_db: float) -> None:
    waveform = (NOBODY[name] * 10 ** (gain_db / 20)).astype(np.float32)
    assert has_no_speech(audio.load((RATE, waveform)))


@pytest.mark.parametrize("gain_db", [0, -30])
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_somebody_may_in_every_example(path: Path, gain_db: float) -> None:
    waveform = audio.load(path) * np.float32(10 ** (gain_db / 20))
    assert not has_no_speech(waveform)


def vowel(wavers: float) -> np.ndarray:
    """A vowel held for two seconds: pulses at about 120 Hz through two formants, its level wavering by so many dB."""
    rng = np.random.default_rng(0)
    drift = np.cumsum(rng.standard_normal(len(T))) * 1e-3
    phase = 2 * np.pi * np.cumsum(120 + drift) / RATE
    level = np.interp(T, np.linspace(0, 2, 17), rng.uniform(-wavers / 2, wavers / 2, 17))
    formants = {
        k: np.exp(-(((120 * k - 700) / 300) ** 2)) + 0.5 * np.exp(-(((120 * k - 1200) / 300) ** 2))
        for k in range(1, 40)
    }
    return 0.1 * 10 ** (level / 20) * sum(a * np.sin(k * phase) for k, a in formants.items())


def test_a_held_vowel_and_a_word_are_not_taken_for_a_machine() -> None:
    assert not has_no_speech(vowel(3.0).astype(np.float32))
    word = np.where((T > 0.8) & (T < 1.0), vowel(1.0), 0) + 0.001 * noise(0)  # 0.2 s; a click is shorter
    assert not has_no_speech(word.astype(np.float32))
    assert not has_no_speech(vowel(0.0)[: RATE // 4].astype(np.float32))  # too short to tell


def test_silence_is_judged_around_the_mean() -> None:
    assert peak_dbfs(np.array([0.5, -1.0, 0.5], np.float32)) == 0.0
    assert peak_dbfs(np.array([1e-3, -1e-3], np.float32)) == pytest.approx(-60.0, abs=1e-3)
    for nothing in (np.zeros(9, np.float32), np.full(9, 0.5, np.float32), np.zeros(0, np.float32)):
        assert peak_dbfs(nothing) == -np.inf and is_silent(nothing)
    assert not is_silent(np.float32([0.5, 0.503]))


def test_tasks_about_any_sound_are_known() -> None:
    about_any = {name for name, task in catalogue.TASKS.items() if task.expects == "any sound"}
    assert {"sound_events", "sound_events_50", "voice_activity"} <= about_any
    assert not {"keyword_spotting", "language_id", "coffee_orders"} & about_any
    assert make_prompt().expects == "any sound"  # of a task of somebody else nobody knows
