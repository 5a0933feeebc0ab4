"""What prompt_config.json may hold: every fact about a prompt but its tensors, within bounds.

A prompt folder comes from anyone, so all that is shown to people or decides on work is checked here.
"""

from __future__ import annotations

import re
from dataclasses import field
from pathlib import PurePosixPath
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,  # typing's own is not for pydantic before Python 3.12
)

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from speechprompt.prompts import confusion
from speechprompt.storage.schema import LAX, from_object, matching, plain, schema
from speechprompt.tasks.answer_form import MAX_LABELS, AnswerForm
from speechprompt.tasks.labels import check_rule
from speechprompt.tasks.task import Expects, Task

MAX_SEEDS = 100
FEWEST_STRANGERS = 10  # recordings; fewer say nothing against a prompt
APART = 0.1  # where strangers are so much lower, their figure stands for the other
POOR = 0.7  # share of strangers below which a prompt is experimental; chance of few labels counts to here
EXPERIMENTAL = "Experimental"
LIMITS = Task.limits  # what a prompt is bad at, where nothing else is known

TaskName = Annotated[str, matching(re.compile(r"[a-z0-9_]{1,64}"), "1 to 64 of a-z, 0-9 and _")]
Sha256 = Annotated[str, matching(re.compile(r"[0-9a-f]{64}"), "64 hexadecimal digits")]
Language = Annotated[
    str, matching(re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}"), 'a code such as "en" or "pt-BR"')
]
Rate = Annotated[float, Field(ge=0, le=1)]
ErrorRate = Annotated[float, Field(ge=0, le=1e6)]  # beyond 1 where more is added than there was
Count = Annotated[int, Field(ge=0, le=10**12)]
Name = Annotated[str, plain(200)]
Text = Annotated[str, plain(40_000)]  # a sequence of labels as text


def inside(path: str) -> str:
    parts = PurePosixPath(path)
    if not path or parts.is_absolute() or ".." in parts.parts or "\\" in path:
        raise ValueError("must be a relative path inside the project")
    return path


class ClassFigures(TypedDict):
    n: Count
    recall: Rate | None
    precision: Rate | None


class Tuning(TypedDict):
    """Of a prompt that was chosen among those of several seeds, see recipe.tune_task."""

    seeds: Annotated[int, Field(ge=2, le=MAX_SEEDS)]
    mean: Rate
    deviation: Rate


class Metrics(TypedDict, total=False):
    """What was measured on a split, see metrics.measure; empty when nothing was."""

    split: Annotated[str, plain(80)]
    n: Count
    accuracy: Rate
    interval95: Annotated[list[Rate], LAX, Field(min_length=2, max_length=2)]
    per_class: Annotated[dict[Name, ClassFigures], Field(max_length=2 * MAX_LABELS)]
    unweighted_recall: Rate
    slot_accuracy: dict[Name, Rate]
    slot_f1: Rate
    slot_character_error_rate: ErrorRate
    macro_f1: Rate
    f1: Rate
    equal_error_rate: Rate
    character_error_rate: ErrorRate
    word_error_rate: ErrorRate
    confusion: list[Annotated[list[int], LAX, Field(min_length=3, max_length=3)]]
    confusions: Annotated[list[Annotated[tuple[Text, Text, Count], LAX]], Field(max_length=10)]
    tuning: Tuning


class Strangers(TypedDict):
    """What was measured on recordings of sources of which nothing was learnt, see studies/field.py.

    n: those with a label of the task, from so many sources; right, right_flagged, wrong_flagged: shares (0..1), None
    where there are none. outside: those with none of its labels, outside_admitted: the share that was told from them.
    """

    n: Annotated[int, Field(ge=1, le=10**12)]
    right: Rate
    interval95: Annotated[list[Rate], LAX, Field(min_length=2, max_length=2)]
    right_flagged: Rate | None
    wrong_flagged: Rate | None
    sources: Count
    outside: Count
    outside_admitted: Rate | None


class Calibration(TypedDict):
    """What calibration.calibrate finds."""

    temperature: Annotated[float, Field(ge=0.01, le=100)]
    threshold: Rate
    split: Annotated[str, plain(80)]
    n: Annotated[int, Field(ge=1, le=10**12)]
    error_before: Rate
    error_after: Rate
    right_flagged: Rate | None
    wrong_flagged: Rate | None
    # Of prompts that were calibrated beside judges (decoding/fits.py): the least probability of speech and of the
    # task's languages; and of recordings that belong to no label, how many there were and the share flagged.
    speech: NotRequired[Rate]
    language: NotRequired[Rate]
    negatives: NotRequired[Count]
    negatives_flagged: NotRequired[Rate]
    belonging_flagged: NotRequired[Rate]
    # The least score of an answer with a label that strangers are often wrongly given, where threshold is lower.
    labels: NotRequired[dict[Name, Rate]]
    # Of sequences: the log-odds of a whole answer being right are slope · (those of its score) + offset.
    slope: NotRequired[Annotated[float, Field(ge=0.01, le=100)]]
    offset: NotRequired[Annotated[float, Field(ge=-100, le=100)]]


