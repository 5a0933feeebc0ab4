"""The settings of the papers' code, as TuneConfig has them: SpeechPrompt (v1) and SpeechPrompt v2.

docs/papers.md lists where ours differ. A setting that is given beside a recipe overrides it.
"""

from __future__ import annotations

from typing import Any

from speechprompt.data.corpora.catalogue import CORPORA, find

RECIPES = ("ours", "v1", "v2")
BATCH = 32  # of v1, and of a task for which v2 states none
SEED = 100501
COMMON: dict[str, Any] = {
    "start": "papers",
    "feedback": "units",
    "loss": "reference",
    "optimizer": "adam",
    "steps": 1_000_000,
    "epochs": 300,
    "lr": 5e-3,
    "schedule": "constant",
    "tokens_per_batch": 4096,
    "prompt_dropout": 0.1,
    "unit_noise": 0.0,
    "augment": 0,
    "check_every": 0,
    "choose": "loss",
    "seed": SEED,
}
OWN: dict[str, dict[str, Any]] = {
    "ours": {},
    "v1": {**COMMON, "prompt_length": 6, "verbalizer": "frequency", "units_per_label": 1, "patience": 5},
    "v2": {**COMMON, "prompt_length": 5, "verbalizer": "learned", "class_dropout": 0.1, "patience": 1},
}


# Of the baseline, all weights of the LM, as v1's code has it; v2's has none of its own.
FINE_TUNING: dict[str, Any] = {
    "lr": 5e-4,
    "schedule": "inverse_sqrt",
    "verbalizer": "frequency",
    "class_dropout": 0.0,
}


def settings(recipe: str, task: str, fine_tune: bool = False) -> dict[str, Any]:
    """What a recipe sets for a task, by the names of TuneConfig's fields; nothing for ours."""
    own = OWN[recipe]
    if not own:
        return {}
    batch = batch_of(task) if recipe == "v2" else BATCH
    return {**own, "sentences_per_batch": batch, **(FINE_TUNING if fine_tune else {})}


def batch_of(task: str) -> int:
    """Utterances in a batch of v2."""
    batches = (corpus.batch for corpus in map(find, CORPORA) if task in corpus.tasks)
    return next((batch for batch in batches if batch), BATCH)
