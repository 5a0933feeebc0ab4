"""What the Teach tab shows, as inline HTML and SVG: clips, how the tuning goes, how well the task does.

Plain functions from facts to strings; everything that comes from outside is escaped here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from speechprompt.teaching.teacher import Moment, Taught
from speechprompt.ui.classify.answer import score_bars
from speechprompt.ui.html import label_tag, percent
from speechprompt.ui.session import SessionClip

NAME_SHOWN = 40  # characters of a file's name
PLOT_WIDTH, PLOT_HEIGHT = 600, 150


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


def progress(moments: Sequence[Moment]) -> str:
    """How far the tuning is and how it goes: a bar, the figures of now, and their course so far."""
    now = moments[-1]
    done = f"{100 * now.done:.0f}"
    parts = [escape(now.doing)]
    if now.loss is not None:
        parts.append(f"step {now.step} · loss {now.loss:.2f}")
    if now.accuracy is not None:
        parts.append(f"right on {percent(now.accuracy)} of the clips held out")
    return (
        f'<section class="sp-card sp-tuning"><p class="sp-eyebrow">{" · ".join(parts)}</p>'
        f'<div class="sp-progress" role="progressbar" aria-label="Tuning" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{done}"><i style="width:{done}%"></i></div>{course(moments)}</section>'
    )


def course(moments: Sequence[Moment]) -> str:
    """Loss (down is good) and held-out accuracy (up is good) over all rounds, as one SVG."""
    steps = [m for m in moments if m.loss is not None]
    if not steps:
        return ""
    rounds = steps[-1].rounds
    longest = max(m.step for m in steps)
    highest = max(max(m.loss or 0.0 for m in steps), 0.1)
    losses, right = [], []
    for number in sorted({m.round for m in steps}):
        own = [m for m in steps if m.round == number]
        x = [PLOT_WIDTH * (number - 1 + m.step / longest) / rounds for m in own]
        losses.append(
            [(a, PLOT_HEIGHT * (1 - (m.loss or 0.0) / highest)) for a, m in zip(x, own, strict=True)]
        )
        right.append(
            [
                (a, PLOT_HEIGHT * (1 - m.accuracy))
                for a, m in zip(x, own, strict=True)
                if m.accuracy is not None
            ]
        )
    walls = "".join(
        f'<path class="sp-wall" d="M{PLOT_WIDTH * n / rounds:.0f} 0V{PLOT_HEIGHT}"/>'
        for n in range(1, rounds)
    )
    lines = "".join(line(points, "sp-loss") for points in losses) + "".join(
        line(points, "sp-right") for points in right
    )
    last = steps[-1]
    said = f"Round {last.round} of {rounds}, step {last.step}: loss {last.loss:.2f}"
    return (
        f'<svg class="sp-course" viewBox="-4 -4 {PLOT_WIDTH + 8} {PLOT_HEIGHT + 8}" preserveAspectRatio="none" '
        f'role="img" aria-label="{said}">{walls}{lines}</svg>'
        '<p class="sp-key"><span class="sp-loss">loss</span> <span class="sp-right">right on clips held out</span>'
        f"<span>{rounds - 1} rehearsals, then all clips</span></p>"
    )


def line(points: Sequence[tuple[float, float]], name: str) -> str:
    if not points:
        return ""
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path class="{name}" d="{path}" vector-effect="non-scaling-stroke"/>'


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
    ended = " You stopped it early: this is the best so far." if taught.stopped else ""
    notes = "".join(f"<li>{escape(warning)}</li>" for warning in taught.warnings)
    return (
        f'<section class="sp-card sp-taught" aria-label="The new task"><p class="sp-eyebrow">'
        f"{label_tag('bdi', prompt.title)} · {len(prompt.labels)} labels · {seconds:.0f}\u00a0s</p>{head}"
        f"<p>It is in the list of tasks in the Try tab now, for you alone.{ended}</p>"
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
        f'<section class="sp-card sp-brief" aria-label="Answer of the new task"><p class="sp-label">'
        f"{label_tag('bdi', label or 'nothing')} <data>{percent(score)}</data></p>"
        f'<div class="sp-scores">{score_bars(scores)}</div></section>'
    )


def said(message: str, bad: bool = False) -> str:
    """One line under the controls, which screen readers announce."""
    kind = ' class="sp-bad" role="alert"' if bad else ' role="status"'
    return f"<p{kind}>{escape(message)}</p>"


def label_options(labels: Sequence[str]) -> str:
    """Options of the label <select>."""
    if not labels:
        return '<option value="" data-hint="">Add a label first</option>'
    return "".join(f'<option value="{escape(name)}" data-hint="">{escape(name)}</option>' for name in labels)
