"""Resampling of sound that is still coming in, at any rate, without seams or drift.

The same windowed sinc as `audio.resample` uses for a whole recording, but every output sample is
computed once its inputs are there: it does not matter how the input was cut into chunks.
"""

from __future__ import annotations

from math import ceil, gcd

import numpy as np

from speechprompt.audio.load import SAMPLE_RATE

ZERO_CROSSINGS, ROLLOFF = 6, 0.99  # of the sinc; those of torchaudio


class Resampler:
    """From `rate` Hz to 16 kHz; keeps the few milliseconds of input that the next output still needs."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        shared = gcd(rate, SAMPLE_RATE)
        self._old, self._new = rate // shared, SAMPLE_RATE // shared
        cutoff = min(self._old, self._new) * ROLLOFF
        self._width = ceil(ZERO_CROSSINGS * self._old / cutoff)
        taps = np.arange(-self._width, self._width + 2)
        phases = np.arange(self._new)
        # Output n lies at input n * old / new; there are `new` different places between two inputs.
        offset = (phases * self._old % self._new) / self._new
        t = np.clip((taps - offset[:, None]) * cutoff / self._old, -ZERO_CROSSINGS, ZERO_CROSSINGS)
        window = np.cos(t * np.pi / ZERO_CROSSINGS / 2) ** 2
        self._kernels = (np.sinc(t) * window * cutoff / self._old).astype(np.float32)  # [new, taps]
        self._taps = len(taps)
        self._input = np.zeros(self._width, np.float32)  # before the first sample there was silence
        self._first = -self._width  # index of self._input[0]; the first sample that came has 0
        self._done = 0  # outputs given

    def feed(self, samples: np.ndarray) -> np.ndarray:
        """float32 [T] at `rate` -> float32 at 16 kHz: all samples that can be known by now."""
        if self._old == self._new:
            return samples
        self._input = np.concatenate([self._input, samples])
        known = self._first + len(self._input) - self._width - 1  # inputs that have all their neighbours
        end = max(self._done, -(-known * self._new // self._old))
        n = np.arange(self._done, end)
        at = n * self._old // self._new
        windows = self._input[(at - self._width - self._first)[:, None] + np.arange(self._taps)]
        output = np.einsum("nt,nt->n", windows, self._kernels[n % self._new])
        self._done = end
        keep = max(0, end * self._old // self._new - self._width - self._first)
        self._input = self._input[keep:].copy()
        self._first += keep
        return output

    def finish(self) -> np.ndarray:
        """The last outputs, as if silence followed."""
        return self.feed(np.zeros(0 if self._old == self._new else self._width + 1, np.float32))
