"""About a task: what it is, what it was learnt from, how often it is right, and what it is bad at."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from speechprompt.prompts.confusion import picture
from speechprompt.ui.html import label_tag, percent, track_record

if TYPE_CHECKING:
    from speechprompt.prompts.prompt import Prompt

ABOUT_PEOPLE = ("gender", "age", "emotion")  # how names of tasks begin that judge people
CAVEAT = (
    "This is a guess from the sound of a voice, learnt from few speakers. It does not tell who somebody is or what "
    "they feel: use it for nothing that matters to a person."
)
MISTAKES_SHOWN = 5


def about(prompt: Prompt) -> str:
    """The card's sentences, the table of its classes and the picture of its confusions."""
    metrics = prompt.metrics
    spoken = f" ({', '.join(prompt.languages)})" if prompt.languages else ""
    facts = (
        ("What it is", prompt.about),
        ("Caveat", CAVEAT if prompt.task.startswith(ABOUT_PEOPLE) else ""),
        ("How often right", track_record(prompt)),
        ("What it is bad at", " ".join(filter(None, (prompt.limits, mistakes(prompt))))),
        ("Expects", f"{prompt.expects}{spoken}"),
        ("Data", prompt.data),
        ("Licence of the data", prompt.licence),
    )
    listed = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in facts if text)
    drawn = ""
    if cells := metrics.get("confusion"):
        drawn = f'<div class="sp-picture">{picture(prompt.labels, prompt.form.spans, cells)}</div>'
    return f'<div class="sp-about-task"><dl>{listed}</dl>{classes(prompt)}{drawn}</div>'


def mistakes(prompt: Prompt) -> str:
    """The most frequent confusions, in words."""
    found = prompt.metrics.get("confusions", [])[:MISTAKES_SHOWN]
    if not found:
        return ""
    return (
        "Most often wrong: "
        + ", ".join(f"{truth} taken for {answer} ({n})" for truth, answer, n in found)
        + "."
    )


def classes(prompt: Prompt) -> str:
    """Recall and precision of every label, as it was measured."""
    rows = "".join(
        f'<tr><th scope="row">{label_tag("span", label)}</th><td>{row["n"]}</td>'
        f"<td>{share(row['recall'])}</td><td>{share(row['precision'])}</td></tr>"
        for label, row in prompt.metrics.get("per_class", {}).items()
    )
    if not rows:
        return ""
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("Label", "Clips", "Found", "Right when said"))
    return (
        '<div class="sp-scroll" tabindex="0" role="group" aria-label="Each label"><table class="sp-grid">'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def share(value: float | None) -> str:
    return "–" if value is None else percent(value)
