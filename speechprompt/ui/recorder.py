"""The recorder: microphone, file and waveform in one line, whose height never changes."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Any

import gradio as gr

from speechprompt.audio.kinds import SUFFIXES
from speechprompt.ui.own_html import own_html

FOLDER = Path(__file__).parent
SCRIPT = (FOLDER / "recorder.js").read_text(encoding="utf-8")
TEMPLATE = (FOLDER / "recorder.html").read_text(encoding="utf-8")
CLASS = "sp-recorder"
ACCEPT = ",".join(("audio/*", "video/mp4", "video/webm", "video/3gpp", *SUFFIXES))


def recorder(caption: str, field: str) -> gr.HTML:
    """A recording as the path of a file that was sent to the server; what a person brought is an "input"."""
    return RECORDER(
        None,
        html_template=TEMPLATE,
        js_on_load=SCRIPT,
        apply_default_css=False,
        elem_id=field,
        elem_classes=CLASS,
        caption=caption,
        accept=ACCEPT,
    )


def path_of(payload: Any) -> str | None:
    """The path; None without a recording. A bare path is refused: it would name any file of the server."""
    if payload is None:
        return None
    if not isinstance(payload, dict) or not isinstance(payload.get("path"), str):
        raise ValueError("a recorder takes a file")
    return payload["path"]


def file_of(value: Any) -> Any:
    """The file as the page gets it; gradio gives it an address."""
    if value is None:
        return None
    path = str(value)
    facts = {"orig_name": Path(path).name, "mime_type": mimetypes.guess_type(path)[0]}
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **facts}


RECORDER = own_html("Recorder", __name__, path_of, file_of)
