"""Resampling to 16 kHz, of a whole recording or of sound that is still coming in, at any rate, without seams or drift.

The windowed sinc of torchaudio, in numpy, so that processes that only decode need no torch. Every output sample is
computed once its inputs are there: it does not matter how the input was cut into chunks.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, gcd

import numpy as np
from numpy.lib.stride_tricks import as_strided

from speechprompt.audio.limits import SAMPLE_RATE

ZERO_CROSSINGS, ROLLOFF = 6, 0.99  # of the sinc; those of torchaudio


@lru_cache(maxsize=4)
def kernels(old: int, new: int) -> tuple[np.ndarray, int]:
    """The filters of a ratio without common terms, float32 [new, taps], and how many taps lie before an output."""
    cutoff = min(old, new) * ROLLOFF
    width = ceil(ZERO_CROSSINGS * old / cutoff)
    taps = np.arange(-width, width + 2)
    # Output n lies at input n * old / new; there are `new` different places between two inputs. Rounded as torchaudio
    # does it, so that the units are the same.
    outputs = np.arange(new)[:, None]
    inputs = ((outputs * old // new + taps) / old).astype(np.float32)
    t = (inputs - (outputs / new).astype(np.float32)) * np.float32(cutoff)
    t = np.clip(t, -ZERO_CROSSINGS, ZERO_CROSSINGS).astype(float)
    window = np.cos(t * np.pi / ZERO_CROSSINGS / 2) ** 2
    made = (np.sinc(t) * window * cutoff / old).astype(np.float32)
    made.flags.writeable = False
    return made, width


class Resampler:
    """From `rate` to `new` Hz; keeps the few milliseconds of input that the next output still needs."""

    def __init__(self, rate: int, new: int = SAMPLE_RATE) -> None:
        self.rate = rate
        shared = gcd(rate, new)
        self._old, self._new = rate // shared, new // shared
        self._kernels, self._width = kernels(self._old, self._new)
        self._input = np.zeros(self._width, np.float32)  # before the first sample there was silence
        self._first = -self._width  # index of self._input[0]; the first sample that came has 0
        self._done = 0  # outputs given

    def feed(self, samples: np.ndarray) -> np.ndarray:
        """float32 [T] at `rate` -> float32 at 16 kHz: all samples that can be known by now."""
        if self._old == self._new:
            return samples
        self._input = np.concatenate([self._input, samples])
        known = self._first + len(self._input) - self._width - 1  # inputs that have all their neighbours
        begin, end = self._done, max(self._done, -(-known * self._new // self._old))
        output = np.empty(end - begin, np.float32)
        for n in range(begin, min(end, begin + self._new)):  # each filter makes every new-th output
            # No BLAS, whose threads would meet those of other processes that decode.
            made = np.einsum("nt,t->n", self._windows(n, end), self._kernels[n % self._new])
            output[n - begin :: self._new] = made
        self._done = end
        keep = max(0, end * self._old // self._new - self._width - self._first)
        self._input = self._input[keep:].copy()
        self._first += keep
        return output

    def _windows(self, n: int, end: int) -> np.ndarray:
        """The inputs of outputs n, n + new, … before `end`, [outputs, taps], as a view."""
        at = n * self._old // self._new - self._width - self._first
        shape = -(-(end - n) // self._new), self._kernels.shape[1]
        return as_strided(self._input[at:], shape, (4 * self._old, 4), writeable=False)

    def finish(self) -> np.ndarray:
        """The last outputs, as if silence followed."""
        return self.feed(np.zeros(0 if self._old == self._new else self._width + 1, np.float32))
