"""What the tabs are made of: labelled choices, answer panels, and how their events are queued."""

from __future__ import annotations

from typing import Any

import gradio as gr

DEVICE_QUEUE: dict[str, Any] = {"concurrency_id": "device", "concurrency_limit": 1}
PRIVATE: dict[str, Any] = {"api_visibility": "private"}
# At once, and only then the answer: it takes what the page holds when its turn is set.
AT_ONCE: dict[str, Any] = {**PRIVATE, "queue": False, "trigger_mode": "multiple", "show_progress": "hidden"}


def latest(panel: gr.HTML) -> dict[str, Any]:
    """For events that answer into a panel: a choice made while an answer is on its way is not lost."""
    shown = {"show_progress": "minimal", "show_progress_on": panel}
    return {**PRIVATE, **DEVICE_QUEUE, "trigger_mode": "always_last", **shown}


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


def answer_panel(value: str) -> gr.HTML:
    """Where answers stand; `summary` is what a screen reader says when one comes."""
    return gr.HTML(
        value,
        html_template=PANEL,
        js_on_load=PANEL_SCRIPT,
        apply_default_css=False,
        summary="",
    )
