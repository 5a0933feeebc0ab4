"""Whether the exported graphs give what the models do, on real recordings: the same units, and the same logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speechprompt.audio.limits import MAX_SECONDS, SAMPLE_RATE
from speechprompt.audio.load import load
from speechprompt.backbone import Backbone
from speechprompt.decoding.beam_search import RawAnswer
from speechprompt.decoding.generation import PromptedLM
from speechprompt.errors import SpeechPromptError
from speechprompt.making.export.running import along, first_pass, frame_units, session
from speechprompt.prompts.prompt import Prompt
from speechprompt.units import Units

LOGITS = 1e-4  # that two runtimes may differ by


@dataclass
class Found:
    """What was compared: recordings, frames, answers of one prompt each, and by how much logits differ at most."""

    recordings: int = 0
    frames: int = 0
    answers: int = 0
    difference: float = 0.0


def compare(backbone: Backbone, encoder: Path, lm: Path, recordings: Sequence[Path]) -> Found:
    """Ask both about every recording, and about all as one; SpeechPromptError where they differ."""
    waveforms = {path.name: load(path) for path in recordings}
    together = np.concatenate(list(waveforms.values()))[: int(MAX_SECONDS) * SAMPLE_RATE]
    waveforms["all recordings in a row"] = together  # longer than one window of attention
    prompts = [prompt for prompt in backbone.prompts.values() if not prompt.projected]
    prompted = PromptedLM(backbone.lm, prompts)
    listening, answering = session(encoder), session(lm)
    found = Found()
    for name, waveform in waveforms.items():
        expected = backbone.encoder.assign(backbone.encoder.features([waveform])[0]).cpu().numpy()
        units = frame_units(listening, waveform)
        if not np.array_equal(units, expected):
            wrong = int((units != expected).sum())
            raise SpeechPromptError(
                f"ONNX: {wrong} of {len(expected)} units of {name} differ; nothing is written."
            )
        found.recordings, found.frames = found.recordings + 1, found.frames + len(units)
        ids = Units.from_frames(units).ids
        (answers,) = prompted.answer([ids])  # ids have no windows
        for prompt, difference in zip(prompts, differences(answering, ids, prompts, answers), strict=True):
            found.answers, found.difference = found.answers + 1, max(found.difference, difference)
            if not difference <= LOGITS:
                raise SpeechPromptError(
                    f"ONNX: logits of {prompt.task} on {name} differ by {difference:.1g}; nothing is written."
                )
    return found


def differences(
    lm: object, ids: np.ndarray, prompts: Sequence[Prompt], answers: Sequence[RawAnswer]
) -> list[float]:
    """By how much the logits of each prompt's answer differ at most, at every step of it."""
    logits, (keys, values, present) = first_pass(lm, ids, prompts)
    found = []
    for i, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        row = slice(i, i + 1)
        steps = answer.labels[: len(answer.vocabulary_logits) - 1]
        after = along(lm, ids, prompt, steps, (keys[:, row], values[:, row], present[row]))
        exported = np.stack([logits[i], *after])
        found.append(float(np.abs(exported - answer.vocabulary_logits).max()))
    return found
