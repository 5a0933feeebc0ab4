"""The answer card: label or slots with their scores, and the units that the language model generated.

Plain functions from answers to HTML; everything that comes from outside is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from speechprompt.ui.classify.decision import decision
from speechprompt.ui.classify.stages import stages
from speechprompt.ui.classify.timeline import timeline
from speechprompt.ui.html import (
    bars,
    facts,
    label_tag,
    likely_chip,
    milliseconds,
    percent,
    score_bars,
    track_record,
    verdict,
)

if TYPE_CHECKING:
    from speechprompt.decoding.answer import Answer, Step
    from speechprompt.prompts.prompt import Prompt

RIVALS_SHOWN = 3  # labels shown of every slot
OUTSIDE = "This may be none of the labels"
UNITS_SHOWN = 3  # of those that a learned verbalizer reads


def result(
    answer: Answer, prompt: Prompt, waveform: np.ndarray | None, ran: Iterable[str], frozen: int = 0
) -> str:
    """The whole answer: label and scores, the generated units, what was heard, how it all came about.

    waveform: float32 [T] at 16 kHz, or None when units were given. ran: what else is told of how it came about.
    frozen: parameters of the backbone, 0 where they are not known.
    """
    timing = [] if waveform is None else [f"Encoder {milliseconds(answer.timing['encode_s'])}"]
    timing += [f"Language model {milliseconds(answer.timing['lm_s'])}", *ran]
    return (
        f'<section class="sp-card sp-answer" aria-label="Answer"><div class="sp-verdict">'
        f'<h2 class="sp-eyebrow">{escape(answer.title)}</h2>'
        f"{verdict(answer.label, answer.score)}"
        f'<p class="sp-score">{escape(track_record(prompt))}</p>{outside(answer, prompt)}'
        f"{generated(answer, prompt)}</div>{scores(answer, prompt)}</section>"
        f"{stages(answer, prompt, 0 if waveform is None else len(waveform), frozen)}"
        f"{timeline(answer.units, waveform)}"
        f"{decision(answer, [step_name(step) for step in answer.steps])}"
        f"{facts(timing)}"
    )


def outside(answer: Answer, prompt: Prompt) -> str:
    """One sentence for an answer whose score is lower than right ones mostly have."""
    if not answer.flagged:
        return ""
    return (
        f'<p class="sp-outside">{OUTSIDE}: right answers of this task mostly score '
        f"{percent(prompt.threshold)} or more.</p>"
    )


def scores(answer: Answer, prompt: Prompt) -> str:
    """Bars for all labels; for an answer in slots, the likeliest of each; for a sequence, one bar a step."""
    if prompt.form.kind == "label":
        shown = score_bars(answer.scores)
    elif prompt.form.kind == "slots":
        shown = "".join(
            f'<p class="sp-slot">{label_tag("span", step.slot)}</p>'
            + score_bars(dict(list(step.scores.items())[:RIVALS_SHOWN]))
            for step in answer.steps
        )
    else:
        shown = bars((step_name(step), step.score) for step in answer.steps)
    return f'<div class="sp-scores"><p class="sp-eyebrow">Scores</p>{shown}</div>'


def step_name(step: Step) -> str:
    """What one of several steps said: "size: large", a letter, or the end."""
    if step.label is None:
        return "end"
    if step.slot:
        return f"{step.slot}: {step.label.partition('=')[2] or step.label}"
    return step.label.strip() or "space"


def generated(answer: Answer, prompt: Prompt) -> str:
    """The verbalizer units that the LM generated, and what they map to.

    With a fixed verbalizer each unit is one label. A learned one weighs the odds of all units, so the
    likeliest are shown together, with the label that the first one weighs for when it is alone.
    """
    fixed, single = answer.verbalizer == "fixed", len(answer.steps) == 1
    steps = []
    for step, odds in zip(answer.steps, answer.unit_probabilities, strict=True):
        if step.unit is None:
            continue
        rivals = [u for u in np.argsort(-odds).tolist() if u != step.unit]
        others = rivals[: UNITS_SHOWN - 1] if single and not fixed else []
        chips = "".join(
            likely_chip(u, p, word)
            for u, p, word in [
                (step.unit, step.unit_score, "unit "),
                *((u, float(odds[u]), "") for u in others),
            ]
        )
        steps.append(
            f'<li>{chips}<span class="sp-to">{"" if fixed else "… "}'
            f'<span class="sp-arrow" role="img" aria-label="becomes">→</span> '
            f"{label_tag('bdi', answer.label if single else step_name(step))}</span></li>"
        )
    if fixed:
        text = "In this prompt each label is one unit."
    else:
        text = f"The verbalizer weighs the odds of all {answer.unit_probabilities.shape[-1]} units"
        if single and answer.generated:
            alone = prompt.unit_label(answer.generated[-1]) or "no label"
            text += f"; unit {answer.generated[-1]} alone weighs most for {label_tag('bdi', alone)}"
        text += "."
    return (
        f'<div class="sp-generated"><p class="sp-eyebrow">The language model generated</p>'
        f"<ol{'' if single else ' class=sp-many'}>{''.join(steps)}</ol><p>{text}</p></div>"
    )
