"""Prompt tuning: labelled units -> a prompt, the language model frozen (SpeechPrompt, section 2.2).

Only the prompts, the separator and a learned verbalizer receive gradients, unless the caller hands in more, such as
the LM itself (fine_tuning.py).
Knows no audio; recordings are turned into units beforehand, once.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from speechprompt.errors import SpeechPromptError
from speechprompt.prompts.prompt import Prompt
from speechprompt.tasks.answer_form import AnswerForm
from speechprompt.tuning.checks import accuracy, mean_loss, median_outside
from speechprompt.tuning.config import TuneConfig
from speechprompt.tuning.optimizer import PromptOptimizer
from speechprompt.tuning.order import epoch_steps, epochs, with_noise
from speechprompt.tuning.runs import Run, Schedule
from speechprompt.tuning.teacher import check_teacher, distributions, teacher_digest, teacher_loss
from speechprompt.tuning.trainable import Labelled, TrainablePrompt
from speechprompt.tuning.verbalizer import units_of
from speechprompt.units import UNIT_OFFSET, Utterance

if TYPE_CHECKING:  # it takes seconds to import
    from speechprompt.models.unit_lm import UnitLM


@dataclass(frozen=True, eq=False)
class Negatives:
    """Utterances that belong to no label: "none of these"."""

    train: Sequence[Utterance] = ()
    valid: Sequence[Utterance] = ()


NO_NEGATIVES = Negatives()
FAIRSEQ_WARM_UP = 4000  # steps, of inverse_sqrt
RECENT = 8  # of a mean over the steps: about the last ninth of them counts for most of it


@dataclass(frozen=True)
class Progress:
    """State of a tuning run at one check: mean loss since the last one, accuracy (0..1) on valid.

    The accuracy is that of whole answers, with TuneConfig.balance the mean over the answers that valid has;
    of a sequence, of its labels given the true ones before each. outside: the median probability of what is no
    label's unit on the negatives of valid, None without them.
    """

    step: int
    loss: float
    valid_accuracy: float
    outside: float | None = None


def fast_copy(lm: UnitLM) -> UnitLM:
    """The frozen LM in bfloat16 where the hardware multiplies it fast, else the LM itself."""
    fast = lm.device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
    return copy.deepcopy(lm).bfloat16() if fast else lm


def latest_most(mean: Tensor, latest: Tensor, steps: Tensor | int) -> Tensor:
    """The mean over `steps` steps -> that over one more, by polynomial decay (Shamir and Zhang 2013)."""
    return mean + (latest - mean) * (RECENT + 1) / (steps + 1 + RECENT)


def tune(
    lm: UnitLM,
    train: Sequence[Labelled],
    valid: Sequence[Labelled],
    form: AnswerForm,
    config: TuneConfig,
    run: Path | None = None,
    report: Callable[[Progress], None] | None = None,
    start: Mapping[str, Tensor] | None = None,
    keep: Literal["best", "last"] = "best",
    should_stop: Callable[[], bool] = lambda: False,
    extra: Sequence[dict[str, Any]] = (),
    negatives: Negatives = NO_NEGATIVES,
    teacher: Prompt | None = None,
) -> tuple[dict[str, Tensor], float]:
    """Tune one prompt; return its tensors (fields of Prompt) and their accuracy on valid.

    run: folder of the checkpoint and the log (tune.pt, tune.jsonl); a stopped tuning goes on from it.
    start: tensors to begin with in place of random ones, of the shapes that the settings ask for.
    keep: the tensors of the best check on valid, or the last ones, so that valid has no say in them; so too of what
    `extra` moves.
    Ctrl-C ends the tuning early with the best tensors so far, and so does should_stop, which is asked
    before every step. extra: parameter groups to move in place beside the prompt (see PromptOptimizer), such as
    the LM's own weights. negatives: what belongs to no label. teacher: a prompt of this LM and these labels to learn
    from, see teacher.py. Deterministic by config.seed on one machine and thread count.
    """
    if not train or not valid:
        raise SpeechPromptError("Tuning needs at least one training and one validation utterance.")
    if len({tuple(labels) for _, labels in train}) < 2:
        raise SpeechPromptError("Tuning needs utterances of at least two labels.")
    check_teacher(teacher, form, config)
    if negatives.train and (config.verbalizer == "learned" or config.loss == "labels"):
        raise SpeechPromptError(
            "Negatives are what no label's unit stands for: choose a fixed --verbalizer and --loss vocabulary."
        )

    def on_record(record: dict[str, Any]) -> None:
        if report is not None:
            report(Progress(record["step"], record["loss"], record["valid_accuracy"], record.get("outside")))

    tuning = Tuning(lm, train, valid, form, config, run, start or {}, extra, negatives, keep, teacher)
    with tuning:
        try:
            tuning.train(
                tuning.rounds(
                    epochs(train, config, tuning.step, negatives.train),
                    config.check_every or epoch_steps(train, config),
                ),
                tuning.work,
                tuning.check,
                after_step=tuning.average,
                should_stop=lambda: tuning.state["since"] >= config.patience or should_stop(),
                report=on_record,
                bar=report is None,  # who is told shows it in a way of their own
            )
        except KeyboardInterrupt:
            if not tuning.state["tensors"]:
                raise
    if keep == "last" or not tuning.state["tensors"]:
        return tuning.kept.tensors(), accuracy(tuning.lm, tuning.kept, valid)
    tuning.put_back()
    return tuning.state["tensors"], tuning.state["best"]


class Tuning(Run):
    """The run that tunes a prompt. state: accuracy and tensors of the best check, those beside it too, checks since."""

    def __init__(
        self,
        lm: UnitLM,
        train: Sequence[Labelled],
        valid: Sequence[Labelled],
        form: AnswerForm,
        config: TuneConfig,
        folder: Path | None,
        start: Mapping[str, Tensor],
        extra: Sequence[dict[str, Any]],
        negatives: Negatives,
        keep: Literal["best", "last"] = "best",
        teacher: Prompt | None = None,
    ) -> None:
        self.negatives = negatives
        self.examples, self.valid, self.config = train, valid, config
        # Adam's small changes to weights of the LM would be lost in bfloat16.
        self.lm = lm if extra else fast_copy(lm)
        units = units_of(self.lm, train, form, config, start, teacher)
        self.prompt = TrainablePrompt(self.lm, config, units, form)
        self.prompt.load_state_dict({**self.prompt.state_dict(), **start})
        self.averaged = AveragedModel(self.prompt, avg_fn=latest_most) if config.average else None
        self.kept = cast(TrainablePrompt, self.averaged.module) if self.averaged else self.prompt
        others = nn.ParameterList([parameter for group in extra for parameter in group["params"]])
        self.others: Sequence[nn.Parameter] = list(others) if keep == "best" else ()
        parts: dict[str, nn.Module] = {"model": self.prompt}
        parts |= {"extra": others} if extra else {}
        parts |= {"averaged": self.averaged} if self.averaged else {}
        settings = {**asdict(config), **asdict(form), "n_train": len(train), "n_valid": len(valid)}
        settings |= {"n_negatives": len(negatives.train)}
        settings |= {"teacher": teacher_digest(teacher)} if teacher else {}
        shared = teacher is not None and config.teacher_share > 0
        self.taught = distributions(self.lm, cast(Prompt, teacher), train) if shared else None
        super().__init__(
            "tune",
            folder,
            settings | {"extra": [group["peak"] for group in extra]},
            schedule_of(config, epoch_steps(train, config)),
            [*self.prompt.parameters(), *others],
            PromptOptimizer(self.prompt, extra),
            parts,
            state={"rank": -math.inf, "best": -1.0, "tensors": {}, "since": 0}
            | ({"others": []} if self.others else {}),
        )

    def work(self, group: Sequence[int]) -> dict[str, Tensor]:
        """The loss of a batch of training examples, disturbed as the step's seed says."""
        seed = self.config.seed * 1_000_003 + self.step
        rng, n_units = random.Random(seed), self.lm.config.vocab_size - UNIT_OFFSET
        n = len(self.examples)
        known, others = [i for i in group if i < n], [i - n for i in group if i >= n]
        utterances = [self.examples[i][0] for i in known] + [self.negatives.train[i] for i in others]
        batch = [with_noise(utterance, self.config.unit_noise, n_units, rng) for utterance in utterances]
        answers = [self.examples[i][1] for i in known]
        torch.manual_seed(seed)  # for the dropout
        logits = self.prompt(self.lm, batch, [*answers, *[self.prompt.any_answer] * len(others)])
        if not others:
            return {"loss": self.known_loss(logits, known)}
        loss = -self.prompt.outside(logits[len(known) :]).mean()
        if known:
            share = len(others) / len(group)
            loss = share * loss + (1 - share) * self.known_loss(logits[: len(known)], known)
        return {"loss": loss}

    def known_loss(self, logits: Tensor, known: Sequence[int]) -> Tensor:
        """The loss of training examples, by their indices, a share of it the teacher's where there is one."""
        loss = self.prompt.loss(logits, [self.examples[i][1] for i in known])
        if self.taught is None:
            return loss
        share = self.config.teacher_share
        return (1 - share) * loss + share * teacher_loss(self.prompt, logits, self.taught[known])

    def average(self) -> None:
        if self.averaged:
            self.averaged.update_parameters(self.prompt)

    def check(self, means: dict[str, float]) -> dict[str, Any]:
        found = accuracy(self.lm, self.kept, self.valid)
        rank = found if self.config.choose == "accuracy" else -mean_loss(self.lm, self.kept, self.valid)
        self.state["since"] += 1
        if rank >= self.state["rank"]:
            self.state |= {"rank": rank, "best": found, "tensors": self.kept.tensors(), "since": 0}
            if self.others:
                self.state["others"] = [one.detach().cpu().clone() for one in self.others]
        record = means | {"valid_accuracy": found}
        if self.negatives.valid:
            record["outside"] = median_outside(self.lm, self.kept, self.negatives.valid)
        return record

    @torch.no_grad()
    def put_back(self) -> None:
        """Make what was moved beside the prompt as it was at the best check."""
        for parameter, best in zip(self.others, self.state.get("others", ()), strict=True):
            parameter.copy_(best)


def schedule_of(config: TuneConfig, per_epoch: int) -> Schedule:
    """per_epoch: steps of an epoch."""
    steps = min(config.steps, config.epochs * per_epoch) if config.epochs else config.steps
    if config.schedule == "constant":
        return Schedule(steps, warm_up=1, floor=1.0)
    if config.schedule == "inverse_sqrt":
        return Schedule(steps, warm_up=FAIRSEQ_WARM_UP, inverse_sqrt=True)
    return Schedule(steps, warm_up=min(100, steps // 5 + 1))
