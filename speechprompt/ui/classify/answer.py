"""The answer card: label or slots with their scores, how often the task is right, what other prompts make of it.

Plain functions from answers to HTML; everything that comes from outside is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from speechprompt.ui.classify.about import about
from speechprompt.ui.classify.decision import decision, listed_units
from speechprompt.ui.classify.stages import stages
from speechprompt.ui.classify.timeline import timeline
from speechprompt.ui.classify.way import named_units, way
from speechprompt.ui.classify.words import words
from speechprompt.ui.colours import apart
from speechprompt.ui.html import (
    bars,
    facts,
    label_tag,
    milliseconds,
    percent,
    score_bars,
    share_right,
    track_record,
    verdict,
)
from speechprompt.units import SAMPLE_RATE

if TYPE_CHECKING:
    import numpy as np

    from speechprompt.decoding.answer import Answer, Step
    from speechprompt.labelling.segments import Segment
    from speechprompt.prompts.prompt import Prompt
    from speechprompt.ui.comparison import Row

OTHERS_SHOWN = 3  # tasks whose answers about the same recording stand under the answer


def result(
    answer: Answer,
    prompt: Prompt,
    waveform: np.ndarray | None,
    ran: Iterable[str],
    frozen: int = 0,
    others: Sequence[Row] = (),
    segments: Sequence[Segment] = (),
    recording: str = "",
) -> str:
    """The whole answer: label and scores left, the way to it right, and folded what explains it further.

    waveform: float32 [T] at 16 kHz, or None when units were given. ran: further facts about the pass.
    frozen: parameters of the backbone, 0 where they are not known. others: of the same recording. segments: its words.
    recording: the end of its address, by which the page knows what was answered.
    """
    timing = [] if waveform is None else [f"Encoder {milliseconds(answer.timing['encode_s'])}"]
    timing += [f"Language model {milliseconds(answer.timing['lm_s'])}", *ran]
    n_samples = 0 if waveform is None else len(waveform)
    names = [step_name(step) for step in answer.steps]
    colours = apart(named_units(answer), answer.units.ids.tolist(), *listed_units(answer))
    made = stages(answer, prompt, n_samples, frozen) + facts(timing)
    seen, decided = timeline(answer.units, waveform, colours=colours), decision(answer, names, colours)
    return (
        f'<div class="sp-two"><section class="sp-card sp-answer" aria-label="Answer"{kept(answer, recording)}>'
        f'<div class="sp-verdict">'
        f'<h2 class="sp-eyebrow">{escape(answer.title)}</h2>'
        f"{verdict(shown_label(answer), answer.score)}"
        f'<p class="sp-score">{escape(track_record(prompt))} '
        f'<button type="button" class="sp-link" data-about="{escape(answer.task)}">About this task</button></p>'
        f"{outside(answer)}</div>{scores(answer, prompt)}{also(others, answer, prompt)}</section>"
        f"{way(answer, prompt, frozen, names, colours)}</div>{words(segments, n_samples / SAMPLE_RATE)}"
        f"{fold('units', 'Look at the units', 'zoom, hear each one, as text', seen)}"
        f"{fold('odds', 'What each unit did for the label', 'odds and contributions', decided)}"
        f"{fold('about', 'About this task', 'what it is, how often it is right, what it is bad at', about(prompt))}"
        f"{fold('model', 'Model and timing', 'in four stages', made)}"
    )


def kept(answer: Answer, recording: str) -> str:
    """What the browser keeps of an answer (history.js), as attributes."""
    facts = {
        "task": answer.task,
        "title": answer.title,
        "label": shown_label(answer),
        "score": percent(answer.score),
        "fits": answer.fits,
        "recording": recording,
    }
    return "".join(f' data-{name}="{escape(value)}"' for name, value in facts.items())


def fold(name: str, title: str, hint: str, content: str) -> str:
    """Details that are closed at first; the browser remembers which were open."""
    head = f"<summary>{title} <span>· {hint}</span></summary>"
    return f'<details class="sp-fold" data-fold="{name}">{head}{content}</details>'


def shown_label(answer: Answer) -> str:
    """The answer as people say it: of slots their values alone, without those that are empty."""
    if not answer.slots:
        return answer.label
    return ", ".join(value for value in answer.slots.values() if value not in ("", "none")) or "none"


def outside(answer: Answer) -> str:
    """One sentence for a recording that may not fit the task."""
    return (
        f'<p class="sp-outside" data-fits="{answer.fits}">{escape(answer.reason)}</p>'
        if answer.flagged
        else ""
    )


def also(rows: Sequence[Row], answer: Answer, prompt: Prompt) -> str:
    """What other prompts say about the same recording: the surest of those that it fits, each of another group.

    One of the answer's own group stands there only where it is the more likely of the two: a word that was found
    is no other task's word.
    """
    own = 0.0 if answer.flagged else trust(answer, prompt)
    fitting = [
        (trust(row.answer, row.prompt), row)
        for row in rows
        if row.answer is not None and not row.answer.flagged and row.answer.score >= 0.5
    ]
    shown: list[str] = []
    groups: set[str] = set()
    for likely, row in sorted(fitting, key=lambda pair: -pair[0]):
        if row.prompt.heading in groups or row.answer is None or len(shown) == OTHERS_SHOWN:
            continue
        if row.prompt.heading == prompt.heading and likely <= own:
            continue
        groups.add(row.prompt.heading)
        shown.append(
            f'<button type="button" class="sp-other" data-task="{escape(row.prompt.task)}">{escape(row.prompt.title)} '
            f"{label_tag('b', shown_label(row.answer))} {percent(row.answer.score)}</button>"
        )
    if not rows:
        return ""
    return (
        f'<div class="sp-also"><p>Same recording, other prompts</p>{"".join(shown)}'
        '<button type="button" class="sp-link" data-tab="Compare">Compare all →</button></div>'
    )


def trust(answer: Answer, prompt: Prompt) -> float:
    """How likely an answer is right: its probability times how often its prompt was right; 0 where nobody measured."""
    return answer.score * (share_right(prompt) or 0.0)


def scores(answer: Answer, prompt: Prompt) -> str:
    """Bars for the likeliest labels; for an answer of several steps, one bar for each."""
    if prompt.form.kind == "label":
        shown = score_bars(answer.scores)
    else:
        shown = bars((step_name(step), step.score) for step in answer.steps[:STEPS_SHOWN])
        if len(answer.steps) > STEPS_SHOWN:
            shown += f'<p class="sp-hint">and {len(answer.steps) - STEPS_SHOWN} more</p>'
    return f'<div class="sp-scores">{shown}</div>'


STEPS_SHOWN = 5


def readable(slot: str) -> str:
    """ "numberOfShots" -> "number of shots"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", slot).replace("_", " ").lower()


def step_name(step: Step) -> str:
    """What one of several steps answered: "size: large", a letter, or the end."""
    if step.label is None:
        return "end"
    if step.slot:
        return f"{readable(step.slot)}: {step.label.partition('=')[2] or step.label}"
    return step.label.strip() or "space"
