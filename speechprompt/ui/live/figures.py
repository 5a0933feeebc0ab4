"""What the Live tab shows, as inline HTML of bounded size; everything from outside is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from speechprompt.live.event import Event
from speechprompt.live.listener import RIBBON_SECONDS
from speechprompt.ui import html
from speechprompt.ui.colours import unit_colour
from speechprompt.ui.html import bars, chip, label_tag, likely_chip, percent

if TYPE_CHECKING:
    from speechprompt.decoding.answer import Answer

LABEL_CHARACTERS = 120
RUNNERS_UP = 2  # labels under the one that was answered
UNITS_SHOWN = 6  # of an answer of several steps


def panel(
    current: Event | None, answers: Sequence[Event], ribbon: Sequence[tuple[float, float, int]], now: float
) -> str:
    """The last label, large, with the labels that came next; the units of the last 6 s; the answers, newest first.

    ribbon: (start, end, unit) in seconds of the stream, now: its length.
    """
    return f'{latest(current)}<div class="sp-live-right">{units(ribbon, now)}{history(answers)}</div>'


def latest(current: Event | None) -> str:
    """The label that was answered last; what can still change says so."""
    if current is None:
        text, kind = '<p class="sp-label sp-quiet">…</p>', "quiet"
        note = "Start listening, then speak: each word is answered when it ends."
    else:
        text = html.verdict(current.label[:LABEL_CHARACTERS], current.score)
        kind = "final" if current.final else "provisional"
        note = span(current) if current.final else "So far; you are still speaking."
    doubt = ""
    if current is not None and current.reason:
        doubt = f'<p class="sp-outside" data-fits="{current.fits}">{escape(current.reason)}</p>'
    return (
        f'<section class="sp-card sp-live-now" data-kind="{kind}" aria-label="Last answer">'
        f'{text}<p class="sp-score">{note}</p>{doubt}{runners_up(current)}{generated(current)}</section>'
    )


def runners_up(current: Event | None) -> str:
    """The likeliest labels with their probabilities."""
    if current is None or len(current.scores) < 2:
        return ""
    rows = list(current.scores.items())[: 1 + RUNNERS_UP]
    shown = bars((label[:LABEL_CHARACTERS] or "the end", score) for label, score in rows)
    return f'<div class="sp-scores">{shown}</div>'


def generated(current: Event | None) -> str:
    """The units that the LM generated, each with its probability and, where it stands for one, its label."""
    if current is None or current.answer is None:
        return ""
    steps = [step for step in current.answer.steps if step.unit is not None]
    shown = []
    for step in steps[:UNITS_SHOWN]:
        label = "" if step.unit_label is None else f" → {label_tag('b', step.unit_label[:LABEL_CHARACTERS])}"
        shown.append(f"<span>{likely_chip(step.unit or 0, step.unit_score)}{label}</span>")
    left = len(steps) - UNITS_SHOWN
    more = f"<span>and {left} more</span>" if left > 0 else ""
    return f'<p class="sp-live-unit">Generated unit{"s" * (len(steps) > 1)} {"".join(shown)}{more}</p>'


def span(event: Event) -> str:
    return (
        f"{event.start:.1f} to {event.end:.1f}\u00a0s · "
        f"decided {1000 * event.latency:.0f}\u00a0ms after the sound ended"
    )


def units(ribbon: Sequence[tuple[float, float, int]], now: float) -> str:
    """Runs of units on the last 6 s; the right edge is now."""
    since = now - RIBBON_SECONDS
    runs = "".join(
        f'<i style="left:{100 * (start - since) / RIBBON_SECONDS:.2f}%;'
        f'width:{100 * (end - start) / RIBBON_SECONDS:.2f}%;background:{unit_colour(unit)}" title="unit {unit}"></i>'
        for start, end, unit in ribbon
    )
    return (
        '<section class="sp-card sp-live-units"><p class="sp-eyebrow">Units of the last 6 s</p>'
        f'<div class="sp-live-ribbon" role="img" aria-label="{len(ribbon)} units in the last 6 seconds">{runs}</div>'
        '<div class="sp-live-axis" aria-hidden="true"><span>6 s ago</span><span>now</span></div></section>'
    )


def history(answers: Sequence[Event]) -> str:
    """When each was spoken, what was answered, the unit that the LM generated, and the probability."""
    rows = "".join(
        f'<li data-fits="{event.fits}"><span>{event.start:.1f}\u00a0s</span>'
        f"{label_tag('bdi', event.label[:LABEL_CHARACTERS])}{first_unit(event.answer)}"
        f"<data>{percent(event.score)}</data></li>"
        for event in answers
    )
    return (
        '<section class="sp-card sp-live-history"><p class="sp-eyebrow" id="sp-live-title">Last answers</p>'
        f'<ol aria-labelledby="sp-live-title">{rows or "<li>None yet.</li>"}</ol></section>'
    )


def first_unit(answer: Answer | None) -> str:
    if answer is None or not answer.generated:
        return "<span></span>"
    more = len(answer.generated) - 1
    return f"<span>{chip(answer.generated[0])}{f' +{more}' if more else ''}</span>"
