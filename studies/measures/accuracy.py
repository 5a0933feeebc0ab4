"""How often the bundled prompts are right on a split, with what they confuse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from speechprompt.audio import augment
from speechprompt.backbone import Backbone
from speechprompt.data.dataset import Example
from speechprompt.data.sounds import Sound
from speechprompt.data.task_data import read_task
from speechprompt.errors import SpeechPromptError
from speechprompt.evaluation.evaluate import Recording, check_answers, evaluate, to_units
from speechprompt.prompts.card_texts import percent
from speechprompt.prompts.prompt import Prompt
from speechprompt.tasks.catalogue import TASKS, task_of
from speechprompt.units import Units

HEAD = ("task", "backbone", "n (split)", "accuracy", "95 % interval", "mean recall", "also", "parameters")
INTRODUCTION = """# How often the prompts are right

Every bundled prompt on the labelled data of its task, as this printed it:

```
{command}
```

An answer of several labels counts when all are right. The interval is Wilson's of 95 %; mean recall is that of the
classes, each counted alike. The valid split also chose the step at which a prompt was kept: figures on it flatter a
little.{pauses}

"""
PAUSES = """

Here every recording has {seconds:g} s of a quiet room more before and after it: steady noise of a random colour,
{room:g} dB below the speech."""
ROOM_DB = 40.0


@dataclass
class Row:
    """One prompt: what was measured on which split, or in `note` why nothing was."""

    task: str
    backbone: str
    parameters: int | None = None
    split: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    note: str = ""

    def cells(self) -> list[str]:
        size = "–" if self.parameters is None else f"{self.parameters:,}"
        if self.note:
            reason = " ".join(self.note.split()).replace("|", "\\|")
            return [f"`{self.task}`", self.backbone, "–", f"not measured: {reason}", "–", "–", "–", size]
        found = self.figures
        low, high = (f"{100 * end:.1f}" for end in found["interval95"])
        also = [f"{slot} {percent(share)}" for slot, share in found.get("slot_accuracy", {}).items()]
        also += [f"slot F1 {percent(found['slot_f1'])}"] if "slot_f1" in found else []
        if "character_error_rate" in found:
            also.append(f"character error rate {percent(found['character_error_rate'])}")
        recall = percent(found.get("unweighted_recall"))
        return [
            f"`{self.task}`", self.backbone, f"{found['n']} ({self.split})", percent(found["accuracy"]),
            f"{low}–{high}", recall, ", ".join(also) or "–", size,
        ]  # fmt: skip


def of_split(examples: Sequence[Example], split: str) -> tuple[str, list[Example]]:
    """The examples of a split and its name; those of valid where there are none."""
    for name in dict.fromkeys((split, "valid")):
        if found := [example for example in examples if example.split == name]:
            return name, found
    there = ", ".join(sorted({example.split for example in examples}))
    raise SpeechPromptError(f"There is no split {split!r} and no valid split, but {there}.")


def units_once(
    backbone: Backbone, examples: Sequence[Example], cached: dict[bytes | Sound, Units], pauses: float = 0.0
) -> list[Units]:
    """Units of the examples; recordings that are not in `cached` yet are added to it. pauses: see the head."""
    if any(example.audio is None for example in examples):
        if pauses and all(example.units is not None for example in examples):
            raise SpeechPromptError("the data has units and no recordings, which could have pauses")
        return to_units(backbone, examples)  # units already, or an error that names what is wrong
    fresh = {e.audio: e for e in examples if e.audio is not None and e.audio not in cached}
    if fresh:
        units = to_units(backbone, list(fresh.values()), recording=in_a_room(pauses))
        cached.update(zip(fresh, units, strict=True))
    return [cached[example.audio] for example in examples if example.audio is not None]


def in_a_room(pauses: float) -> Recording:
    """Makes of a clip one with so many seconds of a quiet room more at both ends; with 0 leaves it as it is."""

    def recording(waveform: np.ndarray, clip: int, copy: int) -> np.ndarray:
        if not pauses:
            return waveform
        return augment.with_pauses(waveform, pauses, pauses, ROOM_DB, np.random.default_rng(clip))

    return recording


def measured(
    backbone: Backbone,
    prompt: Prompt,
    folder: Path,
    split: str,
    cached: dict[bytes | Sound, Units],
    pauses: float,
) -> Row:
    row = Row(prompt.task, backbone.name, prompt.n_parameters)
    try:
        task = task_of(prompt.task, prompt.label_rule, prompt.labels)
        row.split, examples = of_split(read_task([folder], task, None, backbone.has_encoder), split)
        check_answers(prompt, examples)  # before minutes of listening
        row.figures = evaluate(backbone, prompt, examples, units_once(backbone, examples, cached, pauses))
    except SpeechPromptError as error:
        row.note = str(error)
    return row


def rows_of(
    backbones: Sequence[Backbone], tasks: Sequence[str], folder: Path, split: str, pauses: float = 0.0
) -> list[Row]:
    """A row for each prompt, those of a task together; `tasks` chooses some, all when empty."""
    chosen = [
        (b, prompt) for b in backbones for prompt in b.prompts.values() if not tasks or prompt.task in tasks
    ]
    refused = [(b.name, t, why) for b in backbones for t, why in b.refused.items() if not tasks or t in tasks]
    if unknown := sorted(set(tasks) - {p.task for _, p in chosen} - {task for _, task, _ in refused}):
        raise SpeechPromptError(f"No backbone asked about has a prompt for the task {unknown[0]!r}.")
    rows = [Row(task, backbone, note=why) for backbone, task, why in refused]
    cached: dict[str, dict[bytes | Sound, Units]] = {}
    with tqdm(chosen, desc="prompts", unit="prompt") as progress:
        for backbone, prompt in progress:
            progress.set_postfix_str(f"{backbone.name}, {prompt.task}")
            cached.setdefault(backbone.name, {})
            rows.append(measured(backbone, prompt, folder, split, cached[backbone.name], pauses))
    order = list(TASKS)
    return sorted(rows, key=lambda row: order.index(row.task) if row.task in order else len(order))


def table(rows: Sequence[Row]) -> str:
    lines = [HEAD, ["---"] * len(HEAD), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
