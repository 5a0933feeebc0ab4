"""How the answer came about: what the LM expected at each step, and what each unit did for the label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speechprompt.decoding.contributions import Contributions, likeliest
from speechprompt.ui.colours import OWN, Colours, unit_colour
from speechprompt.ui.html import chip, label_tag, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speechprompt.decoding.answer import Answer

STEPS_SHOWN = 24  # of a long sequence


def decision(answer: Answer, names: Sequence[str], colours: Colours = OWN) -> str:
    """Odds of the likeliest units, and with a learned verbalizer the heaviest contributions, step by step.

    names: what each step answered; with several steps each folds away, the first is open.
    """
    steps = []
    for at, (step, odds) in enumerate(zip(answer.steps, answer.unit_probabilities, strict=True)):
        if at == STEPS_SHOWN:
            left = len(answer.steps) - at
            steps.append(f'<p class="sp-explained">And {left} more step{"s" * (left != 1)}.</p>')
            break
        parts = f'<div class="sp-step">{odds_plot(odds, colours)}'
        if answer.verbalizer == "learned" and step.contributions is not None:
            parts += contribution_plot(step.contributions, names[at], colours)
        parts += "</div>"
        if len(answer.steps) > 1:
            opened = "" if at else " open"
            summary = f"Step {at + 1}: {label_tag('bdi', names[at])}"
            parts = f'<details name="sp-steps"{opened}><summary>{summary}</summary>{parts}</details>'
        steps.append(parts)
    return (
        '<section class="sp-more sp-decision" aria-label="How the answer came about">'
        f'<h2 class="sp-eyebrow">How the answer came about</h2>{"".join(steps)}</section>'
    )


def listed_units(answer: Answer) -> list[list[int]]:
    """The units of each list that a decision shows."""
    lists = []
    for step, odds in list(zip(answer.steps, answer.unit_probabilities, strict=True))[:STEPS_SHOWN]:
        lists.append(likeliest(odds))
        if answer.verbalizer == "learned" and step.contributions is not None:
            lists.append(step.contributions.top())
    return [[int(unit) for unit in one] for one in lists]


def odds_plot(odds: np.ndarray, colours: Colours = OWN) -> str:
    """Bars of the likeliest units: odds float [n_units]; the others are summed."""
    top = likeliest(odds)
    longest = float(odds[top[0]]) or 1.0
    rows = [
        row(chip(unit, colours), unit_bar(odds[unit] / longest, unit, colours), percent(float(odds[unit])))
        for unit in top
    ]
    others = len(odds) - len(top)
    if others > 0:
        rest = max(0.0, 1.0 - float(odds[top].sum(dtype=np.float64)))
        rows.append(row(f"{others} others", "", percent(rest)))
    return (
        '<div class="sp-plot"><h3>Units that the language model expected next</h3>'
        f'<ul class="sp-odds" aria-label="Probability of units">{"".join(rows)}</ul></div>'
    )


def contribution_plot(found: Contributions, name: str, colours: Colours = OWN) -> str:
    """Bars to the right speak for, to the left against the label; all parts of the sum are listed."""
    top = found.top()
    longest = max((abs(float(found.units[unit])) for unit in top), default=0.0) or 1.0
    rows = [
        row(
            chip(unit, colours),
            unit_bar(found.units[unit] / longest, unit, colours, signed=True),
            logit(found.units[unit]),
        )
        for unit in top
    ]
    others = len(found.units) - len(top)
    if others > 0:
        rows.append(row(f"{others} others", "", logit(found.units.sum() - found.units[top].sum())))
    rows.append(row("no single unit", "", logit(found.specials + found.level)))
    rows.append(row("together", "", logit(found.margin), " class=sp-sum"))
    return (
        f'<div class="sp-plot"><h3>Units that weighed most for {label_tag("bdi", name)}</h3>'
        f'<ul class="sp-odds" aria-label="Contributions to the label">{"".join(rows)}</ul>'
        '<p class="sp-explained">A unit speaks for the label when it is expected more than the average unit and '
        "the verbalizer weighs it more for this label than for the others, or less on both counts. The parts "
        "add up to the label's logit above the mean of all labels.</p></div>"
    )


def row(name: str, picture: str, value: str, attribute: str = "") -> str:
    return f"<li{attribute}><span>{name}</span><i>{picture}</i><data>{value}</data></li>"


def unit_bar(share: float, unit: int, colours: Colours = OWN, signed: bool = False) -> str:
    """A bar in the colour of the unit, share of the longest; signed ones start in the middle."""
    width = abs(100 * float(share)) / (2 if signed else 1)
    left = 0.0 if not signed else 50.0 if share >= 0 else 50.0 - width
    return f'<b style="left:{left:.1f}%;width:{width:.1f}%;background:{unit_colour(unit, colours)}"></b>'


def logit(value: float) -> str:
    """ "+1.62", with a real minus sign."""
    return f"{float(value):+.2f}".replace("-", "−")
