"""Any recording -> waveform: float32 mono at 16 kHz, or one clear sentence saying why not.

Decoding is libsndfile's (WAV, FLAC, OGG, Opus, MP3). Length is read from the header first and decoding
stops at the limit, so neither ten hours of silence in a small file nor a lying header costs memory.
"""

from __future__ import annotations

import io
import os
import stat
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np

from speechprompt.errors import SpeechPromptError
from speechprompt.units import SAMPLE_RATE

MIN_SECONDS = 0.1
MAX_SECONDS = 60.0
LOWEST_RATE, HIGHEST_RATE = 8_000, 192_000  # Hz
MAX_CHANNELS = 8
SILENCE_DBFS = -60.0  # a recording whose peak is lower holds nothing that was said
HIGHEST_PEAK = (
    1e6  # times full scale: 16-bit samples stored as floats pass, what overflows a spectrum does not
)
BLOCK_FRAMES = 1 << 18
LARGEST_TERM = 1000  # of the ratio between a rate and ours; all usual rates have smaller ones

AudioInput = str | Path | bytes | tuple[int, np.ndarray]


def load(source: AudioInput, max_seconds: float = MAX_SECONDS) -> np.ndarray:
    """Decode, check, mix down and resample one recording.

    Parameters
    ----------
    source : a file path; the bytes of a file; or (rate in Hz, samples [T] or [T, channels]), where
        integer samples are scaled by the range of their type.
    max_seconds : longest recording accepted, in seconds.

    Returns
    -------
    float32 [T] at 16 kHz, about -1 to 1.

    Raises
    ------
    SpeechPromptError : in one sentence, what is wrong with the recording and what to do.
    """
    if isinstance(source, tuple) and len(source) == 2:
        samples, rate = from_array(*source)
        check_format(rate, samples.shape[1], len(samples), max_seconds)
        mono = mix_down(samples)
    elif isinstance(source, bytes | bytearray):
        mono, rate = decode(io.BytesIO(source), max_seconds)
    elif isinstance(source, str | Path):
        mono, rate = decode_file(Path(source), max_seconds)
    elif source is None:
        raise SpeechPromptError("There is no recording: record something or choose a file.")
    else:
        raise SpeechPromptError("A recording must be a file path, bytes, or a pair (rate in Hz, samples).")
    if not np.isfinite(mono).all():  # a mean hides no NaN, and no Inf
        raise SpeechPromptError(
            "The recording holds values that are not numbers (NaN or Inf): export it again."
        )
    if np.abs(mono).max() > HIGHEST_PEAK:
        raise SpeechPromptError("The recording is far louder than full scale (1.0): export it again.")
    return resample(mono, rate)


def mix_down(samples: np.ndarray) -> np.ndarray:
    """float32 [T, channels] -> float32 [T]."""
    with np.errstate(over="ignore", invalid="ignore"):  # the caller looks for what is not finite
        return samples.mean(axis=1, dtype=np.float32)


def peak_dbfs(waveform: np.ndarray) -> float:
    """Peak level in dB relative to full scale; -inf for digital silence."""
    peak = float(np.abs(waveform).max(initial=0.0))
    return 20 * float(np.log10(peak)) if peak > 0 else -np.inf


def from_array(rate: object, samples: object) -> tuple[np.ndarray, int]:
    """(rate, samples) as gradio gives them -> float32 [T, channels], rate."""
    if isinstance(rate, bool) or not isinstance(rate, int | np.integer):
        raise SpeechPromptError("The sampling rate must be a whole number of Hz.")
    array = np.asarray(samples)
    if array.ndim not in (1, 2) or array.dtype.kind not in "iuf":
        raise SpeechPromptError("Samples must be numbers in an array [T] or [T, channels].")
    array = array[:, None] if array.ndim == 1 else array
    if array.dtype.kind == "u":  # unsigned audio is centred on half its range
        half = 2.0 ** (8 * array.dtype.itemsize - 1)
        array = (array.astype(np.float64) - half) / half
    elif array.dtype.kind == "i":
        array = array.astype(np.float64) / 2.0 ** (8 * array.dtype.itemsize - 1)
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes Inf and is refused as such
        return array.astype(np.float32), int(rate)


