"""A recording of any length -> its stretches of speech with what tasks answer about each. Door: `Segments`.

File -> voice activity -> stretches -> all tasks, in batches: nothing of the recording is kept. A stretch is
cut, and answered, as Live does it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from speechprompt.audio.limits import MAX_SECONDS
from speechprompt.audio.load import SAMPLE_RATE, AudioInput, without_offset
from speechprompt.audio.segmenter import Segmenter, Stretch
from speechprompt.audio.sound_stream import SoundStream
from speechprompt.decoding.answer import Answer
from speechprompt.pipeline import BATCH_CLIPS, SpeechPrompt
from speechprompt.prompts.prompt import Prompt
from speechprompt.tasks.task import KEYWORDS, SOURCE, SPELLING, UNDERSTANDING, VOICE

BATCH_SECONDS = 60.0  # of speech that is answered together
LOOKED_SECONDS = 60.0  # of the recording after which what was found is answered, however little it is


@dataclass(frozen=True, eq=False)
class Segment:
    """A stretch of speech between pauses, in seconds of the recording, and what the tasks answer about it."""

    start: float
    end: float
    answers: dict[str, Answer]  # task -> answer, in the order asked

    @property
    def answer(self) -> Answer:
        """That of the first task."""
        return next(iter(self.answers.values()))

    def to_dict(self) -> dict[str, Any]:
        """start, end and of every task the entries of the answer that a row shows, ready for JSON."""
        shown = ("label", "score", "fits", "reason", "generated", "generated_scores")
        answers = {
            task: {name: getattr(answer, name) for name in shown} for task, answer in self.answers.items()
        }
        return {"start": self.start, "end": self.end, "answers": answers}


def on_words(prompt: Prompt) -> bool:
    """Whether a prompt answers about single words, so that several in one recording have an answer each."""
    return prompt.group in (KEYWORDS, SPELLING)


def per_word(prompt: Prompt) -> bool:
    """Whether a prompt may be asked about whatever is spoken between two pauses; others need a sentence or a scene."""
    return prompt.group not in (UNDERSTANDING, VOICE, SOURCE)


class Segments:
    """An iterator of the Segments of one recording, in order; they are answered as they are taken.

    A recording of at most a minute with no more than one stretch is answered as a whole, as classify does it. In others
    a stretch about which every task answers silence, or nothing, is left out.
    """

    def __init__(
        self,
        pipeline: SpeechPrompt,
        audio: AudioInput,
        tasks: str | Sequence[str] | None = None,
        max_seconds: float = float("inf"),
        since: float = 0.0,
    ) -> None:
        """tasks: one or several, None for all. max_seconds: of the recording. since: `answered` of a run that was
        stopped. SpeechPromptError when the recording cannot be read or a task is unknown.
        """
        self.prompts = list(dict.fromkeys(pipeline.choose(tasks)[1]))
        _ = pipeline.backbone.encoder
        self.pipeline = pipeline
        self._answered = round(since * SAMPLE_RATE)  # samples
        self._stream = SoundStream(audio, max_seconds)
        self._segmenter = Segmenter(any(prompt.expects != "speech" for prompt in self.prompts))
        self._going = self._flat()

    @property
    def seconds(self) -> float:
        """How much of the recording was looked through so far."""
        return self._stream.seconds

    @property
    def answered(self) -> float:
        """The second before which everything was answered with the batches so far.

        Less than `seconds`, as a stretch is known to have ended only after a pause.
        """
        return self._answered / SAMPLE_RATE

    @property
    def total(self) -> float | None:
        """Its length by its header; None where that does not tell."""
        return self._stream.total

    @property
    def notice(self) -> str:
        """At the end, one sentence where the file was cut off; else ""."""
        return self._stream.notice

    def __iter__(self) -> Iterator[Segment]:
        return self

    def __next__(self) -> Segment:
        return next(self._going)

    def close(self) -> None:
        """Close the file before the end of the recording."""
        self._stream.close()

    def _flat(self) -> Iterator[Segment]:
        for batch in self.batches():
            yield from batch

    def batches(self) -> Iterator[list[Segment]]:
        """What each batch brought, an empty list too, so that whoever shows progress hears of it at least each minute.

        SpeechPromptError in turn, after what came before it, when the sound cannot be used.
        """
        whole: list[np.ndarray] | None = [] if not self._answered else None
        waiting: list[Stretch] = []
        looked = self.answered
        for block in self._stream:
            waiting += self._new(self._segmenter.feed(block))
            if whole is not None:
                whole.append(block)
                if len(waiting) > 1 or self._segmenter.total > MAX_SECONDS * SAMPLE_RATE:
                    whole = None
            seconds = sum(len(stretch.sound) for stretch in waiting) / SAMPLE_RATE
            full = seconds >= BATCH_SECONDS or len(waiting) >= BATCH_CLIPS
            if whole is None and (full or self.seconds - looked >= LOOKED_SECONDS):
                found = self._answer(waiting)
                self._answered = waiting[-1].end if waiting else self._answered
                waiting, looked = [], self.seconds
                yield found
        waiting += self._new(self._segmenter.finish())
        self._answered = self._segmenter.total
        if whole is not None and len(waiting) < 2:
            yield [self._as_a_whole(np.concatenate(whole), waiting)]
        else:
            yield self._answer(waiting)

    def _new(self, stretches: list[Stretch]) -> list[Stretch]:
        return [stretch for stretch in stretches if stretch.end > self._answered]

    def _as_a_whole(self, waveform: np.ndarray, stretches: list[Stretch]) -> Segment:
        answers = self.pipeline.classify((SAMPLE_RATE, waveform), self._tasks)
        start, end = (stretches[0].start, stretches[0].end) if stretches else (0, len(waveform))
        return Segment(start / SAMPLE_RATE, end / SAMPLE_RATE, dict(zip(self._tasks, answers, strict=True)))

    @property
    def _tasks(self) -> list[str]:
        return [prompt.task for prompt in self.prompts]

    def _answer(self, stretches: list[Stretch]) -> list[Segment]:
        """All tasks about each of several stretches, in one batch."""
        found = []
        for at in range(0, len(stretches), BATCH_CLIPS):
            batch = stretches[at : at + BATCH_CLIPS]
            units = self.pipeline.backbone.listen([without_offset(stretch.sound) for stretch in batch])
            for stretch, answers in zip(batch, self.pipeline.classify_units(units, self._tasks), strict=True):
                if any(map(says_something, self.prompts, answers)):
                    start, end = stretch.start / SAMPLE_RATE, stretch.end / SAMPLE_RATE
                    found.append(Segment(start, end, dict(zip(self._tasks, answers, strict=True))))
        return found


def says_something(prompt: Prompt, answer: Answer) -> bool:
    """Whether an answer is one of the task's labels and not its label for silence."""
    return bool(answer.label) and answer.label != prompt.form.silence_label
