"""The last answers, kept in the browser alone: the server sends the list empty, and history.js fills it."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

SCRIPT = (Path(__file__).parent / "history.js").read_text(encoding="utf-8")
TEMPLATE = """
<details class="sp-fold sp-history" data-fold="history">
  <summary>Last answers <span>· <span data-part="count">none yet</span>, kept in this browser alone</span></summary>
  <ol aria-label="Last answers" data-part="list"></ol>
  <p class="sp-history-foot">
    <label><input type="checkbox" data-part="keep" checked> Keep them</label>
    <button type="button" class="sp-link" data-part="clear">Clear all</button>
    <span data-part="note" role="status">Nothing of them is sent unless you ask again.</span>
  </p>
</details>
"""


def history() -> gr.HTML:
    """The last answers of the Try tab, each to be heard, asked again, or compared with the recording of now."""
    return gr.HTML(html_template=TEMPLATE, js_on_load=SCRIPT, apply_default_css=False)
