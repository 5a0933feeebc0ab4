"""Gradient steps on a prompt in closed form, rehearsed: on clips left out they show whether they help."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from speechprompt.teaching.config import REFINING, Moment, Report, ShouldStop, Stopped, TeachConfig
from speechprompt.teaching.lesson import Lesson, Rows
from speechprompt.tuning.loop import Progress, Start, tune
from speechprompt.tuning.trainable import Goal, Labelled, TuneConfig

if TYPE_CHECKING:  # it takes seconds to import
    from transformers import XGLMForCausalLM

Tensors = dict[str, Tensor]


def parts_of(lesson: Lesson, rounds: int, seed: int) -> list[list[int]]:
    """Clips to hold out in each rehearsal: every label's are spread over them, one that is alone stays in."""
    rng = random.Random(seed)
    held_out = []
    for label, n in enumerate(lesson.counts()):
        own = [i for i, other in enumerate(lesson.truth) if other == label]
        rng.shuffle(own)
        held_out += own if n > 1 else []
    rounds = min(rounds, len(held_out))  # 0 where every label has one clip alone
    return [sorted(held_out[first::rounds]) for first in range(rounds)]


class Refinement:
    """parts: clips that each rehearsal holds out. report and should_stop are as in teach, asked at every check;
    whatever is stopped raises Stopped."""

    def __init__(
        self,
        lm: XGLMForCausalLM,
        rows: Rows,
        parts: Sequence[list[int]],
        config: TeachConfig,
        report: Report,
        should_stop: ShouldStop,
    ) -> None:
        self.lm, self.rows, self.parts, self.config = lm, rows, parts, config
        self.report, self.should_stop = report, should_stop

    def rehearse(
        self,
        start: Callable[[Sequence[int]], Tensors],
        answer: Callable[[Tensors, list[int]], dict[int, int]],
    ) -> tuple[dict[int, int], dict[int, int]]:
        """Tune without one part of the clips after the other: held-out clip -> answer, tuned and before it.

        start: rows -> the prompt in closed form on those alone. answer: a prompt's tensors, clips -> their labels.
        """
        tuned: dict[int, int] = {}
        plain: dict[int, int] = {}
        for number, part in enumerate(self.parts, 1):
            rows = [row for row, clip in enumerate(self.rows.clips) if clip not in part]
            tensors = start(rows)
            plain |= answer(tensors, part)
            tuned |= answer(self._tune(rows, tensors, part, number), part)
        return tuned, plain

    def finish(self, tensors: Tensors) -> Tensors:
        """The last round, with all clips."""
        return self._tune(range(len(self.rows.truth)), tensors, [], len(self.parts) + 1)

    def _tune(self, rows: Sequence[int], tensors: Tensors, held_out: list[int], number: int) -> Tensors:
        """One round of gradient steps on some rows, watched on held-out clips."""
        rounds = len(self.parts) + 1

        def tell(progress: Progress) -> None:
            share = (number - 1 + progress.step / self.config.steps) / rounds
            doing = f"Rehearsal {number} of {rounds - 1}" if held_out else "Last round, with all clips"
            self.report(
                Moment(
                    doing,
                    1 - REFINING + REFINING * share,
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
        train: list[Labelled] = [self.rows.labelled(row) for row in rows]
        # The last round has nothing to hold out; what it is checked on has no say in it.
        valid = [self.rows.labelled(row) for row in held_out] or train[: self.rows.n_labels]
        found, _ = tune(
            self.lm,
            train,
            valid,
            Goal(self.rows.n_labels),
            config,
            report=tell,
            start=Start(tensors, self.config.verbalizer_pace),
            keep="last",
            should_stop=self.should_stop,
        )
        if self.should_stop():
            raise Stopped
        return {name: tensor for name, tensor in found.items() if name in tensors}
