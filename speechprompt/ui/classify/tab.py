"""The Try tab's components: one recording, one task, the whole answer."""

from __future__ import annotations

import gradio as gr

from speechprompt.ui import html as figures
from speechprompt.ui.choices import Choices
from speechprompt.ui.classify.events import Try
from speechprompt.ui.controls import AT_ONCE, EXAMPLES_SCRIPT, answer_panel, latest, recorder, select
from speechprompt.ui.desk import Desk


def build(desk: Desk, session: gr.State) -> tuple[gr.Audio, gr.HTML, gr.HTML]:
    """The tab's components, and which event calls which handler.

    Returns its recorder and its choices of task and backbone. session: the visitor's own tasks, which are on
    offer beside everybody's.
    """
    events, choices, name = Try(desk), Choices(desk), desk.default
    first_task = choices.first_task(name)
    with gr.Row(elem_classes="sp-columns"):
        with gr.Column(scale=5, min_width=320, elem_classes="sp-input"):
            audio = recorder("Your recording", "sp-audio", desk.backbones[name].has_encoder)
            units = gr.Textbox(
                label="Units",
                info="The repeats may be left in. Press Enter to classify.",
                placeholder="71 12 63 40 …",
                lines=1,
                max_lines=6,
                visible=desk.backbones[name].has_lm and not desk.backbones[name].has_encoder,
                elem_id="sp-units",
            )
            examples = gr.HTML(
                choices.example_buttons(name), apply_default_css=False, js_on_load=EXAMPLES_SCRIPT
            )
            task = select("Task", "sp-task", choices.task_options(name), first_task)
            backbone = select("Backbone", "sp-backbone", choices.backbone_options(), name)
            button = gr.Button("Classify", variant="primary", elem_id="sp-run")
        with gr.Column(scale=8, min_width=320):
            panel = answer_panel(figures.empty(desk.backbones[name].prompts.get(first_task)))

    asked = [audio, task, backbone]
    shown = gr.State(None)  # index of the example that was clicked last
    latest_only = latest(panel)
    # change, because a trimmed recording announces itself in no other way
    audio.change(events.choose_audio, [*asked, shown, session], [panel, shown], **latest_only)
    button.click(events.answer, [*asked, units, session], panel, **latest_only)
    units.submit(events.answer, [*asked, units, session], panel, **latest_only)
    task.input(events.choose_task, [*asked, units, session], panel, **latest_only)
    backbone.input(
        events.choose_backbone, [task, backbone, session], [task, examples, audio, units], **AT_ONCE
    ).then(events.choose_task, [*asked, units, session], panel, **latest_only)
    examples.click(events.choose_example, backbone, [audio, task, shown, units], **AT_ONCE).then(
        events.answer, [*asked, units, session], panel, **latest_only
    )
    return audio, task, backbone