def decode_file(path: Path, max_seconds: float) -> tuple[np.ndarray, int]:
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
    with open(descriptor, "rb") as file:
        return decode(file, max_seconds)


class Quiet:
    """A file for libsndfile, which a damaged header may send to before its beginning.

    It is told where it is then; an exception would be printed from within its callback, traceback and all.
    """

    def __init__(self, file: io.BufferedReader | io.BytesIO) -> None:
        self.file = file
        self.tell, self.readinto = file.tell, file.readinto

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> None:
        with suppress(OSError, ValueError, OverflowError):
            self.file.seek(offset, whence)


def decode(file: io.BufferedReader | io.BytesIO, max_seconds: float) -> tuple[np.ndarray, int]:
    """An open sound file -> float32 [T], the mean of its channels, and its rate in Hz."""
    import soundfile  # loads libsndfile, which `--help` need not wait for

    if not file.seek(0, io.SEEK_END):
        raise SpeechPromptError("The recording is empty (0 bytes): record it again.")
    file.seek(0)
    try:
        with soundfile.SoundFile(Quiet(file)) as sound:
            rate, channels = sound.samplerate, sound.channels
            check_format(rate, channels, sound.frames, max_seconds)
            limit = int(max_seconds * rate)
            blocks, total = [], 0
            while total <= limit:
                block = sound.read(min(BLOCK_FRAMES, limit + 1 - total), dtype="float32", always_2d=True)
                if not len(block):
                    break
                blocks.append(mix_down(block))  # eight channels at 192 kHz would take 370 MB
                total += len(block)
    except SpeechPromptError:
        raise
    except (soundfile.SoundFileError, RuntimeError, OSError, ValueError, TypeError, MemoryError) as error:
        raise SpeechPromptError(
            "The file cannot be read as sound: use WAV, FLAC, OGG, Opus or MP3 (convert m4a or AAC first)."
        ) from error
    check_format(rate, channels, total, max_seconds)  # what was there, whatever the header said
    return np.concatenate(blocks), rate


def check_format(rate: int, channels: int, frames: int, max_seconds: float) -> None:
    """Raise unless rate, channel count and length are ones that a voice recording can have."""
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise SpeechPromptError(f"The sampling rate is {rate} Hz: use one from 8000 to 192000 Hz.")
    if not 1 <= channels <= MAX_CHANNELS:
        raise SpeechPromptError(f"The recording has {channels} channels: use 1 to {MAX_CHANNELS}.")
    seconds = frames / rate
    if seconds > max_seconds:
        raise SpeechPromptError(
            f"The recording is {seconds:.1f} s long and the limit is {max_seconds:g} s: cut it into parts."
        )
    if seconds < MIN_SECONDS:
        raise SpeechPromptError(
            f"The recording is {seconds:.2f} s long; at least {MIN_SECONDS} s is needed: record a little longer."
        )


def resample(waveform: np.ndarray, rate: int) -> np.ndarray:
    """float32 [T] at `rate` Hz -> float32 at 16 kHz.

    The filters of a ratio with large terms would take gigabytes (16000 : 44101 takes 2.8), so the
    nearest ratio with small ones is taken; pitch and length are then at most 0.1 % off.
    """
    ratio = Fraction(SAMPLE_RATE, rate).limit_denominator(LARGEST_TERM)
    if ratio == 1:
        return np.ascontiguousarray(waveform)
    import torch
    import torchaudio

    samples = torch.from_numpy(waveform)
    return torchaudio.functional.resample(samples, ratio.denominator, ratio.numerator).numpy()
