"""The page's first line: what it is, where to read more, and what happens to recordings."""

from __future__ import annotations

from speechprompt.ui.colours import unit_colour

TITLE = "SpeechPrompt"
ABOUT = "One frozen speech model, many tasks: each is a small prompt. Speak, and see the units that decide."
LINKS = (
    ("Paper", "https://arxiv.org/abs/2303.00733"),
    ("How it works", "https://ga642381.github.io/SpeechPrompt/"),
)
PRIVACY = (
    "Recordings are read by nobody but the model, never logged, and deleted about half a minute after the page "
    "is closed. Your last answers stay in this browser alone, until you clear them."
)


def header(n_tasks: int) -> str:
    """Name, what it is in one line, and where more is told."""
    bars = "".join(
        f'<rect x="{x}" y="{y}" width="5" height="{h}" rx="2" fill="{unit_colour(u)}"/>'
        for x, y, h, u in ((0, 11, 10, 0), (7, 4, 24, 4), (14, 8, 16, 5), (21, 0, 32, 11), (28, 10, 12, 2))
    )
    links = "".join(
        f'<a href="{address}" target="_blank" rel="noopener">{name}</a>' for name, address in LINKS
    )
    return (
        '<header class="sp-header"><div class="sp-brand">'
        f'<svg viewBox="0 0 33 32" width="33" height="32" aria-hidden="true">{bars}</svg>'
        f"<h1>{TITLE}</h1><p>One frozen speech model, {n_tasks} tasks. Each task is a small prompt.</p></div>"
        f'<nav aria-label="More about it">{links}<details><summary>Privacy</summary>'
        f"<p>{PRIVACY}</p></details></nav></header>"
    )
