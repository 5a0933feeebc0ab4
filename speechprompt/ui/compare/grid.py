"""Answers as a table: a row for every prompt that was asked, what fits first, then by probability.

Plain functions to HTML; everything that comes from outside is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from speechprompt.ui import html
from speechprompt.ui.classify.answer import shown_label, trust

if TYPE_CHECKING:
    from speechprompt.decoding.answer import Answer
    from speechprompt.prompts.prompt import Prompt
    from speechprompt.ui.comparison import Row


FITS = ("yes", "unsure", "no")
GUESS = "More likely wrong than right: its probability times how often this task is right."


def fits(row: Row) -> bool:
    return row.answer is not None and not row.answer.flagged


def likely(row: Row) -> bool:
    """Whether the answer is more likely right than wrong, by its probability and how often its prompt is right."""
    return row.answer is not None and fits(row) and trust(row.answer, row.prompt) >= 0.5


def ordered(rows: Sequence[Row]) -> list[Row]:
    """What fits first, then by how likely it is right; what has no answer last."""

    def place(row: Row) -> tuple[int, float]:
        if row.answer is None:
            return len(FITS), 0.0
        return FITS.index(row.answer.fits), -trust(row.answer, row.prompt)

    return sorted(rows, key=place)


def grid(rows: Sequence[Row], second: Sequence[Row] = ()) -> str:
    """The table of one recording, or of two side by side, with where their answers and units differ.

    second: the same prompts' rows about another recording, in the order of `rows`.
    """
    partner = {id(row): other for row, other in zip(rows, second, strict=True)} if second else {}
    several = len({row.backbone.name for row in rows}) > 1
    heads = (
        ("Task", "First recording", "Second recording", "")
        if second
        else ("Task", "Answer", "Probability", "Generated unit", "Right how often")
    )
    body = []
    for row in ordered(rows):
        name = f'<th scope="row">{escape(row.prompt.title)}'
        name += f" <small>{escape(row.backbone.name)}</small></th>" if several else "</th>"
        if second:
            other = partner[id(row)]
            cells = f"<td>{short(row)}</td><td>{short(other)}</td><td>{difference(row, other)}</td>"
        else:
            cells = single(row)
        kind = "" if likely(row) else ' class="sp-unfit"'
        body.append(f"<tr{kind}>{name}{cells}</tr>")
    top = "".join(f'<th scope="col">{head}</th>' if head else "<td></td>" for head in heads)
    return (
        '<div class="sp-scroll"><table class="sp-grid"><caption class="sp-sr-only">Answers of every task, what fits '
        f"first</caption><thead><tr>{top}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
        f"{units_differ(rows, second)}"
    )


def single(row: Row) -> str:
    """Label, bar with probability, generated unit, and how often the prompt was right."""
    if row.answer is None:
        return f'<td colspan="3" class="sp-none">{escape(row.error)}</td><td>{right(row.prompt)}</td>'
    doubt = {"unsure": "may not fit", "no": "does not fit"}.get(
        row.answer.fits, "" if likely(row) else "a guess"
    )
    note = f'<small title="{escape(row.answer.reason or GUESS)}">{doubt}</small>' if doubt else ""
    width = f"{100 * row.answer.score:.0f}"
    return (
        f"<td>{html.label_tag('b', shown_label(row.answer))} {note}</td>"
        f'<td><i><b style="width:{width}%"></b></i><data>{html.percent(row.answer.score)}</data></td>'
        f"<td>{unit(row.answer)}</td><td>{right(row.prompt)}</td>"
    )


def short(row: Row) -> str:
    if row.answer is None:
        return escape(row.error)
    return f"{html.label_tag('b', shown_label(row.answer))} <data>{html.percent(row.answer.score)}</data>"


def difference(row: Row, other: Row) -> str:
    if row.answer is None or other.answer is None:
        return ""
    return "same" if row.answer.label == other.answer.label else "<strong>differs</strong>"


def unit(answer: Answer) -> str:
    """The generated unit; of several steps, the first and how many more."""
    if not answer.generated:
        return ""
    rest = len(answer.generated) - 1
    return html.chip(answer.generated[0]) + (f" <small>+{rest}</small>" if rest else "")


def right(prompt: Prompt) -> str:
    share = html.share_right(prompt)
    if share is None:
        return "<small>not measured</small>"
    return f'<data title="{escape(html.measured(prompt))}">{html.percent(share)}</data>'


def units_differ(rows: Sequence[Row], second: Sequence[Row]) -> str:
    """One sentence on how many of the units two recordings share, for each backbone."""
    lines = []
    for backbone in dict.fromkeys(row.backbone for row in rows):
        pairs = [
            (row.answer, other.answer)
            for row, other in zip(rows, second, strict=False)
            if row.backbone is backbone and row.answer and other.answer
        ]
        if pairs:
            one, two = (set(np.unique(answer.units.ids).tolist()) for answer in pairs[0])
            lines.append(
                f"On {escape(backbone.name)} the two recordings share {len(one & two)} different units; "
                f"{len(one - two)} are in the first alone, {len(two - one)} in the second alone."
            )
    return "".join(f'<p class="sp-hint">{text}</p>' for text in lines)


def batch(heads: Sequence[Prompt], found: Sequence[tuple[str, Sequence[Row], str]], n_files: int) -> str:
    """Many recordings: a row for each that was answered so far, a column for each task."""
    top = "".join(f'<th scope="col">{escape(prompt.title)}</th>' for prompt in heads)
    body = []
    for name, rows, error in found:
        cells = "".join(f'<td class="{"" if likely(row) else "sp-unfit"}">{short(row)}</td>' for row in rows)
        cells = cells or f'<td colspan="{max(1, len(heads))}">{escape(error)}</td>'
        body.append(f'<tr><th scope="row" dir="auto">{escape(name[:60])}</th>{cells}</tr>')
    share = 100 * len(found) / max(1, n_files)
    return (
        f'<section class="sp-card"><p class="sp-eyebrow">{len(found)} of {n_files} recordings answered</p>'
        f'<div class="sp-progress" role="progressbar" aria-label="Recordings answered" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{share:.0f}"><i style="width:{share:.0f}%"></i></div>'
        f'<div class="sp-scroll" tabindex="0" role="group" aria-label="Answers for each recording">'
        f'<table class="sp-grid sp-batch"><thead><tr><th scope="col">Recording</th>{top}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div></section>"
    )
