"""A stream of sound -> its stretches of speech, each as soon as it is over; memory does not grow with the stream.

Both recordings of any length (`feed`) and Live (`changes`) are cut here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from speechprompt.audio.speech_detector import detector_for
from speechprompt.audio.voice_activity import LEAD, TAIL, Change


@dataclass(frozen=True, eq=False)
class Stretch:
    """Speech from sample `start` to `end` of the stream; sound: float32 [T] at 16 kHz, a little more on either side."""

    start: int
    end: int
    sound: np.ndarray


class Segmenter:
    """Takes the stream in blocks of any size; what it finds does not depend on how the stream was cut.

    any_sound: find what is no speech, too.
    """

    def __init__(self, any_sound: bool = False) -> None:
        self.detector = detector_for(any_sound)
        self.total = 0  # samples that came in all
        self.begun = 0  # sample at which the sound of this segment begins, its lead included
        self._ended = 0  # sample at which the sound of the segment before ended
        self._kept = np.zeros(0, np.float32)  # of the stream, from sample `_first` on
        self._first = 0

    @property
    def start(self) -> int:
        """The sample at which the segment begins, none of which belongs to the one before."""
        return max(self._ended, self.detector.first)

    @property
    def until(self) -> int:
        """The sample up to which the sound of the segment is taken, its tail included as far as it came in."""
        return min(self.detector.last + TAIL, self.detector.now)

    def sound(self, end: int, most: int | None = None) -> np.ndarray:
        """The segment's sound up to a sample, with its lead, the last `most` samples of it: float32 [T]."""
        start = self.begun if most is None else max(self.begun, end - most)
        return self._kept[start - self._first : end - self._first].copy()

    def detect(self, any_sound: bool) -> None:
        """Look for any sound, or for speech alone, from here on."""
        self.detector = detector_for(any_sound)
        self.detector.skip_to(self.total)

    def changes(self, block: np.ndarray) -> Iterator[Change]:
        """The next float32 [T] at 16 kHz: of each frame that it completes, whether a segment begins or ends with it.

        Whatever the segmenter and its detector say holds for the frame that was given last.
        """
        self._kept = np.concatenate([self._kept, block])
        self.total += len(block)
        detector = self.detector
        wanted = detector.wanted(self.total)
        if wanted is not None:
            before = np.zeros(max(0, -wanted[0]), np.float32)  # the stream had not begun
            samples = self._kept[max(0, wanted[0]) - self._first : wanted[1] - self._first]
            for change in detector.feed(np.concatenate([before, samples])):
                if change == "begin":
                    self.begun = max(self._ended, detector.first - LEAD, 0)
                yield change
                if change == "end":
                    self._ended = detector.last
        needed = self.begun if detector.speaking else detector.now - 2 * LEAD
        if needed > self._first:
            self._kept = self._kept[needed - self._first :].copy()
            self._first = needed

    def last_change(self) -> Iterator[Change]:
        """The stream is over: the end of a segment that had none."""
        if self.detector.speaking:
            self.detector.speaking = False
            yield "end"
            self._ended = self.detector.last

    def feed(self, block: np.ndarray) -> list[Stretch]:
        """The next float32 [T] at 16 kHz -> the stretches that ended in it."""
        return self._stretches(self.changes(block))

    def finish(self) -> list[Stretch]:
        """The stream is over: the stretch that was not."""
        return self._stretches(self.last_change())

    def _stretches(self, changes: Iterator[Change]) -> list[Stretch]:
        found = (self._stretch() for change in changes if change == "end" and self.detector.voiced)
        return list(found)

    def _stretch(self) -> Stretch:
        return Stretch(self.start, self.detector.last, self.sound(self.until))


def stretches_of_speech(waveform: np.ndarray, any_sound: bool = False) -> list[Stretch]:
    """Those of a whole recording, float32 [T] at 16 kHz."""
    segmenter = Segmenter(any_sound)
    return [*segmenter.feed(waveform), *segmenter.finish()]
