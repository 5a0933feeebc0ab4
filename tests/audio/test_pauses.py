"""Speech is found by its energy; long pauses around it are not listened to, and everything else is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny import make_word

from speechprompt.audio import load as audio
from speechprompt.audio.augment import with_pauses
from speechprompt.audio.load import SAMPLE_RATE
from speechprompt.audio.pauses import speech_span, without_pauses
from speechprompt.backbone import Backbone
from speechprompt.models.pitch import with_f0
from speechprompt.units import FRAME_SAMPLES, Units

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("room", [0.0, 0.003])
def test_speech_is_found_by_its_energy(room: float) -> None:
    start, end = speech_span(make_word(room=room))
    assert start == pytest.approx(8000, abs=800) and end == pytest.approx(17_600, abs=800)
    clicked = make_word(room=room)
    clicked[1000:1020] = 0.9
    assert speech_span(clicked) == (start, end)


@pytest.mark.parametrize("snr_db", [50.0, 20.0, 12.0])
def test_a_noisy_room_is_a_pause_too(snr_db: float) -> None:
    clip = make_word(before=0.0, after=0.0)
    noisy = with_pauses(clip, 1.2, 1.6, snr_db, np.random.default_rng(0))
    first, end = without_pauses(noisy)
    assert first / SAMPLE_RATE == pytest.approx(1.08, abs=0.08)
    assert end / SAMPLE_RATE == pytest.approx(1.2 + 0.6 + 0.27, abs=0.08)


@pytest.mark.parametrize("kind", ["white", "bursts"])
def test_noise_throughout_is_heard_whole(kind: str) -> None:
    """Rain and rattling are no pauses of something else."""
    rng = np.random.default_rng(0)
    noise = 0.05 * rng.standard_normal(4 * SAMPLE_RATE).astype(np.float32)
    if kind == "bursts":
        noise *= np.repeat(rng.uniform(0.5, 1.5, 400), SAMPLE_RATE // 100).astype(np.float32)
    assert without_pauses(noise) == (0, len(noise))


@pytest.mark.parametrize("size", [16_000, 400_000, 3, 0])
def test_where_nothing_stands_out_the_whole_clip_is_heard(size: int) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 300 * np.arange(size) / SAMPLE_RATE)
    for clip in (tone.astype(np.float32), np.zeros(size, np.float32)):
        assert speech_span(clip) == without_pauses(clip) == (0, size)


@pytest.mark.parametrize(
    ("before", "after", "cut"),
    [
        (0.0, 0.0, (0, 0)),
        (0.48, 0.48, (0, 0)),
        (0.9, 0.0, (0, 0)),
        (0.7, 0.5, (0.58, 0.23)),
        (0.05, 1.5, (0, 1.23)),
        (4.0, 0.2, (3.88, 0)),
        (20.0, 35.0, (19.88, 34.73)),
    ],
)
def test_long_pauses_are_left_out_but_for_what_is_next_to_the_speech(
    before: float, after: float, cut: tuple[float, float]
) -> None:
    clip = make_word(before=before, after=after, room=0.001)
    first, end = without_pauses(clip)
    assert first % FRAME_SAMPLES == 0
    left_out = first / SAMPLE_RATE, (len(clip) - end) / SAMPLE_RATE
    assert left_out == pytest.approx(cut, abs=0.06)
    assert all((seconds == 0) == (expected == 0) for seconds, expected in zip(left_out, cut, strict=True))


def test_units_are_those_of_the_speech_and_start_where_it_does() -> None:
    backbone = Backbone.load("mini-prosody")
    word = make_word(before=1.0, after=1.0, room=0.001)
    first, end = without_pauses(word)
    assert first > 0 and end < len(word)
    alone, between = backbone.listen([word[first:end], word])
    np.testing.assert_array_equal(between.ids, alone.ids)
    np.testing.assert_array_equal(between.lengths, alone.lengths)
    np.testing.assert_array_equal(between.starts, alone.starts + first // FRAME_SAMPLES)
    assert between.span == (first // FRAME_SAMPLES, end // FRAME_SAMPLES)
    # Its melody too is that of the speech.
    assert (between.f0 > 0).any()
    np.testing.assert_allclose(between.f0, alone.f0, rtol=0.02)


def test_melody_is_tracked_where_the_units_are() -> None:
    """300 Hz in the first second, 200 Hz in the second, to which the units belong."""
    t = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    clip = np.r_[0.3 * np.sin(2 * np.pi * 300 * t), 0.3 * np.sin(2 * np.pi * 200 * t)].astype(np.float32)
    units = Units(np.array([5, 6]), np.array([50, 75]), np.array([25, 25]))
    np.testing.assert_allclose(with_f0(units, clip).f0, 200, rtol=0.03)


def test_a_voice_between_pauses_becomes_more_nearly_the_units_that_it_is_alone() -> None:
    """The encoder sets levels against the 3 s around."""
    alone = audio.load(EXAMPLES / "yes.flac")
    between = with_pauses(alone, 2.0, 2.0, 50.0, np.random.default_rng(0))
    backbone = Backbone.load("mini")
    speech = slice(*(at // FRAME_SAMPLES for at in speech_span(alone)))

    def frames(units: Units, before: int) -> np.ndarray:
        """The unit of every frame of the speech, that many frames into the recording."""
        return np.r_[np.full(units.span[0], -1), np.repeat(units.ids, units.lengths)][before:][speech]

    expected = frames(backbone.units([alone])[0], 0)
    heard, all_of_it = (
        float((frames(found[0], 100) == expected).mean())
        for found in (backbone.units([between]), backbone.encoder.batch([between]))
    )
    assert heard > all_of_it
