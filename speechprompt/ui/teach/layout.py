"""The Teach tab's components, with the scripts that are their own."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import gradio as gr
from gradio.utils import get_space

from speechprompt.audio.kinds import SUFFIXES
from speechprompt.ui import html
from speechprompt.ui.controls import select
from speechprompt.ui.desk import Desk
from speechprompt.ui.recorder import recorder
from speechprompt.ui.teach import figures

CLIPS_SCRIPT = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-clip]");
  if (button) trigger("click", { do: button.dataset.do, clip: Number(button.dataset.clip) });
});
"""
FILES_HINT = (
    '<p class="sp-hint">Recordings of the chosen label; or a zip with a folder for each label; or a CSV with the '
    "columns file and label, together with its recordings.</p>"
)
# A browser tells the server no folders: a folder becomes a table of its recordings and their labels.
FOLDER = (
    '<label class="sp-folder">Choose a folder with a folder for each label'
    '<input type="file" webkitdirectory multiple></label>'
)
FOLDER_SCRIPT = """
element.querySelector("input").addEventListener("change", (event) => {
  const sounds = Array.from(event.target.files).filter(
    (file) => /(SUFFIXES)$/i.test(file.name) && !/(^|\\/)(\\.|__MACOSX\\/)/.test(file.webkitRelativePath));
  const target = document.querySelector("#sp-teach-files input[type=file]");
  if (!sounds.length || !target) return;
  const quoted = (text) => `"${text.replaceAll('"', '""')}"`;
  const table = ["file,label"], moved = new DataTransfer();
  sounds.forEach((file, i) => {
    const name = `${i + 1}-${file.name.replace(/[^\\w.-]/g, "")}`;
    table.push(`${quoted(name)},${quoted(file.webkitRelativePath.split("/").at(-2) || "")}`);
    moved.items.add(new File([file], name, { type: file.type }));
  });
  moved.items.add(new File([table.join("\\n")], "labels.csv", { type: "text/csv" }));
  target.files = moved.files;
  target.dispatchEvent(new Event("change", { bubbles: true }));
  event.target.value = "";
});
""".replace("SUFFIXES", "|".join(map(re.escape, SUFFIXES)))


@dataclass(frozen=True)
class Parts:
    """What the tab's events read and change; `try_task` and `try_backbone` are the Try tab's choices."""

    session: gr.State
    try_task: gr.HTML
    try_backbone: gr.HTML
    # The lesson
    title: gr.Textbox
    new: gr.Textbox
    add: gr.Button
    rename: gr.Button
    remove: gr.Button
    label: gr.HTML
    recorder: gr.HTML
    files: gr.File
    status: gr.HTML
    clips: gr.HTML
    player: gr.Audio
    # Teaching
    backbone: gr.HTML
    tune: gr.Button
    cancel: gr.Button
    panel: gr.HTML
    # The new task
    use: gr.Column
    trial: gr.HTML
    answer: gr.HTML
    download: gr.DownloadButton
    repository: gr.Textbox
    push: gr.Button
    pushed: gr.HTML
    loaded: gr.File


def has_login() -> bool:
    """Whether visitors can log in to the Hub: on a Space that asks for it (hf_oauth in its README)."""
    asked = get_space() is not None and "OAUTH_CLIENT_ID" in os.environ
    return asked and all(map(find_spec, ("authlib", "itsdangerous")))  # a Space's gradio brings them


def plain(value: str = "", script: str | None = None, **more: Any) -> gr.HTML:
    return gr.HTML(value, apply_default_css=False, js_on_load=script, **more)


def layout(desk: Desk, session: gr.State, try_task: gr.HTML, try_backbone: gr.HTML) -> Parts:
    """Put the tab's components where they belong; session: the visitor's."""
    known = desk.complete()
    name = desk.default if desk.default in known else next(iter(known), "")
    with gr.Row(elem_classes="sp-columns sp-teach"):
        with gr.Column(scale=5, min_width=320, elem_classes="sp-input"):
            title = gr.Textbox("My words", label="Title of the task", max_length=80, elem_id="sp-teach-title")
            new = gr.Textbox(
                label="Name of a label",
                info="Two to ten labels. Press Enter to add.",
                max_length=80,
                elem_id="sp-teach-name",
            )
            with gr.Row(elem_classes="sp-buttons"):
                add = gr.Button("Add label", elem_id="sp-teach-add", min_width=90)
                rename = gr.Button("Rename chosen", elem_id="sp-teach-rename", min_width=90)
                remove = gr.Button("Remove chosen", elem_id="sp-teach-remove", min_width=90)
            label = select("Label to record", "sp-teach-label", figures.label_options([]), "")
            take = recorder("Record the chosen label", "sp-teach-audio")
            files = gr.File(
                file_count="multiple",
                label="Or files",
                elem_id="sp-teach-files",
                height=150,
            )
            plain(FILES_HINT)
            plain(FOLDER, FOLDER_SCRIPT)
            status = plain(elem_classes="sp-note-line", elem_id="sp-teach-said")
        with gr.Column(scale=8, min_width=320):
            clips = plain(figures.clip_list({}), CLIPS_SCRIPT, elem_id="sp-teach-clips")
            player = gr.Audio(
                label="Clip",
                interactive=False,
                visible=False,
                autoplay=True,
                elem_id="sp-teach-player",
                buttons=[],
            )
            backbone = select(
                "Backbone",
                "sp-teach-backbone",
                html.options({"": [(b.name, b.title, "") for b in known.values()]}),
                name,
            )
            with gr.Row(elem_classes="sp-buttons"):
                tune = gr.Button("Tune", variant="primary", elem_id="sp-teach-run")
                cancel = gr.Button("Cancel", elem_id="sp-teach-cancel")
            panel = plain(elem_id="sp-teach-panel")
            with gr.Column(visible=False) as use:
                trial = recorder("Try the new task", "sp-teach-try")
                answer = plain(elem_id="sp-teach-answer")
                download = gr.DownloadButton("Download the prompt", elem_id="sp-teach-download")
                with gr.Accordion("Push to the Hugging Face Hub", open=False):
                    repository = gr.Textbox(label="Repository", placeholder="owner/my-words", max_length=200)
                    if has_login():
                        gr.LoginButton()
                    push = gr.Button("Push")
                    pushed = plain(elem_classes="sp-note-line")
            loaded = gr.File(
                label="Load a zip back",
                elem_id="sp-teach-load",
                height=120,
                file_count="single",
            )
    return Parts(
        session=session,
        try_task=try_task,
        try_backbone=try_backbone,
        title=title,
        new=new,
        add=add,
        rename=rename,
        remove=remove,
        label=label,
        recorder=take,
        files=files,
        status=status,
        clips=clips,
        player=player,
        backbone=backbone,
        tune=tune,
        cancel=cancel,
        panel=panel,
        use=use,
        trial=trial,
        answer=answer,
        download=download,
        repository=repository,
        push=push,
        pushed=pushed,
        loaded=loaded,
    )
