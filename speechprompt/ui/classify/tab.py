"""The Try tab's components: one bar asks, one row answers."""

from __future__ import annotations

import gradio as gr

from speechprompt.ui import html as figures
from speechprompt.ui.choices import Choices
from speechprompt.ui.classify.events import Try
from speechprompt.ui.classify.history import history
from speechprompt.ui.classify.long import LONG_QUEUE
from speechprompt.ui.controls import AT_ONCE, EXAMPLES_SCRIPT, PRIVATE, answer_panel, latest, select
from speechprompt.ui.desk import Desk
from speechprompt.ui.recorder import recorder


def build(desk: Desk, session: gr.State) -> tuple[gr.HTML, gr.HTML, gr.HTML]:
    """The tab's components, and which event calls which handler.

    Returns its recorder and its choices of task and backbone. session: the visitor's own tasks, which are on
    offer beside everybody's.
    """
    events, choices, name = Try(desk), Choices(desk), desk.default
    first_task = choices.first_task(name)
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
    panel = answer_panel(figures.empty(desk.backbones[name].prompts.get(first_task)))
    stop = gr.Button("Stop", visible=False, size="sm", elem_id="sp-stop")  # a long recording's timeline
    history()
    backbone = select("Backbone", "sp-backbone", choices.backbone_options(first_task), name, quiet=True)

    asked = [audio, task, backbone, units, session]
    latest_only = latest(panel)
    chosen = [task, backbone, session], [backbone, say, by_sound, by_units]
    answered = [audio.input(events.change, asked, panel, **latest_only)]
    units.submit(events.answer, asked, panel, **latest_only)
    for choice in (task, backbone):
        chose = choice.input(events.choose_task, *chosen, **AT_ONCE)
        answered.append(chose.then(events.change, asked, panel, **latest_only))
    say.click(events.choose_example, None, [audio, units], **AT_ONCE).then(
        events.answer, asked, panel, **latest_only
    )
    quietly = {**PRIVATE, **LONG_QUEUE, "trigger_mode": "always_last", "show_progress": "hidden"}
    going = [event.then(events.timeline, asked, [panel, stop], **quietly) for event in answered]
    stop.click(lambda: gr.update(visible=False), None, stop, cancels=going, **AT_ONCE)
    return audio, task, backbone
