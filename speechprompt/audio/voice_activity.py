"""When something sounds that may be a voice: energy in two bands against a noise floor that adapts, with hangover.

Every 10 ms the level of a low band (voiced sounds) and of a high one (s, f, t) is compared with the
band's floor, the 15th percentile of its last 3 s. A few frames above it open a segment; 0.2 s in which
both bands are near their floor, or far below what was loudest, close it. It is no model of speech: music
and rattling dishes are heard too. But what is shorter than 0.1 s or stays at one level, as a fan that
starts does, is not called voice. It finds what tasks about any sound are asked about; speech is found by
speech_detector.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Literal

import numpy as np

from speechprompt.audio.load import SAMPLE_RATE

HOP, WINDOW = 160, 320  # samples: a level every 10 ms, of 20 ms of sound
FRAMES_PER_SECOND = SAMPLE_RATE // HOP
BANDS = ((150.0, 2500.0), (2500.0, 7600.0))  # Hz; mains hum lies below

FLOOR_FRAMES, FLOOR_PERCENTILE = 300, 15  # the last 3 s, in which a speaker pauses somewhere
FLOOR_EVERY = 5  # frames between two looks at the floor
LOWEST_FLOOR = -70.0  # dBFS: microphones hiss louder
QUIETEST = -55.0  # dBFS: whatever is softer is not meant for us
OPEN_DB, HOLD_DB = 10.0, 6.0  # above the floor, to open a segment and to keep it open
RANGE_DB = 32.0  # below the segment's loudest frame a band holds nothing but echo and breath
OPEN_FRAMES, OPEN_OF = 4, 6  # that many of so many frames open a segment
HANGOVER_FRAMES = 20  # 0.2 s: longer than the closure of a t, shorter than a pause between words
SETTLE_FRAMES = 20  # at first there is no floor to compare with
SHORTEST_FRAMES = 10  # 0.1 s above the floor; a click is shorter
STEADY_DB = 6.0  # a voice's level varies by more than this
REMEMBERED_FRAMES = 400
LONGEST_SECONDS = 8  # of a segment: who speaks on without a pause is cut there
LEAD, TAIL = SAMPLE_RATE // 4, SAMPLE_RATE // 10  # samples around a segment: words begin and end softly

_HANN = np.hanning(WINDOW).astype(np.float32)
_FREQUENCIES = np.fft.rfftfreq(512, 1 / SAMPLE_RATE)
_MASKS = np.stack([(low <= _FREQUENCIES) & (low_end > _FREQUENCIES) for low, low_end in BANDS], 1)
_SCALE = 2 / (512 * float((_HANN**2).sum()))  # so that a band's power is that of its samples


def band_levels(waveform: np.ndarray) -> np.ndarray:
    """float32 [160 * F + 160] at 16 kHz -> float64 [F, 2]: level of each band in dBFS."""
    frames = np.lib.stride_tricks.sliding_window_view(waveform, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames * _HANN, 512)) ** 2 @ _MASKS * _SCALE
    return 10 * np.log10(power + 1e-12)


Change = Literal["begin", "end"] | None


class VoiceDetector:
    """Frame by frame; `start` and `end` (frames) are those of the segment that is open or was last.

    `speaking`: a segment is open. `sounding`: its last frame was above the floor. A frame is `window` samples of the
    stream, one every `hop`.
    """

    hop, window, before = HOP, WINDOW, 0  # samples; before: of the stream ahead of a frame that measure needs
    open_frames, open_of, settle_frames = OPEN_FRAMES, OPEN_OF, SETTLE_FRAMES
    hangover_frames, longest_frames = HANGOVER_FRAMES, LONGEST_SECONDS * FRAMES_PER_SECOND

    def __init__(self) -> None:
        self.frame = -1  # the last one seen
        self.speaking = self.sounding = False
        self.start = self.end = 0
        self._floor = np.full(len(BANDS), LOWEST_FLOOR)
        self._past = np.zeros((0, len(BANDS)))  # levels that the next floor is found by
        self._loud: deque[bool] = deque(maxlen=self.open_of)
        self._segment: deque[float] = deque(maxlen=REMEMBERED_FRAMES)  # levels of its sounding frames
        self._peak = [LOWEST_FLOOR] * len(BANDS)  # the loudest of each band in the segment
        self._sounded = 0

    @property
    def voiced(self) -> bool:
        """Whether the segment so far is long and varied enough to be a voice."""
        if self._sounded < SHORTEST_FRAMES:
            return False
        low, high = np.percentile(self._segment, (10, 90))
        return bool(high - low > STEADY_DB)

    @property
    def first(self) -> int:
        """The sample at which the segment begins."""
        return self.start * self.hop

    @property
    def last(self) -> int:
        """The sample at which the segment's last frame above the floor ends."""
        return self.end * self.hop + self.window

    @property
    def now(self) -> int:
        """The sample at which the last frame that was looked at ends."""
        return self.frame * self.hop + self.window

    def wanted(self, total: int) -> tuple[int, int] | None:
        """From and to which sample of a stream of `total` the next call of `feed` takes; None for not yet."""
        first = self.frame + 1
        n_frames = (total - self.window) // self.hop + 1 - first
        if n_frames <= 0:
            return None
        return first * self.hop - self.before, (first + n_frames - 1) * self.hop + self.window

    def feed(self, samples: np.ndarray) -> Iterator[Change]:
        """The `wanted` samples, float32; says of each frame whether a segment begins or has ended with it.

        What the attributes say holds for the frame that was given last; frames that are not taken count as not fed.
        """
        levels = band_levels(samples)
        known, floors = np.concatenate([self._past, levels]), self._floors(levels)
        above: np.ndarray = (levels > QUIETEST) & (levels > floors + OPEN_DB)
        loud = [bool(frame.any()) for frame in above]
        seen = 0
        try:
            for frame, hold in zip(levels.tolist(), (floors + HOLD_DB).tolist(), strict=True):
                seen += 1
                self._peak = [max(p) for p in zip(self._peak, frame, strict=True)] if self.speaking else frame
                held = any(
                    level > QUIETEST and level > floor and level > peak - RANGE_DB
                    for level, floor, peak in zip(frame, hold, self._peak, strict=True)
                )
                yield self._step(loud[seen - 1], held, max(frame))
        finally:
            if seen:
                self._floor = floors[seen - 1]
                self._past = known[: len(self._past) + seen][1 - FLOOR_FRAMES :]

    def _floors(self, levels: np.ndarray) -> np.ndarray:
        """The floor of each band at each of the next frames, float64 [F, 2]; it does not depend on what is said."""
        numbers = self.frame + 1 + np.arange(len(levels))
        looks = np.flatnonzero((numbers % FLOOR_EVERY == 0) & (numbers >= SETTLE_FRAMES - 1))
        known, at = np.concatenate([self._past, levels]), looks + len(self._past)
        found = [
            np.percentile(known[: end + 1], FLOOR_PERCENTILE, axis=0) for end in at[at < FLOOR_FRAMES - 1]
        ]
        whole = at[at >= FLOOR_FRAMES - 1] - (FLOOR_FRAMES - 1)
        if len(whole):
            windows = np.lib.stride_tricks.sliding_window_view(known, FLOOR_FRAMES, axis=0)[whole]
            found += list(np.percentile(windows, FLOOR_PERCENTILE, axis=-1))
        table = np.maximum(np.array([self._floor, *found]), LOWEST_FLOOR)
        return table[np.searchsorted(looks, np.arange(len(levels)), side="right")]

    def _step(self, loud: bool, held: bool, level: float) -> Change:
        """The next frame: whether it may open a segment, whether it keeps one open, and how loud it is."""
        self.frame += 1
        if self.frame < self.settle_frames - 1:
            return None
        if not self.speaking:
            self._loud.append(loud)
            if sum(self._loud) < self.open_frames:
                return None
            self.start = self.frame - len(self._loud) + 1 + self._loud.index(True)
            self._loud.clear()
            self._segment.clear()
            self._sounded = 0
            self.speaking = True
            self._sound(level)
            return "begin"
        if held:
            self._sound(level)
        else:
            self.sounding = False
        if (
            self.frame - self.end >= self.hangover_frames
            or self.frame - self.start + 1 >= self.longest_frames
        ):
            self.speaking = False
            return "end"
        return None

    def _sound(self, level: float) -> None:
        self.sounding, self.end = True, self.frame
        self._segment.append(level)
        self._sounded += 1

    def skip_to(self, sample: int) -> None:
        """Begin at a sample of the stream, as another detector did what comes before it."""
        self.frame = max(-1, -(-(sample + self.before) // self.hop) - 1)
        self.start = self.end = max(0, self.frame)
