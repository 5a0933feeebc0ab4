"""What the Teach tab shows, as inline HTML: clips, how far the teaching is, how well the task does.

Plain functions from facts to strings; everything that comes from outside is escaped here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from speechprompt.teaching.teacher import Moment, Taught
from speechprompt.ui.html import label_tag, percent, score_bars, verdict
from speechprompt.ui.session import SessionClip

NAME_SHOWN = 40  # characters of a file's name


def clip_list(labels: Mapping[str, Sequence[SessionClip]]) -> str:
    """Every label with its clips: name, seconds, and buttons to play and to delete each."""
    if not labels:
        return (
            '<section class="sp-card sp-lesson"><h2>No labels yet</h2><p>Name what the task should tell apart, '
            "two to ten labels, then give each a few recordings. Five, spoken differently, do well.</p></section>"
        )
    groups = []
    for label, clips in labels.items():
        total = sum(clip.seconds for clip in clips)
        facts = f"{len(clips)} clip{'s' * (len(clips) != 1)}" + (f" · {total:.1f} s" if clips else "")
        rows = "".join(clip_row(clip) for clip in clips) or "<li>No recordings yet</li>"
        groups.append(
            f"<details{' open' if len(clips) <= 10 else ''}><summary>{label_tag('b', label)} <span>{facts}</span>"
            f"</summary><ul>{rows}</ul></details>"
        )
    return f'<section class="sp-card sp-lesson" aria-label="Clips">{"".join(groups)}</section>'


def clip_row(clip: SessionClip) -> str:
    name = escape(clip.name[:NAME_SHOWN])
    return (
        f'<li><span class="sp-file" dir="auto">{name}</span><data>{clip.seconds:.2f}\u00a0s</data>'
        f'<button type="button" data-do="play" data-clip="{clip.number}" aria-label="Play {name}">Play</button>'
        f'<button type="button" data-do="delete" data-clip="{clip.number}" aria-label="Delete {name}">Delete</button>'
        "</li>"
    )


def progress(moment: Moment) -> str:
    """How far the teaching is: what is being done, and a bar."""
    done = f"{100 * moment.done:.0f}"
    return (
        f'<section class="sp-card sp-tuning"><p class="sp-eyebrow">{escape(moment.doing)}</p>'
        f'<div class="sp-progress" role="progressbar" aria-label="Tuning" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{done}"><i style="width:{done}%"></i></div></section>'
    )


def result(taught: Taught, seconds: float) -> str:
    """The new task: how often it is right and how that was measured, what is taken for what, warnings."""
    prompt, metrics = taught.prompt, taught.prompt.metrics
    if "accuracy" in metrics:
        low, high = metrics["interval95"]
        head = (
            f'<p class="sp-label">{percent(metrics["accuracy"])}</p>'
            f'<p class="sp-score">right of {metrics["n"]} clips held out (95\u00a0% interval '
            f"{100 * low:.0f}–{100 * high:.0f}\u00a0%). {escape(taught.how)}</p>"
        )
    else:
        head = f'<p class="sp-score">{escape(taught.how)}</p>'
    notes = "".join(f"<li>{escape(warning)}</li>" for warning in taught.warnings)
    return (
        f'<section class="sp-card sp-taught" aria-label="The new task"><p class="sp-eyebrow">'
        f"{label_tag('bdi', prompt.title)} · {len(prompt.labels)} labels · {seconds:.0f}\u00a0s</p>{head}"
        f"<p>It is in the list of tasks in the Try tab now, for you alone.</p>"
        f"{f'<ul class=sp-notes>{notes}</ul>' if notes else ''}"
        f"{confusion(prompt.labels, taught.confusion) if 'accuracy' in metrics else ''}</section>"
    )


def confusion(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """True labels by answers, as a table."""
    head = "".join(f"<th scope=col>{label_tag('span', label)}</th>" for label in labels)
    rows = []
    for i, (label, row) in enumerate(zip(labels, counts, strict=True)):
        cells = "".join(
            f"<td{' class=sp-hit' if i == j else ' class=sp-miss' if n else ''}>{n or ''}</td>"
            for j, n in enumerate(row)
        )
        rows.append(f"<tr><th scope=row>{label_tag('span', label)}</th>{cells}</tr>")
    return (
        '<div class="sp-scroll" tabindex="0" role="group" aria-label="Confusion table"><table class="sp-confusion">'
        "<caption>What each label’s clips were answered as</caption>"
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def loaded(title: str, n_labels: int) -> str:
    return (
        f'<section class="sp-card sp-taught" aria-label="The new task"><p class="sp-eyebrow">Loaded</p>'
        f'<p class="sp-label sp-long">{label_tag("bdi", title)}</p><p>{n_labels} labels. It is in the list of tasks '
        "in the Try tab now, for you alone.</p></section>"
    )


def answer(label: str, score: float, scores: Mapping[str, float]) -> str:
    """A short answer of the new task; the whole one is in the Try tab."""
    return (
        f'<section class="sp-card sp-brief" aria-label="Answer of the new task">'
        f"{verdict(label, score)}"
        f'<div class="sp-scores">{score_bars(scores)}</div></section>'
    )


def status_line(message: str, bad: bool = False) -> str:
    """One line under the controls, which screen readers announce."""
    kind = ' class="sp-bad" role="alert"' if bad else ' role="status"'
    return f"<p{kind}>{escape(message)}</p>"


def label_options(labels: Sequence[str]) -> str:
    """Options of the label <select>."""
    if not labels:
        return '<option value="" data-hint="">Add a label first</option>'
    return "".join(f'<option value="{escape(name)}" data-hint="">{escape(name)}</option>' for name in labels)
