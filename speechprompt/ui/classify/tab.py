"""The Try tab's components: one bar asks, one row answers."""

from __future__ import annotations

import gradio as gr

from speechprompt.ui import html as figures
from speechprompt.ui.choices import Choices
from speechprompt.ui.classify.events import Try
from speechprompt.ui.classify.history import history
from speechprompt.ui.classify.long import LONG_QUEUE
from speechprompt.ui.controls import AT_ONCE, EXAMPLES_SCRIPT, answer_panel, latest, select
from speechprompt.ui.desk import Desk
from speechprompt.ui.recorder import recorder

STOPPED = '(session) => (document.querySelector("#sp-panel [data-reading]")?.removeAttribute("data-reading"), session)'


def build(desk: Desk, session: gr.State) -> tuple[gr.HTML, gr.HTML, gr.HTML]:
    """The tab's components, and which event calls which handler.

    Returns its recorder and its choices of task and backbone. session: the visitor's own tasks, which are on
    offer beside everybody's.
    """
    events, choices = Try(desk), Choices(desk)
    first_task = choices.first_task(desk.default)
    name = choices.backbone_of(first_task) or desk.default
    with gr.Row(elem_classes="sp-bar"):
        with gr.Column(visible=desk.backbones[name].has_encoder) as by_sound:
            audio = recorder("Your recording", "sp-audio")
        with gr.Column(
            visible=desk.backbones[name].has_lm and not desk.backbones[name].has_encoder
        ) as by_units:
            units = gr.Textbox(
                label="Units",
                info="The repeats may be left in. Press Enter to classify.",
                placeholder="71 12 63 40 …",
                lines=1,
                max_lines=2,
                elem_id="sp-units",
            )
        task = select("Task", "sp-task", choices.task_options(), first_task)
    say = gr.HTML(
        choices.say(first_task, name),
        apply_default_css=False,
        js_on_load=EXAMPLES_SCRIPT,
        elem_classes="sp-say-block",
    )
    panel = answer_panel(figures.empty())
    stop = gr.Button("Stop", size="sm", elem_id="sp-stop")  # in view while a long recording is read
    history()
    backbone = select("Backbone", "sp-backbone", choices.backbone_options(first_task), name, quiet=True)

    asked = [audio, task, backbone, units, session]
    latest_only = latest(panel)
    chosen = [task, backbone, session], [backbone, say, by_sound, by_units]
    # The panel asks for it where an answer says that the recording is long: others never wait in that queue.
    long = {**latest_only, **LONG_QUEUE, "trigger_mode": "multiple"}
    panel.submit(events.timeline, [audio, task, backbone, session], panel, **long)
    stop.click(events.stop, session, None, js=STOPPED, **AT_ONCE)
    audio.input(events.change, asked, panel, **latest_only)
    units.submit(events.answer, asked, panel, **latest_only)
    for choice, choose in ((task, events.choose_task), (backbone, events.choose_backbone)):
        chose = choice.input(choose, *chosen, **AT_ONCE)
        chose.then(events.change, asked, panel, **latest_only)
    say.click(events.choose_example, None, [audio, units], **AT_ONCE).then(
        events.answer, asked, panel, **latest_only
    )
    return audio, task, backbone
