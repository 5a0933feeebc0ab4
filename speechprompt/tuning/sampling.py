"""Which stretches of the recordings are learnt, and how often each source is, so that neither gives a label away."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

from speechprompt.tuning.trainable import Labelled
from speechprompt.units import FRAME_RATE, Units

MOST_AGAIN = 10  # times that a clip of a small source stands for the others that it lacks


def stretch(units: Units, n_frames: int, rng: random.Random) -> Units:
    """n_frames frames from anywhere in the units, runs cut at both ends; the units when they are no longer."""
    first, end = units.span
    if end - first <= n_frames:
        return units
    start = first + rng.randrange(end - first - n_frames + 1)
    ends = units.starts + units.lengths
    part = units.part((ends > start) & (units.starts < start + n_frames))
    starts = part.starts.clip(start)
    lengths = (part.starts + part.lengths).clip(max=start + n_frames) - starts
    return replace(part, starts=starts - start, lengths=lengths)


def cut(
    examples: Sequence[Labelled], seconds: Sequence[tuple[float, float] | None], seed: int
) -> list[Labelled]:
    """Labelled utterances, example i cut to a stretch of a length drawn evenly in log seconds between seconds[i].

    There may be more examples than seconds: simulated copies, which have those of the clip and a stretch of their
    own, and then recordings of nothing, which stay whole, as do those whose seconds are None.
    """
    rng = random.Random(seed)
    whole = len(examples) // len(seconds) * len(seconds) if seconds else 0
    found = []
    for i, (units, labels) in enumerate(examples):
        span = seconds[i % len(seconds)] if i < whole else None
        if span and isinstance(units, Units):
            n_frames = round(FRAME_RATE * math.exp(rng.uniform(*map(math.log, span))))
            units = stretch(units, n_frames, rng)
        found.append((units, labels))
    return found


def evened(examples: Sequence[Labelled], sources: Sequence[str], seed: int) -> list[Labelled]:
    """About as many labelled utterances, of each label equally many from each source: drawn, or taken again.

    sources: of the examples, copies beyond them as in `cut`. No example is there more than MOST_AGAIN times.
    """
    groups: dict[tuple[int, ...], dict[str, list[Labelled]]] = {}
    for i, example in enumerate(examples):
        groups.setdefault(tuple(example[1]), {}).setdefault(sources[i % len(sources)], []).append(example)
    rng, found = random.Random(seed), []
    for own in groups.values():
        share = -(-sum(map(len, own.values())) // len(own))
        for group in own.values():
            rounds, rest = divmod(min(share, MOST_AGAIN * len(group)), len(group))
            found += [*group] * rounds + rng.sample(group, rest)
    return found
