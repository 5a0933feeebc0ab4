"""What the page shows, as inline HTML and SVG: colours, numbers, choices, invitations, messages.

Plain functions from answers to strings. Everything that comes from outside (labels, titles, messages)
is escaped here; nothing is fetched from anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from speechprompt.prompts.config import Strangers
from speechprompt.labelling.segments import per_word
from speechprompt.prompts.prompt import Prompt
from speechprompt.ui.colours import OWN, Colours, text_colour, unit_colour

SAY_LETTERS = 64  # of the labels in one line beside examples
WORD_LETTERS = 110  # of the labels that have the line to themselves
OPEN_LABELS = ("unknown", "other", "none")  # what is answered where none of the others was spoken
LONG_LABEL = 14  # characters; a longer one is set smaller
BARS_SHOWN = 3
HOW = (
    "The sound becomes units, numbered pieces of speech that a frozen language model (LM) reads. A task is a small "
    "prompt before them, and the unit that the LM generates next tells the answer."
)


def percent(share: float) -> str:
    if 0 < share < 0.01:
        return "<1\u00a0%"
    if 0.99 < share < 1:
        return ">99\u00a0%"
    return f"{round(100 * share)}\u00a0%"


def milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.1f}\u00a0ms" if seconds < 0.01 else f"{1000 * seconds:.0f}\u00a0ms"


def measured(prompt: Prompt) -> str:
    """ "89 % of 429" from the prompt's metrics, of strangers where these are much lower, or "not measured"."""
    if prompt.strangers is not None and prompt.strangers_decide:
        return of_strangers(prompt.strangers)
    accuracy, n = prompt.metrics.get("accuracy"), prompt.metrics.get("n")
    if not isinstance(accuracy, int | float) or not isinstance(n, int):
        return "not measured"
    return f"{percent(float(accuracy))} of {n}"


def of_strangers(found: Strangers) -> str:
    return f"{percent(found['right'])} of {found['n']}"


def track_record(prompt: Prompt) -> str:
    """How often this prompt was right when it was measured."""
    if measured(prompt) == "not measured":
        return "Nobody has measured how often this task is right."
    if prompt.strangers is not None and prompt.strangers_decide:
        return f"Right on {of_strangers(prompt.strangers)} of strangers' clips."
    split = prompt.metrics.get("split")
    return f"Right on {measured(prompt)} {split + ' ' if isinstance(split, str) else ''}clips."


def share_right(prompt: Prompt) -> float | None:
    """How often it is right: on its test split, or on strangers' clips where these are much worse."""
    if prompt.strangers is not None and prompt.strangers_decide:
        return prompt.strangers["right"]
    accuracy = prompt.metrics.get("accuracy")
    return float(accuracy) if isinstance(accuracy, int | float) else None


def task_hint(prompt: Prompt) -> str:
    """What a task is, and how often it was right, in a line under the list of tasks."""
    share = share_right(prompt)
    right = "Not measured." if share is None else f"Right {100 * share:.0f} times in 100."
    return f"{right} {prompt.about}".strip()


def options(groups: Mapping[str, Iterable[tuple[str, str, str]]]) -> str:
    """Options of a <select>: group -> (value, text, hint); a single unnamed group is left unwrapped."""
    html = []
    for group, entries in groups.items():
        inner = "".join(
            f'<option value="{escape(value)}" data-hint="{escape(hint)}">{escape(text)}</option>'
            for value, text, hint in entries
        )
        html.append(f'<optgroup label="{escape(group)}">{inner}</optgroup>' if group else inner)
    return "".join(html)


def empty() -> str:
    """The invitation that stands where the answer will be."""
    heights = (5, 9, 14, 22, 30, 26, 34, 28, 18, 24, 36, 30, 20, 12, 16, 26, 20, 10, 6, 4)
    ghost = "".join(f'<i style="height:{h}px"></i>' for h in heights)
    return (
        f'<section class="sp-card sp-empty"><div class="sp-ghost" aria-hidden="true">{ghost}</div>'
        "<h2>Speak and see the answer</h2>"
        "<p>Record your voice, choose a file or click an example.</p>"
        f'<p class="sp-about">{HOW}</p></section>'
    )


