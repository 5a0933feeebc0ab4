"""What the Teach tab shows, as inline HTML: clips, how far the teaching is, how well the task does.

Plain functions from facts to strings; everything that comes from outside is escaped here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from speechprompt.prompts.prompt import Prompt
from speechprompt.teaching import speaking
from speechprompt.teaching.lesson import MAX_LABELS, MIN_LABELS
from speechprompt.teaching.teacher import SPOKEN_SPLIT, Moment, Taught
from speechprompt.ui.html import label_tag, options, percent, score_bars, verdict
from speechprompt.ui.session import Session, SessionClip

NAME_SHOWN = 40  # characters of a file's name
Notes = Mapping[
    str, tuple[str, bool]
]  # label ("" for the new one) -> what happened on its card, whether it is a fault


def cards(session: Session, notes: Notes | None = None) -> str:
    """A card for each label with its clips, and one for a new label."""
    notes = notes or {}
    filled = "".join(
        card(number, label, clips, notes.get(label, ("", False)))
        for number, (label, clips) in enumerate(session.by_label().items(), 1)
    )
    more = (
        new_card(len(session.labels), notes.get("", ("", False))) if len(session.labels) < MAX_LABELS else ""
    )
    shown = f'<ul class="sp-label-cards" aria-label="Labels" data-unsaved="{session.n_unsaved}">{filled}{more}</ul>'
    return shown if session.labels else f'<div class="sp-first">{first_steps()}{shown}</div>'


def first_steps() -> str:
    """What teaching is, beside the card for a new label while there is none."""
    leave = ", or leave it: the computer speaks its label" if speaking.can_speak() else ""
    steps = (
        "<b>Name two to ten labels:</b> words, sounds or speakers that the task shall tell apart.",
        f"<b>Record each a few times</b> on its card, or drop files there{leave}.",
        "<b>Press Teach.</b> Some seconds later the task answers here, in Try and in Live.",
    )
    return (
        '<section class="sp-first-steps" aria-label="How to teach"><h2>Teach a task of your own</h2>'
        f"<ol>{''.join(f'<li>{step}</li>' for step in steps)}</ol>"
        "<p>Nothing to record? Try the ready-made lesson.</p></section>"
    )


def card(number: int, label: str, clips: Sequence[SessionClip], note: tuple[str, bool]) -> str:
    name = escape(label)
    total = sum(clip.seconds for clip in clips)
    if clips:
        facts = f"{len(clips)} clip{'s' * (len(clips) != 1)} · {total:.1f}\u00a0s"
    elif speaking.can_speak() and speaking.is_text(label):
        facts = "No clips: the computer speaks it"
    else:
        facts = "No clips yet"
    rows = "".join(clip_row(clip) for clip in clips)
    return (
        f'<li class="sp-card sp-label-card" data-label="{name}"><div class="sp-card-head">'
        f'<input class="sp-name" value="{name}" maxlength="80" dir="auto" aria-label="Name of label {number}">'
        f'<button type="button" data-do="remove" aria-label="Remove the label {name}">✕</button></div>'
        f'<p class="sp-clip-count">{facts}</p><div class="sp-card-tools">'
        f'<button type="button" class="sp-take" data-do="record" aria-label="Record {name}"><i aria-hidden="true"></i>'
        f'<span>Record</span><kbd aria-hidden="true">R</kbd></button>'
        f'<button type="button" data-do="files" aria-label="Choose files for {name}">Files'
        f'</button></div><ol class="sp-clips" aria-label="Clips of {name}">{rows}</ol>'
        f'<div class="sp-card-said">{status_line(*note)}</div></li>'
    )


def clip_row(clip: SessionClip) -> str:
    name = escape(clip.name[:NAME_SHOWN])
    of = f"{name} of {escape(clip.label)}"
    return (
        f'<li><button type="button" data-do="play" data-clip="{clip.number}" title="{name}" aria-label="Play {of}">'
        f"▶ {clip.seconds:.1f}\u00a0s</button>"
        f'<button type="button" data-do="delete" data-clip="{clip.number}" aria-label="Remove {of}">✕</button></li>'
    )


def new_card(n: int, note: tuple[str, bool]) -> str:
    lead = (
        "Each label gets a card for its recordings."
        if n < MIN_LABELS
        else "Drop files on a card, or record there; five clips, spoken differently, do well."
    )
    return (
        '<li class="sp-card sp-new-label"><label for="sp-teach-name">Name of a label</label>'
        '<div class="sp-card-head"><input id="sp-teach-name" maxlength="80" dir="auto" autocomplete="off">'
        '<button type="button" data-do="add" id="sp-teach-add">Add</button></div>'
        f'<p class="sp-clip-count">{lead}</p><div class="sp-card-said">{status_line(*note)}</div></li>'
    )


def readiness(session: Session) -> str:
    """What is still missing before the task can be taught, or that nothing is; never out of date."""
    empty = [label for label, clips in session.by_label().items() if not clips]
    n, clips = len(session.labels), len(session.clips)
    if n < MIN_LABELS:
        left = "two labels at least" if n == 0 else "one label more at least"
        return status_line(f"Add {left}, record each a few times, then press Teach.")
    if empty and not speaking.can_speak():
        return status_line(f"{', '.join(empty)}: record it or drop files on its card, then teach.")
    silent = [label for label in empty if not speaking.is_text(label)]
    if silent:
        return status_line(f"{', '.join(silent)}: only words can be spoken by the computer, so record it.")
    spoken = f" {', '.join(empty)}: the computer speaks it." if empty else ""
    return status_line(f"Ready: {n} labels, {clips} clip{'s' * (clips != 1)}.{spoken}")


def progress(moment: Moment) -> str:
    """How far the teaching is: what is being done, and a bar."""
    done = f"{100 * moment.done:.0f}"
    return (
        f'<p class="sp-doing" role="status">{escape(moment.doing)}…</p>'
        f'<div class="sp-progress" role="progressbar" aria-label="Teaching" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{done}"><i style="width:{done}%"></i></div>'
    )


def result(taught: Taught, seconds: float) -> str:
    """The new task: how often it is right and how that was measured, what is taken for what, warnings.

    The share is large only where people spoke: what one program spoke is understood far better than they are.
    """
    prompt, metrics = taught.prompt, taught.prompt.metrics
    if "accuracy" in metrics:
        low, high = metrics["interval95"]
        share, spoken = percent(metrics["accuracy"]), metrics["split"] == SPOKEN_SPLIT
        large, lead, which = (
            ("Ready to try", f"{share} right of", "synthetic clips")
            if spoken
            else (share, "right of", "clips held out")
        )
        head = (
            f'<p class="sp-label{" sp-long" if spoken else ""}">{large}</p>'
            f'<p class="sp-score">{lead} {metrics["n"]} {which} (95\u00a0% interval '
            f"{100 * low:.0f}–{100 * high:.0f}\u00a0%). {escape(taught.how)}</p>"
        )
    else:
        head = f'<p class="sp-score">{escape(taught.how)}</p>'
    notes = "".join(f"<li>{escape(warning)}</li>" for warning in taught.warnings)
    return (
        f'<section class="sp-card sp-taught" aria-label="The new task"><p class="sp-eyebrow">'
        f"{label_tag('bdi', prompt.title)} · {len(prompt.labels)} labels · {seconds:.0f}\u00a0s</p>{head}"
        f"{use_it(prompt)}{f'<ul class=sp-notes>{notes}</ul>' if notes else ''}"
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


def use_it(prompt: Prompt) -> str:
    """Buttons that go to another tab with the new task chosen, which only its visitor sees there."""
    task = escape(prompt.task)
    buttons = "".join(
        f'<button type="button" class="sp-use" data-tab="{tab}" data-task="{task}">Use it in {tab}</button>'
        for tab in ("Try", "Live")
    )
    return f'<div class="sp-uses">{buttons}</div>'


def loaded(prompt: Prompt) -> str:
    return (
        f'<section class="sp-card sp-taught" aria-label="The new task"><p class="sp-eyebrow">Loaded</p>'
        f'<p class="sp-label sp-long">{label_tag("bdi", prompt.title)}</p><p>{len(prompt.labels)} labels.</p>'
        f"{use_it(prompt)}</section>"
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


def languages() -> str:
    """Options of the <select> of what labels without clips are spoken in."""
    hint = "A label without recordings is spoken by the computer in this language."
    return options({"": [(name, name, hint) for name in speaking.LANGUAGES]})
