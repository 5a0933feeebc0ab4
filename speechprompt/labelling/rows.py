"""Decoded recordings -> rows of answers, in batches of what is alike in length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from speechprompt.audio.clips import AHEAD
from speechprompt.audio.load import SAMPLE_RATE
from speechprompt.backbone import Backbone
from speechprompt.decoding.beam_search import RawAnswer
from speechprompt.decoding.fits import Evidence, judge
from speechprompt.decoding.generation import PromptedLM
from speechprompt.decoding.no_speech import check_speech
from speechprompt.errors import SpeechPromptError
from speechprompt.machine import request_time
from speechprompt.machine.request_time import time_limit
from speechprompt.pipeline import judges_of
from speechprompt.prompts.prompt import Prompt

CHUNK_SECONDS = 300.0  # recordings answered, and kept, together; 19 MB as waveforms
CHUNK_CLIPS = 2 * AHEAD  # the more, the more alike in length are those of one batch
GPU_FACTOR = 4  # chunks of a GPU are so much larger

Decoded = tuple[str, np.ndarray | str]  # id; waveform, or the sentence that says why there is none
Row = list[Any]  # id, seconds, what is wrong, then COLUMNS of every task; None where there is none
COLUMNS = ("label", "score", "fits")


class Answerer:
    """The models of a backbone with some prompts, loaded: decoded recordings in, rows out."""

    def __init__(self, backbone: Backbone, prompts: Sequence[Prompt]) -> None:
        self.backbone = backbone
        self.prompted, _ = PromptedLM(backbone.lm, prompts, judges_of(backbone)), backbone.encoder
        self.factor = batch_factor(backbone)

    def rows(self, decoded: Iterator[Decoded]) -> Iterator[list[Row]]:
        """Rows of every clip, in order, as many together as are answered together."""
        for chunk in chunks(decoded, CHUNK_SECONDS * self.factor, CHUNK_CLIPS * self.factor):
            yield answer(self.backbone, self.prompted, chunk)


def batch_factor(backbone: Backbone) -> int:
    """How much more than on a CPU is answered together."""
    return 1 if backbone.device.type == "cpu" else GPU_FACTOR


def chunks(decoded: Iterator[Decoded], seconds: float, clips: int) -> Iterator[list[Decoded]]:
    """Clips in their order, so many seconds or so many clips together."""
    chunk: list[Decoded] = []
    samples = 0
    for clip_id, waveform in decoded:
        chunk.append((clip_id, waveform))
        samples += 0 if isinstance(waveform, str) else len(waveform)
        if samples >= seconds * SAMPLE_RATE or len(chunk) >= clips:
            yield chunk
            chunk, samples = [], 0
    if chunk:
        yield chunk


def answer(backbone: Backbone, prompted: PromptedLM, chunk: Sequence[Decoded]) -> list[Row]:
    """A row for every clip; what could not be decoded, or holds nothing, gets the reason and no labels."""
    rows: list[Row] = []
    waveforms: list[tuple[int, np.ndarray]] = []
    for clip_id, waveform in chunk:
        row: Row = [clip_id, None, None, *[None] * (len(COLUMNS) * len(prompted.prompts))]
        if isinstance(waveform, str):
            row[2] = waveform
        else:
            row[1] = round(len(waveform) / SAMPLE_RATE, 4)
            try:
                check_speech(waveform, prompted.prompts)
                waveforms.append((len(rows), waveform))
            except SpeechPromptError as error:
                row[2] = str(error)
        rows.append(row)
    if waveforms:
        with time_limit(request_time.REQUEST_SECONDS * len(waveforms)):
            units = backbone.listen([waveform for _, waveform in waveforms])
            answers = prompted.judged(units)
        for (at, _), of_clip in zip(waveforms, answers, strict=True):
            pairs = zip(prompted.prompts, of_clip, strict=True)
            rows[at][3:] = [x for p, (raw, evidence) in pairs for x in cells(p, raw, evidence)]
    return rows


def cells(prompt: Prompt, raw: RawAnswer, evidence: Evidence) -> tuple[str, float, str]:
    """What COLUMNS hold of one answer."""
    label = prompt.form.text([prompt.labels[i] for i in raw.labels])
    return label, prompt.believed(raw.score), judge(prompt, raw, evidence)[0]


def failed(rows: Sequence[Row]) -> int:
    """How many of the rows have no labels."""
    return sum(row[2] is not None for row in rows)


def seconds(rows: Sequence[Row]) -> float:
    """Seconds of sound in the rows."""
    return float(sum(row[1] or 0 for row in rows))
