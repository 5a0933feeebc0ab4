"""Any recording -> waveform: float32 mono at 16 kHz, or one clear sentence saying why not.

Two decoders (decoders.py) behind the same limits. Length is read from the header first and decoding stops at the
limit, so neither ten hours of silence in a small file nor a lying header costs memory.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from speechprompt.audio.arrays import from_array, is_array
from speechprompt.audio.decoders import whole
from speechprompt.audio.headers import SoundFile
from speechprompt.audio.limits import HIGHEST_PEAK, MAX_SECONDS, SAMPLE_RATE
from speechprompt.audio.resampling import Resampler
from speechprompt.errors import SpeechPromptError

LARGEST_TERM = 1000  # of the ratio between a rate and ours; all usual rates have smaller ones
LARGEST_OFFSET = (
    0.03  # of the mean from 0, as part of full scale; of 10,000 clips of 38 corpora none has more
)

NO_RECORDING = "There is no recording: record something or choose a file."
NEITHER = "A recording must be a file path, bytes, or a pair (rate in Hz, samples)."

AudioInput = str | Path | bytes | tuple[Any, Any] | Mapping[str, Any] | np.ndarray


def load(source: AudioInput, max_seconds: float = MAX_SECONDS) -> np.ndarray:
    """Decode, check, mix down and resample one recording.

    Parameters
    ----------
    source : a file path; the bytes of a file; (rate in Hz, samples) or (samples, rate); {"array", "sampling_rate"}
        or {"bytes", "path"} as data sets have them; or samples at 16 kHz alone. Samples are an array or
        torch tensor [T], [T, channels] or [channels, T]; integers are scaled by the range of their type.
    max_seconds : longest recording accepted, in seconds.

    Returns
    -------
    float32 [T] at 16 kHz, about -1 to 1.

    Raises
    ------
    SpeechPromptError : in one sentence, what is wrong with the recording and what to do.
    """
    if is_array(source):
        parts = [from_array(source, max_seconds)]
    elif isinstance(source, bytes | bytearray):
        parts = whole(SoundFile(io.BytesIO(source)), "", max_seconds)
    elif isinstance(source, str | Path):
        with opened_file(Path(source)) as file:
            parts = whole(SoundFile(file), Path(source).suffix, max_seconds)
    elif isinstance(source, Mapping) and isinstance(source.get("bytes"), bytes):
        file_bytes, suffix = io.BytesIO(source["bytes"]), Path(str(source.get("path", ""))).suffix
        parts = whole(SoundFile(file_bytes), suffix, max_seconds)
    elif source is None:
        raise SpeechPromptError(NO_RECORDING)
    else:
        raise SpeechPromptError(NEITHER)
    for mono, _ in parts:
        if not np.isfinite(mono).all():  # a mean hides no NaN, and no Inf
            raise SpeechPromptError(
                "The recording holds values that are not numbers (NaN or Inf): export it again."
            )
        if np.abs(mono).max() > HIGHEST_PEAK:
            raise SpeechPromptError("The recording is far louder than full scale (1.0): export it again.")
    waveforms = [resample(mono, rate) for mono, rate in parts]
    return without_offset(waveforms[0] if len(waveforms) == 1 else np.concatenate(waveforms))


def without_offset(waveform: np.ndarray) -> np.ndarray:
    """float32 [T] without the constant that a faulty microphone adds, where it is larger than LARGEST_OFFSET."""
    mean = waveform.mean(dtype=np.float64)
    if abs(mean) <= LARGEST_OFFSET * max(1.0, float(np.abs(waveform).max())):
        return waveform
    return (waveform - mean).astype(np.float32)


def opened_file(path: Path) -> BinaryIO:
    """A regular file, open; SpeechPromptError where it is none."""
    name = "".join(c for c in path.name if c.isprintable())[:80]
    try:
        # O_NONBLOCK: opening a pipe that nobody writes to must not hang.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else "cannot be opened"
        raise SpeechPromptError(f"The file {name!r} {reason}: check its name and its permissions.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SpeechPromptError(f"{name!r} is not a file: choose a recording such as WAV, FLAC, OGG or MP3.")
    return open(descriptor, "rb")


def resample(waveform: np.ndarray, rate: int) -> np.ndarray:
    """float32 [T] at `rate` Hz -> float32 at 16 kHz.

    A ratio with large terms has thousands of filters, so the nearest one with small terms is taken; pitch and length
    are then at most 0.1 % off.
    """
    ratio = Fraction(SAMPLE_RATE, rate).limit_denominator(LARGEST_TERM)
    if ratio == 1:
        return np.ascontiguousarray(waveform)
    resampler = Resampler(ratio.denominator, ratio.numerator)
    return np.concatenate([resampler.feed(waveform), resampler.finish()])
