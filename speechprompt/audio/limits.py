"""What a recording may be: its rate, channels, length and level, each refused in one sentence."""

from __future__ import annotations

import numpy as np

from speechprompt.errors import SpeechPromptError, TooLongError

SAMPLE_RATE = 16_000  # Hz, of every waveform in this package
MIN_SECONDS = 0.1
MAX_SECONDS = 60.0
LOWEST_RATE, HIGHEST_RATE = 8_000, 192_000  # Hz
MAX_CHANNELS = 8
# Times full scale: 16-bit samples stored as floats pass, what overflows a spectrum does not.
HIGHEST_PEAK = 1e6
MOST_DECIMALS = 6  # of a length in a sentence


def check_format(rate: int, channels: int) -> None:
    """Raise SpeechPromptError unless rate (Hz) and channel count are ones that a voice recording can have."""
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise SpeechPromptError(f"The sampling rate is {rate} Hz: use one from 8000 to 192000 Hz.")
    if not 1 <= channels <= MAX_CHANNELS:
        raise SpeechPromptError(f"The recording has {channels} channels: use 1 to {MAX_CHANNELS}.")


def check_seconds(seconds: float, max_seconds: float) -> None:
    """Raise SpeechPromptError unless the recording is long enough to hold a word and at most max_seconds long."""
    if seconds > max_seconds:
        raise TooLongError(
            f"The recording is {apart(seconds, max_seconds, 1)} s long and the limit is {max_seconds:g} s: "
            "cut it into parts."
        )
    if seconds < MIN_SECONDS:
        raise SpeechPromptError(
            f"The recording is {apart(seconds, MIN_SECONDS, 2)} s long; at least {MIN_SECONDS} s is needed: "
            "record a little longer."
        )


def check_decoded(seconds: float, max_seconds: float) -> None:
    """The same for what was decoded, which ends soon after the limit, however long the recording is."""
    if seconds > max_seconds:
        raise TooLongError(
            f"The recording is longer than its header says and the limit is {max_seconds:g} s: cut it into parts."
        )
    check_seconds(seconds, max_seconds)


def apart(seconds: float, limit: float, decimals: int) -> str:
    """A length with as many decimals as it takes to read differently from the limit that it misses."""
    while float(f"{seconds:.{decimals}f}") == limit and decimals < MOST_DECIMALS:
        decimals += 1
    return f"{seconds:.{decimals}f}"


def mix_down(samples: np.ndarray) -> np.ndarray:
    """float32 [T, channels] -> float32 [T]."""
    with np.errstate(over="ignore", invalid="ignore"):  # `load` looks for what is not finite
        return samples.mean(axis=1, dtype=np.float32)
