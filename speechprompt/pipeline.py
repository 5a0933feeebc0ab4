"""The public face: a recording and some tasks -> answers (SpeechPrompt, figure 1).

The encoder runs once per recording however many tasks are asked; all tasks are answered in one batch
of the unit LM. The encoder is loaded only when audio comes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from speechprompt.audio import load as audio_input
from speechprompt.backbone import Backbone
from speechprompt.decoding.answer import Answer, make_answer
from speechprompt.decoding.generation import PromptedLM
from speechprompt.errors import SpeechPromptError
from speechprompt.machine import choose_device
from speechprompt.prompts.prompt import Prompt
from speechprompt.units import FRAME_RATE, Units, check_unit_ids

MAX_UNITS = int(audio_input.MAX_SECONDS * FRAME_RATE)  # what the longest recording could become


class SpeechPrompt:
    """A backbone with its prompts, ready to answer; share one between threads."""

    def __init__(self, backbone: Backbone, prompts: Sequence[Prompt] | None = None) -> None:
        """prompts: None takes all that fit the backbone."""
        self.backbone = backbone
        chosen = backbone.prompts.values() if prompts is None else prompts
        self.prompts: dict[str, Prompt] = {prompt.task: prompt for prompt in chosen}
        self._prompted = PromptedLM(backbone.lm, list(self.prompts.values()))

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = "mini",
        device: str | torch.device = "auto",
        prompts: Iterable[str | Path | Prompt] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> SpeechPrompt:
        """Load a bundled backbone by name, or one from a folder.

        device "auto" takes the GPU when there is one. prompts: which to load, each the name of a
        bundled task, a prompt folder or a Prompt; None takes all that fit the backbone. dtype: see Backbone.load.
        """
        backbone = Backbone.load(name, choose_device(device), dtype)
        if prompts is None:
            return cls(backbone)
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

    def prompt(self, task: str) -> Prompt:
        """The prompt of a task; SpeechPromptError lists the known tasks when it is none of them."""
        if task not in self.prompts:
            known = ", ".join(self.tasks) or "none"
            raise SpeechPromptError(
                f"There is no task {str(task)[:80]!r} on backbone {self.backbone.name}; its tasks are: {known}."
            )
        return self.prompts[task]

    def units(self, audio: audio_input.AudioInput) -> Units:
        """The units of a recording: a file path, the bytes of a file, or (rate in Hz, samples).

        Long pauses before and after the speech are not listened to; `starts` count from the recording's start.
        """
        return self.backbone.listen([audio_input.load(audio)])[0]

    def classify(self, audio: audio_input.AudioInput, tasks: Sequence[str] | None = None) -> list[Answer]:
        """Answer each task (all when None) about one recording, in the order asked.

        audio is a file path, the bytes of a file, or (rate in Hz, samples). SpeechPromptError when it
        cannot be used, holds nothing (and a task has no label for that), or a task is unknown.
        """
        chosen = self._choose(tasks)
        waveform = audio_input.load(audio)
        check_heard(waveform, chosen)
        start = time.perf_counter()
        units = self.backbone.listen([waveform])[0]
        encode_s = time.perf_counter() - start
        return self._answer([units], chosen, encode_s)[0]

    def classify_units(
        self, utterances: Sequence[Units | Sequence[int] | np.ndarray], tasks: Sequence[str] | None = None
    ) -> list[list[Answer]]:
        """Answer tasks about speech that is already units: per utterance, one answer per task in order.

        An utterance is what `units` returned, or ids; runs of equal ids are collapsed, so ids per frame
        may be given too. A prosody LM needs the former.
        """
        chosen = self._choose(tasks)
        checked = []
        for utterance in utterances:
            if isinstance(utterance, Units):
                check_unit_ids(utterance.ids, self.backbone.n_units)
            else:
                utterance = Units.from_frames(check_unit_ids(utterance, self.backbone.n_units))
            checked.append(utterance)
        longest = max((len(units) for units in checked), default=0)
        if longest > MAX_UNITS:
            raise SpeechPromptError(
                f"An utterance has {longest} units; at most {MAX_UNITS} can be answered: cut it into pieces."
            )
        return self._answer(checked, chosen, 0.0)

    def _choose(self, tasks: Sequence[str] | None) -> list[Prompt]:
        names = self.tasks if tasks is None else [tasks] if isinstance(tasks, str) else list(tasks)
        prompts = [self.prompt(name) for name in names]
        if not prompts:
            raise SpeechPromptError(f"Choose at least one task of backbone {self.backbone.name}.")
        return prompts

    def _answer(self, utterances: list[Units], prompts: list[Prompt], encode_s: float) -> list[list[Answer]]:
        start = time.perf_counter()
        raw = self._prompted.answer(utterances, prompts)
        lm_s = (time.perf_counter() - start) / max(1, len(utterances))
        timing = {"encode_s": encode_s, "lm_s": lm_s}
        return [
            [make_answer(prompt, answer, units, timing) for prompt, answer in zip(prompts, row, strict=True)]
            for units, row in zip(utterances, raw, strict=True)
        ]


def check_heard(waveform: np.ndarray, prompts: Sequence[Prompt]) -> None:
    """Raise SpeechPromptError when the recording holds nothing and a prompt has no label for that."""
    if audio_input.peak_dbfs(waveform) < audio_input.SILENCE_DBFS:
        deaf = [prompt.title for prompt in prompts if prompt.form.silence_label is None]
        if deaf:
            raise SpeechPromptError(
                f"Nothing was recorded, and {deaf[0]} has no answer for silence: "
                "check the microphone and speak closer to it."
            )


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
