"""Few-shot tuning: a handful of recordings for each label -> a measured prompt, in seconds.

The key and value prompts of that task of the backbone which tells the new recordings apart best are the
start; with a verbalizer in closed form they answer at once, and gradient steps improve on it. Accuracy
is always that on recordings which were left out: the tuning is rehearsed without some of them in turn,
then done with all.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from speechprompt.backbone import Backbone
from speechprompt.closed_form import Fit, fit_verbalizer
from speechprompt.errors import SpeechPromptError
from speechprompt.evaluation import listen_to, nothing_recorded
from speechprompt.generation import PromptedLM
from speechprompt.lesson import Clips, Lesson, check_title, gather
from speechprompt.metrics import measure
from speechprompt.prompt import Prompt
from speechprompt.trainable import Goal, Labelled, TuneConfig
from speechprompt.tuning import Progress, Start, tune
from speechprompt.units import EOS, UNIT_OFFSET, Units

GROUP = "Taught here"
SPLIT = "held-out"  # the clips that accuracy is measured on
JUDGES = 100  # clips that choose the start
LENGTH_ALONE = 10  # prompt vectors per layer where the backbone has no prompt to start from
HEARING, STARTING = 0.25, 0.05  # their shares of the time, about; the rest is tuning


@dataclass(frozen=True)
class TeachConfig:
    """What may be chosen; the defaults suit 2 to 10 labels with 1 to 50 clips each.

    copies: simulated recordings of each clip, fewer when that made more than max_utterances. rounds:
    rehearsals, each without another part of the clips; with none no gradient step is made.
    verbalizer_pace: see tuning.Start; the rest is as in TuneConfig.
    """

    copies: int = 8
    max_utterances: int = 600
    rounds: int = 3
    steps: int = 60
    lr: float = 0.06
    verbalizer_pace: float = 0.02
    unit_noise: float = 0.05
    tokens_per_batch: int = 1024
    check_every: int = 6
    seed: int = 0


@dataclass(frozen=True)
class Moment:
    """Where the teaching stands: what is being done, and the share of all work that is done (0..1).

    In rounds 1 to `rounds`, the last of which holds out nothing: the steps tuned, the mean loss since the
    moment before, and accuracy (0..1) on the clips held out.
    """

    doing: str
    done: float
    round: int = 0
    rounds: int = 0
    step: int = 0
    loss: float | None = None
    accuracy: float | None = None


@dataclass(frozen=True, eq=False)
class Taught:
    """A new task: its prompt, with metrics where something could be measured; how that was done;
    confusion, counts [true label][answer]; warnings for the user; stopped: ended early by them."""

    prompt: Prompt
    how: str
    confusion: list[list[int]]
    warnings: list[str]
    stopped: bool


class Stopped(Exception):
    """The user wants no more."""


def task_name(title: str) -> str:
    """ "My words!" -> "taught_my_words"; a title in another script becomes "taught_task"."""
    plain = re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")
    return f"taught_{plain or 'task'}"[:56].rstrip("_")


def teach(
    backbone: Backbone,
    title: str,
    clips: Clips,
    config: TeachConfig | None = None,
    report: Callable[[Moment], None] = lambda moment: None,
    should_stop: Callable[[], bool] = lambda: False,
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
    """One teaching, see teach. Rows: all clips, then their copies, copy by copy, then recordings of nothing."""

    def __init__(
        self,
        backbone: Backbone,
        lesson: Lesson,
        config: TeachConfig,
        report: Callable[[Moment], None],
        should_stop: Callable[[], bool],
    ) -> None:
        self.backbone, self.lesson, self.config = backbone, lesson, config
        self.report, self.should_stop = report, should_stop
        self.n_clips, self.n_labels = len(lesson.truth), len(lesson.labels)
        self.copies = max(0, min(config.copies, config.max_utterances // self.n_clips - 1))
        self.parts = self._parts()
        self.utterances: list[Units] = []
        self.truth: list[int] = []  # label of every row
        self.clips: list[int] = []  # which clip every row is of; recordings of nothing count on

    def run(self, title: str) -> Taught:
        self._hear()
        source, features = self._choose_start()
        fit = fit_verbalizer(features, self.truth, self.clips, self.n_labels)
        tensors = self._tensors(source, fit)
        counts = self.lesson.counts()
        answers = {
            i: int(fit.held_out[i].argmax()) for i in range(self.n_clips) if counts[self.lesson.truth[i]] > 1
        }
        how, stopped = "Each clip was answered by a prompt made without it.", False
        try:
            rehearsed, plain = self._rehearse(source, features)
            if self.parts and self._right(rehearsed) >= self._right(plain):
                rows = list(range(len(self.truth)))
                tensors = self._tune(rows, self._tensors(source, fit), [], len(self.parts) + 1)
                answers = rehearsed
                how = f"Each clip was answered by a prompt tuned without it, in {len(self.parts)} rounds."
        except Stopped:
            stopped = True
        return self._measured(title, tensors, answers, how, stopped)

    def _parts(self) -> list[list[int]]:
        """Clips to hold out in each rehearsal: every label's are spread over them, one that is alone stays in."""
        rng = random.Random(self.config.seed)
        held_out = []
        for label, n in enumerate(self.lesson.counts()):
            own = [i for i, other in enumerate(self.lesson.truth) if other == label]
            rng.shuffle(own)
            held_out += own if n > 1 else []
        rounds = min(self.config.rounds, len(held_out))  # 0 where every label has one clip alone
        return [sorted(held_out[first::rounds]) for first in range(rounds)]

    def _tell(self, moment: Moment) -> None:
        self.report(moment)
        if self.should_stop():
            raise Stopped

    def _hear(self) -> None:
        rows = self.n_clips * (1 + self.copies)
        heard = 0

        def more(n: int) -> None:
            nonlocal heard
            heard += n
            self._tell(Moment("Listening to the clips", HEARING * heard / rows))

        waveforms = self.lesson.waveforms
        sizes = [len(waveform) for waveform in waveforms]
        self.utterances = listen_to(
            self.backbone, waveforms.__getitem__, sizes, self.copies, self.config.seed, more
        )
        self.clips = [row % self.n_clips for row in range(rows)]
        self.truth = [self.lesson.truth[clip] for clip in self.clips]
        if self.lesson.silence_label is not None:
            nothing = nothing_recorded(self.backbone, 3 + rows // 20, self.config.seed)
            self.utterances += nothing
            self.clips += range(self.n_clips, self.n_clips + len(nothing))
            self.truth += [self.lesson.labels.index(self.lesson.silence_label)] * len(nothing)

    def _choose_start(self) -> tuple[dict[str, Tensor], np.ndarray]:
        """The prompt that tells the clips apart best when each is left out, and its logits [N, V] on all rows."""
        self._tell(Moment("Looking for a start", HEARING))
        starts = [p for p in self.backbone.prompts.values() if p.key_prompts is not None] or [self._random()]
        rng = random.Random(self.config.seed)
        judges = sorted(rng.sample(range(self.n_clips), min(JUDGES, self.n_clips)))
        truth = [self.lesson.truth[i] for i in judges]
        losses = []
        for prompt in starts if len(set(truth)) == self.n_labels else starts[:1]:
            logits = self._logits(prompt, judges)
            losses.append(fit_verbalizer(logits, truth, range(len(judges)), self.n_labels).cross_entropy)
            self._tell(Moment("Looking for a start", HEARING + STARTING * len(losses) / len(starts)))
        chosen = starts[int(np.argmin(losses))]
        source = {name: getattr(chosen, name) for name in ("key_prompts", "value_prompts", "separator")}
        return source, self._logits(chosen, range(len(self.utterances)))

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

    def _logits(self, prompt: Prompt, rows: Any) -> np.ndarray:
        """What the LM says at the separator behind a prompt, float64 [len(rows), V]."""
        prompted = PromptedLM(self.backbone.lm, [prompt])
        said = []
        rows = list(rows)
        for at in range(0, len(rows), 128):
            if self.should_stop():
                raise Stopped
            answers = prompted.answer([self.utterances[i] for i in rows[at : at + 128]], [0])
            said += [raw.vocabulary_logits[0] for (raw,) in answers]
        return np.stack(said).astype(np.float64)

    def _tensors(self, source: dict[str, Tensor], fit: Fit) -> dict[str, Tensor]:
        return {**source, "verbalizer_weight": torch.from_numpy(fit.verbalizer_weight)}

    def _rehearse(
        self, source: dict[str, Tensor], features: np.ndarray
    ) -> tuple[dict[int, int], dict[int, int]]:
        """Tune without one part of the clips after the other: held-out clip -> answer, tuned and before it."""
        tuned: dict[int, int] = {}
        plain: dict[int, int] = {}
        for number, part in enumerate(self.parts, 1):
            rows = [row for row, clip in enumerate(self.clips) if clip not in part]
            places = {
                clip: place for place, clip in enumerate(dict.fromkeys(self.clips[row] for row in rows))
            }
            fit = fit_verbalizer(
                features[rows],
                [self.truth[row] for row in rows],
                [places[self.clips[row]] for row in rows],
                self.n_labels,
            )
            start = self._tensors(source, fit)
            plain |= self._answers(start, part)
            tuned |= self._answers(self._tune(rows, start, part, number), part)
        return tuned, plain

    def _answers(self, tensors: dict[str, Tensor], clips: list[int]) -> dict[int, int]:
        prompted = PromptedLM(self.backbone.lm, [self._prompt("rehearsal", tensors)])
        found = prompted.answer([self.utterances[i] for i in clips], [0])
        return {i: raw.labels[0] for i, (raw,) in zip(clips, found, strict=True)}

    def _right(self, answers: dict[int, int]) -> int:
        return sum(self.lesson.truth[i] == answer for i, answer in answers.items())

    def _tune(
        self, rows: list[int], tensors: dict[str, Tensor], held_out: list[int], number: int
    ) -> dict[str, Tensor]:
        """One round of gradient steps on some rows, watched on held-out clips."""
        rounds = len(self.parts) + 1

        def tell(progress: Progress) -> None:
            share = (number - 1 + progress.step / self.config.steps) / rounds
            doing = f"Rehearsal {number} of {rounds - 1}" if held_out else "Last round, with all clips"
            self.report(
                Moment(
                    doing,
                    HEARING + STARTING + (1 - HEARING - STARTING) * share,
                    number,
                    rounds,
                    progress.step,
                    progress.loss,
                    progress.valid_accuracy if held_out else None,
                )
            )

        config = TuneConfig(
            prompt_length=tensors["key_prompts"].shape[1],
            steps=self.config.steps,
            lr=self.config.lr,
            tokens_per_batch=self.config.tokens_per_batch,
            unit_noise=self.config.unit_noise,
            check_every=self.config.check_every,
            patience=self.config.steps,
            seed=self.config.seed,
        )
        train: list[Labelled] = [(self.utterances[row], (self.truth[row],)) for row in rows]
        # The last round has nothing to hold out; what it is checked on has no say in it.
        valid = [(self.utterances[i], (self.lesson.truth[i],)) for i in held_out] or train[: self.n_labels]
        found, _ = tune(
            self.backbone.lm,
            train,
            valid,
            Goal(self.n_labels),
            config,
            report=tell,
            start=Start(tensors, self.config.verbalizer_pace),
            keep="last",
            should_stop=self.should_stop,
        )
        if self.should_stop():
            raise Stopped
        return {name: tensor for name, tensor in found.items() if name in tensors}

    def _prompt(self, title: str, tensors: dict[str, Tensor]) -> Prompt:
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
        self, title: str, tensors: dict[str, Tensor], answers: dict[int, int], how: str, stopped: bool
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
