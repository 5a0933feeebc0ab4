"""The public face: a recording and some tasks -> answers (SpeechPrompt, figure 1).

The encoder runs once per recording however many tasks are asked; all tasks are answered in one batch
of the unit LM. The encoder is loaded only when audio comes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from speechprompt import audio as audio_input
from speechprompt.backbone import Backbone
from speechprompt.decoding import PromptedLM, RawAnswer
from speechprompt.errors import SpeechPromptError
from speechprompt.prompt import Prompt
from speechprompt.units import FRAME_RATE, UNIT_OFFSET, Units, check_unit_ids

MAX_UNITS = int(audio_input.MAX_SECONDS * FRAME_RATE)  # what the longest recording could become


@dataclass(frozen=True, eq=False)
class Answer:
    """What one task says about one recording.

    label: the likeliest label, with its probability `score`; scores: label -> probability over the
    task's labels, highest first. units: what was heard. generated: at each answer step (S, one for
    now) the unit that the LM finds likeliest, with its probability among all units in
    generated_scores; a fixed verbalizer chooses among its own units, so each stands for one label.
    unit_probabilities: float32 [S, n_units]. timing: seconds, `encode_s` for the recording's units
    and `lm_s` for this recording's share of the one LM batch that answered all tasks.
    """

    task: str
    title: str
    label: str
    score: float
    scores: dict[str, float]
    units: Units
    generated: list[int]
    generated_scores: list[float]
    unit_probabilities: np.ndarray = field(repr=False)
    verbalizer: Literal["fixed", "learned"]
    timing: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Everything but unit_probabilities, ready for JSON; unit starts and lengths in frames of 20 ms."""
        return {
            "task": self.task,
            "title": self.title,
            "label": self.label,
            "score": self.score,
            "scores": dict(self.scores),
            "units": {
                "ids": self.units.ids.tolist(),
                "starts": self.units.starts.tolist(),
                "lengths": self.units.lengths.tolist(),
            },
            "generated": list(self.generated),
            "generated_scores": list(self.generated_scores),
            "verbalizer": self.verbalizer,
            "timing": dict(self.timing),
        }


def make_answer(prompt: Prompt, raw: RawAnswer, units: Units, timing: dict[str, float]) -> Answer:
    """Give a raw answer its labels and units."""
    logits = raw.vocabulary_logits[UNIT_OFFSET:].astype(np.float64)  # specials are never answered
    odds = np.exp(logits - logits.max())
    unit_probabilities = (odds / odds.sum()).astype(np.float32)
    if prompt.verbalizer_units is None:
        generated = int(unit_probabilities.argmax())
    else:
        generated = int(prompt.verbalizer_units[int(raw.probabilities.argmax())])
    order = np.argsort(-raw.probabilities, kind="stable")
    scores = {prompt.labels[i]: float(raw.probabilities[i]) for i in order}
    label, score = next(iter(scores.items()))
    return Answer(
        task=prompt.task,
        title=prompt.title,
        label=label,
        score=score,
        scores=scores,
        units=units,
        generated=[generated],
        generated_scores=[float(unit_probabilities[generated])],
        unit_probabilities=unit_probabilities[None],
        verbalizer=prompt.verbalizer,
        timing=timing,
    )


