"""Few-shot tuning: a handful of recordings for each label, or its name alone -> a measured prompt, in seconds.

The key and value prompts of that task of the backbone which tells the new recordings apart best are the
start; with a verbalizer in closed form they answer at once. Accuracy, temperature and threshold come from the
answers to recordings which were left out, each in turn.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from speechprompt.audio.augment import Simulation
from speechprompt.backbone import Backbone
from speechprompt.decoding.generation import stream
from speechprompt.errors import SpeechPromptError
from speechprompt.evaluation.calibration import careful_threshold, fit_calibration
from speechprompt.evaluation.metrics import measure
from speechprompt.prompts.prompt import Prompt
from speechprompt.tasks.answer_form import AnswerForm
from speechprompt.teaching.closed_form import Fit, fit_verbalizer
from speechprompt.teaching.config import Moment, Report, ShouldStop, Stopped, TeachConfig
from speechprompt.teaching.lesson import Clips, Lesson, check_title, encode_clips, gather, speak_labels
from speechprompt.units import EOS, UNIT_OFFSET

__all__ = ["Moment", "Taught", "TeachConfig", "task_name", "teach"]

GROUP = "Taught here"
MADE = "Taught in the app's Teach tab from what is named above."
SPLIT = "held-out"  # the clips that accuracy is measured on
REPORT_ROWS = 32  # that the LM answers between two reports
JUDGES = 100  # clips that choose the start
LENGTH_ALONE = 10  # prompt vectors per layer where the backbone has no prompt to start from
SPOKEN_SPLIT = "spoken by espeak-ng"
# The shares, about, of the time until all is spoken, and of it until all are units.
SPEAKING, LISTENING = 0.3, 0.7
MEASURED = "Each clip was answered by a prompt made without it."
SPOKEN = (
    "Each was spoken by espeak-ng and answered by a prompt made without it: people are harder to understand."
)
UNMEASURED = "How often it is right was not measured: that needs two clips of a label."

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Taught:
    """A new task: its prompt, with metrics where something could be measured; how that was done;
    confusion, counts [true label][answer]; warnings for the user."""

    prompt: Prompt
    how: str
    confusion: list[list[int]]
    warnings: list[str]


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
    """Make a prompt from labelled clips.

    clips: label -> its clips, each float32 [T] at 16 kHz or the bytes of a sound file; a label without any is spoken
    by espeak-ng. report is called about every second, at last with 1.0; should_stop as often, and True ends the
    teaching. Deterministic by config.seed on one machine and thread count.

    SpeechPromptError in one sentence when the clips cannot be taught, or when the teaching was stopped.
    """
    check_title(title)
    if not backbone.complete:
        raise SpeechPromptError(str(backbone.missing))
    teacher = Teacher(backbone, gather(clips), config or TeachConfig(), report, should_stop)
    try:
        return teacher.run(title.strip())
    except Stopped:
        raise SpeechPromptError("Stopped before there was a prompt; the recordings are still here.") from None


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
        self.n_labels = len(lesson.labels)

    def run(self, title: str) -> Taught:
        config, began = self.config, SPEAKING if self.lesson.unrecorded() else 0.0
        speak_labels(
            self.lesson,
            config.language,
            config.takes,
            config.seed,
            lambda share: self._report("Speaking the labels", began * share),
        )
        self.n_clips = len(self.lesson.truth)
        self.rows = encode_clips(
            self.lesson,
            self.backbone,
            max(0, min(config.copies, config.max_utterances // self.n_clips - 1)),
            Simulation(config.seed, config.pauses),
            lambda share: self._report("Listening to the clips", began + (LISTENING - began) * share),
        )
        source, logits = self._choose_start()
        fit = self.rows.fit(logits)
        prompt = self._prompt(title, {**source, "verbalizer_weight": torch.from_numpy(fit.verbalizer_weight)})
        taught = self._measured(prompt, fit)
        self._report("Done", 1.0)
        return taught

    def _report(self, doing: str, done: float) -> None:
        self.report(Moment(doing, done))
        if self.should_stop():
            raise Stopped

    def _choose_start(self) -> tuple[Tensors, np.ndarray]:
        """The prompt that tells the clips apart best when each is left out, and its logits [N, V] on all rows."""
        known = [p for p in self.backbone.prompts.values() if p.key_prompts is not None]
        starts = [p for p in known if p.positions == "row" and p.projected != self.backbone.lm.projects]
        starts = starts or [self._random()]
        rng = random.Random(self.config.seed)
        judges = sorted(rng.sample(range(self.n_clips), min(JUDGES, self.n_clips)))
        truth = [self.lesson.truth[i] for i in judges]
        if len(set(truth)) < self.n_labels:
            starts = starts[:1]
        n_rows = len(self.rows.utterances)
        self._left = self._rows_left = len(starts) * len(judges) + n_rows  # that the LM has to answer
        losses = []
        for prompt in starts:
            logits = self._logits(prompt, judges, "Looking for a start")
            losses.append(fit_verbalizer(logits, truth, range(len(judges)), self.n_labels).cross_entropy)
        chosen = starts[int(np.argmin(losses))]
        source = {name: getattr(chosen, name) for name in ("key_prompts", "value_prompts", "separator")}
        return source, self._logits(chosen, range(n_rows), "Learning")

    def _random(self) -> Prompt:
        """A prompt of random vectors, for a backbone that has none yet."""
        lm, generator = self.backbone.lm, torch.Generator().manual_seed(self.config.seed)
        config = lm.config
        shape = (config.num_layers, LENGTH_ALONE, config.d_model if lm.projects else lm.past_width)
        keys, values = (torch.randn(*shape, generator=generator) for _ in range(2))
        separator = lm.model.embed_tokens.weight[EOS].detach().clone()
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

    def _logits(self, prompt: Prompt, rows: Sequence[int], doing: str) -> np.ndarray:
        """The LM's logits at the separator of a prompt, float64 [len(rows), V]."""
        found: list[np.ndarray] = []
        for raw in stream(self.backbone.lm, prompt, [self.rows.utterances[i] for i in rows]):
            if len(found) % REPORT_ROWS == 0:
                self._report(doing, 1 - (1 - LISTENING) * self._left / self._rows_left)
            found.append(raw.vocabulary_logits[0])
            self._left -= 1
        return np.stack(found).astype(np.float64)

    def _prompt(self, title: str, tensors: Tensors) -> Prompt:
        """The prompt in the precision that it is stored with, so that a stored one gives the same answers."""
        n, spoken = self.lesson.n_recorded, self.n_clips - self.lesson.n_recorded
        data = f"{n} recordings of {self.n_labels} labels, given by the person who taught the task"
        if spoken:
            beside = f", and {data}" if n else ""
            data = f"{self.n_labels} labels spoken {spoken} times by espeak-ng{beside}"
        return Prompt(
            task=task_name(title),
            title=title,
            form=AnswerForm(tuple(self.lesson.labels), silence_label=self.lesson.silence_label),
            backbone=self.backbone.name,
            unit_lm_sha256=self.backbone.unit_lm_sha256,
            projected=not self.backbone.lm_config.projects,
            group=GROUP,
            data=data,
            licence="not stated",
            commands={"tuned": MADE},
            **{name: tensor.half().float() for name, tensor in tensors.items()},  # type: ignore[arg-type]
        )

    def _measured(self, prompt: Prompt, fit: Fit) -> Taught:
        """The prompt with its metrics and calibration, from the answers to every clip by the fit without it."""
        confusion = [[0] * self.n_labels for _ in range(self.n_labels)]
        n, how, split = self.lesson.n_recorded, MEASURED, SPLIT
        if not n:  # of what was spoken alone the takes are judged, which says less
            n, how, split = self.n_clips, SPOKEN, SPOKEN_SPLIT
        # Without its only clip a label cannot be answered.
        judged = [i for i in range(n) if self.lesson.truth.count(self.lesson.truth[i]) > 1]
        truth, logits = np.array(self.lesson.truth, int)[judged], fit.held_out[judged]
        answers = logits.argmax(1)
        for label, answer in zip(truth, answers, strict=True):
            confusion[label][answer] += 1
        if judged:
            named = [[(prompt.labels[i],) for i in which] for which in (truth, answers)]
            metrics = measure(prompt, named[0], named[1])
            calibration = fit_calibration([logits], answers == truth, split, careful_threshold)
            prompt = replace(prompt, metrics={**metrics, "split": split}, calibration=calibration)
        return Taught(prompt, how if judged else UNMEASURED, confusion, self.lesson.warnings)
