"""One recording of several words with pauses between them: an answer for each. Door: `segments`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from speechprompt.audio.load import SAMPLE_RATE
from speechprompt.audio.voice_activity import spans_of_voice
from speechprompt.decoding.answer import Answer
from speechprompt.pipeline import SpeechPrompt
from speechprompt.prompts.prompt import Prompt
from speechprompt.task import KEYWORDS, SOURCE, SPELLING, UNDERSTANDING, VOICE

LEAD, TAIL = SAMPLE_RATE // 4, SAMPLE_RATE // 10  # samples around a segment: words begin and end softly


@dataclass(frozen=True, eq=False)
class Segment:
    """A stretch of speech between pauses, in seconds of the recording, and what a task answers about it."""

    start: float
    end: float
    answer: Answer

    def to_dict(self) -> dict[str, Any]:
        """start, end and the entries of the answer that a row shows, ready for JSON."""
        of_answer = ("label", "score", "fits", "reason", "generated", "generated_scores")
        return {"start": self.start, "end": self.end} | {
            name: getattr(self.answer, name) for name in of_answer
        }


def on_words(prompt: Prompt) -> bool:
    """Whether a prompt answers about single words, so that several in one recording have an answer each."""
    return prompt.group in (KEYWORDS, SPELLING)


def per_word(prompt: Prompt) -> bool:
    """Whether a prompt may be asked about whatever is spoken between two pauses; others need a sentence or a scene."""
    return prompt.group not in (UNDERSTANDING, VOICE, SOURCE)


def segments(pipeline: SpeechPrompt, waveform: np.ndarray, task: str) -> list[Segment]:
    """Answer a task about each stretch of speech in float32 [T] at 16 kHz, in order; all in one batch.

    Where there is only one, or none that sounds like a voice, the answer is about the whole recording, as classify
    gives it. SpeechPromptError as there.
    """
    spans = spans_of_voice(waveform)
    if len(spans) < 2:
        (answer,) = pipeline.classify((SAMPLE_RATE, waveform), [task])
        start, end = spans[0] if spans else (0, len(waveform))
        return [Segment(start / SAMPLE_RATE, end / SAMPLE_RATE, answer)]
    ends = [0, *(end for _, end in spans)]
    parts = [
        waveform[max(before, start - LEAD) : end + TAIL]
        for before, (start, end) in zip(ends, spans, strict=False)
    ]
    answers = pipeline.classify_units(pipeline.backbone.listen(parts), [task])
    return [
        Segment(start / SAMPLE_RATE, end / SAMPLE_RATE, answer)
        for (start, end), (answer,) in zip(spans, answers, strict=True)
    ]
