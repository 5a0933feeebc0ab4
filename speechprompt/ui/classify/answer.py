"""The answer card: label or slots with their scores, and the units that the language model generated.

Plain functions from answers to HTML; everything that comes from outside is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from speechprompt.ui.classify.decision import decision
from speechprompt.ui.classify.stages import stages
from speechprompt.ui.classify.timeline import timeline
from speechprompt.ui.html import (
    label_tag,
    milliseconds,
    percent,
    text_colour,
    track_record,
    unit_colour,
)

if TYPE_CHECKING:
    from speechprompt.decoding.answer import Answer, Step
    from speechprompt.prompts.prompt import Prompt

BARS_SHOWN = 10
LONG_LABEL = 14  # characters; a longer one is set smaller
RIVALS_SHOWN = 3  # labels shown of every slot
OUTSIDE = "This may be none of the labels"
UNITS_SHOWN = 3  # of those that a learned verbalizer reads


def result(
    answer: Answer, prompt: Prompt, waveform: np.ndarray | None, facts: Iterable[str], frozen: int = 0
) -> str:
    """The whole answer: label and scores, the generated units, what was heard, how it all came about.

    waveform: float32 [T] at 16 kHz, or None when units were given. frozen: parameters of the backbone, 0
    where they are not known.
    """
    timing = [] if waveform is None else [f"Encoder {milliseconds(answer.timing['encode_s'])}"]
    timing += [f"Language model {milliseconds(answer.timing['lm_s'])}", *facts]
    size = "sp-label sp-long" if len(answer.label) > LONG_LABEL else "sp-label"
    return (
        f'<section class="sp-card sp-answer" aria-label="Answer"><div class="sp-verdict">'
        f'<h2 class="sp-eyebrow">{escape(answer.title)}</h2>'
        f'<p class="{size}">{label_tag("bdi", answer.label or "nothing")} <data>{percent(answer.score)}</data></p>'
        f'<p class="sp-score">{escape(track_record(prompt))}</p>{outside(answer, prompt)}'
        f"{generated(answer, prompt)}</div>{scores(answer, prompt)}</section>"
        f"{stages(answer, prompt, 0 if waveform is None else len(waveform), frozen)}"
        f"{timeline(answer.units, waveform)}"
        f"{decision(answer, [step_name(step) for step in answer.steps])}"
        f'<ul class="sp-facts" aria-label="How it ran">{"".join(f"<li>{escape(t)}</li>" for t in timing)}</ul>'
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
        bars = score_bars(answer.scores)
    elif prompt.form.kind == "slots":
        bars = "".join(
            f'<p class="sp-slot">{label_tag("span", step.slot)}</p>'
            + score_bars(dict(list(step.scores.items())[:RIVALS_SHOWN]))
            for step in answer.steps
        )
    else:
        rows = [(step_name(step), step.score) for step in answer.steps]
        bars = f'<ol class="sp-bars">{"".join(bar(name, share) for name, share in rows)}</ol>'
    return f'<div class="sp-scores"><p class="sp-eyebrow">Scores</p>{bars}</div>'


def step_name(step: Step) -> str:
    """What one of several steps said: "size: large", a letter, or the end."""
    if step.label is None:
        return "end"
    if step.slot:
        return f"{step.slot}: {step.label.partition('=')[2] or step.label}"
    return step.label.strip() or "space"


def bar(label: str, share: float) -> str:
    return (
        f'<li>{label_tag("span", label)}<i><b style="width:{100 * share:.1f}%"></b></i>'
        f"<data>{percent(share)}</data></li>"
    )


def score_bars(scores: Mapping[str, float]) -> str:
    """Labels with their probabilities, highest first; those after the tenth are folded away."""
    rows = [bar(label, share) for label, share in scores.items()]
    html = f'<ol class="sp-bars">{"".join(rows[:BARS_SHOWN])}</ol>'
    if len(rows) > BARS_SHOWN:
        html += (
            f"<details><summary>{len(rows) - BARS_SHOWN} more labels</summary>"
            f'<ol class="sp-bars" start="{BARS_SHOWN + 1}">{"".join(rows[BARS_SHOWN:])}</ol></details>'
        )
    return html


def unit_chip(unit: int, word: str = "") -> str:
    colour = unit_colour(unit)
    style = f"background:{colour};color:{text_colour(colour)}"
    return f'<span class="sp-chip" style="{style}" title="unit {unit}">{word}{unit}</span>'


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
            f'<span>{unit_chip(u, word)} <span class="sp-share">{percent(p)}</span></span>'
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
