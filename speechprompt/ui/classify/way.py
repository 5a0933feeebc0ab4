"""The way from sound to label in one card: units, prompt and frozen LM, generated unit, verbalizer, label."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from speechprompt.ui.classify.stages import plural, share_text, short
from speechprompt.ui.colours import OWN, Colours, text_colour, unit_colour
from speechprompt.ui.html import chip, label_tag, likely_chip, percent
from speechprompt.units import Units

if TYPE_CHECKING:
    from speechprompt.decoding.answer import Answer, Step
    from speechprompt.prompts.prompt import Prompt

CHIPS_SHOWN = 3
NONE_OF_THESE = "none of these"
STEPS_SHOWN = 6
RUNS_SHOWN = 160  # of a long recording


def way(answer: Answer, prompt: Prompt, frozen: int, names: Sequence[str], colours: Colours = OWN) -> str:
    """Four rows, each what a part of the model did with this recording. names: what each step answered."""
    share = f"{share_text(prompt.n_parameters / frozen)} trained" if frozen else "alone trained"
    title = escape(prompt.title)
    rows = (
        (
            "Sound → units",
            plural(len(answer.units), "numbered sound"),
            ribbon(answer.units, colours),
        ),
        (
            "Prompt + LM",
            share,
            f'<span class="sp-box sp-prompt">prompt “{title}” · {short(prompt.n_parameters)}</span> + '
            '<span class="sp-box">frozen unit LM</span>',
        ),
        ("Generated unit" + "s" * (len(answer.steps) > 1), likeliest(answer), generated(answer, colours)),
        (
            "Verbalizer",
            "all odds together, none alone"
            if answer.verbalizer == "learned"
            else "the generated unit decides",
            verbalized(answer, names, colours),
        ),
    )
    items = "".join(
        f"<li><h3>{head}<small>{hint}</small></h3><div>{content}</div></li>" for head, hint, content in rows
    )
    return (
        '<section class="sp-card sp-way" aria-label="How it got there"><p class="sp-eyebrow">How it got there</p>'
        f"<ol>{items}</ol></section>"
    )


def ribbon(units: Units, colours: Colours = OWN) -> str:
    """The units in their colours, each as wide as it lasts."""
    runs = list(zip(units.ids.tolist(), units.lengths.tolist(), strict=True))[:RUNS_SHOWN]
    total = sum(length for _, length in runs) or 1
    cells = []
    for unit, length in runs:
        colour = unit_colour(unit, colours)
        name = f"<b>{unit}</b>" if length / total > 0.045 else ""
        cells.append(
            f'<i style="flex:{length};background:{colour};color:{text_colour(colour)}" title="unit {unit}">{name}</i>'
        )
    return f'<div class="sp-rib" role="img" aria-label="{len(units)} units in order">{"".join(cells)}</div>'


def likeliest(answer: Answer) -> str:
    return (
        "likeliest next" if len(answer.steps) > 1 else f"likeliest of {answer.unit_probabilities.shape[-1]}"
    )


def generated(answer: Answer, colours: Colours = OWN) -> str:
    """Of one step, the likeliest units with their odds; of several, the unit of each."""
    if len(answer.steps) > 1:
        steps = [step for step in answer.steps if step.unit is not None]
        shown = "".join(likely_chip(step.unit or 0, step.unit_score, colours) for step in steps[:STEPS_SHOWN])
        return shown + more(len(steps) - STEPS_SHOWN)
    odds = answer.unit_probabilities[0]
    first = answer.steps[0].unit
    top = [unit for unit in np.argsort(-odds).tolist() if unit != first][: CHIPS_SHOWN - (first is not None)]
    units = ([] if first is None else [first]) + top
    rest = max(0.0, 1.0 - float(odds[units].sum()))
    shown = "".join(likely_chip(unit, float(odds[unit]), colours) for unit in units)
    return f"{shown}<span>{len(odds) - len(units)} others, {percent(rest)}</span>"


def verbalized(answer: Answer, names: Sequence[str], colours: Colours = OWN) -> str:
    """What the units came to: with a learned verbalizer what the weightiest gave the label."""
    if len(answer.steps) > 1:
        pairs = [
            (step, name) for step, name in zip(answer.steps, names, strict=True) if step.unit is not None
        ]
        shown = "".join(
            f"<span>{chip(step.unit or 0, colours)} → {label_tag('b', name)}</span>"
            for step, name in pairs[:STEPS_SHOWN]
        )
        return shown + more(len(pairs) - STEPS_SHOWN)
    step, label = answer.steps[0], f"<span>→ {label_tag('b', names[0])}</span>"
    if answer.verbalizer == "fixed":
        return decided(step, names[0], colours)
    if step.contributions is None:
        return f"<span>{'' if step.unit is None else chip(step.unit, colours)}</span>{label}"
    found = step.contributions
    top = [unit for unit in found.top() if found.units[unit] > 0][: CHIPS_SHOWN - 1]
    shown = "".join(f"<span>{chip(unit, colours)} +{float(found.units[unit]):.1f}</span>" for unit in top)
    rest = float(found.margin) - float(found.units[top].sum())
    sign = "+" if rest >= 0 else "−"
    others = f"{len(found.units) - len(top)} others {sign}{abs(rest):.1f}"
    return f"{shown}<span>{others}</span>{label}"


def decided(step: Step, name: str, colours: Colours = OWN) -> str:
    """The generated unit with its label, and the units of other labels that came next."""
    if step.unit is None:
        return f"<span>→ {label_tag('b', name)}</span>"
    own = NONE_OF_THESE if step.unit_label is None else name
    shown = f"<span>{chip(step.unit, colours)} → {label_tag('b', own)}</span>"
    if step.unit_label not in (None, step.label):  # several units of one label outweigh it
        shown = f"<span>the units of {label_tag('b', name)} are together likelier</span>"
    rivals = [one for one in step.likeliest[1:] if one.label not in (None, step.label)][: CHIPS_SHOWN - 2]
    return shown + "".join(
        f"<span>{chip(one.unit, colours)} {label_tag('bdi', one.label or '')} {percent(one.score)}</span>"
        for one in rivals
    )


def named_units(answer: Answer) -> list[int]:
    """The units that the way tells one by one."""
    if len(answer.steps) > 1:
        return answer.generated[:STEPS_SHOWN]
    step = answer.steps[0]
    found = [] if step.unit is None else [step.unit]
    found += np.argsort(-answer.unit_probabilities[0])[:CHIPS_SHOWN].tolist()
    if answer.verbalizer == "learned" and step.contributions is not None:
        found += [unit for unit in step.contributions.top() if step.contributions.units[unit] > 0][
            :CHIPS_SHOWN
        ]
    else:
        found += [one.unit for one in step.likeliest[1:] if one.label not in (None, step.label)][:CHIPS_SHOWN]
    return list(dict.fromkeys(found))


def more(n: int) -> str:
    return f"<span>and {n} more</span>" if n > 0 else ""
