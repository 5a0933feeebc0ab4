"""The Compare tab's components: one recording, many prompts side by side."""

from __future__ import annotations

import gradio as gr

from speechprompt.ui import html as figures
from speechprompt.ui.compare.events import INVITATION, NO_ENCODER, Comparison
from speechprompt.ui.controls import AT_ONCE, EXAMPLES_SCRIPT, answer_panel, checks, latest, recorder
from speechprompt.ui.desk import Desk


def build(desk: Desk, tab: gr.Tab, recording: gr.Audio) -> None:
    """The tab's components and events; `recording` is the first tab's, taken over where this one has none."""
    comparison = Comparison(desk)
    if not comparison.complete:
        gr.HTML(figures.note(NO_ENCODER), apply_default_css=False)
        return
    first = comparison.first
    with gr.Row(elem_classes="sp-columns"):
        with gr.Column(scale=5, min_width=320, elem_classes="sp-input"):
            audio = recorder("Recording to compare", "sp-compare-audio")
            examples = gr.HTML(
                comparison.examples(first), apply_default_css=False, js_on_load=EXAMPLES_SCRIPT
            )
            tasks = checks("Tasks to compare", "sp-compare-tasks", comparison.task_checks(first))
            backbones = gr.CheckboxGroup(
                [(backbone.title, name) for name, backbone in comparison.complete.items()],
                value=first,
                label="Backbones to compare",
                info="Prompts of the same task stand beside each other.",
                elem_id="sp-compare-backbones",
                elem_classes="sp-backbones",
            )
            button = gr.Button("Compare", variant="primary", elem_id="sp-compare-run", elem_classes="sp-run")
        with gr.Column(scale=8, min_width=320):
            panel = answer_panel(INVITATION, "sp-compare-panel")
            with gr.Row(elem_classes="sp-downloads"):
                as_csv = gr.DownloadButton("Download as CSV", visible=False, elem_id="sp-compare-csv")
                as_json = gr.DownloadButton("Download as JSON", visible=False, elem_id="sp-compare-json")

    asked = [audio, tasks, backbones]
    shown = [panel, as_csv, as_json]
    latest_only = latest(panel)
    audio.change(comparison.change, asked, shown, **latest_only)
    tasks.input(comparison.change, asked, shown, **latest_only)
    button.click(comparison.answer, asked, shown, **latest_only)
    backbones.input(comparison.choose_backbones, backbones, [tasks, examples], **AT_ONCE).then(
        comparison.change, asked, shown, **latest_only
    )
    examples.click(comparison.choose_example, None, audio, **AT_ONCE)
    tab.select(comparison.take_over, [recording, audio], audio, **AT_ONCE)
    # prompts may have come since the page was built
    tab.select(comparison.choose_backbones, backbones, [tasks, examples], **AT_ONCE)
