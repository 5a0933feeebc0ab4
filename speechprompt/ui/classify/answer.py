"""The answer card: label or slots with their scores, and the units that the language model generated.

Plain functions from answers to HTML; everything that comes from outside is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

from speechprompt.ui.classify.decision import decision
from speechprompt.ui.classify.stages import stages
from speechprompt.ui.classify.timeline import timeline
from speechprompt.ui.html import (
    bars,
    chip,
    facts,
    label_tag,
    likely_chip,
    milliseconds,
    score_bars,
    track_record,
    verdict,
)

if TYPE_CHECKING:
    import numpy as np

    from speechprompt.decoding.answer import Answer, Step
    from speechprompt.prompts.prompt import Prompt

NONE_OF_THESE = "none of these"
RIVALS_SHOWN = 3  # labels shown of every slot
UNITS_SHOWN = 3  # beside the generated one, or of those that a learned verbalizer reads


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
        f'<p class="sp-score">{escape(track_record(prompt))}</p>{outside(answer)}'
        f"{generated(answer, prompt)}</div>{scores(answer, prompt)}</section>"
        f"{stages(answer, prompt, 0 if waveform is None else len(waveform), frozen)}"
        f"{timeline(answer.units, waveform)}"
        f"{decision(answer, [step_name(step) for step in answer.steps])}"
        f"{facts(timing)}"
    )


def outside(answer: Answer) -> str:
    """One sentence for a recording that may not fit the task."""
    return (
        f'<p class="sp-outside" data-fits="{answer.fits}">{escape(answer.reason)}</p>'
        if answer.flagged
        else ""
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
    """The units that the LM generated, each with the label that it stands for, and the units beside it.

    With a fixed verbalizer the generated unit decides, and beside it are those of other labels; a learned one
    weighs all units, and beside it are those that spoke most for the answer.
    """
    fixed, single = answer.verbalizer == "fixed", len(answer.steps) == 1
    steps = []
    for step in answer.steps:
        if step.unit is None:
            continue
        chips = likely_chip(step.unit, step.unit_score, "unit ")
        name = answer.label if single else step_name(step)
        if step.unit_label is None:
            name = NONE_OF_THESE
        arrow = '<span class="sp-arrow" role="img" aria-label="becomes">→</span>'
        to = f'<span class="sp-to">{arrow} {label_tag("bdi", name)}</span>' if fixed else ""
        if step.unit_label not in (None, step.label):
            to = f'<span class="sp-to">the units of {label_tag("bdi", name)} are together likelier</span>'
        steps.append(f"<li>{chips}{to}{beside(step, fixed) if single else ''}</li>")
    if fixed:
        some = any(len(units) > 1 for units in prompt.label_units)
        text = f"Each label is {'a few units' if some else 'one unit'}; the unit that is generated decides."
    else:
        text = f"The verbalizer weighs all {answer.unit_probabilities.shape[-1]} units."
    return (
        f'<div class="sp-generated"><p class="sp-eyebrow">The language model generated</p>'
        f"<ol{'' if single else ' class=sp-many'}>{''.join(steps)}</ol><p>{text}</p></div>"
    )


def beside(step: Step, fixed: bool) -> str:
    """Units beside the generated one: those of other labels, or those that spoke most for a learned answer."""
    if fixed:
        chosen = [one for one in step.likeliest[1:] if one.label is not None][: UNITS_SHOWN - 1]
        shown = "".join(
            f'<span class="sp-rival">{likely_chip(one.unit, one.score, "")} {label_tag("bdi", one.label or "")}</span>'
            for one in chosen
        )
        return f'<span class="sp-rivals">{shown}</span>' if shown else ""
    if step.contributions is None:
        return ""
    most = [unit for unit in step.contributions.top() if step.contributions.units[unit] > 0][:UNITS_SHOWN]
    chips = "".join(chip(unit) for unit in most)
    return (
        f'<span class="sp-rivals">most for {label_tag("bdi", step_name(step))}: {chips}</span>'
        if most
        else ""
    )
