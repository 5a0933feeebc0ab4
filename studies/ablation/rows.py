"""The rows of the table: what is changed in each. And the results that a run folder has so far."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RESULTS = "results.jsonl"


@dataclass(frozen=True)
class Row:
    """One way to tune: what differs from the recipe (fields of TuneConfig), and which LM it tunes."""

    name: str
    title: str
    change: dict[str, Any] = field(default_factory=dict)
    random_lm: bool = False
    fine_tuning: bool = False


ROWS = [
    *(
        Row(f"length-{n}", f"prompt length {n}" + " (the recipe)" * (n == 20), {"prompt_length": n})
        for n in (1, 2, 5, 10, 20, 40, 50)
    ),
    Row("input", "input prompts in place of deep ones, length 20", {"input_prompts": True}),
    Row("frequency", "fixed verbalizer, the most frequent units", {"verbalizer": "frequency"}),
    Row("random", "fixed verbalizer, units at random", {"verbalizer": "random"}),
    Row("average", "a mean over the steps, the latest counting most", {"average": True}),
    Row("muon", "Muon for the prompts, Adam for the rest", {"optimizer": "muon", "lr": 0.05}),
    # One input vector stands for no prompt: beside the LM's own weights it adds next to nothing.
    Row(
        "fine-tuning",
        "full fine-tuning: all weights of the LM, no deep prompt",
        {"input_prompts": True, "prompt_length": 1},
        fine_tuning=True,
    ),
    Row("random-lm", "randomly initialised LM, frozen, with the recipe's prompt", random_lm=True),
]


def done_before(run: Path) -> list[dict[str, Any]]:
    """Results so far; a last line that a kill cut off is none."""
    path = run / RESULTS
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found
