"""When somebody speaks: energy in two bands against a noise floor that adapts, with hangover.

Every 10 ms the level of a low band (voiced sounds) and of a high one (s, f, t) is compared with the
band's floor, the 15th percentile of its last 3 s. A few frames above it open a segment; 0.2 s in which
both bands are near their floor, or far below what was loudest, close it. It is no model of speech: music
and rattling dishes are heard too. But what is shorter than 0.1 s or stays at one level, as a fan that
starts does, is not called voice.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

import numpy as np

from speechprompt.audio.load import SAMPLE_RATE

HOP, WINDOW = 160, 320  # samples: a level every 10 ms, of 20 ms of sound
FRAMES_PER_SECOND = SAMPLE_RATE // HOP
BANDS = ((150.0, 2500.0), (2500.0, 7600.0))  # Hz; mains hum lies below

FLOOR_FRAMES, FLOOR_PERCENTILE = 300, 15  # the last 3 s, in which a speaker pauses somewhere
FLOOR_EVERY = 5  # frames between two looks at the floor
LOWEST_FLOOR = -70.0  # dBFS: microphones hiss louder
NOTHING = -95.0  # dBFS: not even hiss, so the microphone was off, which says nothing about the room
QUIETEST = -55.0  # dBFS: whatever is softer is not meant for us
OPEN_DB, HOLD_DB = 10.0, 6.0  # above the floor, to open a segment and to keep it open
RANGE_DB = 32.0  # below the segment's loudest frame a band holds nothing but echo and breath
OPEN_FRAMES, OPEN_OF = 4, 6  # that many of so many frames open a segment
HANGOVER_FRAMES = 20  # 0.2 s: longer than the closure of a t, shorter than a pause between words
SETTLE_FRAMES = 20  # at first there is no floor to compare with
SHORTEST_FRAMES = 10  # 0.1 s above the floor; a click is shorter
STEADY_DB = 6.0  # a voice's level varies by more than this
REMEMBERED_FRAMES = 400
HISS = 1e-4  # of full scale, -80 dBFS

_HANN = np.hanning(WINDOW).astype(np.float32)
_FREQUENCIES = np.fft.rfftfreq(512, 1 / SAMPLE_RATE)
_MASKS = np.stack([(low <= _FREQUENCIES) & (low_end > _FREQUENCIES) for low, low_end in BANDS], 1)
_SCALE = 2 / (512 * float((_HANN**2).sum()))  # so that a band's power is that of its samples


def band_levels(waveform: np.ndarray) -> np.ndarray:
    """float32 [160 * F + 160] at 16 kHz -> float64 [F, 2]: level of each band in dBFS."""
    frames = np.lib.stride_tricks.sliding_window_view(waveform, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames * _HANN, 512)) ** 2 @ _MASKS * _SCALE
    return 10 * np.log10(power + 1e-12)


class VoiceDetector:
    """Frame by frame; `start` and `end` (frames) are those of the segment that is open or was last.

    `speaking`: a segment is open. `sounding`: its last frame was above the floor.
    """

    def __init__(self) -> None:
        self.frame = -1  # the last one seen
        self.speaking = self.sounding = False
        self.start = self.end = 0
        self._floor = np.full(len(BANDS), LOWEST_FLOOR)
        self._levels: deque[np.ndarray] = deque(maxlen=FLOOR_FRAMES)
        self._loud: deque[bool] = deque(maxlen=OPEN_OF)
        self._segment: deque[float] = deque(maxlen=REMEMBERED_FRAMES)  # levels of its sounding frames
        self._peak = self._floor  # the loudest of each band in the segment
        self._sounded = 0

    @property
    def voiced(self) -> bool:
        """Whether the segment so far is long and varied enough to be a voice."""
        if self._sounded < SHORTEST_FRAMES:
            return False
        low, high = np.percentile(self._segment, (10, 90))
        return bool(high - low > STEADY_DB)

    def step(self, levels: np.ndarray) -> Literal["begin", "end"] | None:
        """The next frame's levels [2] in dBFS; says when a segment begins and when it has ended."""
        self.frame += 1
        if levels.max() > NOTHING:
            self._levels.append(levels)
        if len(self._levels) < SETTLE_FRAMES:
            return None
        if self.frame % FLOOR_EVERY == 0:
            floor = np.percentile(np.array(self._levels), FLOOR_PERCENTILE, axis=0)
            self._floor = np.maximum(floor, LOWEST_FLOOR)
        audible = levels > QUIETEST
        if not self.speaking:
            self._loud.append(bool((audible & (levels > self._floor + OPEN_DB)).any()))
            if sum(self._loud) < OPEN_FRAMES:
                return None
            self.start = self.frame - len(self._loud) + 1 + self._loud.index(True)
            self._loud.clear()
            self._segment.clear()
            self._sounded = 0
            self._peak = levels
            self.speaking = True
            self._sound(levels)
            return "begin"
        self._peak = np.maximum(self._peak, levels)
        if (audible & (levels > np.maximum(self._floor + HOLD_DB, self._peak - RANGE_DB))).any():
            self._sound(levels)
        else:
            self.sounding = False
        if self.frame - self.end >= HANGOVER_FRAMES:
            self.speaking = False
            return "end"
        return None

    def _sound(self, levels: np.ndarray) -> None:
        self.sounding, self.end = True, self.frame
        self._segment.append(float(levels.max()))
        self._sounded += 1


def spans_of_voice(waveform: np.ndarray) -> list[tuple[int, int]]:
    """First sample and end of every segment in float32 [T] at 16 kHz that may be a voice, in order."""
    if len(waveform) < WINDOW:
        return []
    detector, found = VoiceDetector(), []
    # Without a hiss of the microphone there is no floor to compare with, as in a file that was cut and joined.
    hiss = np.random.default_rng(0).standard_normal(len(waveform)) * HISS

    def close() -> None:
        if detector.voiced:
            found.append((detector.start * HOP, min(len(waveform), detector.end * HOP + WINDOW)))

    for levels in band_levels((waveform + hiss).astype(np.float32)):
        if detector.step(levels) == "end":
            close()
    if detector.speaking:
        close()
    return found
