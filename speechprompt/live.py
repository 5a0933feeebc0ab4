"""Listening while somebody speaks: sound in chunks -> what was said, and when.

A `Listener` cuts one stream of sound into segments of speech (speech_detector), lets the backbone hear
each and asks one task about it: provisionally while the speech goes on, finally when it has ended.
Time is counted in samples, and everything that is kept is bounded.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from speechprompt.audio.arrays import from_chunk
from speechprompt.audio.load import SAMPLE_RATE, without_offset
from speechprompt.audio.resampling import Resampler
from speechprompt.audio.speech_detector import detector_for
from speechprompt.audio.voice_activity import LEAD, TAIL, Change
from speechprompt.decoding.answer import Answer
from speechprompt.decoding.fits import Fits
from speechprompt.errors import SpeechPromptError
from speechprompt.pipeline import SpeechPrompt
from speechprompt.units import FRAME_SECONDS, Units

MAX_CHUNK_SECONDS = 60.0
LONGEST_SECONDS = 4.0  # of speech that a provisional answer is about; of a longer segment the last
FIRST_SECONDS, AGAIN_SECONDS = 0.3, 0.25  # of speech before the first provisional answer, and to the next
RIBBON_SECONDS = 6.0
RING_SECONDS = 10.0  # more than the longest segment with its lead and hangover
STEP = SAMPLE_RATE // 10  # samples that enter the ring at once
NEW_WEIGHT = 0.5  # of the newest provisional answer in their running mean


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


@dataclass(frozen=True, eq=False)
class Asked:
    """An answer about the sound from `start`, made when the stream was at `at`, in `processing` seconds."""

    answer: Answer
    start: float
    at: float
    processing: float


class Ring:
    """The last seconds of a stream of float32 samples, addressed by their place in the whole stream."""

    def __init__(self, seconds: float) -> None:
        self._samples = np.zeros(int(seconds * SAMPLE_RATE), np.float32)
        self.total = 0  # samples that came in all

    def write(self, samples: np.ndarray) -> None:
        at = np.arange(self.total, self.total + len(samples)) % len(self._samples)
        self._samples[at] = samples
        self.total += len(samples)

    def read(self, start: int, end: int) -> np.ndarray:
        """float32 [end - start]; zeros before the stream began."""
        at = np.arange(start, end)
        return np.where(at >= 0, self._samples[at % len(self._samples)], np.float32(0))


class Listener:
    """One stream of sound, one task; not for several threads at a time."""

    def __init__(self, pipeline: SpeechPrompt, task: str) -> None:
        self._resampler: Resampler | None = None
        self._ring = Ring(RING_SECONDS)
        self._prompt = pipeline.prompt(task)
        self._detector = detector_for(self._prompt.expects != "speech")
        self._begun = 0  # sample at which the segment's sound begins, its lead included
        self._ended = 0  # sample at which the sound of the segment before ended
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
            self._detector = detector_for(prompt.expects != "speech")
            self._detector.skip_to(self._ring.total)
        self._pipeline, self._prompt = pipeline, prompt
        self._blend, self._ready = {}, None

    @property
    def seconds(self) -> float:
        """How much sound was heard."""
        return self._ring.total / SAMPLE_RATE

    @property
    def speaking(self) -> bool:
        return self._detector.speaking

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
        if self._detector.speaking:
            self._detector.speaking = False
            events += self._close()
        return events

    # From samples to events

    def _process(self, waveform: np.ndarray, provisional: bool) -> Iterator[Event]:
        for at in range(0, len(waveform), STEP):
            self._ring.write(waveform[at : at + STEP])
            wanted = self._detector.wanted(self._ring.total)
            if wanted is not None:
                for change in self._detector.feed(self._ring.read(*wanted)):
                    yield from self._step(change, provisional)

    def _step(self, change: Change, provisional: bool) -> Iterator[Event]:
        detector = self._detector
        if change == "begin":
            self._begun = max(self._ended, detector.first - LEAD, 0)
            self._asked = self._start + FIRST_SECONDS - AGAIN_SECONDS
            self._blend, self._ready = {}, None
            yield Event("begin", self._start, self._start, self._now)
        elif change == "end":
            yield from self._close()
        elif detector.speaking and not detector.sounding:
            # Most likely this is the end: the answer is made now, so that it is there with the hangover's end.
            if detector.now - detector.last >= TAIL and self._ready is None and detector.voiced:
                self._ready = self._ask(detector.last + TAIL)
        elif detector.speaking:
            self._ready = None
            if provisional and self._now - self._asked >= AGAIN_SECONDS and detector.voiced:
                self._asked = self._now
                yield from self._answer_so_far()

    @property
    def _now(self) -> float:
        """The end of the last frame that was looked at, in seconds."""
        return self._detector.now / SAMPLE_RATE

    @property
    def _start(self) -> float:
        return max(self._detector.first, self._ended) / SAMPLE_RATE

    @property
    def _end(self) -> float:
        """The end of the segment's last frame above the floor, in seconds."""
        return self._detector.last / SAMPLE_RATE

    def _answer_so_far(self) -> Iterator[Event]:
        asked = self._ask(self._detector.now, LONGEST_SECONDS)
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
        if self._detector.voiced:
            asked = self._ready or self._ask(min(self._detector.last + TAIL, self._detector.now))
            answer, cost = asked.answer, (asked.processing, now - asked.at)
            if answer.label and not self._is_silence(answer.label):
                event = Event("label", asked.start, end, now, answer.label, answer.score, True, *cost)
                yield with_answer(event, answer, answer.scores)
        over = Event("end", self._start, end, now)
        self._ended, self._ready = self._detector.last, None
        yield over

    def _is_silence(self, label: str) -> bool:
        """A task that knows silence says itself that nothing was said."""
        return label == self._prompt.form.silence_label

    def _ask(self, end: int, most: float = RING_SECONDS) -> Asked:
        """The task, about the segment up to that sample, at most so many seconds of it."""
        begin = max(self._begun, end - int(most * SAMPLE_RATE))
        since = time.perf_counter()
        units = self._pipeline.backbone.listen([without_offset(self._ring.read(begin, end))])[0]
        self._remember(units, begin / SAMPLE_RATE)
        answer = self._pipeline.classify_units([units], [self._prompt.task])[0][0]
        start = max(begin / SAMPLE_RATE, self._start)
        return Asked(answer, start, self._now, time.perf_counter() - since)

    def _remember(self, units: Units, begin: float) -> None:
        """Put units on the ribbon from `begin` on, in place of what was heard there before."""
        since = self.seconds - RIBBON_SECONDS
        kept = [(s, min(e, begin), u) for s, e, u in self._runs if s < begin and e > since]
        starts = begin + units.starts * FRAME_SECONDS
        ends = starts + units.lengths * FRAME_SECONDS
        self._runs = kept + list(zip(starts.tolist(), ends.tolist(), units.ids.tolist(), strict=True))
