"""What a task says about a recording: the answer with its steps, and how it comes from the LM's output."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import torch

from speechprompt.decoding.beam_search import END, RawAnswer
from speechprompt.decoding.contributions import Contributions, contributions, likeliest
from speechprompt.decoding.fits import NO_JUDGES, Evidence, Fits, judge
from speechprompt.prompts.prompt import Prompt
from speechprompt.units import UNIT_OFFSET, Units


@dataclass(frozen=True)
class Likely:
    """A unit that the LM may generate, with its probability among all units and the label that it belongs to."""

    unit: int
    score: float
    label: str | None


@dataclass(frozen=True)
class Step:
    """One step of an answer: a label, or the end of a sequence (label None).

    slot: the slot that the label fills, "" where the task has none. score and scores (label ->
    probability, highest first; "" is the end) are over what could be answered here. unit: the one that the LM
    generates, which is the likeliest of all, with its probability among all units; None at the end of a sequence.
    likeliest: the first of all units, the generated one before the others, each with the label that it belongs to.
    contributions: what each unit added to the logit of what was answered.
    """

    label: str | None
    slot: str
    score: float
    scores: dict[str, float]
    unit: int | None
    unit_score: float
    contributions: Contributions | None = None
    likeliest: tuple[Likely, ...] = ()

    @property
    def unit_label(self) -> str | None:
        """The label that the generated unit belongs to; None for none, and with a learned verbalizer."""
        return self.likeliest[0].label if self.likeliest and self.unit is not None else None

    def to_dict(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "slot": self.slot,
            "score": self.score,
            "scores": dict(self.scores),
            "unit": self.unit,
            "unit_score": self.unit_score,
            "unit_label": self.unit_label,
            "units": [asdict(one) for one in self.likeliest],
            "contributions": None if self.contributions is None else self.contributions.to_dict(),
        }


@dataclass(frozen=True, eq=False, repr=False)
class Answer:
    """What one task says about one recording.

    label: the answer as text, with its probability `score` (the product of its steps'). steps: one, one
    for each slot, or those of a sequence with its end. slots: slot -> value, of tasks with slots.
    units: of the recording. unit_probabilities: float32 [S, n_units], the LM's odds at each step.
    timing: seconds, `encode_s` for the recording's units and `lm_s` for this recording's share of the
    one LM batch that answered all tasks. fits: whether the recording is one that the task has an answer for
    (fits.py); reason: one sentence that says why not, "" where it fits. inside: probability of all labels' units at
    the first step (1 with a learned verbalizer); what is left to 1 is none of these.
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
    fits: Fits = "yes"
    reason: str = ""
    inside: float = 1.0

    def __repr__(self) -> str:
        doubt = "" if self.fits == "yes" else f", fits: {self.fits}"
        return f"<Answer {self.task}: {self.label!r}, {self.score:.2f}{doubt}>"

    @property
    def flagged(self) -> bool:
        """Whether the recording may not fit the task."""
        return self.fits != "yes"

    @property
    def scores(self) -> dict[str, float]:
        """Label -> probability, highest first; of an answer with several labels, the whole answer's alone."""
        return self.steps[0].scores if len(self.steps) == 1 else {self.label: self.score}

    @property
    def generated(self) -> list[int]:
        """The units that decided: at the step of each label the likeliest of all."""
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
            "fits": self.fits,
            "reason": self.reason,
            "flagged": self.flagged,
            "inside": self.inside,
            "scores": dict(self.scores),
            "slots": dict(self.slots),
            "steps": [step.to_dict() for step in self.steps],
            "units": self.units.to_dict(),
            "generated": self.generated,
            "generated_scores": self.generated_scores,
            "verbalizer": self.verbalizer,
            "timing": dict(self.timing),
        }


def make_answer(
    prompt: Prompt, raw: RawAnswer, units: Units, timing: dict[str, float], evidence: Evidence | None = None
) -> Answer:
    """Give a raw answer its labels, its units and the judgement whether the recording fits."""
    if evidence is None:
        evidence = NO_JUDGES.evidence(prompt, raw, {})
    fits, reason = judge(prompt, raw, evidence)
    logits = torch.from_numpy(raw.vocabulary_logits[:, UNIT_OFFSET:]).double()  # specials are never answered
    unit_probabilities = logits.softmax(-1).float().numpy()
    labels = [prompt.labels[i] for i in raw.labels]
    return Answer(
        task=prompt.task,
        title=prompt.title,
        label=prompt.form.text(labels),
        score=prompt.believed(raw.score),
        steps=[make_step(prompt, raw, unit_probabilities, at) for at in range(len(raw.probabilities))],
        slots=prompt.form.fill_slots(labels),
        units=units,
        unit_probabilities=unit_probabilities,
        verbalizer=prompt.verbalizer,
        timing=timing,
        fits=fits,
        reason=reason,
        inside=evidence.inside,
    )


def make_step(prompt: Prompt, raw: RawAnswer, unit_probabilities: np.ndarray, at: int) -> Step:
    """Step number `at` of a raw answer."""
    names, (slot, first, end) = [*prompt.labels, ""], prompt.form.span(at)
    if prompt.form.kind == "sequence":
        end += 1  # what ends it may be answered too
    index = raw.labels[at] if at < len(raw.labels) else END
    probabilities = raw.probabilities[at, first:end]
    scores = {names[first + i]: float(probabilities[i]) for i in np.argsort(-probabilities, kind="stable")}
    unit = None
    if index != END:
        unit = int(unit_probabilities[at].argmax())
        slot = slot or prompt.labels[index].rpartition("=")[0]
    return Step(
        label=None if index == END else prompt.labels[index],
        slot=slot,
        score=float(raw.probabilities[at, index]),
        scores=scores,
        unit=unit,
        unit_score=0.0 if unit is None else float(unit_probabilities[at, unit]),
        likeliest=tuple(
            Likely(u, float(unit_probabilities[at, u]), prompt.unit_label(u))
            for u in likeliest(unit_probabilities[at])
        ),
        contributions=contributions(
            prompt, raw.vocabulary_logits[at], None if index == END else index, first, end
        ),
    )
