"""Stretches and sources of what is learnt from."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np

from speechprompt.tuning.sampling import MOST_AGAIN, cut, evened, stretch
from speechprompt.units import Units

FRAMES = np.repeat(np.arange(100), 3)


def test_a_stretch_is_what_its_frames_would_have_been() -> None:
    units, rng = Units.from_frames(FRAMES), random.Random(0)
    firsts = set()
    for _ in range(200):
        found = stretch(units, 20, rng)
        frames = np.repeat(found.ids, found.lengths)
        assert len(frames) == found.n_frames == 20 and found.span == (0, 20)
        at = next(i for i in range(len(FRAMES) - 19) if (FRAMES[i : i + 20] == frames).all())
        firsts.add(at)
    assert min(firsts) < 20 and max(firsts) > len(FRAMES) - 40
    assert stretch(units, 300, rng) is units


def test_only_what_has_seconds_is_cut_and_every_copy_by_itself() -> None:
    units = Units.from_frames(FRAMES)
    examples = [(units, (i % 2,)) for i in range(5)]  # two clips, a copy of each, one recording of nothing
    found = cut(examples, [(0.4, 5.0), None], seed=1)
    assert [labels for _, labels in found] == [labels for _, labels in examples]
    assert [u is units for u, _ in found] == [False, True, False, True, True]
    assert found[0][0].n_frames != found[2][0].n_frames
    many = [u.n_frames for u, _ in cut(examples[:1] * 400, [(0.4, 5.0)], seed=1)]
    assert min(many) >= 20 and max(many) <= 250
    assert 60 < np.median(many) < 84  # evenly in log seconds: the middle is at 1.41 s


def test_every_source_of_a_label_counts_alike() -> None:
    examples = [([i], (0,)) for i in range(60)] + [([i], (1,)) for i in range(60, 70)]
    sources = ["large"] * 55 + ["small"] * 5 + ["tiny"] + ["large"] * 9
    found = evened(examples, sources, seed=0)
    counts = Counter((labels[0], sources[units[0]]) for units, labels in found)
    assert counts == {(0, "large"): 30, (0, "small"): 30, (1, "tiny"): 5, (1, "large"): 5}
    rare = evened([([0], (0,))] * 1 + [([1], (0,))] * 100, ["rare"] + ["large"] * 100, seed=0)
    assert sum(units == [0] for units, _ in rare) == MOST_AGAIN
