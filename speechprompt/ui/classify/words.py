"""Several words in one recording: a row of answers where each was spoken."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from speechprompt.ui.html import label_tag, percent

if TYPE_CHECKING:
    from speechprompt.labelling.segments import Segment


def words(segments: Sequence[Segment], seconds: float) -> str:
    """Answers on the time axis of a recording of so many seconds; nothing where there is only one."""
    if len(segments) < 2:
        return ""
    cells = "".join(
        f'<li data-fits="{one.answer.fits}" title="{escape(one.answer.reason)}" '
        f'style="left:{100 * one.start / seconds:.2f}%">'
        f"{label_tag('b', one.answer.label)} <small>{percent(one.answer.score)}</small></li>"
        for one in segments
    )
    return (
        '<section class="sp-card sp-word-row" aria-label="Words in order"><p class="sp-eyebrow">'
        f"{len(segments)} words with pauses between them</p><ol>{cells}</ol></section>"
    )
