"""One recording, many prompts of many backbones. Door: `compare`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from speechprompt.audio.silence import is_silent
from speechprompt.backbone import Backbone
from speechprompt.decoding.answer import Answer
from speechprompt.decoding.no_speech import without_answer
from speechprompt.errors import SpeechPromptError
from speechprompt.models.quantizer import Quantizer
from speechprompt.pipeline import SpeechPrompt
from speechprompt.prompts.prompt import Prompt
from speechprompt.units import Units

NO_SILENCE = "Nothing was recorded, and this task has no answer for silence."
NO_SPEECH = "The recording holds no speech, and this task has no answer for silence."

Encoded = dict[
    Quantizer, tuple[Units, float]
]  # encoder -> what it made of the recording, in how many seconds


@dataclass(frozen=True, eq=False)
class Row:
    """What one prompt made of the recording: an answer, or the sentence that says why there is none."""

    backbone: Backbone
    prompt: Prompt
    answer: Answer | None
    error: str = ""


def compare(waveform: np.ndarray, asked: Sequence[tuple[SpeechPrompt, str]]) -> list[Row]:
    """Ask pipelines their tasks about a recording (float32 [T], 16 kHz): one row each, in the order asked.

    Each encoder runs once, also where backbones share it, and each pipeline answers all its tasks in one batch.
    What one task or pipeline cannot answer stands in its rows and takes nothing from the others. The timing of an
    answer is that of its encoder's pass (with the F0 of a prosody LM) and of its whole batch.
    SpeechPromptError when a pipeline does not have the task.
    """
    prompts = [pipeline.prompt(task) for pipeline, task in asked]
    silent = without_answer(waveform, prompts)
    encoded: Encoded = {}
    rows: dict[int, Row] = {}
    for pipeline in dict.fromkeys(pipeline for pipeline, _ in asked):
        backbone = pipeline.backbone
        at = [i for i, (other, _) in enumerate(asked) if other is pipeline]
        without = [i for i in at if i in silent]
        sentence = NO_SILENCE if is_silent(waveform) else NO_SPEECH
        rows |= {i: Row(backbone, prompts[i], None, sentence) for i in without}
        at = [i for i in at if i not in without]
        if not at:
            continue
        try:
            units, encode_s = listen(backbone, waveform, encoded)
            (answers,) = pipeline.classify_units([units], [prompts[i].task for i in at])
        except SpeechPromptError as error:
            rows |= {i: Row(backbone, prompts[i], None, str(error)) for i in at}
            continue
        for i, answer in zip(at, answers, strict=True):
            timing = answer.timing | {"encode_s": encode_s}
            rows[i] = Row(backbone, prompts[i], replace(answer, timing=timing))
    return [rows[i] for i in range(len(asked))]


def listen(backbone: Backbone, waveform: np.ndarray, encoded: Encoded) -> tuple[Units, float]:
    """The units of a recording for a backbone, and how many seconds they took; adds to `encoded`."""
    encoder = backbone.encoder
    start = time.perf_counter()
    if encoder not in encoded:
        encoded[encoder] = backbone.units([waveform])[0], time.perf_counter() - start
    units, encode_s = encoded[encoder]
    start = time.perf_counter()
    (units,) = backbone.listen([waveform], [units])
    return units, encode_s + time.perf_counter() - start
