"""In which order, how often and how disturbed a tuning learns from its utterances."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from speechprompt.tuning.config import TuneConfig
from speechprompt.tuning.runs import batches_by_length
from speechprompt.tuning.trainable import Labelled
from speechprompt.units import Units, Utterance, unit_ids


def with_noise(utterance: Utterance, share: float, n_units: int, rng: random.Random) -> Utterance:
    """Drop or replace units at random, as a slightly different recording would."""
    kept, ids = [], []
    for i, unit in enumerate(unit_ids(utterance)):
        draw = rng.random()
        if draw >= share / 2:
            kept.append(i)
            ids.append(int(unit) if draw >= share else rng.randrange(n_units))
    if not kept:
        return utterance
    if not isinstance(utterance, Units):
        return ids
    return replace(utterance.part(kept), ids=np.array(ids))


def epoch_steps(train: Sequence[Labelled], config: TuneConfig) -> int:
    """Steps in which all of train is learnt from once."""
    lengths = [len(ids) + len(labels) + 1 for ids, labels in train]
    return len(batches_by_length(lengths, config.tokens_per_batch, None, config.sentences_per_batch))


def epochs(
    train: Sequence[Labelled], config: TuneConfig, done: int, negatives: Sequence[Utterance] = ()
) -> Iterator[list[int]]:
    """Endless batches of indices, from batch number `done` on; those of negatives come after those of train."""
    lengths = [len(ids) + len(labels) + 1 for ids, labels in train] + [len(ids) + 2 for ids in negatives]
    share = config.negatives_share
    others, n_others = range(len(train), len(lengths)), round(len(train) * share / (1 - share))
    answers: dict[tuple[int, ...], list[int]] = {}
    for i, (_, labels) in enumerate(train):
        answers.setdefault(tuple(labels), []).append(i)
    epoch = number = 0
    while True:
        rng = random.Random(config.seed * 7919 + epoch)
        drawn = balanced(list(answers.values()), rng) if config.balance else list(range(len(train)))
        if negatives:
            drawn = drawn + drawn_again(others, n_others, rng)
        sizes = [lengths[i] for i in drawn]
        for group in batches_by_length(sizes, config.tokens_per_batch, rng, config.sentences_per_batch):
            if number >= done:
                yield [drawn[i] for i in group]
            number += 1
        epoch += 1


def balanced(groups: Sequence[Sequence[int]], rng: random.Random) -> list[int]:
    """As many indices as the groups hold, equally many of each group: some left out, some drawn again and again."""
    share = -(-sum(map(len, groups)) // len(groups))
    drawn: list[int] = []
    for group in groups:
        drawn += drawn_again(group, share, rng)
    return drawn


def drawn_again(group: Sequence[int], n: int, rng: random.Random) -> list[int]:
    """n of a group: some left out, or all again and again."""
    rounds, rest = divmod(n, len(group))
    return [*group] * rounds + rng.sample(group, rest)
