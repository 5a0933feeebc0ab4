"""What a task says about a recording: the answer with its steps, and how it comes from the LM's output."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch

from speechprompt.decoding.beam_search import END, RawAnswer
from speechprompt.decoding.contributions import Contributions, contributions, likeliest
from speechprompt.prompts.prompt import Prompt
from speechprompt.units import UNIT_OFFSET, Units


@dataclass(frozen=True)
class Step:
    """One step of an answer: a label, or the end of a sequence (label None).

    slot: the slot that the label fills, "" where the task has none. score and scores (label ->
    probability, highest first; "" is the end) are over what could be answered here. unit: the unit that
    the LM finds likeliest here, with its probability among all units; a fixed verbalizer chooses among
    its own units, so each stands for one label. It is None at the end of a sequence. contributions: what
    each unit added to the logit of what was answered.
    """

    label: str | None
    slot: str
    score: float
    scores: dict[str, float]
    unit: int | None
    unit_score: float
    contributions: Contributions | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "slot": self.slot,
            "score": self.score,
            "scores": dict(self.scores),
            "unit": self.unit,
            "unit_score": self.unit_score,
            "contributions": None if self.contributions is None else self.contributions.to_dict(),
        }


@dataclass(frozen=True, eq=False, repr=False)
class Answer:
    """What one task says about one recording.

    label: the answer as text, with its probability `score` (the product of its steps'). steps: one, one
    for each slot, or those of a sequence with its end. slots: slot -> value, of tasks with slots.
    units: what was heard. unit_probabilities: float32 [S, n_units], the LM's odds at each step.
    timing: seconds, `encode_s` for the recording's units and `lm_s` for this recording's share of the
    one LM batch that answered all tasks. flagged: the score is below what right answers of this task mostly
    have (calibration.py), so the recording may be none of the labels.
    """

    task: str
    title: str
    label: str
    score: float
    steps: list[Step]
    slots: dict[str, str]
    units: Units
    unit_probabilities: np.ndarray = field(repr=False)
    verbalizer: Literal["fixed", "learned"]
    timing: dict[str, float]
    flagged: bool = False

    def __repr__(self) -> str:
        return f"<Answer {self.task}: {self.label!r}, {self.score:.2f}{', flagged' * self.flagged}>"

    @property
    def scores(self) -> dict[str, float]:
        """Label -> probability, highest first; of an answer with several labels, the whole answer's alone."""
        return self.steps[0].scores if len(self.steps) == 1 else {self.label: self.score}

    @property
    def generated(self) -> list[int]:
        """The unit of each label."""
        return [step.unit for step in self.steps if step.unit is not None]

    @property
    def generated_scores(self) -> list[float]:
        return [step.unit_score for step in self.steps if step.unit is not None]

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON; unit starts and lengths in frames of 20 ms.

        Of the odds of all units only the likeliest of every step are there, as its `units`.
        """
        return {
            "task": self.task,
            "title": self.title,
            "label": self.label,
            "score": self.score,
            "flagged": self.flagged,
            "scores": dict(self.scores),
            "slots": dict(self.slots),
            "steps": [
                step.to_dict() | {"units": [{"unit": u, "score": float(odds[u])} for u in likeliest(odds)]}
                for step, odds in zip(self.steps, self.unit_probabilities, strict=True)
            ],
            "units": self.units.to_dict(),
            "generated": self.generated,
            "generated_scores": self.generated_scores,
            "verbalizer": self.verbalizer,
            "timing": dict(self.timing),
        }


def make_answer(prompt: Prompt, raw: RawAnswer, units: Units, timing: dict[str, float]) -> Answer:
    """Give a raw answer its labels and units."""
    logits = torch.from_numpy(raw.vocabulary_logits[:, UNIT_OFFSET:]).double()  # specials are never answered
    unit_probabilities = logits.softmax(-1).float().numpy()
    labels = [prompt.labels[i] for i in raw.labels]
    return Answer(
        task=prompt.task,
        title=prompt.title,
        label=prompt.form.text(labels),
        score=raw.score,
        steps=[make_step(prompt, raw, unit_probabilities, at) for at in range(len(raw.probabilities))],
        slots=prompt.form.fill_slots(labels),
        units=units,
        unit_probabilities=unit_probabilities,
        verbalizer=prompt.verbalizer,
        timing=timing,
        flagged=raw.score < prompt.threshold,
    )


def make_step(prompt: Prompt, raw: RawAnswer, unit_probabilities: np.ndarray, at: int) -> Step:
    """Step number `at` of a raw answer."""
    names, (slot, first, end) = [*prompt.labels, ""], prompt.form.span(at)
    if prompt.form.kind == "sequence":
        end += 1  # what ends it may be answered too
    index = raw.labels[at] if at < len(raw.labels) else END
    own = raw.probabilities[at, first:end]
    scores = {names[first + i]: float(own[i]) for i in np.argsort(-own, kind="stable")}
    unit = None
    if index != END:
        odds = unit_probabilities[at]
        unit = max(prompt.label_units[index], key=lambda u: odds[u], default=int(odds.argmax()))
        slot = slot or prompt.labels[index].rpartition("=")[0]
    return Step(
        label=None if index == END else prompt.labels[index],
        slot=slot,
        score=float(raw.probabilities[at, index]),
        scores=scores,
        unit=unit,
        unit_score=0.0 if unit is None else float(unit_probabilities[at, unit]),
        contributions=contributions(
            prompt, raw.vocabulary_logits[at], None if index == END else index, first, end
        ),
    )
