"""What a stream of sound brings to light, and when."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from speechprompt.decoding.answer import Answer
from speechprompt.decoding.fits import Fits


@dataclass(frozen=True, eq=False)
class Event:
    """Something that happened; all times in seconds of the stream.

    kind "begin": speech began at `start`. "label": what the speech from `start` to `end` is; provisional
    until `final`. "end": the speech that ended at `end` is over, answered or not. decided: when that was
    decided, so `decided - end` of a final label is the hangover. processing: seconds that the models took;
    ahead: seconds of sound that came in meanwhile, since a final answer is made while the hangover lasts. fits,
    reason: whether the speech fits the task, as in Answer. scores: label -> probability, highest first, of which label
    and score are the first; of a provisional label their running mean over the segment. answer: the newest of these.
    """

    kind: Literal["begin", "label", "end"]
    start: float
    end: float
    decided: float
    label: str = ""
    score: float = 0.0
    final: bool = False
    processing: float = 0.0
    ahead: float = 0.0
    fits: Fits = "yes"
    reason: str = ""
    scores: dict[str, float] = field(default_factory=dict)
    answer: Answer | None = None

    @property
    def latency(self) -> float:
        """Seconds from the end of the sound to the answer, where sound comes in as it is made."""
        return self.decided - self.end + max(0.0, self.processing - self.ahead)


def with_answer(event: Event, answer: Answer, scores: dict[str, float]) -> Event:
    """The event with what an answer says beyond its label."""
    return replace(event, fits=answer.fits, reason=answer.reason, scores=scores, answer=answer)
