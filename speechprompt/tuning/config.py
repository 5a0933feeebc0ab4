"""What may be chosen of a tuning: TuneConfig. `tune` takes its options, their help and bounds from these fields.

Imports no torch, so that the help of the command line is there at once.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, field, fields
from typing import Any, Literal, get_args, get_type_hints

from speechprompt.errors import SpeechPromptError


def setting(default: Any, help: str, low: float | None = None, high: float | None = None) -> Any:
    """A field with what the command line says of it; low and high: bounds of a number, both allowed."""
    return field(default=default, metadata={"help": help, "low": low, "high": high})


@dataclass(frozen=True)
class TuneConfig:
    """What may be chosen; the defaults suit a few hundred to some ten thousand utterances.

    Raises SpeechPromptError for a number out of bounds and a choice that does not exist. Simulated recordings
    are described in audio/augment.py, optimizers in optimizer.py, absolute pitch in prompts/prompt.py.
    """

    prompt_length: int = setting(20, "vectors per layer", 1, 200)
    input_prompts: bool = setting(False, "prompt the input instead of every layer")
    positions: Literal["row", "after_prompt"] = setting(
        "row", "count positions from a row's first token, or from the first prompt vector, as PEFT does"
    )
    projected: bool = setting(False, "learn past keys and values as they are, as PEFT's prefix tuning does")
    verbalizer: Literal["learned", "frequency", "random", "expected", "weighed"] = setting(
        "learned",
        "learned, or fixed units for each label: the k-th most frequent unit for the k-th most frequent label, units "
        "drawn at random, those that the LM expects after recordings of the label more than after others, or those "
        "that the learned verbalizer of the --teacher weighs for the label most",
    )
    units_per_label: int = setting(
        0,
        "units of each label in a fixed verbalizer, fewer where the labels would take over half of all units; "
        "0: 4 of the expected ones, all of those weighed (at most 64), else 1 as the papers",
        0,
        64,
    )
    start: Literal["normal", "units", "papers"] = setting(
        "normal",
        "prompts drawn from N(0, 1), or embeddings of units; papers: the separator from N(0, 1) too, and a learned "
        "verbalizer as PyTorch begins a linear map",
    )
    feedback: Literal["trained", "units"] = setting(
        "trained",
        "answers of several labels: feed them back through trained embeddings, or as units (the papers)",
    )
    loss: Literal["labels", "vocabulary", "reference"] = setting(
        "labels",
        "labels: of each label among the labels; vocabulary: among all that the LM could generate, so that the unit "
        "which it generates is the label's; reference: of separator, labels and </s> among all, as the papers' code",
    )
    optimizer: Literal["adam", "muon"] = setting(
        "adam", "muon: learns many labels in fewer steps, with --lr 0.05 or so"
    )
    negatives_share: float = setting(
        0.15, "share of the negatives, where there are any, in what is learnt from", 0.0, 0.9
    )
    teacher_share: float = setting(
        0.5, "share of the loss that is the --teacher's own distribution over the labels", 0.0, 1.0
    )
    steps: int = setting(2000, "steps of the optimizer", 1, 1_000_000)
    epochs: int = setting(
        0, "at most so many times through train; 0: as many as the steps take", 0, 1_000_000
    )
    lr: float = setting(0.06, "learning rate that the steps peak at", 1e-6, 10.0)
    schedule: Literal["cosine", "constant", "inverse_sqrt"] = setting(
        "cosine",
        "of the learning rate: warm-up and a cosine down to 0; one rate throughout, as the papers; or 4,000 steps of "
        "warm-up and down by the square root of the steps, as the first paper's fine-tuning",
    )
    tokens_per_batch: int = setting(2048, "units and labels of a step, padding included", 64, 1_000_000)
    sentences_per_batch: int = setting(
        0,
        "at most so many utterances in a step, as the papers count; 0: as many as the units allow",
        0,
        10_000,
    )
    class_dropout: float = setting(
        0.0, "share of a learned verbalizer's outputs dropped; the papers' code has 0.1", 0.0, 0.9
    )
    prompt_dropout: float = setting(0.0, "share of prompt values dropped; the papers' code has 0.1", 0.0, 0.9)
    unit_noise: float = setting(
        0.05, "share of units dropped or replaced in training, against small data", 0.0, 0.9
    )
    augment: int = setting(4, "simulated recordings per train clip", 0, 100)
    pauses: float = setting(
        0.5,
        "share of the simulated recordings that begin and end with pauses of their own, as from a microphone, "
        "where the corpus cuts its clips all alike; none of silence does, nor of a controlled channel, which "
        "has its own",
        0.0,
        1.0,
    )
    per_label: int = setting(
        0,
        "learn at most so many train clips of each label, drawn by the seed and evenly from the files; all of "
        "valid is measured; 0: all",
        0,
        1_000_000,
    )
    valid_per_label: int = setting(
        0, "measure at most so many valid clips of each label, evenly from the sources; 0: all", 0, 1_000_000
    )
    balance: bool = setting(
        False,
        "draw every label equally often, and of each every source; let valid choose by the mean of the labels' "
        "accuracies; of several labels in one answer, whole answers count",
    )
    average: bool = setting(
        False, "measure and keep a mean over the steps, the latest counting most: steadier than the last one"
    )
    absolute_pitch: bool = setting(
        False,
        "hear each voice at the pitch it has, not against its own mean: for what tells speakers apart; of "
        "backbones that hear the melody",
    )
    label_smoothing: float = setting(0.0, "share of the target given to all labels alike", 0.0, 0.9)
    check_every: int = setting(100, "steps between looks at the valid split; 0: an epoch", 0, 1_000_000)
    choose: Literal["accuracy", "loss"] = setting(
        "accuracy", "what of the valid split says which check is the best; the papers' code takes the loss"
    )
    patience: int = setting(
        8, "checks in a row worse than the best before stopping; the best is kept", 1, 1_000_000
    )
    seed: int = setting(0, "of everything that is drawn at random", 0, 2**31 - 1)

    def __post_init__(self) -> None:
        for one in fields(self):
            value, low, high = getattr(self, one.name), one.metadata["low"], one.metadata["high"]
            if low is not None and not low <= value <= high:
                raise SpeechPromptError(f"{one.name} must be between {low} and {high}.")
            known = choices(one)
            if known and value not in known:
                raise SpeechPromptError(f"{one.name} must be one of {', '.join(known)}.")


TYPES = get_type_hints(TuneConfig)


def choices(one: Field[Any]) -> tuple[str, ...]:
    """What a field of TuneConfig may be, where it is one of several words; else nothing."""
    return get_args(TYPES[one.name])
