"""A stream of sound -> its stretches of speech, each as soon as it is over; memory does not grow with the stream.

It cuts as `live` does: the same detector, the same sound around a stretch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speechprompt.audio.speech_detector import detector_for
from speechprompt.audio.voice_activity import LEAD, TAIL


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
        self._kept = np.zeros(0, np.float32)  # of the stream, from sample `_first` on
        self._first = 0
        # Where the sound of this segment begins, and where that of the one before ended.
        self._begun = self._ended = 0

    def feed(self, block: np.ndarray) -> list[Stretch]:
        """The next float32 [T] at 16 kHz -> the stretches that ended in it."""
        self._kept = np.concatenate([self._kept, block])
        self.total += len(block)
        detector, found = self.detector, []
        wanted = detector.wanted(self.total)
        if wanted is not None:
            before = np.zeros(max(0, -wanted[0]), np.float32)  # the stream had not begun
            samples = self._kept[max(0, wanted[0]) - self._first : wanted[1] - self._first]
            for change in detector.feed(np.concatenate([before, samples])):
                if change == "begin":
                    self._begun = max(self._ended, detector.first - LEAD, 0)
                elif change == "end":
                    found += self._close()
        needed = self._begun if detector.speaking else detector.now - 2 * LEAD
        if needed > self._first:
            self._kept = self._kept[needed - self._first :].copy()
            self._first = needed
        return found

    def finish(self) -> list[Stretch]:
        """The stream is over: the stretch that was not."""
        if not self.detector.speaking:
            return []
        self.detector.speaking = False
        return self._close()

    def _close(self) -> list[Stretch]:
        detector = self.detector
        before, self._ended = self._ended, detector.last
        if not detector.voiced:
            return []
        until = min(detector.last + TAIL, detector.now)
        sound = self._kept[self._begun - self._first : until - self._first]
        return [Stretch(max(before, detector.first), detector.last, sound.copy())]


def stretches_of_speech(waveform: np.ndarray, any_sound: bool = False) -> list[Stretch]:
    """Those of a whole recording, float32 [T] at 16 kHz."""
    segmenter = Segmenter(any_sound)
    return [*segmenter.feed(waveform), *segmenter.finish()]
