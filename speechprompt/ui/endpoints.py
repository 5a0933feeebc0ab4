"""The endpoints for programs, apart from the page so that their inputs stay plain."""

from __future__ import annotations

import gradio as gr

from speechprompt.ui.controls import DEVICE_QUEUE
from speechprompt.ui.handlers import Desk


def build(desk: Desk) -> None:
    """The named endpoint `/classify`."""
    audio_file = gr.Audio(type="filepath", label="audio_file", visible=False)
    task = gr.Textbox("keyword_spotting", label="task", visible=False)
    backbone = gr.Textbox(desk.default, label="backbone", visible=False)
    gr.Button(visible=False).click(
        desk.api_classify,
        [audio_file, task, backbone],
        gr.JSON(label="answer", visible=False),
        api_name="classify",
        **DEVICE_QUEUE,
    )
