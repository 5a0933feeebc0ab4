"""Few-shot tuning: a handful of recordings for each label -> a measured prompt, in seconds.

The key and value prompts of that task of the backbone which tells the new recordings apart best are the
start; with a verbalizer in closed form they answer at once. Gradient steps can refine that, which takes
several times as long and seldom helps. Accuracy is always that on recordings which were left out: each
in turn in closed form, some at a time where gradient steps are rehearsed.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from speechprompt.audio.augment import Simulation
from speechprompt.backbone import Backbone
from speechprompt.decoding.generation import PromptedLM
from speechprompt.errors import SpeechPromptError
from speechprompt.evaluation.metrics import measure
from speechprompt.prompts.prompt import Prompt
from speechprompt.teaching.closed_form import Fit, fit_verbalizer
from speechprompt.teaching.config import (
    HEARING,
    REFINING,
    STARTING,
    Moment,
    Report,
    ShouldStop,
    Stopped,
    TeachConfig,
)
from speechprompt.teaching.lesson import Clips, Lesson, check_title, gather, hear
from speechprompt.teaching.refinement import Refinement, Tensors, parts_of
from speechprompt.units import EOS, UNIT_OFFSET

__all__ = ["Moment", "Taught", "TeachConfig", "task_name", "teach"]

GROUP = "Taught here"
SPLIT = "held-out"  # the clips that accuracy is measured on
JUDGES = 100  # clips that choose the start
LENGTH_ALONE = 10  # prompt vectors per layer where the backbone has no prompt to start from


@dataclass(frozen=True, eq=False)
class Taught:
    """A new task: its prompt, with metrics where something could be measured; how that was done;
    confusion, counts [true label][answer]; warnings for the user; stopped: ended early by them."""

    prompt: Prompt
    how: str
    confusion: list[list[int]]
    warnings: list[str]
    stopped: bool


def task_name(title: str) -> str:
    """ "My words!" -> "taught_my_words"; a title in another script becomes "taught_task"."""
    plain = re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")
    return f"taught_{plain or 'task'}"[:56].rstrip("_")


def teach(
    backbone: Backbone,
    title: str,
    clips: Clips,
    config: TeachConfig | None = None,
    report: Report = lambda moment: None,
    should_stop: ShouldStop = lambda: False,
) -> Taught:
    """Tune a prompt on labelled clips.

    clips: label -> its clips, each float32 [T] at 16 kHz or the bytes of a sound file. report is told
    about every second; should_stop is asked as often, and ends the teaching with the best measured
    prompt so far. Deterministic by config.seed on one machine and thread count.

    SpeechPromptError in one sentence when the clips cannot be taught, or when it was stopped before
    there was anything to keep.
    """
    check_title(title)
    if not backbone.has_encoder or not backbone.has_lm:
        raise SpeechPromptError(str(backbone.missing))
    teacher = Teacher(backbone, gather(clips), config or TeachConfig(), report, should_stop)
    try:
        return teacher.run(title.strip())
    except Stopped:
        raise SpeechPromptError(
            "Stopped before there was a prompt to keep; the recordings are still here."
        ) from None


class Teacher:
    """One teaching, see teach."""

    def __init__(
        self,
        backbone: Backbone,
        lesson: Lesson,
        config: TeachConfig,
        report: Report,
        should_stop: ShouldStop,
    ) -> None:
        self.backbone, self.lesson, self.config = backbone, lesson, config
        self.report, self.should_stop = report, should_stop
        self.n_clips, self.n_labels = len(lesson.truth), len(lesson.labels)
        self.parts = parts_of(lesson, config.rounds, config.seed)
        self.share = 1 - REFINING if self.parts else 1.0  # of all work that is done before gradient steps

    def run(self, title: str) -> Taught:
        copies = max(0, min(self.config.copies, self.config.max_utterances // self.n_clips - 1))
        self.rows = hear(
            self.lesson,
            self.backbone,
            copies,
            Simulation(self.config.seed, self.config.pauses),
            lambda share: self._tell("Listening to the clips", HEARING * share),
        )
        source, features = self._choose_start()

        def start(rows: Sequence[int]) -> Tensors:
            return with_verbalizer(source, self.rows.fit(features, rows))

        fit = self.rows.fit(features, range(len(self.rows.truth)))
        tensors = with_verbalizer(source, fit)
        counts = self.lesson.counts()
        answers = {
            i: int(fit.held_out[i].argmax()) for i in range(self.n_clips) if counts[self.lesson.truth[i]] > 1
        }
        how, stopped = "Each clip was answered by a prompt made without it.", False
        try:
            if self.parts:
                refinement = Refinement(
                    self.backbone.lm, self.rows, self.parts, self.config, self.report, self.should_stop
                )
                rehearsed, plain = refinement.rehearse(start, self._answers)
                if self._right(rehearsed) >= self._right(plain):
                    tensors = refinement.finish(tensors)
                    answers = rehearsed
                    how = f"Each clip was answered by a prompt tuned without it, in {len(self.parts)} rounds."
        except Stopped:
            stopped = True
        return self._measured(title, tensors, answers, how, stopped)

    def _tell(self, doing: str, done: float) -> None:
        self.report(Moment(doing, self.share * done))
        if self.should_stop():
            raise Stopped

    def _choose_start(self) -> tuple[Tensors, np.ndarray]:
        """The prompt that tells the clips apart best when each is left out, and its logits [N, V] on all rows."""
        self._tell("Looking for a start", HEARING)
        starts = [p for p in self.backbone.prompts.values() if p.key_prompts is not None] or [self._random()]
        rng = random.Random(self.config.seed)
        judges = sorted(rng.sample(range(self.n_clips), min(JUDGES, self.n_clips)))
        truth = [self.lesson.truth[i] for i in judges]
        losses = []
        for prompt in starts if len(set(truth)) == self.n_labels else starts[:1]:
            logits = self._logits(prompt, judges)
            losses.append(fit_verbalizer(logits, truth, range(len(judges)), self.n_labels).cross_entropy)
            self._tell("Looking for a start", HEARING + STARTING * len(losses) / len(starts))
        chosen = starts[int(np.argmin(losses))]
        source = {name: getattr(chosen, name) for name in ("key_prompts", "value_prompts", "separator")}
        return source, self._logits(chosen, range(len(self.rows.utterances)))

    def _random(self) -> Prompt:
        """A prompt of random vectors, for a backbone that has none yet."""
        config, generator = self.backbone.lm.config, torch.Generator().manual_seed(self.config.seed)
        shape = (config.num_layers, LENGTH_ALONE, config.d_model)
        keys, values = (torch.randn(*shape, generator=generator) for _ in range(2))
        separator = self.backbone.lm.model.embed_tokens.weight[EOS].detach().clone()
        verbalizer = torch.zeros(self.n_labels + UNIT_OFFSET, config.vocab_size)
        return self._prompt(
            "start",
            {
                "key_prompts": keys,
                "value_prompts": values,
                "separator": separator,
                "verbalizer_weight": verbalizer,
            },
        )

    def _logits(self, prompt: Prompt, rows: Sequence[int]) -> np.ndarray:
        """What the LM says at the separator behind a prompt, float64 [len(rows), V]."""
        prompted = PromptedLM(self.backbone.lm, [prompt])
        said = []
        for at in range(0, len(rows), 128):
            if self.should_stop():
                raise Stopped
            answers = prompted.answer([self.rows.utterances[i] for i in rows[at : at + 128]], [0])
            said += [raw.vocabulary_logits[0] for (raw,) in answers]
        return np.stack(said).astype(np.float64)

    def _answers(self, tensors: Tensors, clips: list[int]) -> dict[int, int]:
        prompted = PromptedLM(self.backbone.lm, [self._prompt("rehearsal", tensors)])
        found = prompted.answer([self.rows.utterances[i] for i in clips], [0])
        return {i: raw.labels[0] for i, (raw,) in zip(clips, found, strict=True)}

    def _right(self, answers: dict[int, int]) -> int:
        return sum(self.lesson.truth[i] == answer for i, answer in answers.items())

    def _prompt(self, title: str, tensors: Tensors) -> Prompt:
        """The prompt in the precision that it is stored with, so that a stored one gives the same answers."""
        n = self.n_clips
        return Prompt(
            task=task_name(title),
            title=title,
            labels=self.lesson.labels,
            backbone=self.backbone.name,
            unit_lm_sha256=self.backbone.unit_lm_sha256,
            group=GROUP,
            silence_label=self.lesson.silence_label,
            data=f"{n} recordings of {self.n_labels} labels, given by the person who taught the task",
            licence="not stated",
            **{name: tensor.half().float() for name, tensor in tensors.items()},  # type: ignore[arg-type]
        )

    def _measured(
        self, title: str, tensors: Tensors, answers: dict[int, int], how: str, stopped: bool
    ) -> Taught:
        prompt = self._prompt(title, tensors)
        confusion = [[0] * self.n_labels for _ in range(self.n_labels)]
        for i, answer in answers.items():
            confusion[self.lesson.truth[i]][answer] += 1
        if answers:
            truth = [(prompt.labels[self.lesson.truth[i]],) for i in answers]
            prompt.metrics = measure(prompt, truth, [(prompt.labels[a],) for a in answers.values()])
            prompt.metrics |= {"split": SPLIT}
        else:
            how = "How often it is right was not measured: that needs two clips of a label."
        return Taught(prompt, how, confusion, self.lesson.warnings, stopped)


def with_verbalizer(source: Tensors, fit: Fit) -> Tensors:
    return {**source, "verbalizer_weight": torch.from_numpy(fit.verbalizer_weight)}
