"""The layout of the page, and which event calls which handler."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from speechprompt.ui import figures, style
from speechprompt.ui.handlers import Desk

MAX_FILE_SIZE = "50mb"  # 60 s of 96 kHz stereo in 32 bits
DEVICE_QUEUE: dict[str, Any] = {"concurrency_id": "device", "concurrency_limit": 1}
MAX_WAITING = 64

# A native <select>: groups, keyboard, screen readers and phones' own pickers come with it.
SELECT = (
    '<label class="sp-eyebrow" for="${field}">${caption}</label>'
    '<select id="${field}" aria-describedby="${field}-hint">${options}</select>'
    '<p class="sp-hint" id="${field}-hint"></p>'
)
SELECT_SCRIPT = """
const select = element.querySelector("select"), hint = element.querySelector(".sp-hint");
const sync = () => {
  if (select.value !== props.value) select.value = props.value;
  hint.textContent = select.selectedOptions[0]?.dataset.hint || "";
};
select.addEventListener("change", () => { props.value = select.value; sync(); trigger("input"); });
watch(["value", "options"], sync);
sync();
"""
EXAMPLES_SCRIPT = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-index]");
  if (button) trigger("click", { index: Number(button.dataset.index) });
});
"""
PANEL = '<p class="sp-said" role="status">${summary}</p><div id="sp-panel">${value}</div>'

# On a phone the answer is below the choices: bring it up when it comes.
PANEL_SCRIPT = """
watch("value", () => {
  const answer = element.querySelector(".sp-answer, .sp-alert");
  if (answer && answer.getBoundingClientRect().top > innerHeight * 0.75) {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    answer.scrollIntoView({ block: "start", behavior: calm ? "instant" : "smooth" });
  }
});
"""


def select(caption: str, field: str, options: str, value: str) -> gr.HTML:
    """A labelled <select> whose value is the chosen option's."""
    return gr.HTML(
        value,
        html_template=SELECT,
        js_on_load=SELECT_SCRIPT,
        apply_default_css=False,
        elem_classes="sp-select",
        caption=caption,
        field=field,
        options=options,
    )


def build(desk: Desk) -> gr.Blocks:
    """The page of a desk; show it with `launch(**launch_options(desk))`."""
    name = desk.default
    first_task = desk.first_task(name)
    with gr.Blocks(title="SpeechPrompt", analytics_enabled=False, delete_cache=(600, 3600)) as demo:
        gr.HTML(figures.header(desk.device_text()), apply_default_css=False, js_on_load=None)
        with gr.Row(elem_classes="sp-columns"):
            with gr.Column(scale=5, min_width=320, elem_classes="sp-input"):
                audio = gr.Audio(
                    sources=["microphone", "upload"],
                    type="filepath",
                    label="Your recording",
                    visible=desk.backbones[name].has_encoder,
                    buttons=["download"],
                    elem_id="sp-audio",
                    waveform_options=gr.WaveformOptions(
                        waveform_color="#9a9ca3", waveform_progress_color="#4a68e0", sample_rate=48_000
                    ),
                )
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
                    desk.example_buttons(name), apply_default_css=False, js_on_load=EXAMPLES_SCRIPT
                )
                task = select("Task", "sp-task", desk.task_options(name), first_task)
                backbone = select("Backbone", "sp-backbone", desk.backbone_options(), name)
                button = gr.Button("Classify", variant="primary", elem_id="sp-run")
            with gr.Column(scale=8, min_width=320):
                panel = gr.HTML(
                    figures.empty(desk.backbones[name].prompts.get(first_task)),
                    html_template=PANEL,
                    js_on_load=PANEL_SCRIPT,
                    apply_default_css=False,
                    summary="",
                )

        asked = [audio, task, backbone]
        shown = gr.State(None)  # index of the example that was clicked last
        private: dict[str, Any] = {"api_visibility": "private"}
        # always_last: a choice made while an answer is on its way must not be lost
        latest: dict[str, Any] = {**private, **DEVICE_QUEUE, "trigger_mode": "always_last"}
        latest |= {"show_progress": "minimal", "show_progress_on": panel}
        # At once, and only then the answer: it takes what the page holds when its turn is set.
        at_once: dict[str, Any] = {
            **private,
            "queue": False,
            "trigger_mode": "multiple",
            "show_progress": "hidden",
        }

        # change, because a trimmed recording announces itself in no other way
        audio.change(desk.choose_audio, [*asked, shown], [panel, shown], **latest)
        button.click(desk.answer, [*asked, units], panel, **latest)
        units.submit(desk.answer, [*asked, units], panel, **latest)
        task.input(desk.choose_task, [*asked, units], panel, **latest)
        backbone.input(
            desk.choose_backbone, [task, backbone], [task, examples, audio, units], **at_once
        ).then(desk.choose_task, [*asked, units], panel, **latest)
        examples.click(desk.choose_example, backbone, [audio, task, shown, units], **at_once).then(
            desk.answer, [*asked, units], panel, **latest
        )
        endpoint(desk)
    return demo.queue(max_size=MAX_WAITING, default_concurrency_limit=4)


def endpoint(desk: Desk) -> None:
    """The named endpoint `/classify`, apart from the page so that its inputs stay plain."""
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


def launch_options(desk: Desk) -> dict[str, Any]:
    """What `launch` needs for the page to look and behave as meant."""
    allowed: list[Path] = [] if desk.examples_folder is None else [desk.examples_folder]
    return {
        "theme": style.theme(),
        "css_paths": [style.CSS],
        "head": style.head(),
        "allowed_paths": [str(path) for path in allowed],
        "max_file_size": MAX_FILE_SIZE,
        "footer_links": ["api", "settings"],
    }
