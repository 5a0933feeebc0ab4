"""A recording and some tasks -> answers (SpeechPrompt, figure 1); api.py adds what is built on this.

The encoder runs once per recording however many tasks are asked; all tasks are answered in one batch
of the unit LM. The encoder is loaded only when audio comes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Self

import numpy as np
import torch

from speechprompt.audio import load as audio_input
from speechprompt.backbone import Backbone
from speechprompt.decoding.answer import Answer, make_answer
from speechprompt.decoding.fits import LANGUAGE, VOICE, Judges
from speechprompt.decoding.generation import PromptedLM
from speechprompt.decoding.no_speech import load_speech
from speechprompt.errors import SpeechPromptError
from speechprompt.machine.device import choose_device
from speechprompt.prompts.prompt import Prompt
from speechprompt.storage.hub import is_address
from speechprompt.units import FRAME_RATE, Units, check_unit_ids

MAX_UNITS = int(audio_input.MAX_SECONDS * FRAME_RATE)  # what the longest recording could become
BATCH_SECONDS, BATCH_CLIPS = 120.0, 32  # of recordings that classify_many answers together


class SpeechPrompt:
    """A backbone with its prompts, ready to answer; share one between threads.

        sp = SpeechPrompt.from_pretrained("mini")
        (answer,) = sp.classify("clip.wav", ["keyword_spotting"])

    A recording is a file path; the bytes of a file; (rate in Hz, samples) or (samples, rate); a mapping of "array" and
    "sampling_rate"; or samples [T] at 16 kHz, as an array or a torch tensor. SpeechPromptError says in one sentence
    what is wrong with it, or with the name of a task.
    """

    def __init__(self, backbone: Backbone, prompts: Sequence[Prompt] | None = None) -> None:
        """prompts: None takes all that fit the backbone."""
        self.backbone = backbone
        chosen = backbone.prompts.values() if prompts is None else prompts
        by_task = {prompt.task: prompt for prompt in chosen}
        self._prompted = PromptedLM(backbone.lm, list(by_task.values()), judges_of(backbone))
        self._adding = Lock()

    def __repr__(self) -> str:
        return f"<SpeechPrompt {self.backbone.name} on {self.device}: {len(self.prompts)} tasks>"

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = "mini",
        device: str | torch.device = "auto",
        prompts: Iterable[str | Path | Prompt] | None = None,
        dtype: str | torch.dtype = torch.float32,
        revision: str | None = None,
    ) -> Self:
        """Load a bundled backbone by name, one from a folder, or one from the Hub by its repository, "owner/name".

        device "auto" takes the GPU when there is one. prompts: which to load, each the name of a
        bundled task, a prompt folder, a repository or a Prompt; None takes all that fit the backbone.
        dtype, revision: see Backbone.load.
        """
        backbone = Backbone.load(name, choose_device(device), dtype, revision)
        if prompts is None:
            return cls(backbone)
        if isinstance(prompts, str | Path | Prompt):
            prompts = [prompts]
        return cls(backbone, [choose_prompt(backbone, prompt) for prompt in prompts])

    @property
    def device(self) -> torch.device:
        return self.backbone.device

    @property
    def prompts(self) -> dict[str, Prompt]:
        """Task -> prompt, of all that can be asked."""
        return {prompt.task: prompt for prompt in self._prompted.prompts}

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks that can be asked."""
        return list(self.prompts)

    def prompt(self, task: str) -> Prompt:
        """The prompt of a task; SpeechPromptError lists the known tasks when it is none of them."""
        prompts = self.prompts
        if not isinstance(task, str) or task not in prompts:
            known = ", ".join(prompts) or "none"
            raise SpeechPromptError(
                f"There is no task {str(task)[:80]!r} on backbone {self.backbone.name}; its tasks are: {known}."
            )
        return prompts[task]

    # Answers

    def units(self, audio: audio_input.AudioInput) -> Units:
        """The units of a recording.

        Long pauses before and after the speech are not listened to; `starts` count from the recording's start.
        """
        return self.backbone.listen([audio_input.load(audio)])[0]

    def classify(self, audio: audio_input.AudioInput, tasks: Sequence[str] | None = None) -> list[Answer]:
        """Answer each task (all when None) about one recording, in the order asked.

        SpeechPromptError when the recording cannot be used, holds nothing (and a task has no label for that), or a
        task is unknown.
        """
        prompted, chosen = self.choose(tasks)
        return self._answer_recordings([load_speech(audio, chosen)], prompted, chosen)[0]

    def classify_many(
        self, recordings: Iterable[audio_input.AudioInput], tasks: Sequence[str] | None = None
    ) -> Iterator[dict[str, Answer]]:
        """Task -> answer for each recording, in order; a generator, whose memory does not grow with their number.

        Recordings are read as answers are taken, and answered in batches of at most 2 minutes or 32 recordings.
        SpeechPromptError at once when a task is unknown, and in turn, after the answers before it, when a recording
        cannot be used; `label` goes on after such a one.
        """
        prompted, chosen = self.choose(tasks)

        def answers() -> Iterator[dict[str, Answer]]:
            for batch in batches(recordings, chosen):
                for found in self._answer_recordings(batch, prompted, chosen):
                    yield {answer.task: answer for answer in found}

        return answers()

    def classify_units(
        self, utterances: Sequence[Units | Sequence[int] | np.ndarray], tasks: Sequence[str] | None = None
    ) -> list[list[Answer]]:
        """Answer tasks about speech that is already units: per utterance, one answer per task in order.

        An utterance is what `units` returned, or ids; runs of equal ids are collapsed, so ids per frame
        may be given too. A prosody LM needs the former.
        """
        prompted, chosen = self.choose(tasks)
        checked = []
        for utterance in utterances:
            if isinstance(utterance, Units):
                check_unit_ids(utterance.ids, self.backbone.n_units)
            else:
                utterance = Units.from_frames(
                    check_unit_ids(utterance, self.backbone.n_units), self.backbone.info.frames_of_20_ms
                )
            checked.append(utterance)
        longest = max((len(units) for units in checked), default=0)
        if longest > MAX_UNITS:
            raise SpeechPromptError(
                f"An utterance has {longest} units; at most {MAX_UNITS} can be answered: cut it into pieces."
            )
        return self._answer(checked, prompted, chosen, 0.0)

    def choose(self, tasks: Sequence[str] | None) -> tuple[PromptedLM, list[Prompt]]:
        """The prompts of these tasks, and the LM that has them: `add` puts another one in its place."""
        prompted = self._prompted
        known = {prompt.task: prompt for prompt in prompted.prompts}
        several = isinstance(tasks, Iterable) and not isinstance(tasks, str)
        names: Iterable[Any] = known if tasks is None else tasks if several else [tasks]  # type: ignore[assignment]
        prompts = [(isinstance(name, str) and known.get(name)) or self.prompt(name) for name in names]
        if not prompts:
            raise SpeechPromptError(f"Choose at least one task of backbone {self.backbone.name}.")
        return prompted, prompts

    def _answer_recordings(
        self, waveforms: list[np.ndarray], prompted: PromptedLM, prompts: list[Prompt]
    ) -> list[list[Answer]]:
        start = time.perf_counter()
        units = self.backbone.listen(waveforms)
        return self._answer(units, prompted, prompts, (time.perf_counter() - start) / len(waveforms))

    def _answer(
        self, utterances: list[Units], prompted: PromptedLM, prompts: list[Prompt], encode_s: float
    ) -> list[list[Answer]]:
        start = time.perf_counter()
        raw = prompted.judged(utterances, prompts)
        lm_s = (time.perf_counter() - start) / max(1, len(utterances))
        timing = {"encode_s": encode_s, "lm_s": lm_s}
        return [
            [
                make_answer(prompt, answer, units, timing, evidence)
                for prompt, (answer, evidence) in zip(prompts, row, strict=True)
            ]
            for units, row in zip(utterances, raw, strict=True)
        ]

    # More tasks

    def add(self, prompt: str | Path | Prompt, revision: str | None = None) -> Prompt:
        """Take one more task, or another prompt for one of that name: a Prompt, the folder of one, or a bundled task.

        Or a repository on the Hub, "owner/name", by a branch, tag or commit as `revision`.

        Its prompt is returned. SpeechPromptError when it does not fit the backbone.
        """
        chosen = choose_prompt(self.backbone, prompt, revision)
        with self._adding:
            prompts = self.prompts | {chosen.task: chosen}
            self._prompted = PromptedLM(self.backbone.lm, list(prompts.values()), self._prompted.judges)
        return chosen


