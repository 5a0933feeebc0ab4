"""Recordings as Python has them: an array and its rate, as numpy, torch, lists, gradio or data sets give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from speechprompt.audio.limits import SAMPLE_RATE, check_format, check_seconds, mix_down
from speechprompt.errors import SpeechPromptError

NO_ARRAY = "Samples must be numbers in an array [T], [T, channels] or [channels, T]"
NO_RATE = "The sampling rate must be a whole number of Hz."
SIXTEEN_BITS, THIRTY_TWO_BITS = 2.0**15, 2.0**31


def is_array(source: object) -> bool:
    """Whether a recording is given as samples: with their rate, or as an array alone, which is at 16 kHz."""
    if isinstance(source, Mapping):
        return "array" in source
    return (
        isinstance(source, np.ndarray)
        or is_tensor(source)
        or (isinstance(source, tuple | list) and len(source) == 2)
    )


def is_tensor(source: object) -> bool:
    return hasattr(source, "detach") and hasattr(source, "is_floating_point")


def from_array(source: Any, max_seconds: float) -> tuple[np.ndarray, int]:
    """(rate, samples), (samples, rate), {"array", "sampling_rate"} or samples at 16 kHz -> float32 [T], rate in Hz.

    samples: [T], [T, channels] or [channels, T]. Integers are scaled by the range of their type; those of more
    than 16 bits that stay in the range of 16, as lists of whole numbers do, by that. SpeechPromptError where
    they are no recording.
    """
    if isinstance(source, Mapping):
        pair = source.get("sampling_rate"), source["array"]
    elif isinstance(source, tuple | list):
        pair = (source[1], source[0]) if is_number(source[1]) and not is_number(source[0]) else tuple(source)
    else:
        pair = SAMPLE_RATE, source
    rate, array = to_rate(pair[0]), to_numpy(pair[1])
    if 0 < array.shape[0] < array.shape[1]:  # no recording has more channels than samples
        array = array.T
    check_format(rate, array.shape[1])
    check_seconds(len(array) / rate, max_seconds)
    return mix_down(scaled(array, full_scale(array))), rate


def from_chunk(rate: Any, samples: Any) -> tuple[np.ndarray, int]:
    """A piece of a stream, of any length: samples [T] or [T, channels] -> float32 [T], rate in Hz.

    Integers are scaled by the range of their type alone, as the next piece may be louder.
    """
    rate, array = to_rate(rate), to_numpy(samples)
    check_format(rate, array.shape[1])
    return mix_down(scaled(array, type_range(array))), rate


def is_number(value: object) -> bool:
    """Whether it is one number, which a rate is and samples are not."""
    try:
        return not isinstance(value, str | bytes) and np.ndim(value) == 0 and value is not None  # type: ignore[arg-type]
    except (ValueError, TypeError, RuntimeError):  # lists of lists that differ in length
        return False


def to_rate(rate: Any) -> int:
    try:
        number = float(rate)
        if isinstance(rate, str | bytes | bool) or number != int(number):
            raise SpeechPromptError(NO_RATE)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise SpeechPromptError(NO_RATE) from error
    return int(number)


def to_numpy(samples: Any) -> np.ndarray:
    try:
        if is_tensor(samples):  # of torch, which need not be imported for that
            samples = samples.detach().cpu()
            samples = (samples.double() if samples.is_floating_point() else samples).numpy()
        array = np.asarray(samples)
    except (ValueError, TypeError, RuntimeError) as error:
        raise SpeechPromptError(f"{NO_ARRAY}; the rows of this one differ in length.") from error
    if array.ndim not in (1, 2) or array.dtype.kind not in "iuf":
        raise SpeechPromptError(f"{NO_ARRAY}.")
    return array[:, None] if array.ndim == 1 else array


def type_range(array: np.ndarray) -> float:
    return 1.0 if array.dtype.kind == "f" else 2.0 ** (8 * array.dtype.itemsize - 1)


def full_scale(array: np.ndarray) -> float:
    """What full scale is for samples: the range of their type, or of 16 or 32 bits that hold all of them."""
    full = type_range(array)
    if array.dtype.kind == "i" and array.dtype.itemsize > 2:
        peak = max(-int(array.min(initial=0)), int(array.max(initial=0)))
        full = next(bits for bits in (SIXTEEN_BITS, THIRTY_TWO_BITS, full) if peak <= bits)
    return full


def scaled(array: np.ndarray, full: float) -> np.ndarray:
    """Samples [T, channels] -> float32, the same as parts of full scale."""
    wide = array if array.dtype.kind == "f" else array.astype(np.float64)
    if array.dtype.kind == "u":  # unsigned audio is centred on half its range
        wide = wide - full
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes Inf and is refused as such
        return (wide / full).astype(np.float32)
