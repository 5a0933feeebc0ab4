"""The Compare tab's components: one recording, or two, or many, and what every prompt says about them."""

from __future__ import annotations

import gradio as gr

from speechprompt.ui import html as figures
from speechprompt.ui.compare.events import (
    BEST,
    CHECKS_CAPTION,
    CHECKS_FIELD,
    INVITATION,
    NO_ENCODER,
    Comparison,
)
from speechprompt.ui.controls import AT_ONCE, EXAMPLES_SCRIPT, answer_panel, checks, latest
from speechprompt.ui.desk import Desk
from speechprompt.ui.recorder import recorder

EACH_BEST = "For each task the one that is right most often"


def build(desk: Desk, tab: gr.Tab, recording: gr.HTML) -> None:
    """The tab's components and events; `recording` is the first tab's, taken over where this one has none."""
    comparison = Comparison(desk)
    if not comparison.complete:
        gr.HTML(figures.note(NO_ENCODER), apply_default_css=False)
        return
    first = comparison.first
    with gr.Row(elem_classes="sp-bar"):
        audio = recorder("Recording to compare", "sp-compare-audio")
    examples = gr.HTML(
        comparison.examples(first),
        apply_default_css=False,
        js_on_load=EXAMPLES_SCRIPT,
        elem_classes="sp-say-block",
    )
    panel = answer_panel(INVITATION, "sp-compare-panel")
    with gr.Row(elem_classes="sp-downloads"):
        as_csv = gr.DownloadButton("Download as CSV", visible=False, elem_id="sp-compare-csv")
        as_json = gr.DownloadButton("Download as JSON", visible=False, elem_id="sp-compare-json")
    with gr.Accordion("Tasks and backbones", open=False, elem_id="sp-compare-choices"):
        tasks = checks(
            CHECKS_CAPTION, CHECKS_FIELD, comparison.task_checks(first), comparison.superseded(first)
        )
        backbones = gr.CheckboxGroup(
            [(EACH_BEST, BEST), *((backbone.title, name) for name, backbone in comparison.complete.items())],
            value=first,
            label="Backbones to compare",
            info="Prompts of the same task stand beside each other.",
            elem_id="sp-compare-backbones",
            elem_classes="sp-backbones",
        )
    with gr.Accordion("A second recording beside it", open=False, elem_id="sp-compare-more"):
        second = recorder("Second recording", "sp-compare-second")
    with gr.Accordion("Many files at once", open=False, elem_id="sp-compare-many"):
        files = gr.File(
            file_count="multiple",
            label="Up to 32 recordings; each becomes a row",
            elem_id="sp-batch",
            height=130,
        )

    choices = [tasks, backbones]
    asked = [audio, second, *choices]
    shown = [panel, as_csv, as_json]
    latest_only = latest(panel)
    for given in (audio, second, tasks):
        given.input(comparison.change, asked, shown, **latest_only)
    backbones.input(comparison.choose_backbones, backbones, [tasks, examples], **AT_ONCE).then(
        comparison.change, asked, shown, **latest_only
    )
    files.upload(comparison.label_files, [files, *choices], shown, **latest_only)
    examples.click(comparison.choose_example, None, audio, **AT_ONCE).then(
        comparison.change, asked, shown, **latest_only
    )
    # prompts may have come since the page was built
    tab.select(comparison.choose_backbones, backbones, [tasks, examples], **AT_ONCE)
    tab.select(comparison.take_over, [recording, audio], audio, **AT_ONCE).then(
        comparison.change, asked, shown, **latest_only
    )
