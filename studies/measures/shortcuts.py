"""How well one number of a clip, or its source, tells the label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from speechprompt.audio.load import SAMPLE_RATE
from speechprompt.data.dataset import Example, at_most
from speechprompt.errors import SpeechPromptError
from speechprompt.evaluation.evaluate import waveform_of
from speechprompt.tasks.task import Task

TRAIN, HELD_OUT, BINS = 60, 30, 8
HEAD = ("task", "labels", "clips", "chance", "length", "level", "bandwidth", "source")
INTRODUCTION = """# What labels could be told by without listening

Mean recall, in per cent, of a rule that knows one thing of a clip: its length, its level (RMS), the frequency below
which 95 % of its power lies, or the set that it comes from. Far above chance, tuning must not hear it: stretches of
random length, simulated levels and bands, and sources that count alike are against that. Made by

```
python -m studies.shortcuts DATA_FOLDER --out docs/shortcuts.md
```

"""


def measures(waveform: np.ndarray) -> tuple[float, float, float]:
    """Length in s, level in dB, and the frequency in Hz below which 95 % of the power lies, of float32 [T]."""
    level = 10 * np.log10(float((waveform**2).mean()) + 1e-12)
    power = np.cumsum(np.abs(np.fft.rfft(waveform)) ** 2)
    edge = int(np.searchsorted(power, 0.95 * power[-1]))
    return len(waveform) / SAMPLE_RATE, level, edge * SAMPLE_RATE / max(1, len(waveform))


def recall(train: Sequence[tuple[Hashable, str]], held_out: Sequence[tuple[Hashable, str]]) -> float:
    """Mean recall of the rule that answers each value with the label that is likeliest for it, all labels alike."""
    size = Counter(label for _, label in train)
    pairs = Counter(train)
    best: dict[Hashable, tuple[float, str]] = {}
    for (value, label), n in sorted(pairs.items(), key=str):
        best[value] = max(best.get(value, (0.0, "")), (n / size[label], label))
    hits, due = Counter(), Counter(label for _, label in held_out)
    for value, label in held_out:
        hits[label] += best.get(value, (0.0, ""))[1] == label
    return sum(hits[label] / n for label, n in due.items()) / len(due)


def binned(train: Sequence[float], values: Sequence[float]) -> list[int]:
    """The bin of each value, between the quantiles of the train values."""
    edges = np.quantile(train, np.arange(1, BINS) / BINS)
    return [int(found) for found in np.searchsorted(edges, values)]


def line(task: Task, examples: Sequence[Example]) -> list[str]:
    train = at_most([e for e in examples if e.split == "train"], TRAIN, 0)
    known = {e.labels for e in train}
    held = [e for e in examples if e.split != "train" and e.labels in known]
    held_out = at_most(held, HELD_OUT, 0)
    if not held_out:
        raise SpeechPromptError(f"{task.name} has no clips beside its train split.")
    due, asked = [e.labels[0] for e in train], [e.labels[0] for e in held_out]
    columns = list(zip(*(measures(waveform_of(e)) for e in train), strict=True))
    others = list(zip(*(measures(waveform_of(e)) for e in held_out), strict=True))
    found = [
        recall(list(zip(binned(a, a), due, strict=True)), list(zip(binned(a, b), asked, strict=True)))
        for a, b in zip(columns, others, strict=True)
    ]
    found.append(
        recall([(e.source, e.labels[0]) for e in train], [(e.source, e.labels[0]) for e in held_out])
    )
    n = len(set(asked))
    figures = [f"{100 * value:.0f}" for value in (1 / n, *found)]
    return [f"`{task.name}`", str(n), f"{len(train)} + {len(held_out)}", *figures]
