"""What one task is: what is asked of a recording, what is answered, and where the labels come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from speechprompt.tasks.answer_form import AnswerForm
from speechprompt.tasks.labels import Rule

KEYWORDS = "Keywords and commands"
UNDERSTANDING = "What is meant"
SPELLING = "What is said"
VOICE = "How it is said"
SOURCE = "Who or what is heard"

Channel = Literal["any", "controlled"]
Metric = Literal[
    "accuracy", "equal_error_rate", "f1", "macro_f1", "slot_f1", "character_error_rate", "word_error_rate"
]
Expects = Literal["speech", "any sound"]  # what recordings must hold for an answer to mean anything


@dataclass(frozen=True)
class Task:
    """What a prompt of this task is told.

    form: what is answered, with the labels in their order where the data alone would not have it. label_rule: how
    a row of data gets its labels, see labels.labels_of. about: one sentence for a person at a microphone. languages:
    codes (BCP 47) of those that are spoken in the data, none where it does not matter. files: the packed
    parquet files, without their ending, that it is tuned and measured on; unit_files: those that stand
    in their place for a backbone whose encoder is not here. channel: "controlled" where the data's labels
    differ in microphone, bandwidth, noise or length too, so that a prompt could answer by those; it is
    then tuned on augment.controlled recordings alone, of which the share `close` is cut closely. expects: what a
    recording must hold to be answered. metric: the figure that the papers report of it.
    train_files: further files, of which the train split alone is learnt, so that
    what is measured stays the same. held_out: source (file, or file/value of its column `source`) -> the split that
    all its train rows become instead, so that whole sources are new to the prompt. stretches: file -> seconds, the
    least and the most, of the stretches that its clips are cut to in train and valid; "" stands for every other file.
    open_label: the label of everything that is none of the others, which prompts of an older tuning may lack.
    """

    name: str
    title: str
    group: str
    data: str
    licence: str
    label_rule: Rule = field(default_factory=lambda: {"column": "label"})
    form: AnswerForm = field(default_factory=AnswerForm)
    about: str = ""
    expects: Expects = "speech"
    languages: tuple[str, ...] = ()
    limits: str = "Sounds that are none of the labels are still answered with one of them."
    files: tuple[str, ...] = ()
    unit_files: tuple[str, ...] = ()
    channel: Channel = "any"
    close: float = 0.0
    metric: Metric = "accuracy"
    train_files: tuple[str, ...] = ()
    held_out: Mapping[str, str] = field(default_factory=dict)
    stretches: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    open_label: str | None = None

    def stretch_of(self, source: str) -> tuple[float, float] | None:
        """Seconds that clips of a source are cut to, the least and the most; None where they stay whole."""
        return self.stretches.get(source.partition("/")[0], self.stretches.get(""))
