"""Fixed verbalizers: which units of the vocabulary stand for which label (SpeechPrompt, 2.3)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from speechprompt.errors import SpeechPromptError
from speechprompt.prompts.prompt import Prompt
from speechprompt.tasks.answer_form import AnswerForm
from speechprompt.tuning.config import TuneConfig
from speechprompt.tuning.runs import batches_by_length
from speechprompt.tuning.teacher import WEIGHED_UNITS, weighed_units
from speechprompt.tuning.trainable import Labelled, TrainablePrompt
from speechprompt.units import UNIT_OFFSET, unit_ids

if TYPE_CHECKING:  # it takes seconds to import
    from speechprompt.models.unit_lm import UnitLM

EXPECTED_UNITS = 4  # of a label, where nothing else is asked for
ASKED = 200  # recordings of a label that the LM is asked after


def units_of(
    lm: UnitLM,
    train: Sequence[Labelled],
    form: AnswerForm,
    config: TuneConfig,
    start: Mapping[str, Tensor] | None = None,
    teacher: Prompt | None = None,
) -> Tensor | None:
    """The fixed verbalizer that the settings ask for, int64 [C] or [C, K]; None for the learned one.

    start: tensors that the tuning begins with in place of random ones. teacher: whose weights choose the "weighed".
    """
    if config.verbalizer == "learned":
        return None
    if config.verbalizer == "weighed":
        if teacher is None:
            raise ValueError("weighed units need a teacher")
        return weighed_units(teacher, config.units_per_label or WEIGHED_UNITS)
    n_labels, n_units = len(form.labels), lm.config.vocab_size - UNIT_OFFSET
    asked = config.units_per_label or (EXPECTED_UNITS if config.verbalizer == "expected" else 1)
    each = max(1, min(asked, n_units // (2 * n_labels)))
    if config.verbalizer == "expected":
        return expected_units(lm, train, form, config, each, start)
    return fixed_units(train, n_labels, config.verbalizer, config.seed, each)


def fixed_units(train: Sequence[Labelled], n_labels: int, how: str, seed: int, each: int = 1) -> Tensor:
    """Units of the data for each label, no two alike: int64 [C], or [C, each] of several.

    frequency: the k-th most frequent label has the k-th most frequent unit, of equals the one that comes first
    in the data, and of several units the k-th of each further C; else units drawn by the seed.
    """
    ranked = frequent_units(train, n_labels * each)
    if how == "frequency":
        counts = Counter(label for _, labels in train for label in labels)
        order = list(dict.fromkeys([*(label for label, _ in counts.most_common()), *range(n_labels)]))
        units = torch.empty(n_labels, each, dtype=torch.int64)
        units[order] = ranked[: n_labels * each].reshape(each, n_labels).T
    else:
        generator = torch.Generator().manual_seed(seed)
        drawn = ranked[torch.randperm(len(ranked), generator=generator)[: n_labels * each]]
        units = drawn.reshape(each, n_labels).T.contiguous()
    return units[:, 0].clone() if each == 1 else units


def frequent_units(train: Sequence[Labelled], n: int) -> Tensor:
    """All units of the data, the most frequent first; SpeechPromptError where they are fewer than n."""
    counts = Counter(int(unit) for utterance, _ in train for unit in unit_ids(utterance))
    if len(counts) < n:
        raise SpeechPromptError(
            f"A fixed verbalizer needs {n} different units and the data holds {len(counts)}: "
            "use the learned one, or fewer units per label."
        )
    return torch.tensor([unit for unit, _ in counts.most_common()])


def expected_units(
    lm: UnitLM,
    train: Sequence[Labelled],
    form: AnswerForm,
    config: TuneConfig,
    each: int,
    start: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """The units that the LM expects after recordings of a label more than after others: int64 [C] or [C, each].

    The frozen LM reads at most ASKED recordings of each label, drawn by the seed, behind the prompt that the tuning
    begins with. Of its mean distribution over the units where a label is due, each label takes in turn the unit
    whose log-ratio to the mean over the labels is the highest of those that are left.
    """
    odds = mean_odds(lm, train, form, config, start)
    ratio = odds.log() - odds.mean(0).log()
    free = torch.ones(odds.shape[1], dtype=torch.bool)
    units = torch.empty(len(odds), each, dtype=torch.int64)
    for turn in range(each):
        left = torch.ones(len(odds), dtype=torch.bool)
        for _ in range(len(odds)):
            open_pairs = ratio.masked_fill(~(left[:, None] & free), -torch.inf)
            label, unit = divmod(int(open_pairs.argmax()), odds.shape[1])
            units[label, turn], left[label], free[unit] = unit, False, False
    return units[:, 0].clone() if each == 1 else units


@torch.inference_mode()
def mean_odds(
    lm: UnitLM,
    train: Sequence[Labelled],
    form: AnswerForm,
    config: TuneConfig,
    start: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """The LM's mean distribution over the units where each label is due, float64 [C, n_units] on the CPU.

    A label without recordings has the mean of the others.
    """
    n_labels, n_units = len(form.labels), lm.config.vocab_size - UNIT_OFFSET
    rng, counts = random.Random(config.seed), Counter[int]()
    chosen = []
    for i in rng.sample(range(len(train)), len(train)):
        if any(counts[label] < ASKED for label in train[i][1]):
            counts.update(train[i][1])
            chosen.append(train[i])
    # What stands for the labels before one is fed back: any units, where the answers have no embeddings of their own.
    begun = TrainablePrompt(lm, replace(config, loss="labels"), torch.arange(n_labels) % n_units, form).eval()
    begun.load_state_dict({**begun.state_dict(), **(start or {})})
    sums, seen = torch.zeros(n_labels, n_units, dtype=torch.float64), torch.zeros(n_labels)
    lengths = [len(utterance) + len(labels) for utterance, labels in chosen]
    for group in batches_by_length(lengths, config.tokens_per_batch, None):
        answers = [chosen[i][1] for i in group]
        logits = begun(lm, [chosen[i][0] for i in group], answers)[..., UNIT_OFFSET:]
        odds = logits.double().softmax(-1).cpu()
        for row, labels in zip(odds, answers, strict=True):
            for step, label in enumerate(labels):
                sums[label] += row[step]
                seen[label] += 1
    found = sums / seen.clamp(min=1)[:, None]
    found[seen == 0] = found[seen > 0].mean(0)
    return found.clamp(min=1e-12)
