"""Units: what a voice becomes before the language model sees it (SpeechPrompt, section 2.1).

Knows the vocabulary of the unit LM and how runs of equal units collapse; knows no model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from speechprompt.errors import SpeechPromptError

FRAME_RATE = 50  # frames per second, in which all times are counted; an encoder's step may last several
FRAME_SECONDS = 1 / FRAME_RATE
SAMPLE_RATE = 16_000  # Hz, of every waveform in this package
FRAME_SAMPLES = SAMPLE_RATE // FRAME_RATE  # from one frame to the next

# The vocabulary of every unit LM, as in fairseq's GSLM: four specials, then the units.
SEPARATOR, PAD, EOS, UNKNOWN = 0, 1, 2, 3
UNIT_OFFSET = 4  # token id = unit id + UNIT_OFFSET

MAX_TEXT = 1 << 16  # characters of units as text: a minute of five-digit ids, one a frame, takes 20,000


@dataclass(frozen=True, repr=False)
class Units:
    """Deduplicated units of one recording.

    ids, starts, lengths: int64 [N]; run i is unit ids[i], begins at frame starts[i] and lasts
    lengths[i] frames of 20 ms. log_f0: float32 [N], natural-log F0 of each run less the speaker's mean
    (prosody.py), None where it was not asked for. f0: float32 [N], what that was made of, the mean F0 of
    each run in Hz and 0 where nothing is voiced; None where there was no recording.
    """

    ids: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    log_f0: np.ndarray | None = None
    f0: np.ndarray | None = None

    @classmethod
    def from_frames(cls, frame_ids: Sequence[int] | np.ndarray, step: int = 1) -> Units:
        """Collapse runs of equal ids: int [T], one unit for every `step` frames of 20 ms -> Units with N <= T."""
        frames = np.asarray(frame_ids, dtype=np.int64).reshape(-1)
        if not len(frames):
            return cls(frames, frames.copy(), frames.copy())
        starts = np.flatnonzero(np.r_[True, frames[1:] != frames[:-1]])
        return cls(frames[starts], step * starts, step * np.diff(np.r_[starts, len(frames)]))

    def __repr__(self) -> str:
        return f"<Units: {len(self)} in {self.n_frames} frames>"

    @property
    def n_frames(self) -> int:
        return int(self.lengths.sum())

    @property
    def span(self) -> tuple[int, int]:
        """The frame that the first run begins at, and that after the last run."""
        return (int(self.starts[0]), int(self.starts[-1] + self.lengths[-1])) if len(self) else (0, 0)

    def __len__(self) -> int:
        return len(self.ids)

    def to_dict(self) -> dict[str, list[int]]:
        """ids, starts and lengths as plain lists."""
        return {name: getattr(self, name).tolist() for name in ("ids", "starts", "lengths")}

    def part(self, kept: slice | np.ndarray | list[int]) -> Units:
        """Some of the runs, their melody with them; starts stay those in the recording."""
        log_f0, f0 = (None if values is None else values[kept] for values in (self.log_f0, self.f0))
        return Units(self.ids[kept], self.starts[kept], self.lengths[kept], log_f0, f0)

    def rebased(self) -> Units:
        """The same runs as a recording of their own, which begins with the first of them."""
        return replace(self, starts=self.starts - self.starts[0])


def stretches(units: Units, n_frames: int) -> list[Units]:
    """The units cut into stretches of n_frames frames that overlap by half or more; as they are when no longer.

    A run that reaches into two stretches belongs to both, whole. Starts are those in the stretch.
    """
    beyond = units.n_frames - n_frames
    if beyond <= 0:
        return [units]
    ends = units.starts + units.lengths
    found = []
    for start in units.span[0] + np.linspace(0, beyond, 1 + -(-2 * beyond // n_frames)).astype(np.int64):
        found.append(units.part((ends > start) & (units.starts < start + n_frames)).rebased())
    return found


def check_unit_ids(ids: Sequence[int] | np.ndarray, n_units: int) -> np.ndarray:
    """Return ids as int64 [N] or raise SpeechPromptError when they are no units of this encoder."""
    try:
        array = np.asarray(ids)
    except ValueError as error:
        raise SpeechPromptError("Units must be one flat list of whole numbers.") from error
    if array.ndim != 1 or (len(array) and array.dtype.kind not in "iu"):
        raise SpeechPromptError("Units must be one flat list of whole numbers.")
    if not len(array):
        raise SpeechPromptError("There are no units to classify: the list is empty.")
    if array.min() < 0 or array.max() >= n_units:
        raise SpeechPromptError(
            f"Unit {int(array.max() if array.max() >= n_units else array.min())} does not exist: "
            f"this backbone has the units 0 to {n_units - 1}."
        )
    return array.astype(np.int64)


# What a unit LM reads: ids alone, or Units, whose durations and melody a prosody LM hears too.
Utterance = Units | Sequence[int] | np.ndarray


def unit_ids(utterance: Utterance) -> Sequence[int] | np.ndarray:
    return utterance.ids if isinstance(utterance, Units) else utterance


def to_tokens(utterance: Utterance) -> list[int]:
    """Unit ids -> token ids of the unit LM, without the leading start symbol or the separator."""
    return [int(i) + UNIT_OFFSET for i in unit_ids(utterance)]


def parse_units(text: str) -> list[int]:
    """Unit ids as people paste them: whole numbers with spaces, commas or brackets between, at most MAX_TEXT long."""
    if len(text) > MAX_TEXT:
        raise SpeechPromptError(
            f"The units have {len(text)} characters as text; at most {MAX_TEXT} are read: cut them into pieces."
        )
    words = re.sub(r"[\s,;\[\]()]+", " ", text).split()
    for word in words:
        if not re.fullmatch(r"[0-9]{1,9}", word):
            raise SpeechPromptError(
                f"{word[:40]!r} is no unit: write whole numbers with spaces between them."
            )
    return [int(word) for word in words]