def say(prompt: Prompt, entries: Sequence[Mapping[str, str]], most: int = SAY_LETTERS) -> str:
    """One line: some of what a task can answer, in so many letters at most, and buttons for its examples."""
    words = prompt.expects == "speech" and prompt.form.kind == "label" and per_word(prompt)
    unsaid = {prompt.form.silence_label, *OPEN_LABELS} if words else set()
    labels = [label for label in prompt.labels if label not in unsaid]
    shown, letters = [], 0
    for label in labels:
        letters += len(label) + 4
        if letters > most:
            break
        shown.append(label_tag("span", label.partition("=")[2] or label))
    left = len(labels) - len(shown)
    more = f"<em>and {left} more</em>" if left else ""
    what = "Say one of" if words else "It answers"
    return (
        f'<div class="sp-say"><p class="sp-words" tabindex="0"><b>{what}</b> {"".join(shown)}{more}</p>'
        f"{examples(entries)}</div>"
    )


def alert(message: str, heading: str = "No answer") -> str:
    """One sentence saying what went wrong and what to do; screen readers announce it."""
    return (
        '<section class="sp-card sp-alert" role="alert"><svg viewBox="0 0 24 24" aria-hidden="true">'
        '<circle cx="12" cy="12" r="10"/><path d="M12 7v6M12 16.5v.5"/></svg>'
        f"<div><h2>{escape(heading)}</h2><p>{escape(message)}</p></div></section>"
    )


def note(message: str, heading: str = "") -> str:
    head = f"<h2>{escape(heading)}</h2>" if heading else ""
    return f'<section class="sp-card sp-note">{head}<p>{escape(message)}</p></section>'


def label_tag(tag: str, label: str) -> str:
    """A label may be in any script, so its direction is its own; data writes `dog_bark` where people read two words."""
    return f'<{tag} dir="auto">{escape(label.replace("_", " "))}</{tag}>'


def verdict(label: str, score: float) -> str:
    """The answer, large, with its probability."""
    size = "sp-label sp-long" if len(label) > LONG_LABEL else "sp-label"
    return f'<p class="{size}">{label_tag("bdi", label or "nothing")} <data>{percent(score)}</data></p>'


def bar(label: str, share: float) -> str:
    """A label with its probability as a bar, for a list."""
    return (
        f'<li>{label_tag("span", label)}<i><b style="width:{100 * share:.1f}%"></b></i>'
        f"<data>{percent(share)}</data></li>"
    )


def bars(rows: Iterable[tuple[str, float]]) -> str:
    """Labels with their probabilities, in the order given."""
    return f'<ol class="sp-bars">{"".join(bar(label, share) for label, share in rows)}</ol>'


def score_bars(scores: Mapping[str, float]) -> str:
    """Labels with their probabilities, highest first; those after the tenth are folded away."""
    rows = list(scores.items())
    html = bars(rows[:BARS_SHOWN])
    if len(rows) > BARS_SHOWN:
        rest = "".join(bar(label, share) for label, share in rows[BARS_SHOWN:])
        html += (
            f"<details><summary>{len(rows) - BARS_SHOWN} more labels</summary>"
            f'<ol class="sp-bars" start="{BARS_SHOWN + 1}">{rest}</ol></details>'
        )
    return html


def chip(unit: int, colours: Colours = OWN) -> str:
    """A unit's id in its colour."""
    colour = unit_colour(unit, colours)
    style = f"background:{colour};color:{text_colour(colour)}"
    return f'<span class="sp-chip" style="{style}" title="unit {unit}">{unit}</span>'


def likely_chip(unit: int, share: float, colours: Colours = OWN) -> str:
    """A unit with its probability."""
    return f'<span>{chip(unit, colours)} <span class="sp-share">{percent(share)}</span></span>'


def facts(texts: Iterable[str]) -> str:
    """How an answer was made: times, backbone, device."""
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f'<ul class="sp-facts" aria-label="How it ran">{items}</ul>'


def examples(entries: Iterable[Mapping[str, str]], lead: str = "or hear") -> str:
    """Buttons for example clips, each with what is spoken in it."""
    buttons = [
        f'<button type="button" data-index="{escape(entry["index"])}" data-name="{escape(entry["name"])}" '
        f'title="{escape(entry["about"])}"><svg viewBox="0 0 10 10" aria-hidden="true"><path d="M2 1l7 4-7 4z"/></svg>'
        f"{label_tag('b', entry['spoken'])}</button>"
        for entry in entries
    ]
    if not buttons:
        return ""
    return (
        f'<div class="sp-examples" role="group" aria-label="Examples"><em>{lead}</em>{"".join(buttons)}</div>'
    )
