"""Listening while somebody speaks: sound in chunks -> labels, and when.

A `Listener` cuts one stream of sound into segments of speech (audio.segmenter), makes units of each
and asks one task about it: provisionally while the speech goes on, finally when it has ended.
Time is counted in samples, and everything that is kept is bounded.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from speechprompt.audio.arrays import from_chunk
from speechprompt.audio.load import SAMPLE_RATE, without_offset
from speechprompt.audio.resampling import Resampler
from speechprompt.audio.segmenter import Segmenter
from speechprompt.audio.voice_activity import TAIL, Change
from speechprompt.decoding.answer import Answer
from speechprompt.errors import SpeechPromptError
from speechprompt.live.event import Event, with_answer
from speechprompt.pipeline import SpeechPrompt
from speechprompt.units import FRAME_SECONDS, Units

MAX_CHUNK_SECONDS = 60.0
LONGEST_SECONDS = 4.0  # of speech that a provisional answer is about; of a longer segment the last
FIRST_SECONDS, AGAIN_SECONDS = 0.3, 0.25  # of speech before the first provisional answer, and to the next
RIBBON_SECONDS = 6.0
STEP = SAMPLE_RATE // 10  # samples that are looked at together
NEW_WEIGHT = 0.5  # of the newest provisional answer in their running mean


@dataclass(frozen=True, eq=False)
class Asked:
    """An answer about the sound from `start`, made when the stream was at `at`, in `processing` seconds."""

    answer: Answer
    start: float
    at: float
    processing: float


class Listener:
    """One stream of sound, one task; not for several threads at a time."""

    def __init__(self, pipeline: SpeechPrompt, task: str) -> None:
        self._resampler: Resampler | None = None
        self._prompt = pipeline.prompt(task)
        self._segmenter = Segmenter(self._prompt.expects != "speech")
        self._asked = 0.0  # when a provisional answer was made last
        self._blend: dict[str, float] = {}
        self._ready: Asked | None = None  # the answer for the case that the sound has just ended
        self._runs: list[tuple[float, float, int]] = []  # start, end, unit
        self.ask(pipeline, task)

    def ask(self, pipeline: SpeechPrompt, task: str) -> None:
        """Choose the task from here on; SpeechPromptError when the backbone has no such task."""
        prompt = pipeline.prompt(task)
        if not pipeline.backbone.has_encoder:
            raise SpeechPromptError(str(pipeline.backbone.missing))
        if (prompt.expects == "speech") != (self._prompt.expects == "speech"):
            self._segmenter.detect(prompt.expects != "speech")
        self._pipeline, self._prompt = pipeline, prompt
        self._blend, self._ready = {}, None

    @property
    def seconds(self) -> float:
        """How much sound came in."""
        return self._segmenter.total / SAMPLE_RATE

    @property
    def speaking(self) -> bool:
        return self._segmenter.detector.speaking

    @property
    def ribbon(self) -> list[tuple[float, float, int]]:
        """Units of the last 6 s: (start, end, unit), times in seconds; none where nobody spoke."""
        since = self.seconds - RIBBON_SECONDS
        return [(max(start, since), end, unit) for start, end, unit in self._runs if end > since]

    def feed(self, rate: int, samples: np.ndarray, provisional: bool = True) -> list[Event]:
        """The next chunk: what it brought to light, in order.

        rate: Hz, the same for the whole stream. samples: [T] or [T, channels]; integers are scaled by the
        range of their type. provisional: whether to answer before speech has ended; whoever is behind
        does without. SpeechPromptError when the chunk cannot be used; it is as if it had not come.
        """
        sound, rate = from_chunk(rate, samples)
        if not len(sound):
            raise SpeechPromptError("The chunk of sound is empty: send at least one sample.")
        if len(sound) > MAX_CHUNK_SECONDS * rate:
            raise SpeechPromptError(
                f"The chunk of sound is {len(sound) / rate:.1f} s long and the limit is {MAX_CHUNK_SECONDS:g} s: "
                "send shorter ones."
            )
        if not np.isfinite(sound).all():
            raise SpeechPromptError("The chunk of sound holds values that are not numbers (NaN or Inf).")
        if self._resampler is None:
            self._resampler = Resampler(rate)
        elif self._resampler.rate != rate:
            raise SpeechPromptError(
                f"The sampling rate changed from {self._resampler.rate} to {rate} Hz: stop and start again."
            )
        return list(self._process(self._resampler.feed(sound), provisional))

    def finish(self) -> list[Event]:
        """The stream is over: answers the speech that was not."""
        events: list[Event] = []
        if self._resampler is not None:
            events += self._process(self._resampler.finish(), False)
        for change in self._segmenter.last_change():
            events += self._step(change, False)
        return events

    # From samples to events

    def _process(self, waveform: np.ndarray, provisional: bool) -> Iterator[Event]:
        for at in range(0, len(waveform), STEP):
            for change in self._segmenter.changes(waveform[at : at + STEP]):
                yield from self._step(change, provisional)

    def _step(self, change: Change, provisional: bool) -> Iterator[Event]:
        detector = self._segmenter.detector
        if change == "begin":
            self._asked = self._start + FIRST_SECONDS - AGAIN_SECONDS
            self._blend, self._ready = {}, None
            yield Event("begin", self._start, self._start, self._now)
        elif change == "end":
            yield from self._close()
        elif detector.speaking and not detector.sounding:
            # Most likely this is the end: the answer is made now, so that it is there with the hangover's end.
            if detector.now - detector.last >= TAIL and self._ready is None and detector.voiced:
                self._ready = self._ask(self._segmenter.until)
        elif detector.speaking:
            self._ready = None
            if provisional and self._now - self._asked >= AGAIN_SECONDS and detector.voiced:
                self._asked = self._now
                yield from self._answer_so_far()

    @property
    def _now(self) -> float:
        """The end of the last frame that was looked at, in seconds."""
        return self._segmenter.detector.now / SAMPLE_RATE

    @property
    def _start(self) -> float:
        return self._segmenter.start / SAMPLE_RATE

    @property
    def _end(self) -> float:
        """The end of the segment's last frame above the floor, in seconds."""
        return self._segmenter.detector.last / SAMPLE_RATE

    def _answer_so_far(self) -> Iterator[Event]:
        asked = self._ask(self._segmenter.detector.now, int(LONGEST_SECONDS * SAMPLE_RATE))
        # A running mean over the segment, so that a label does not flicker while the word grows.
        scores, old = asked.answer.scores, self._blend or asked.answer.scores
        self._blend = {
            label: (1 - NEW_WEIGHT) * old.get(label, 0.0) + NEW_WEIGHT * scores.get(label, 0.0)
            for label in {**old, **scores}
        }
        scores = dict(sorted(self._blend.items(), key=lambda pair: -pair[1]))
        label, score = next(iter(scores.items()))
        if label and not self._is_silence(label):
            now = self._now
            event = Event("label", asked.start, now, now, label, score, False, asked.processing)
            yield with_answer(event, asked.answer, scores)

    def _close(self) -> Iterator[Event]:
        """The segment is over: its answer if it was a voice, and its end."""
        end, now = self._end, self._now
        if self._segmenter.detector.voiced:
            asked = self._ready or self._ask(self._segmenter.until)
            answer, cost = asked.answer, (asked.processing, now - asked.at)
            if answer.label and not self._is_silence(answer.label):
                event = Event("label", asked.start, end, now, answer.label, answer.score, True, *cost)
                yield with_answer(event, answer, answer.scores)
        self._ready = None
        yield Event("end", self._start, end, now)

    def _is_silence(self, label: str) -> bool:
        """Tasks with a label for silence answer it where nobody speaks."""
        return label == self._prompt.form.silence_label

    def _ask(self, end: int, most: int | None = None) -> Asked:
        """The task, about the segment up to that sample, at most so many samples of it."""
        since = time.perf_counter()
        sound = self._segmenter.sound(end, most)
        begin = (end - len(sound)) / SAMPLE_RATE
        units = self._pipeline.backbone.listen([without_offset(sound)])[0]
        self._remember(units, begin)
        answer = self._pipeline.classify_units([units], [self._prompt.task])[0][0]
        start = max(begin, self._start)
        return Asked(answer, start, self._now, time.perf_counter() - since)

    def _remember(self, units: Units, begin: float) -> None:
        """Put units on the ribbon from `begin` on, in place of those that were there before."""
        since = self.seconds - RIBBON_SECONDS
        kept = [(s, min(e, begin), u) for s, e, u in self._runs if s < begin and e > since]
        starts = begin + units.starts * FRAME_SECONDS
        ends = starts + units.lengths * FRAME_SECONDS
        self._runs = kept + list(zip(starts.tolist(), ends.tolist(), units.ids.tolist(), strict=True))
