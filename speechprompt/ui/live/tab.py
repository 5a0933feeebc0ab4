"""The Live tab: speak, and labels appear.

The microphone is our own small component (microphone.js), not gr.Audio(streaming=True): that one uploads every
chunk as a file, and its server keeps only the newest chunk while a handler runs, which loses sound
whenever chunks come in bunches. Ours keeps what could not be sent and sends it with the next chunk.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from speechprompt.ui import html as figures
from speechprompt.ui.choices import FIRST_TASK
from speechprompt.ui.controls import AT_ONCE, PRIVATE, select
from speechprompt.ui.desk import Desk
from speechprompt.ui.live import figures as live_figures
from speechprompt.ui.live.seats import LiveDesk

SCRIPT = Path(__file__).parent / "microphone.js"
# A queue of its own: a burst of chunks makes nobody wait who classifies a recording.
LIVE_QUEUE: dict[str, Any] = {"concurrency_id": "live", "concurrency_limit": 2}
CHUNKS: dict[str, Any] = {**PRIVATE, **LIVE_QUEUE, "trigger_mode": "multiple", "show_progress": "hidden"}

MICROPHONE = """
<button type="button" class="sp-record" id="sp-listen" aria-describedby="sp-live-state">
  <i aria-hidden="true"></i><span>Start listening</span>
</button>
<div class="sp-meter" role="meter" aria-label="Microphone level" aria-valuemin="-60" aria-valuemax="0"
  aria-valuenow="-60" aria-valuetext="off"><i></i></div>
<p class="sp-live-foot">
  <span id="sp-live-state" data-state="off">Not listening.</span><span id="sp-live-note" role="alert"></span>
</p>
"""
NOTHING = "No backbone here can hear words: fetch an encoder with `python -m speechprompt fetch`."
PANEL = (
    '<p class="sp-sr-only" role="status">${summary}</p><div id="sp-live-panel" class="sp-two">${value}</div>'
)


def build(desk: Desk, tab: gr.Tab, session: gr.State) -> None:
    """The tab's components, and which event calls which handler. session: the visitor's own tasks."""
    live = LiveDesk(desk)
    choices, offered = live.choices, live.choices.offered()
    if not offered:
        gr.HTML(figures.note(NOTHING), apply_default_css=False)
        return
    first = FIRST_TASK if FIRST_TASK in offered else next(iter(offered))
    name = choices.backbone_of(first)
    with gr.Row(elem_classes="sp-bar"):
        microphone = gr.HTML(
            html_template=MICROPHONE,
            js_on_load=SCRIPT.read_text(encoding="utf-8"),
            apply_default_css=False,
            elem_classes="sp-live-microphone",
            reply={},
        )
        task = select("Live task", "sp-live-task", choices.task_options(), first)
    say = gr.HTML(
        choices.words(first, name), apply_default_css=False, js_on_load=None, elem_classes="sp-say-block"
    )
    panel = gr.HTML(
        live_figures.panel(None, [], [], 0.0),
        html_template=PANEL,
        js_on_load=None,
        apply_default_css=False,
        summary="",
    )
    backbone = select("Live backbone", "sp-live-backbone", choices.backbone_options(first), name, quiet=True)
    # The seat of this page; whoever closes the page gives it back.
    seat = gr.State(None, time_to_live=3600, delete_callback=live.leave)
    microphone.submit(live.receive, [seat, task, backbone, session], [microphone, panel, seat], **CHUNKS)
    for choice, choose in ((task, live.choose_task), (backbone, live.choose_backbone)):
        choice.input(choose, [task, backbone, session], [backbone, say], **AT_ONCE)
    tab.select(live.refresh, [task, session], task, **AT_ONCE)
