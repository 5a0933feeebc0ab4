"""F0 of runs: what the reference makes of a track, and a tracker that hears tones and stays calm in silence."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from speechprompt.errors import SpeechPromptError
from speechprompt.models import pitch as prosody
from speechprompt.units import Units

RATE = 16_000


@pytest.fixture(scope="module")
def io():
    return load_file(Path(__file__).parents[1] / "fixtures" / "pgslm" / "discrete.safetensors")


def voice(hz: float, seconds: float = 1.0) -> np.ndarray:
    """A pulse train with the first ten harmonics, as a throat makes it."""
    t = np.arange(int(seconds * RATE)) / RATE
    return sum(np.sin(2 * np.pi * hz * k * t) / k for k in range(1, 11)).astype(np.float32) * 0.1


def test_segment_f0_is_the_reference_mean_in_hz(io) -> None:
    segments = prosody.segment_f0(io["align.f0_frames_5ms"], io["align.durations_20ms"])
    assert segments.dtype == np.float32
    np.testing.assert_allclose(segments, io["align.segment_f0"], atol=1e-4)
    assert segments[-1] == 0  # `</s>` lasts no frame


@pytest.mark.parametrize("row", range(3))
def test_normalised_f0_and_bins_equal_the_reference(io, row) -> None:
    mean = float(io[f"raw.{row}.speaker_logf0_mean"][0])
    found = prosody.normalise(io[f"raw.{row}.seg_f0_hz"], mean)
    np.testing.assert_allclose(found, io[f"raw.{row}.norm_logf0"], atol=1e-6)
    bins = prosody.quantise(found, io["f0_edges"].astype(np.float32))
    assert bins.dtype == np.int64
    np.testing.assert_array_equal(bins, io["f0_target"][row, 1 : len(bins) + 1])


def test_normalisation_by_hand() -> None:
    found = prosody.normalise(np.array([0, 100, 0, 200, 0], np.float32), np.log(100))
    np.testing.assert_allclose(found, [0, 0, np.log(1.5), np.log(2), 0], atol=1e-6)
    np.testing.assert_array_equal(prosody.normalise(np.zeros(3, np.float32), 4.0), 0)
    assert prosody.normalise(np.zeros(0, np.float32), 4.0).shape == (0,)


def test_a_track_is_trimmed_or_extended_but_not_by_much() -> None:
    f0 = np.full(16, 100, np.float32)
    f0[-1] = 300
    np.testing.assert_allclose(prosody.segment_f0(f0, [4]), np.mean(f0))
    np.testing.assert_allclose(prosody.segment_f0(f0, [3]), 100)  # the last four frames are cut
    np.testing.assert_allclose(prosody.segment_f0(f0, [4, 1]), [np.mean(f0), 300])  # 300 goes on
    assert len(prosody.segment_f0(f0, [4, 5])) == 2  # 20 frames more
    with pytest.raises(SpeechPromptError, match="16 frames of 5 ms and the units last 40"):
        prosody.segment_f0(f0, [4, 6])
    with pytest.raises(SpeechPromptError, match="different recordings"):
        prosody.segment_f0(np.full(40, 100.0), [4])


def test_quantise_counts_the_edges_below() -> None:
    edges = np.array([-1, 0, 2], np.float32)
    np.testing.assert_array_equal(
        prosody.quantise(np.array([-5, -1, -0.5, 0, 1e-6, 2, 9]), edges), [0, 0, 1, 1, 2, 2, 3]
    )


def test_fitted_edges_give_bins_of_equal_mass() -> None:
    values = np.random.default_rng(0).standard_normal(32_000)
    edges = prosody.fit_edges(values)
    assert edges.shape == (31,) and edges.dtype == np.float32 and (np.diff(edges) > 0).all()
    counts = np.bincount(prosody.quantise(values, edges), minlength=32)
    assert abs(counts - 1000).max() < 5
    with pytest.raises(SpeechPromptError, match="32 bins"):
        prosody.fit_edges(values[:10])


@pytest.mark.parametrize("hz", [80, 120, 220, 400])
def test_voices_are_tracked(hz) -> None:
    f0 = prosody.track_f0(voice(hz))
    assert f0.shape == (200,) and f0.dtype == np.float32
    assert (f0[20:180] > 0).mean() > 0.95
    assert abs(np.median(f0[f0 > 0]) / hz - 1) < 0.02


def test_what_is_no_voice_has_no_f0() -> None:
    assert not prosody.track_f0(np.zeros(RATE, np.float32)).any()
    click = np.zeros(RATE, np.float32)
    click[5000] = 1
    assert not prosody.track_f0(click).any()
    speech = np.r_[np.zeros(RATE // 2), voice(150, 0.5), np.zeros(RATE // 2)].astype(np.float32)
    f0 = prosody.track_f0(speech)
    assert not f0[:80].any() and f0[110:190].all() and not f0[-80:].any()


@pytest.mark.parametrize("n", [0, 319, 320, 321, 639, 640, 1600, 5000])
@pytest.mark.parametrize("level", [1e-7, 1.0])
def test_any_length_gives_four_finite_values_per_frame(n, level) -> None:
    noise = np.random.default_rng(n).standard_normal(n).astype(np.float32) * level
    f0 = prosody.track_f0(noise)
    assert f0.shape == (4 * (n // 320),) and np.isfinite(f0).all() and (f0 >= 0).all()


def test_without_pyworld_one_sentence_says_so(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pyworld", None)
    with pytest.raises(SpeechPromptError, match="pyworld does not load"):
        prosody.track_f0(voice(150))


def test_loudness_does_not_matter() -> None:
    np.testing.assert_allclose(prosody.track_f0(voice(150)), prosody.track_f0(voice(150) * 1e-3), atol=0.1)


def test_a_minute_is_cheap() -> None:
    start = time.perf_counter()
    assert len(prosody.track_f0(voice(150, 60))) == 12_000
    assert time.perf_counter() - start < 8  # 0.9 s where nothing else runs


def test_units_with_f0_say_how_high_each_run_is() -> None:
    waveform = np.r_[voice(100, 0.5), voice(200, 0.5)]
    units = Units.from_frames([3] * 25 + [7] * 25)
    assert units.log_f0 is None
    heard = prosody.with_f0(units, waveform)
    assert heard.ids is units.ids and heard.log_f0.dtype == np.float32
    np.testing.assert_allclose(heard.log_f0, [-np.log(2) / 2, np.log(2) / 2], atol=0.05)
    np.testing.assert_allclose(heard.f0, [100, 200], rtol=0.05)
    known = prosody.with_f0(units, waveform, mean=float(np.log(100)))
    np.testing.assert_allclose(known.log_f0, [0, np.log(2)], atol=0.05)


def test_mean_log_f0_is_over_voiced_frames() -> None:
    assert prosody.mean_log_f0(np.array([0, 100, 0, 400])) == pytest.approx(np.log(200))
    assert prosody.mean_log_f0(np.zeros(5)) == 0.0
