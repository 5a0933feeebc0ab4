"""Simulated recordings keep length and sense, differ from each other, and follow their seed."""

from __future__ import annotations

import numpy as np
from tiny import make_word

from speechprompt.audio import augment
from speechprompt.audio.pauses import speech_span


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


def test_pauses_are_put_around_a_clip_with_the_noise_asked_for() -> None:
    clip = make_word(before=0.0, after=0.0)
    made = augment.with_pauses(clip, 1.0, 0.5, 30.0, np.random.default_rng(0))
    assert len(made) == len(clip) + 24_000 and made.dtype == np.float32
    noise = np.r_[made[:16_000], made[-8_000:], made[16_000:-8_000] - clip]
    ratio = 10 * np.log10((clip**2).mean() / (noise**2).mean())
    assert abs(ratio - 30) < 1


def test_a_share_of_other_recordings_have_pauses_of_their_own() -> None:
    clip = make_word()
    start, end = speech_span(clip)
    spans = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        made = augment.between_pauses(clip, rng)
        spans.append((len(made) - len(clip)) / 16_000)
    cut = [span for span in spans if span < 0]
    assert 4 < len(cut) < 24 and set(cut) == {(end - start - len(clip)) / 16_000}
    longer = sorted(span for span in spans if span >= 0)
    assert 0.19 < longer[0] < 0.5 and 1.5 < longer[-1] <= 3.0

    def length(seed: int, share: float) -> int:
        return len(augment.another_recording(clip, np.random.default_rng(seed), pauses=share))

    # Without pauses only the speed changes the length, by 0.9 to 1.12.
    plain, mixed = ([length(seed, share) / len(clip) for seed in range(40)] for share in (0.0, 0.5))
    assert min(plain) > 0.89 and max(plain) < 1.12
    assert 10 < sum(not 0.89 < ratio < 1.12 for ratio in mixed) < 30


def test_a_controlled_clip_keeps_nothing_of_its_silence() -> None:
    """The hum of the room stands around the speech before, and not after."""

    def hum(silence: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(silence)) ** 2
        at = np.fft.rfftfreq(len(silence), 1 / 16_000)
        return float(power[np.abs(at - 6000) < 60].sum() / power.sum())

    clip = make_word(room=0.01)
    assert hum(clip[:7000]) > 0.9
    shares = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        padded, start, end = augment.placed(clip, rng)
        assert not padded[:start].any() and not padded[end:].any() and padded[start:end].any()
        heard = augment.disguised(padded, start, end, rng)
        if start > 2000:
            shares.append(hum(heard[:start]))
    assert len(shares) > 5 and max(shares) < 0.2


def test_controlled_clips_are_of_one_kind_whatever_they_were() -> None:
    """Length, place of the speech, level and noise do not depend on the clip; the seed decides all."""
    for clip in (
        make_word(),
        make_word(6.0, 0.0, 0.0),
        0.001 * make_word(),
        np.zeros(8000, np.float32),
        tone(0.01),
    ):
        made = [augment.controlled(clip, np.random.default_rng(seed)) for seed in (*range(20), 3)]
        lengths = {len(m) for m in made}
        assert min(lengths) >= 12_800 and max(lengths) <= 40_000 and len(lengths) == 20
        assert all(m.dtype == np.float32 and np.isfinite(m).all() and np.abs(m).max() <= 1 for m in made)
        np.testing.assert_array_equal(made[3], made[20])
        assert all((m != 0).mean() > 0.95 for m in made)  # noise throughout
    lengths = [
        [len(augment.controlled(c, np.random.default_rng(s))) for s in range(5)]
        for c in (make_word(), make_word(6.0))
    ]
    assert lengths[0] == lengths[1]


def test_a_share_of_controlled_clips_is_cut_closely() -> None:
    clip = make_word()
    longer, closer = 0, 0
    for seed in range(60):
        whole = augment.controlled(clip, np.random.default_rng(seed))
        made = augment.controlled(clip, np.random.default_rng(seed), close=0.35)
        _, start, end = augment.placed(clip, np.random.default_rng(seed))
        if len(made) == len(whole):
            longer += 1
            np.testing.assert_array_equal(made, whole)
        else:
            closer += 1
            assert end - start <= len(made) <= end - start + 2 * 0.06 * 16_000
            at = next(i for i in range(start + 1) if (whole[i : i + len(made)] == made).all())
            assert start - 0.06 * 16_000 <= at
    assert longer > 30 and closer > 10


def test_a_disguise_keeps_the_ratio_of_speech_to_noise_within_its_bounds() -> None:
    clip = make_word()
    start, end = speech_span(clip)
    narrow = 0
    for seed in range(40):
        heard = augment.disguised(clip, start, end, np.random.default_rng(seed))
        ratio = 10 * np.log10((heard[start:end] ** 2).mean() / (heard[: start - 1000] ** 2).mean())
        assert augment.CONTROLLED_SNR_DB[0] - 3 < ratio < augment.CONTROLLED_SNR_DB[1] + 12
        narrow += ratio < 20
    assert narrow > 5
