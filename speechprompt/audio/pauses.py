"""Where the speech in a recording is, by energy, and how much of the silence around it is listened to.

Whoever presses a button waits before and after they speak. The encoder sets the level of a sound against
the 3 s around it, so that a voice between long pauses becomes other units than the same voice alone, and
a corpus, whose clips are cut more closely, teaches no prompt those.
"""

from __future__ import annotations

import numpy as np

from speechprompt.audio.load import SAMPLE_RATE
from speechprompt.units import FRAME_SAMPLES

HOP = SAMPLE_RATE // 100
EDGE = SAMPLE_RATE // 50  # 20 ms left on either side of speech, in which it is faded
PEAK_FRAMES = 15
# What corpora leave around their clips, both ends together, is heard as it is. Of more, this much is left.
MOST_PAUSE = SAMPLE_RATE
LEFT_BEFORE, LEFT_AFTER = SAMPLE_RATE // 10, SAMPLE_RATE // 4  # words end softly


def without_pauses(waveform: np.ndarray) -> tuple[int, int]:
    """First sample and end of what is listened to of float32 [T] at 16 kHz: all but long pauses at its ends.

    The first is where a frame of 20 ms begins. Nothing is left out where no speech stands out.
    """
    start, end = speech_span(waveform)
    if start + len(waveform) - end <= MOST_PAUSE:
        return 0, len(waveform)
    first = max(0, start - LEFT_BEFORE) // FRAME_SAMPLES * FRAME_SAMPLES
    return first, min(len(waveform), end + LEFT_AFTER)


def speech_span(waveform: np.ndarray) -> tuple[int, int]:
    """First sample and end of what is said in a clip [T], by energy; the whole clip where nothing stands out.

    Levels of 20 ms every 10 ms. The floor is their 10th percentile, the peak their 95th, or from 3 s on
    what the loudest 0.15 s exceed, as one word may be all that is said. What is 10 dB above the floor
    counts, none of what is 40 dB below the peak and all that is 20 dB below it, in a noisy room at least
    what is 8 dB above the floor; and only 3 of 5 frames in a row, so that a click does not.
    """
    if len(waveform) < 5 * HOP:
        return 0, len(waveform)
    frames = np.lib.stride_tricks.sliding_window_view(waveform, 2 * HOP)[::HOP]
    levels = 10 * np.log10((frames.astype(np.float64) ** 2).mean(1) + 1e-12)
    floor, peak = np.percentile(levels, (10, 100 * (1 - min(0.05, PEAK_FRAMES / len(levels)))))
    loud = levels > np.clip(floor + 10, peak - 40, max(peak - 20, min(floor + 8, peak - 6)))
    (lasting,) = np.nonzero(loud & (np.convolve(loud, np.ones(5), "same") >= 3))
    if not len(lasting):
        return 0, len(waveform)
    start, end = int(lasting[0]) * HOP, (int(lasting[-1]) + 2) * HOP
    return max(0, start - EDGE), min(len(waveform), end + EDGE)
