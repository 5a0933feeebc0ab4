"""The Teach tab's components: the bar that teaches, the new task, the board of labels."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import gradio as gr
from gradio.utils import get_space

from speechprompt.teaching.speaking import LANGUAGES
from speechprompt.ui import html
from speechprompt.ui.controls import answer_panel, panel, select
from speechprompt.ui.desk import Desk
from speechprompt.ui.recorder import recorder
from speechprompt.ui.session import Session
from speechprompt.ui.teach import figures
from speechprompt.ui.teach.board import board

TRIAL = "sp-teach-trial"
# While others teach, the place in the queue (page.js) stands in its place.
STATUS = '<p class="sp-wait" data-doing="" aria-live="polite"></p><div>${value}</div>'


@dataclass(frozen=True)
class Parts:
    """What the tab's events read and change; `try_task` is the Try tab's choice."""

    session: gr.State
    try_task: gr.HTML
    # The lesson
    title: gr.Textbox
    board: gr.HTML
    language: gr.HTML
    # Teaching
    backbone: gr.HTML
    tune: gr.Button
    cancel: gr.Button
    panel: gr.HTML
    # The new task
    use: gr.Row
    result: gr.HTML
    trial: gr.HTML
    answer: gr.HTML
    download: gr.DownloadButton
    repository: gr.Textbox
    push: gr.Button
    pushed: gr.HTML


def has_login() -> bool:
    """Whether visitors can log in to the Hub: on a Space that asks for it (hf_oauth in its README)."""
    asked = get_space() is not None and "OAUTH_CLIENT_ID" in os.environ
    return asked and all(map(find_spec, ("authlib", "itsdangerous")))  # a Space's gradio brings them


def trial(value: str, summary: str = "") -> gr.HTML:
    """What the new task answered; the panel is hidden until there is one."""
    return panel(value, summary, field=TRIAL)


def plain(value: str = "", **more: Any) -> gr.HTML:
    return gr.HTML(value, apply_default_css=False, js_on_load=None, **more)


def layout(desk: Desk, session: gr.State, try_task: gr.HTML) -> Parts:
    """Put the tab's components where they belong; session: the visitor's."""
    known = desk.complete()
    name = desk.default if desk.default in known else next(iter(known), "")
    with gr.Row(elem_classes="sp-teach-bar"):
        title = gr.Textbox("My words", label="Title of the task", max_length=80, elem_id="sp-teach-title")
        tune = gr.Button("Teach", variant="primary", elem_id="sp-teach-run")
        cancel = gr.Button("Cancel", elem_id="sp-teach-cancel")
        panel = gr.HTML(
            figures.readiness(Session()),
            html_template=STATUS,
            js_on_load=None,
            apply_default_css=False,
            elem_id="sp-teach-panel",
        )
    with gr.Row(visible=False, elem_classes="sp-columns sp-teach") as use:
        with gr.Column(scale=8, min_width=320):
            result = plain(elem_id="sp-teach-result")
        with gr.Column(scale=5, min_width=320):
            plain('<h2 class="sp-eyebrow">Try the new task</h2>')
            trial = recorder("Try the new task", "sp-teach-try")
            answer = answer_panel("", TRIAL, "sp-teach-answer")
            download = gr.DownloadButton("Download the prompt alone", elem_id="sp-teach-download")
            with gr.Accordion("Push to the Hugging Face Hub", open=False):
                repository = gr.Textbox(label="Repository", placeholder="owner/my-words", max_length=200)
                if has_login():
                    gr.LoginButton()
                push = gr.Button("Push")
                pushed = plain(elem_classes="sp-note-line")
    cards = board(figures.cards(Session()))
    with gr.Row(elem_classes="sp-teach-choices"):
        language = select(
            "Language that labels are spoken in",
            "sp-teach-language",
            figures.languages(),
            next(iter(LANGUAGES)),
        )
        backbone = select(
            "Backbone",
            "sp-teach-backbone",
            html.options({"": [(b.name, b.title, b.info.description) for b in known.values()]}),
            name,
        )
    return Parts(
        session=session,
        try_task=try_task,
        title=title,
        board=cards,
        language=language,
        backbone=backbone,
        tune=tune,
        cancel=cancel,
        panel=panel,
        use=use,
        result=result,
        trial=trial,
        answer=answer,
        download=download,
        repository=repository,
        push=push,
        pushed=pushed,
    )
