"""Units and answers in 16 bits against those in 32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speechprompt.backbone import Backbone
from speechprompt.data.dataset import Example
from speechprompt.data.sounds import Sound
from speechprompt.data.task_data import read_task
from speechprompt.evaluation.evaluate import answers_to, check_answers
from speechprompt.prompts.card_texts import percent
from speechprompt.tasks.catalogue import task_of
from speechprompt.units import Units
from studies.measures.accuracy import of_split, units_once

HEAD = ("task", "backbone", "n", "frames changed", "answers changed", "right in float32", "right in {dtype}")
INTRODUCTION = """# What 16 bits change

Units and answers in {dtype} against those in float32, as this printed it:

```
{command}
```

Of the valid split of each task at most {most} clips, drawn evenly. Answers of several labels change when one of them
does.

"""


@dataclass
class Row:
    """One prompt: shares of what is changed, 0..1; frames None where units were given."""

    task: str
    backbone: str
    n: int
    frames: float | None
    answers: float
    right: tuple[float, float]

    def cells(self) -> list[str]:
        shares = [percent(self.frames), percent(self.answers), *map(percent, self.right)]
        return [f"`{self.task}`", self.backbone, str(self.n), *shares]


def evenly(examples: Sequence[Example], most: int) -> list[Example]:
    """At most so many, the same distance apart."""
    if len(examples) <= most:
        return list(examples)
    return [examples[i] for i in np.linspace(0, len(examples) - 1, most).astype(int)]


def frames_changed(plain: Sequence[Units], other: Sequence[Units]) -> float:
    """Share of frames whose unit is another."""
    before, after = (
        np.concatenate([np.repeat(u.ids, u.lengths) for u in cached]) for cached in (plain, other)
    )
    return float((before != after).mean())


def measured(
    pair: Sequence[Backbone], cached: Sequence[dict[bytes | Sound, Units]], task: str, folder: Path, most: int
) -> Row:
    """pair: a backbone in float32 and in the other dtype. heard: what each has heard so far; it grows."""
    plain = pair[0]
    prompt = plain.prompt(task)
    _, found = of_split(
        read_task([folder], task_of(task, prompt.label_rule, prompt.labels), "valid", plain.has_encoder),
        "valid",
    )
    examples = evenly(found, most)
    check_answers(prompt, examples)
    truth = [tuple(example.labels) for example in examples]
    units = [units_once(backbone, examples, cache) for backbone, cache in zip(pair, cached, strict=True)]
    labels = [
        [labels for labels, _ in answers_to(backbone, prompt, cache)]
        for backbone, cache in zip(pair, units, strict=True)
    ]
    changed = np.mean([a != b for a, b in zip(*labels, strict=True)])
    right = [float(np.mean([a == b for a, b in zip(cache, truth, strict=True)])) for cache in labels]
    given = examples[0].audio is None
    frames = None if given else frames_changed(*units)
    return Row(task, plain.name, len(examples), frames, float(changed), (right[0], right[1]))


def table(rows: Sequence[Row], dtype: str) -> str:
    """The rows, and last the mean of all."""
    frames = [row.frames for row in rows if row.frames is not None]
    mean = Row(
        "mean",
        "",
        sum(row.n for row in rows),
        float(np.mean(frames)) if frames else None,
        float(np.mean([row.answers for row in rows])),
        (float(np.mean([row.right[0] for row in rows])), float(np.mean([row.right[1] for row in rows]))),
    ).cells()
    head = [name.format(dtype=dtype) for name in HEAD]
    lines = [head, ["---"] * len(head), *(row.cells() for row in rows), ["mean", *mean[1:]]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
