"""Prosody of units: the melody of a recording as one number per run of equal units.

F0 is tracked every 5 ms, averaged in Hz over the voiced frames of a run, interpolated, taken as a natural
logarithm and freed of the speaker's mean, in the order of pGSLM (Kharitonov et al. 2022, section 3.1).
Knows units and numpy arrays; knows no models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from speechprompt.audio.load import SAMPLE_RATE
from speechprompt.errors import SpeechPromptError
from speechprompt.machine.request_time import check_time
from speechprompt.units import FRAME_RATE, FRAME_SAMPLES, Units

F0_PER_FRAME = 4  # F0 frames of 5 ms in one unit frame of 20 ms
F0_SECONDS = 1 / (FRAME_RATE * F0_PER_FRAME)
LOWEST_HZ, HIGHEST_HZ = 60.0, 500.0  # deep men to children and raised voices
PEAK = 0.95  # level that the reference brings a recording to first
SLACK = 20  # F0 frames that a track may be longer or shorter than its units
COMMON_HZ = 170.0  # what absolute pitch is set against: between the voices of most men and most women


def track_f0(waveform: np.ndarray) -> np.ndarray:
    """F0 in Hz every 5 ms, 0 where nothing is voiced: float32 [T] at 16 kHz -> float32 [4 · (T // 320)].

    Raises SpeechPromptError when pyworld is not installed.
    """
    try:
        import pyworld  # compiled, and wanted only by backbones that hear prosody
    except ImportError as error:  # of pyworld itself, or of the pkg_resources that it asks for
        raise SpeechPromptError(
            f"Pitch cannot be tracked here, as pyworld does not load ({error}): install requirements.txt."
        ) from error
    n_frames = F0_PER_FRAME * (len(waveform) // FRAME_SAMPLES)
    peak = float(np.abs(waveform).max(initial=0.0))
    if not n_frames or not peak:
        return np.zeros(n_frames, np.float32)
    samples = waveform.astype(np.float64) * (PEAK / peak)
    # DIO with StoneMask costs 6 ms for each second; Harvest costs 160 ms and voices the pauses too.
    track, times = pyworld.dio(
        samples, SAMPLE_RATE, f0_floor=LOWEST_HZ, f0_ceil=HIGHEST_HZ, frame_period=1000 * F0_SECONDS
    )
    track = np.nan_to_num(pyworld.stonemask(samples, track, times, SAMPLE_RATE))
    track[(track < LOWEST_HZ) | (track > HIGHEST_HZ)] = 0
    return fitted(track.astype(np.float32), n_frames)


def fitted(track: np.ndarray, n_frames: int) -> np.ndarray:
    """The track cut to n_frames, or extended by its last value; SpeechPromptError when far from them."""
    if abs(len(track) - n_frames) > SLACK:
        raise SpeechPromptError(
            f"The F0 track has {len(track)} frames of 5 ms and the units last {n_frames}: they are of "
            "different recordings."
        )
    last = track[-1] if len(track) else 0.0
    return np.r_[track[:n_frames], np.full(max(0, n_frames - len(track)), last)].astype(np.float32)


def segment_f0(f0: np.ndarray, lengths: Sequence[int] | np.ndarray) -> np.ndarray:
    """Mean F0 in Hz over the voiced frames of each run, 0 where none is: float [4F] -> float32 [N].

    lengths: int [N], frames of 20 ms of each run. Raises SpeechPromptError when the track and the runs
    differ by more than 0.1 s.
    """
    frames = F0_PER_FRAME * np.asarray(lengths, dtype=np.int64)
    f0 = fitted(np.asarray(f0), int(frames.sum()))
    run = np.repeat(np.arange(len(frames)), frames)
    voiced = np.bincount(run, f0 > 0, len(frames))
    return (np.bincount(run, f0, len(frames)) / np.maximum(voiced, 1)).astype(np.float32)


def normalise(segments: np.ndarray, mean: float) -> np.ndarray:
    """Mean F0 per run in Hz -> natural-log F0 above or below the speaker's mean, float32 [N].

    Unvoiced runs between voiced ones are interpolated in Hz over the number of the run; those before the
    first and after the last stay 0, which then also says "as the speaker's mean".
    """
    voiced = np.flatnonzero(segments)
    if not len(voiced):
        return np.zeros(len(segments), np.float32)
    filled = np.interp(np.arange(len(segments)), voiced, segments[voiced], left=0, right=0)
    return np.where(filled > 0, np.log(np.maximum(filled, 1e-9)) - mean, 0).astype(np.float32)


def mean_log_f0(f0: np.ndarray) -> float:
    """Mean natural log of the voiced frames: of all tracks of a speaker, or of one track of a stranger."""
    voiced = np.asarray(f0, dtype=np.float64)
    voiced = voiced[voiced > 0]
    return float(np.log(voiced).mean()) if len(voiced) else 0.0


def with_f0(units: Units, waveform: np.ndarray, mean: float | None = None) -> Units:
    """The units of a recording with their F0, as it is and normalised.

    The units may be those of a part of it. mean: of the log F0 of its speaker, if known.
    """
    check_time()
    first, end = units.span
    # One frame more, as what is left of a recording beyond its last whole frame is heard too.
    track = track_f0(waveform[first * FRAME_SAMPLES : (end + 1) * FRAME_SAMPLES])
    mean = mean_log_f0(track) if mean is None else mean
    f0 = segment_f0(track, units.lengths)
    return replace(units, log_f0=normalise(f0, mean), f0=f0)


def at_absolute_pitch(units: Units) -> Units:
    """The units of a recording, log_f0 set against COMMON_HZ instead of the speaker's mean.

    Beyond pGSLM: the melody then tells a deep voice from a high one, so that a prompt can answer who speaks.
    Raises SpeechPromptError when the units carry no F0 in Hz.
    """
    if units.f0 is None:
        raise SpeechPromptError(
            "This prompt hears how high a voice is: give it a recording, not units alone."
        )
    return replace(units, log_f0=normalise(units.f0, float(np.log(COMMON_HZ))))


def fit_edges(values: np.ndarray, n_bins: int = 32) -> np.ndarray:
    """The n_bins - 1 values that cut `values` into bins of equal mass: float32, rising."""
    if len(values) < n_bins:
        raise SpeechPromptError(f"F0 bins: {n_bins} bins need at least as many voiced runs.")
    return np.quantile(values, np.arange(1, n_bins) / n_bins).astype(np.float32)


def quantise(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Bin of each value, the number of edges below it: float [...] -> int64 [...], 0 to len(edges)."""
    return np.searchsorted(edges, values, side="left").astype(np.int64)