def judges_of(backbone: Backbone) -> Judges:
    """The backbone's prompts that say whether a recording fits a task."""
    return Judges.of(backbone.sound_prompts((VOICE, LANGUAGE)))


def batches(
    recordings: Iterable[audio_input.AudioInput], prompts: Sequence[Prompt]
) -> Iterator[list[np.ndarray]]:
    """Waveforms to be answered together; SpeechPromptError when it is the turn of one that cannot be used."""
    batch: list[np.ndarray] = []
    for number, audio in enumerate(recordings, 1):
        try:
            batch.append(load_speech(audio, prompts))
        except SpeechPromptError as error:
            if batch:
                yield batch
            raise SpeechPromptError(f"Recording {number}: {error}") from error
        if len(batch) >= BATCH_CLIPS or sum(map(len, batch)) >= BATCH_SECONDS * audio_input.SAMPLE_RATE:
            yield batch
            batch = []
    if batch:
        yield batch


def choose_prompt(backbone: Backbone, prompt: str | Path | Prompt, revision: str | None = None) -> Prompt:
    """A Prompt, the folder or repository of one, or the name of a task of the backbone -> a prompt that fits it."""
    if isinstance(prompt, Prompt):
        backbone.check_fits(prompt)
        return prompt
    if isinstance(prompt, str) and (prompt in backbone.prompts or prompt in backbone.refused):
        return backbone.prompt(prompt)
    if Path(prompt).is_dir():
        return backbone.load_prompt(Path(prompt))
    if is_address(prompt):
        found = Prompt.from_pretrained(prompt, revision)
        backbone.check_fits(found)
        return found
    return backbone.prompt(Path(prompt).name)