class SpeechPrompt:
    """A backbone with its prompts, ready to answer; share one between threads."""

    def __init__(self, backbone: Backbone, prompts: Sequence[Prompt]) -> None:
        self.backbone = backbone
        self.prompts: dict[str, Prompt] = {prompt.task: prompt for prompt in prompts}
        self._index = {task: i for i, task in enumerate(self.prompts)}
        self._prompted = PromptedLM(backbone.lm, list(self.prompts.values()))

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = "mini",
        device: str | torch.device = "auto",
        prompts: Iterable[str | Path | Prompt] | None = None,
    ) -> SpeechPrompt:
        """Load a bundled backbone by name, or one from a folder.

        device "auto" takes the GPU when there is one. prompts: which to load, each the name of a
        bundled task, a prompt folder or a Prompt; None takes all that fit the backbone.
        """
        backbone = Backbone.load(name, choose_device(device))
        if prompts is None:
            return cls(backbone, list(backbone.prompts.values()))
        if isinstance(prompts, str | Path | Prompt):
            prompts = [prompts]
        return cls(backbone, [choose_prompt(backbone, prompt) for prompt in prompts])

    @property
    def device(self) -> torch.device:
        return self.backbone.device

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks that can be asked."""
        return list(self.prompts)

    def units(self, audio: audio_input.AudioInput) -> Units:
        """The units of a recording: a file path, the bytes of a file, or (rate in Hz, samples)."""
        return self.backbone.encoder.units(audio_input.load(audio))

    def classify(self, audio: audio_input.AudioInput, tasks: Sequence[str] | None = None) -> list[Answer]:
        """Answer each task (all when None) about one recording, in the order asked.

        audio is a file path, the bytes of a file, or (rate in Hz, samples). SpeechPromptError when it
        cannot be used, holds nothing (and a task has no label for that), or a task is unknown.
        """
        chosen = self._choose(tasks)
        waveform = audio_input.load(audio)
        if audio_input.peak_dbfs(waveform) < audio_input.SILENCE_DBFS:
            deaf = [prompt.title for prompt in chosen if prompt.silence_label is None]
            if deaf:
                raise SpeechPromptError(
                    f"Nothing was recorded, and {deaf[0]} has no answer for silence: "
                    "check the microphone and speak closer to it."
                )
        start = time.perf_counter()
        units = self.backbone.encoder.units(waveform)
        encode_s = time.perf_counter() - start
        return self._answer([units], chosen, encode_s)[0]

    def classify_units(
        self, utterances: Sequence[Sequence[int] | np.ndarray], tasks: Sequence[str] | None = None
    ) -> list[list[Answer]]:
        """Answer tasks about speech that is already units: per utterance, one answer per task in order.

        Runs of equal units are collapsed, so ids per frame may be given too.
        """
        chosen = self._choose(tasks)
        checked = [Units.from_frames(check_unit_ids(ids, self.backbone.n_units)) for ids in utterances]
        longest = max((len(units) for units in checked), default=0)
        if longest > MAX_UNITS:
            raise SpeechPromptError(
                f"An utterance has {longest} units; at most {MAX_UNITS} can be answered: cut it into pieces."
            )
        return self._answer(checked, chosen, 0.0)

    def _choose(self, tasks: Sequence[str] | None) -> list[Prompt]:
        names = self.tasks if tasks is None else [tasks] if isinstance(tasks, str) else list(tasks)
        for name in names:
            if name not in self.prompts:
                known = ", ".join(self.tasks) or "none"
                raise SpeechPromptError(
                    f"There is no task {str(name)[:80]!r} on backbone {self.backbone.name}; its tasks are: {known}."
                )
        if not names:
            raise SpeechPromptError(f"Choose at least one task of backbone {self.backbone.name}.")
        return [self.prompts[name] for name in names]

    def _answer(self, utterances: list[Units], prompts: list[Prompt], encode_s: float) -> list[list[Answer]]:
        start = time.perf_counter()
        raw = self._prompted.answer([u.ids for u in utterances], [self._index[p.task] for p in prompts])
        lm_s = (time.perf_counter() - start) / max(1, len(utterances))
        timing = {"encode_s": encode_s, "lm_s": lm_s}
        return [
            [make_answer(prompt, answer, units, timing) for prompt, answer in zip(prompts, row, strict=True)]
            for units, row in zip(utterances, raw, strict=True)
        ]


def choose_device(device: str | torch.device) -> torch.device:
    """ "auto" -> the GPU when there is one, else the CPU; SpeechPromptError for what is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise SpeechPromptError(f"There is no device {str(device)[:40]!r} here: use cpu or auto.") from error
    return torch.device(device)


def choose_prompt(backbone: Backbone, prompt: str | Path | Prompt) -> Prompt:
    """A Prompt, the folder of one, or the name of one of the backbone's tasks -> a prompt that fits it."""
    if isinstance(prompt, Prompt):
        backbone.check_fits(prompt)
        return prompt
    if isinstance(prompt, str) and (prompt in backbone.prompts or prompt in backbone.refused):
        return backbone.prompt(prompt)
    if Path(prompt).is_dir():
        return backbone.load_prompt(Path(prompt))
    return backbone.prompt(Path(prompt).name)
