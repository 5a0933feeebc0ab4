"""Simulated recordings keep length and sense, differ from each other, and follow their seed."""

from __future__ import annotations

import numpy as np

from speechprompt import augment


def tone(seconds: float = 1.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * 300 * np.arange(int(16_000 * seconds)) / 16_000)).astype(np.float32)


def test_speed_changes_length_and_pitch() -> None:
    fast = augment.change_speed(tone(), 1.25)
    assert len(fast) == 12_800
    assert abs(np.abs(np.fft.rfft(fast)).argmax() * 16_000 / 12_800 - 375) < 2


def test_noise_is_mixed_at_the_ratio_asked() -> None:
    noise = np.random.default_rng(0).standard_normal(400).astype(np.float32)
    mixed = augment.add_noise(tone(), noise, 10.0, np.random.default_rng(1))
    added = mixed - tone()
    ratio = 10 * np.log10((tone() ** 2).mean() / (added**2).mean())
    assert abs(ratio - 10) < 0.2


def test_a_telephone_passes_no_high_band() -> None:
    hiss = np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    spectrum = np.abs(
        np.fft.rfft(augment.colour(hiss, np.random.default_rng(1), reverb=False, telephone=True))
    )
    assert spectrum[6000:].mean() < 0.05 * spectrum[500:2500].mean()


def test_simulations_follow_the_seed() -> None:
    made = [
        augment.simulate(tone(), np.random.default_rng(seed), [tone(0.2)], [tone(2.0)])
        for seed in (*range(30), 3)
    ]
    assert all(len(m) == 16_000 and m.dtype == np.float32 and np.abs(m).max() <= 1 for m in made)
    np.testing.assert_array_equal(made[3], made[30])
    assert len({m.tobytes() for m in made}) == 30