@schema(eq=False, kw_only=True)
class Facts:
    """What a prompt's folder says beside its tensors.

    about: one plain sentence on what to say or record. expects, languages: what recordings must hold for an answer
    to mean anything; languages are codes (BCP 47), none where it does not matter. label_rule: how data gets its
    labels (labels.labels_of), None where the task of that name in tasks/ says it. positions: where those of a
    row's tokens count from; "row" is its first token, whatever the prompt's length, "after_prompt" the first prompt
    vector, as PEFT and generation with past keys and values count. projected: key and value prompts are past keys and
    values already, which the LM's projections made before or never make (PEFT). absolute_pitch: a prosody LM
    hears the F0 of a recording against one pitch for all speakers instead of the speaker's mean
    (pitch.at_absolute_pitch); nothing to a plain unit LM. commands: how it was "tuned", then "measured" and
    "calibrated". examples: relative paths of clips to try. calibration: None where scores are as they
    come. limits: what it is bad at.
    strangers: the figures of recordings that are like no corpus of the prompt, None where there are none.
    """

    task: TaskName
    title: Annotated[str, plain(80)]
    about: Annotated[str, plain(300)] = ""
    group: Annotated[str, plain(40)] = "Other"
    form: Annotated[AnswerForm, from_object(AnswerForm)]
    expects: Expects = "any sound"
    languages: Annotated[tuple[Language, ...], LAX, Field(max_length=100)] = ()
    backbone: Annotated[str, plain(80)]
    unit_lm_sha256: Sha256
    positions: Literal["row", "after_prompt"] = "row"
    projected: bool = False
    absolute_pitch: bool = False
    label_rule: Annotated[dict[str, Any], AfterValidator(check_rule)] | None = field(
        default_factory=lambda: {"column": "label"}
    )
    data: Annotated[str, plain(2000)] = ""
    licence: Annotated[str, plain(300)] = ""
    commands: dict[Literal["tuned", "measured", "calibrated"], Annotated[str, plain(4000)]] = field(
        default_factory=dict
    )
    metrics: Metrics = field(default_factory=lambda: Metrics())
    strangers: Strangers | None = None
    calibration: Calibration | None = None
    limits: Annotated[str, plain(2000)] = LIMITS
    examples: Annotated[
        tuple[Annotated[str, plain(200), AfterValidator(inside)], ...], LAX, Field(max_length=100)
    ] = ()

    @property
    def strangers_decide(self) -> bool:
        """Whether there are enough strangers to say that the prompt is worse, by more than APART, than on its split."""
        found, own = self.strangers, self.metrics.get("accuracy")
        return (
            found is not None
            and found["n"] >= FEWEST_STRANGERS
            and (own is None or own - found["right"] > APART)
        )

    @property
    def experimental(self) -> bool:
        """Whether it is too often wrong to stand among the others: see POOR; or less than twice as good as chance."""
        found, own = self.strangers, self.metrics.get("unweighted_recall")
        if found is not None and found["n"] >= FEWEST_STRANGERS and found["right"] < POOR:
            return True
        return self.form.kind == "label" and own is not None and own < min(POOR, 2 / len(self.form.labels))

    @property
    def heading(self) -> str:
        """The group of tasks that it is shown in."""
        return EXPERIMENTAL if self.experimental else self.group

    def __post_init__(self) -> None:
        if len(self.form.labels) < 2:
            raise ValueError(f"labels must be a list of 2 to {MAX_LABELS}")
        if "accuracy" in self.metrics and not {"split", "n", "interval95"} <= self.metrics.keys():
            raise ValueError("metrics must give split, n and interval95 beside the accuracy")
        special = {} if self.calibration is None else self.calibration.get("labels", {})
        if not special.keys() <= set(self.form.labels):
            raise ValueError("labels of the calibration must be among the prompt's labels")
        if "confusion" in self.metrics:
            wrong = confusion.fault(self.metrics["confusion"], self.form.spans, self.metrics.get("n"))
            if self.form.kind == "sequence" or wrong:
                raise ValueError(
                    f"confusion in metrics {'is not for sequences' if self.form.kind == 'sequence' else wrong}"
                )


@schema(kw_only=True)
class Shape:
    """What prompt_config.json says of the tensors, to be held against them."""

    kind: Literal["deep", "input"]
    length: int


@schema(kw_only=True)
class Verbalizer:
    """Which units stand for which label: a list for each, or None where a learned verbalizer has them all."""

    kind: Literal["fixed", "learned"]
    units: list[Annotated[list[int], Field(min_length=1)]] | None = None


@schema(kw_only=True)
class PromptFile:
    """The entries of prompt_config.json beside Facts."""

    prompt: Annotated[Shape, from_object(Shape)]
    verbalizer: Annotated[Verbalizer, from_object(Verbalizer)]
