"""The Live tab: speak, and labels appear.

The microphone is our own small component (live.js), not gr.Audio(streaming=True): that one uploads every
chunk as a file, and its server keeps only the newest chunk while a handler runs, which loses sound
whenever chunks come in bunches. Ours keeps what could not be sent and sends it with the next chunk.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from speechprompt.ui import html as figures
from speechprompt.ui.choices import Choices
from speechprompt.ui.controls import AT_ONCE, PRIVATE, select
from speechprompt.ui.desk import Desk
from speechprompt.ui.live import figures as live_figures
from speechprompt.ui.live.seats import LiveDesk

SCRIPT = Path(__file__).parent / "microphone.js"
# A queue of its own: a burst of chunks makes nobody wait who classifies a recording.
LIVE_QUEUE: dict[str, Any] = {"concurrency_id": "live", "concurrency_limit": 2}
CHUNKS: dict[str, Any] = {**PRIVATE, **LIVE_QUEUE, "trigger_mode": "multiple", "show_progress": "hidden"}

MICROPHONE = """
<p class="sp-eyebrow" id="sp-live-caption">Microphone</p>
<button type="button" id="sp-listen" aria-describedby="sp-live-state">Start listening</button>
<div class="sp-meter" role="meter" aria-label="Microphone level" aria-valuemin="-60" aria-valuemax="0"
  aria-valuenow="-60" aria-valuetext="off"><i></i></div>
<p id="sp-live-state" data-state="off">Not listening.</p>
<p id="sp-live-note" role="alert"></p>
"""
PANEL = '<p class="sp-said" role="status">${summary}</p><div id="sp-live-panel">${value}</div>'


def build(desk: Desk) -> None:
    """The tab's components, and which event calls which handler."""
    live = LiveDesk(desk)
    if not live.backbones:
        gr.HTML(figures.note(str(desk.backbones[desk.default].missing)), apply_default_css=False)
        return
    name, choices = live.default, Choices(desk)
    with gr.Row(elem_classes="sp-columns sp-live-columns"):
        with gr.Column(scale=5, min_width=320, elem_classes="sp-input"):
            microphone = gr.HTML(
                html_template=MICROPHONE,
                js_on_load=SCRIPT.read_text(encoding="utf-8"),
                apply_default_css=False,
                elem_classes="sp-live-microphone",
                reply={},
            )
            task = select("Live task", "sp-live-task", choices.task_options(name), choices.first_task(name))
            backbone = select("Live backbone", "sp-live-backbone", live.backbone_options(), name)
        with gr.Column(scale=8, min_width=320):
            panel = gr.HTML(
                live_figures.panel(None, [], [], 0.0),
                html_template=PANEL,
                js_on_load=None,
                apply_default_css=False,
                summary="",
            )
    # The seat of this page; whoever closes the page gives it back.
    seat = gr.State(None, time_to_live=3600, delete_callback=live.leave)
    microphone.submit(live.receive, [seat, task, backbone], [microphone, panel, seat], **CHUNKS)
    backbone.input(live.choose_backbone, [task, backbone], task, **AT_ONCE)
