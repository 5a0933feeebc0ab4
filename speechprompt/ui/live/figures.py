"""What the Live tab shows, as inline HTML of bounded size; everything from outside is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from speechprompt.live import RIBBON_SECONDS, Event
from speechprompt.ui import html
from speechprompt.ui.html import label_tag, percent, unit_colour

LABEL_CHARACTERS = 120


def panel(
    current: Event | None, answers: Sequence[Event], ribbon: Sequence[tuple[float, float, int]], now: float
) -> str:
    """The last label, large; the units of the last 6 s; the answers so far, newest first.

    ribbon: (start, end, unit) in seconds of the stream, now: its length.
    """
    return f"{latest(current)}{units(ribbon, now)}{history(answers)}"


def latest(current: Event | None) -> str:
    """The label that was answered last; what can still change says so."""
    if current is None:
        text, note, kind = '<p class="sp-label sp-quiet">…</p>', "What you say appears here.", "quiet"
    else:
        text = html.verdict(current.label[:LABEL_CHARACTERS], current.score)
        kind = "final" if current.final else "provisional"
        note = span(current) if current.final else "So far; you are still speaking."
        if current.reason:
            text += f'<p class="sp-outside" data-fits="{current.fits}">{escape(current.reason)}</p>'
    return (
        f'<section class="sp-card sp-live-now" data-kind="{kind}" aria-label="Heard last">'
        f'{text}<p class="sp-score">{note}</p></section>'
    )


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
    rows = "".join(
        f"<li><span>{event.start:.1f}\u00a0s</span>{label_tag('bdi', event.label[:LABEL_CHARACTERS])}"
        f"<data>{percent(event.score)}</data></li>"
        for event in answers
    )
    return (
        '<section class="sp-card sp-live-history"><p class="sp-eyebrow" id="sp-live-title">Last answers</p>'
        f'<ol aria-labelledby="sp-live-title">{rows or "<li>None yet.</li>"}</ol></section>'
    )
