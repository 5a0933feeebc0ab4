"""What the tabs are made of: labelled choices, answer panels, and how their events are queued."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr

Update = gr.HTML | dict[str, Any]  # the latter is gr.skip()

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
# Checkboxes by group, under heads that tick a whole group or all. Its value is the names that are not ticked,
# so that what another choice brings is ticked at first and what was left out stays so.
CHECKS = '<fieldset class="sp-checks" id="${field}"><legend class="sp-eyebrow">${caption}</legend>${options}</fieldset>'
CHECKS_SCRIPT = """
const boxes = (inside) => [...inside.querySelectorAll("input[value]")];
const sync = () => {
  const left = new Set(props.value);
  for (const box of boxes(element)) box.checked = !left.has(box.value);
  for (const head of element.querySelectorAll("input[data-head]")) {
    const on = boxes(head.closest("[role=group], fieldset")).map((box) => box.checked);
    head.checked = on.every(Boolean);
    head.indeterminate = on.some(Boolean) && !head.checked;
  }
};
element.addEventListener("change", ({ target }) => {
  if ("head" in target.dataset)
    for (const box of boxes(target.closest("[role=group], fieldset"))) box.checked = target.checked;
  const offered = boxes(element), names = offered.map((box) => box.value);
  const left = props.value.filter((name) => !names.includes(name));
  props.value = [...left, ...offered.filter((box) => !box.checked).map((box) => box.value)];
  sync();
  trigger("input");
});
watch(["value", "options"], sync);
sync();
"""
EXAMPLES_SCRIPT = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-index]");
  if (!button) return;
  for (const other of element.querySelectorAll("button[aria-pressed]")) other.removeAttribute("aria-pressed");
  button.setAttribute("aria-pressed", "true");
  const recorder = [...document.querySelectorAll(".sp-strip")].find((one) => one.offsetParent)?.parentElement;
  recorder?.dispatchEvent(new Event("sp-play"));
  trigger("click", { index: Number(button.dataset.index) });
});
"""
PANEL = (
    '<p class="sp-sr-only" role="status">${summary}</p><p class="sp-wait" aria-live="polite"></p>'
    '<div id="${field}" class="sp-panel">${value}</div>'
)

# On a phone the answer is below the choices: bring it up when it comes.
PANEL_SCRIPT = """
watch("value", () => {
  const answer = element.querySelector(".sp-answer, .sp-compared, .sp-brief, .sp-alert");
  if (answer && answer.getBoundingClientRect().top > innerHeight * 0.75) {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    answer.scrollIntoView({ block: "start", behavior: calm ? "instant" : "smooth" });
  }
  requestAnimationFrame(() => document.dispatchEvent(new Event("sp-answered")));
  const long = element.querySelector("[data-long]");
  if (long) trigger("submit", { asked: Number(long.dataset.long) });
});
"""


def select(caption: str, field: str, options: str, value: str, quiet: bool = False) -> gr.HTML:
    """A labelled <select> whose value is the chosen option's; quiet: in one small line."""
    return gr.HTML(
        value,
        html_template=SELECT,
        js_on_load=SELECT_SCRIPT,
        apply_default_css=False,
        elem_classes=["sp-select", "sp-quiet-select"] if quiet else "sp-select",
        caption=caption,
        field=field,
        options=options,
    )


def chosen(was: str, now: str, options: str) -> gr.HTML:
    """A <select> with other options. was: its value when this was asked for, now: what it is to be.

    A value that stays is not sent, as the visitor may have chosen another one since.
    """
    return gr.HTML(options=options) if now == was else gr.HTML(value=now, options=options)


def checks(caption: str, field: str, options: str, left_out: Sequence[str] = ()) -> gr.HTML:
    """Labelled checkboxes in groups; the value is the list of those that are not ticked, at first left_out."""
    return gr.HTML(
        list(left_out),
        html_template=CHECKS,
        js_on_load=CHECKS_SCRIPT,
        apply_default_css=False,
        caption=caption,
        field=field,
        options=options,
    )


def answer_panel(value: str, field: str = "sp-panel", block: str | None = None) -> gr.HTML:
    """Where answers stand; `summary` is what a screen reader says when one comes."""
    return gr.HTML(
        value,
        html_template=PANEL,
        js_on_load=PANEL_SCRIPT,
        apply_default_css=False,
        elem_id=block,
        field=field,
        summary="",
    )


def panel(value: str, summary: str = "", **hidden: Any) -> gr.HTML:
    """The answer panel's new content; `summary` is plain text, which a screen reader says.

    hidden: field, for a panel that was hidden so far, which gradio makes of its latest update alone.
    """
    return gr.HTML(value=value, summary=escape(summary), **hidden)
