"""Answers side by side: a card for every prompt that was asked, and the checkboxes that choose them.

Plain functions to HTML; everything that comes from outside is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from speechprompt.ui import html as figures
from speechprompt.ui.classify.answer import LONG_LABEL, OUTSIDE, bar, step_name, unit_chip
from speechprompt.ui.html import label_tag, milliseconds, percent

if TYPE_CHECKING:
    from speechprompt.comparison import Row
    from speechprompt.decoding.answer import Answer
    from speechprompt.prompts.prompt import Prompt

BARS_SHOWN = 3


def cards(rows: Sequence[Row], facts: Iterable[str]) -> str:
    """A card for every row, and how it all ran."""
    return (
        f'<section aria-label="Comparison"><div class="sp-cards">{"".join(map(card, rows))}</div></section>'
        f'<ul class="sp-facts" aria-label="How it ran">{"".join(f"<li>{escape(f)}</li>" for f in facts)}</ul>'
    )


def card(row: Row) -> str:
    """One prompt's answer: label, score and rivals, the units it generated, how often it is right, what it is."""
    prompt, answer = row.prompt, row.answer
    if answer is None:
        said = f'<p class="sp-none">{escape(row.error)}</p>'
    else:
        size = "sp-label sp-long" if len(answer.label) > LONG_LABEL else "sp-label"
        said = (
            f'<p class="{size}">{label_tag("bdi", answer.label or "nothing")} <data>{percent(answer.score)}</data></p>'
            f'<div class="{"sp-scores" if len(answer.steps) == 1 else "sp-steps"}">{bars(answer)}</div>{chips(answer)}'
        )
        if answer.flagged:
            said += f'<p class="sp-outside">{OUTSIDE}.</p>'
    return (
        f'<article class="sp-card sp-one" aria-label="{escape(prompt.title)}, {escape(row.backbone.name)}">'
        f'<h2>{escape(prompt.title)} <span class="sp-of">{escape(row.backbone.name)}</span></h2>{said}'
        f'<p class="sp-score">{escape(figures.track_record(prompt))}</p>'
        f'<p class="sp-about">{escape(about(prompt))}{"" if answer is None else f" · {took(answer)}"}</p></article>'
    )


def bars(answer: Answer) -> str:
    """The likeliest labels with their scores; of an answer with several labels, one bar for each."""
    if len(answer.steps) == 1:
        shown = list(answer.scores.items())[:BARS_SHOWN]
    else:
        shown = [(step_name(step), step.score) for step in answer.steps]
    return f'<ol class="sp-bars">{"".join(bar(label, share) for label, share in shown)}</ol>'


def chips(answer: Answer) -> str:
    """The verbalizer units that the LM generated, each with its probability."""
    units = zip(answer.generated, answer.generated_scores, strict=True)
    shown = "".join(
        f'<span>{unit_chip(unit)} <span class="sp-share">{percent(share)}</span></span>'
        for unit, share in units
    )
    name = "Units generated" if len(answer.generated) > 1 else "Unit generated"
    return f'<div class="sp-chips"><span class="sp-hint">{name}</span>{shown}</div>' if shown else ""


def about(prompt: Prompt) -> str:
    """What kind of prompt it is and how small."""
    kind = "deep" if prompt.deep else "input"
    size = f"{prompt.n_parameters:,}".replace(",", "\u202f")
    return f"{kind} prompt, length {prompt.length} · {prompt.verbalizer} verbalizer · {size} parameters"


def took(answer: Answer) -> str:
    """Time of the encoder, and of the LM batch that answered all of the backbone's prompts."""
    return f"{milliseconds(answer.timing['encode_s'])} encoder, {milliseconds(answer.timing['lm_s'])} language model"


def check(text: str, value: str | None = None, hint: str = "") -> str:
    """A checkbox for `value`, or without one a head that ticks all beside it."""
    attribute = "data-head" if value is None else f'value="{escape(value)}"'
    small = f"<small>{escape(hint)}</small>" if hint else ""
    return f'<label><input type="checkbox" {attribute}><span dir="auto">{escape(text)} {small}</span></label>'


def check_group(group: str, entries: Iterable[str]) -> str:
    """Checkboxes under a head of their own."""
    return f'<div role="group" aria-label="{escape(group)}">{check(group)}{"".join(entries)}</div>'
