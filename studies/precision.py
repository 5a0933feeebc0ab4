"""What 16 bits change: units and answers in bfloat16 or float16 against those in float32.

    python -m studies.precision DATA_FOLDER
    python -m studies.precision DATA_FOLDER --dtype float16 --most 100

For every bundled prompt, on the valid split of its task (the packed parquet files that speechprompt/tasks
names): the share of frames of 20 ms whose unit is another, of answers that are others, and how many are right
in both. A backbone whose encoder is not here is measured on files of units, which the dtype leaves alone.
Takes 3 minutes on one thread.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from speechprompt.backbone import Backbone
from speechprompt.cli import run_command
from speechprompt.data.dataset import Example
from speechprompt.data.sounds import Sound
from speechprompt.data.task_data import read_task
from speechprompt.errors import SpeechPromptError
from speechprompt.evaluation.evaluate import answers_to, check_answers
from speechprompt.machine.device import choose_device
from speechprompt.prompts.card import percent
from speechprompt.storage.bundled import list_backbones
from speechprompt.tasks.catalogue import task_of
from speechprompt.units import Units
from studies.accuracy import of_split, units_once

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DATA_FOLDER", help="holds the parquet files")
    parser.add_argument("--dtype", choices=("bfloat16", "float16"), default="bfloat16")
    parser.add_argument("--device", default="auto", help="default: a GPU if there is one")
    parser.add_argument("--most", type=int, default=300, metavar="N", help="clips of each task (default 300)")
    parser.add_argument("--backbone", action="append", default=[], help="default: all bundled; repeatable")
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="write the table into a document, too")


def run(args: argparse.Namespace) -> None:
    if args.most < 1:
        raise SpeechPromptError("--most must be 1 or more.")
    device = choose_device(args.device)
    pairs = [
        (Backbone.load(name, device), Backbone.load(name, device, getattr(torch, args.dtype)))
        for name in args.backbone or list_backbones()
    ]
    cached: list[tuple[dict[bytes | Sound, Units], dict[bytes | Sound, Units]]] = [({}, {}) for _ in pairs]
    work = [
        (pair, cache, task) for pair, cache in zip(pairs, cached, strict=True) for task in pair[0].prompts
    ]
    if not work:
        raise SpeechPromptError("None of these backbones has a prompt here.")
    rows = [measured(*item, args.folder, args.most) for item in tqdm(work, desc="prompts")]
    found = table(rows, args.dtype)
    if args.out:
        options = [f"--dtype {args.dtype}"] if args.dtype != "bfloat16" else []
        options += [f"--most {args.most}"] if args.most != 300 else []
        options += [f"--backbone {name}" for name in args.backbone]
        command = " ".join(["python -m studies.precision DATA_FOLDER", *options])
        head = INTRODUCTION.format(dtype=args.dtype, command=command, most=args.most)
        args.out.write_text(f"{head}{found}\n", encoding="utf-8")
    print(found)


if __name__ == "__main__":
    sys.exit(run_command("python -m studies.precision", sys.modules[__name__]))
