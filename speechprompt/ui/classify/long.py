"""Recordings of over a minute on the Try tab: answered stretch by stretch, with progress, and stopped when asked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from speechprompt.audio.sound_stream import clock
from speechprompt.errors import SpeechPromptError
from speechprompt.labelling.segments import Segment, Segments
from speechprompt.ui import html
from speechprompt.ui.complaints import sentence
from speechprompt.ui.controls import Update, panel
from speechprompt.ui.desk import EXPIRED, Desk
from speechprompt.ui.session import Session

# A queue of its own, so that an hour of sound makes nobody wait who classifies a word; one at a time.
LONG_QUEUE: dict[str, Any] = {"concurrency_id": "long", "concurrency_limit": 1}
LONG_SECONDS = 900.0  # of work that one recording may take; an hour of speech takes less on two busy cores
SHOWN = 300  # rows, of the newest segments
ABOVE = "This recording is longer than a minute: each stretch of speech in it is answered by itself, below."


def announced(asked: int) -> gr.HTML:
    """What stands in the panel when a recording was found to be long: the page asks for its timeline then.

    asked: the session's, by which the timeline knows that nothing else was asked for since.
    """
    note = f'<section class="sp-card sp-note" data-reading data-long="{asked}"><p>{ABOVE}</p></section>'
    return panel(note, ABOVE)


def batches(
    desk: Desk, path: str | None, tasks: list[str], backbone: str, session: Session | None = None
) -> Iterator[tuple[Segments, list[Segment]]]:
    """What each batch of a recording brings, with how far it is; SpeechPromptError in turn.

    The recording is at most desk.longest seconds long, and the work ends after LONG_SECONDS.
    """
    if path is not None and not Path(path).is_file():
        raise SpeechPromptError(EXPIRED)
    prompts = [desk.prompt(task, backbone, session) for task in tasks]
    shared = all(desk.backbone(backbone).prompts.get(prompt.task) is prompt for prompt in prompts)
    pipeline = desk.pipeline(backbone) if shared else desk.pipeline_of(prompts[0], backbone)
    began = time.monotonic()
    found = Segments(pipeline, path, tasks, desk.longest)  # type: ignore[arg-type]  # None is refused in words
    try:
        for batch in found.batches():
            yield found, batch
            if time.monotonic() - began > LONG_SECONDS:
                raise SpeechPromptError(
                    f"The server gives one recording {LONG_SECONDS / 60:g} minutes, and it came to "
                    f"{clock(found.seconds)} in them: send the rest by itself."
                )
    finally:
        found.close()


def timeline(desk: Desk, path: str | None, task: str, backbone: str, session: Session) -> Iterator[Update]:
    """The panel as a recording is answered, until the session asks for something else."""
    asked = session.asked
    segments: list[Segment] = []
    title, seconds = "", 0.0
    try:
        title, notice = desk.prompt(task, backbone, session).title, ""
        for found, batch in batches(desk, path, [task], backbone, session):
            segments += batch
            seconds, notice = found.seconds, found.notice
            with session.panel:
                if session.asked != asked:
                    break
                yield panel(shown(title, segments, seconds, found.total))
        done = f"{len(segments)} stretches of speech in {clock(seconds)}. {notice}".strip()
        ended = panel(shown(title, segments, seconds, None, done), done)
    except Exception as error:
        why = sentence(error, f"The page could not answer task {task!r} about a long recording")
        so_far = shown(title, segments, seconds, None, why) if segments else html.alert(why)
        ended = panel(so_far, why)
    with session.panel:
        yield ended if session.asked == asked else gr.skip()  # gradio sends the last one again


def shown(title: str, segments: list[Segment], seconds: float, total: float | None, ended: str = "") -> str:
    """How far it is or how it ended, how often each label came, and the newest segments as a table."""
    counts: dict[str, int] = {}
    for one in segments:
        counts[one.answer.label] = counts.get(one.answer.label, 0) + 1
    often = sorted(counts.items(), key=lambda pair: -pair[1])[:10]
    summary = (
        ", ".join(f"{html.label_tag('bdi', label)} × {count}" for label, count in often) or "no speech yet"
    )
    where = escape(ended) or f"{clock(seconds)}{'' if total is None else f' of {clock(total)}'}"
    bar = (
        "" if ended or not total else f'<progress max="{total:.0f}" value="{seconds:.0f}">{where}</progress>'
    )
    rows = "".join(
        f'<tr data-fits="{one.answer.fits}" title="{escape(one.answer.reason)}"><td>{clock(one.start)}</td>'
        f"<td>{clock(one.end)}</td><td>{html.label_tag('bdi', one.answer.label)}</td>"
        f"<td>{html.percent(one.answer.score)}</td></tr>"
        for one in reversed(segments[-SHOWN:])
    )
    more = f'<p class="sp-hint">The newest {SHOWN} of {len(segments)}.</p>' if len(segments) > SHOWN else ""
    head = "<tr><th>from</th><th>to</th><th>label</th><th>probability</th></tr>"
    table = f'<table class="sp-grid"><thead>{head}</thead><tbody>{rows}</tbody></table>'
    return (
        f'<section class="sp-card sp-answer sp-long" aria-label="Timeline"{"" if ended else " data-reading"}>'
        f'<h2 class="sp-eyebrow">{escape(title)}</h2>'
        f"<p>{where}</p>{bar}<p>{summary}</p>{more}"
        f'<div class="sp-long-rows" tabindex="0">{table}</div></section>'
    )
