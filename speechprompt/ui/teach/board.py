"""The board: a card for each label, with its record button, its clips and what happened to it last.

One component, whose cards the server writes anew and whose script (board.js) survives that: a recording goes on while
other cards change. It sends one action at a time and waits for the answer, so that none is lost or overtaken.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from speechprompt.audio.kinds import SUFFIXES
from speechprompt.ui.own_html import own_html
from speechprompt.ui.recorder import ACCEPT, file_of, path_of

FOLDER = Path(__file__).parent
SCRIPT = (FOLDER / "board.js").read_text(encoding="utf-8")
TEMPLATE = (FOLDER / "board.html").read_text(encoding="utf-8")
MAX_TEXT = 400  # characters of a label or a name that the page sends
MAX_FILES = 600


@dataclass(frozen=True)
class Action:
    """What a person did on the board. label, clip: of which card and clip; text: a name typed in; paths: of files that
    were sent to the server; sequence: comes back with the answer."""

    do: str
    label: str = ""
    text: str = ""
    clip: int = 0
    paths: tuple[str, ...] = ()
    sequence: int = 0


def action_of(payload: Any) -> Action | None:
    """The action; None where the board holds none. ValueError for what no board sends."""
    if payload is None or (isinstance(payload, dict) and "do" not in payload):
        return None
    if not isinstance(payload, dict):
        raise ValueError("a board takes an action")
    texts = [payload.get(name, "") for name in ("do", "label", "text")]
    numbers = [payload.get(name, 0) for name in ("clip", "sequence")]
    files = payload.get("files", [])
    if not all(isinstance(text, str) and len(text) <= MAX_TEXT for text in texts):
        raise ValueError("a board's texts are short")
    if not all(type(number) is int for number in numbers):
        raise ValueError("a board's numbers are whole")
    if not isinstance(files, list) or len(files) > MAX_FILES:
        raise ValueError("a board takes a list of files")
    paths = tuple(str(path_of(file)) for file in files if file is not None)
    do, label, text = texts
    clip, sequence = numbers
    return Action(do, label, text, clip, paths, sequence)


# Its value is an Action on its way to the server, and on the way back a file to be heard or kept, by `use`.
BOARD = own_html("Board", __name__, action_of, file_of)


def board(cards: str) -> gr.HTML:
    return BOARD(
        None,
        html_template=TEMPLATE,
        js_on_load=SCRIPT,
        apply_default_css=False,
        elem_id="sp-board",
        accept=f"{ACCEPT},.zip,.csv",
        suffixes="|".join(suffix.lstrip(".") for suffix in SUFFIXES),
        cards=cards,
        said="",
        use="",
        file="",
        reply=0,
    )


def answer(sequence: int, cards: str, said: str = "", file: str | None = None, use: str = "") -> gr.HTML:
    """The board's new content. file: a path, with what to do with it: "play" or "save"."""
    return BOARD(value=file, cards=cards, said=said, use=use, file=file or "", reply=sequence)
