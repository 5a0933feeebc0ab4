"""Answers side by side: a card for every prompt that was asked, and the checkboxes that choose them.

Plain functions to HTML; everything that comes from outside is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from speechprompt.ui import html
from speechprompt.ui.classify.answer import outside, shown_label, step_name
from speechprompt.ui.compare.grid import grid, ordered

if TYPE_CHECKING:
    from speechprompt.decoding.answer import Answer
    from speechprompt.ui.comparison import Row

BARS_SHOWN = 3


def cards(rows: Sequence[Row], ran: Iterable[str], second: Sequence[Row] = ()) -> str:
    """A table of all rows, beside it a card for each as the other view, and facts of how it all ran."""
    views = "".join(
        f'<button type="button" data-view="{view}" aria-pressed="{str(view == "table").lower()}">{name}</button>'
        for view, name in (("table", "Table"), ("cards", "Cards"))
    )
    return (
        f'<section class="sp-compared" aria-label="Comparison"><div class="sp-views" role="group" aria-label="View">'
        f'{views}</div><div class="sp-card sp-tabled">{grid(rows, second)}</div>'
        f'<div class="sp-cards">{"".join(map(card, ordered(rows)))}</div></section>{html.facts(ran)}'
    )


def card(row: Row) -> str:
    """One prompt's answer: label, score and rivals, the units it generated, how often it is right, what it is."""
    prompt, answer = row.prompt, row.answer
    if answer is None:
        shown = f'<p class="sp-none">{escape(row.error)}</p>'
    else:
        shown = (
            f"{html.verdict(shown_label(answer), answer.score)}"
            f'<div class="{"sp-scores" if len(answer.steps) == 1 else "sp-steps"}">{bars(answer)}</div>{chips(answer)}'
        )
        shown += outside(answer)
    return (
        f'<article class="sp-card sp-one" aria-label="{escape(prompt.title)}, {escape(row.backbone.name)}">'
        f'<h2>{escape(prompt.title)} <span class="sp-of">{escape(row.backbone.name)}</span></h2>{shown}'
        f'<p class="sp-score">{escape(html.track_record(prompt))}</p></article>'
    )


def bars(answer: Answer) -> str:
    """The likeliest labels with their scores; of an answer with several labels, one bar for each."""
    if len(answer.steps) == 1:
        shown = list(answer.scores.items())[:BARS_SHOWN]
    else:
        shown = [(step_name(step), step.score) for step in answer.steps]
    return html.bars(shown)


def chips(answer: Answer) -> str:
    """The verbalizer units that the LM generated, each with its probability."""
    units = zip(answer.generated, answer.generated_scores, strict=True)
    shown = "".join(html.likely_chip(unit, share) for unit, share in units)
    name = "Units generated" if len(answer.generated) > 1 else "Unit generated"
    return f'<div class="sp-chips"><span class="sp-hint">{name}</span>{shown}</div>' if shown else ""


def took(answer: Answer) -> str:
    """Time of the encoder, and of the LM batch that answered all of the backbone's prompts."""
    encoder, lm = (html.milliseconds(answer.timing[part]) for part in ("encode_s", "lm_s"))
    return f"{encoder} encoder, {lm} language model"


def check(text: str, value: str | None = None, hint: str = "") -> str:
    """A checkbox for `value`, or without one a head that ticks all beside it."""
    attribute = "data-head" if value is None else f'value="{escape(value)}"'
    small = f"<small>{escape(hint)}</small>" if hint else ""
    return f'<label><input type="checkbox" {attribute}><span dir="auto">{escape(text)} {small}</span></label>'


def check_group(group: str, entries: Iterable[str]) -> str:
    """Checkboxes under a head of their own."""
    return f'<div role="group" aria-label="{escape(group)}">{check(group)}{"".join(entries)}</div>'
