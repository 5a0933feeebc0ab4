"""What the valid split says of a prompt that is being tuned: accuracy, loss, and what is no label's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

import torch

from speechprompt.tuning.runs import batches_by_length
from speechprompt.tuning.trainable import Labelled, TrainablePrompt
from speechprompt.units import Utterance

if TYPE_CHECKING:  # it takes seconds to import
    from speechprompt.models.unit_lm import UnitLM

TOKENS = 8192  # of a batch that is only measured


@torch.inference_mode()
def accuracy(lm: UnitLM, prompt: TrainablePrompt, examples: Sequence[Labelled]) -> float:
    """Share of answers that are right throughout, see Progress; of a sequence, share of its labels and ends."""
    right = total = 0.0
    counts = Counter(tuple(labels) for _, labels in examples)
    prompt.eval()
    for group in batches_by_length([len(ids) + len(labels) for ids, labels in examples], TOKENS, None):
        answers = [examples[i][1] for i in group]
        found, due = prompt.right(prompt(lm, [examples[i][0] for i in group], answers), answers)
        if prompt.form.kind == "sequence":
            right, total = right + int((found & due).sum()), total + int(due.sum())
        else:
            weights = [1 / counts[tuple(labels)] if prompt.config.balance else 1.0 for labels in answers]
            hits = (found | ~due).all(-1).tolist()
            right += sum(weight for weight, hit in zip(weights, hits, strict=True) if hit)
            total += sum(weights)
    prompt.train()
    return right / total


@torch.inference_mode()
def median_outside(lm: UnitLM, prompt: TrainablePrompt, negatives: Sequence[Utterance]) -> float:
    """Median probability (0..1) of all that is no label's unit where the first label is due."""
    prompt.eval()
    found: list[float] = []
    for group in batches_by_length([len(ids) + 1 for ids in negatives], TOKENS, None):
        logits = prompt(lm, [negatives[i] for i in group], [prompt.any_answer] * len(group))
        found += prompt.outside(logits).exp().tolist()
    prompt.train()
    return median(found)


@torch.inference_mode()
def mean_loss(lm: UnitLM, prompt: TrainablePrompt, examples: Sequence[Labelled]) -> float:
    """Mean loss over all that is due in the examples, without dropout."""
    prompt.eval()
    total, n_due = 0.0, 0
    for group in batches_by_length([len(ids) + len(labels) for ids, labels in examples], TOKENS, None):
        answers = [examples[i][1] for i in group]
        due = sum(prompt.lead + len(labels) + prompt.reads_end for labels in answers)
        total += due * float(prompt.loss(prompt(lm, [examples[i][0] for i in group], answers), answers))
        n_due += due
    prompt.train()
    return total / n_due
